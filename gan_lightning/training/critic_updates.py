"""How many discriminator updates an iteration has, as a pure function of the iteration. The project's one clock."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Annotated

from gan_lightning.schedules import Clock, Scheduled
from gan_lightning.types import Count, NonNegativeInt, PositiveInt, Range, check_ranges

LONGEST = 10_000_000  # iterations of a schedule, whose updates are added up beforehand


@dataclass(frozen=True)
class CriticUpdates:
    """`n_critic` discriminator updates (each on a fresh minibatch) for one generator update.

    `n_critic` may be a schedule over iterations, whose values are rounded. With `boost` above 0, iterations that are
    below `boost_first` or a multiple of `boost_every` have `boost` updates instead. The official WGAN code
    (martinarjovsky/WassersteinGAN, main.py) has 100, 25 and 500. Iterations count from 0. Raises ValueError for values
    below 1 and for a schedule that counts images (which n_critic itself decides) or has no length of its own.
    """

    n_critic: Count | Scheduled = 1
    boost: Annotated[int, Range(low=0, high=1_000_000)] = 0
    boost_first: NonNegativeInt = 25
    boost_every: PositiveInt = 500

    def __post_init__(self) -> None:
        check_ranges(self)
        if isinstance(self.n_critic, Scheduled) and (self.n_critic.unit != "iterations" or self.n_critic.over is None):
            raise ValueError("n_critic's schedule must name its length, in iterations: over=N unit=iterations")
        if isinstance(self.n_critic, Scheduled) and not self.n_critic.begin + (self.n_critic.over or 0) <= LONGEST:
            raise ValueError(f"n_critic's schedule must be at its end after {LONGEST:,} iterations")

    def updates(self, iteration: int) -> int:
        """Discriminator updates in this iteration."""
        boosted = iteration < self.boost_first or iteration % self.boost_every == 0
        return self.boost if self.boost and boosted else self.ordinary(iteration)

    def ordinary(self, iteration: int) -> int:
        """Discriminator updates in this iteration if it is not boosted."""
        if isinstance(self.n_critic, Scheduled):
            return round(self.n_critic.at(Clock(iteration)))
        return self.n_critic

    def updates_before(self, iteration: int) -> int:
        """Discriminator updates, which is also minibatches drawn, in all iterations before this one."""
        if not isinstance(self.n_critic, Scheduled):
            return self._constant_before(iteration, self.n_critic)
        changing = len(self._totals) - 1  # iterations until the schedule is at its end
        if iteration <= changing:
            return self._totals[iteration]
        last = self.ordinary(changing)
        return self._totals[-1] + self._constant_before(iteration, last) - self._constant_before(changing, last)

    def _constant_before(self, iteration: int, n_critic: int) -> int:
        """Updates before an iteration if the ordinary ones all have `n_critic`."""
        if not self.boost:
            return n_critic * iteration
        early = min(iteration, self.boost_first)
        multiples = -(-iteration // self.boost_every)  # of boost_every in [0, iteration)
        early_multiples = -(-early // self.boost_every)
        boosted = early + multiples - early_multiples
        return self.boost * boosted + n_critic * (iteration - boosted)

    @cached_property
    def _totals(self) -> list[int]:
        """Updates before iterations 0, 1, …, up to the one from which the schedule of n_critic stays at its end."""
        assert isinstance(self.n_critic, Scheduled)
        assert self.n_critic.over is not None
        changing = math.ceil(self.n_critic.begin + self.n_critic.over)
        return list(accumulate(map(self.updates, range(changing)), initial=0))

    def iterations(self, minibatches: int) -> int:
        """The fewest iterations that draw at least so many minibatches."""
        low, high = 0, minibatches
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.updates_before(middle) >= minibatches else (middle + 1, high)
        return low
