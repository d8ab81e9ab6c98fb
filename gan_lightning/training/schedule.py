"""How many discriminator updates an iteration has, as a pure function of the iteration. The project's one clock."""

from dataclasses import dataclass

from gan_lightning.types import NonNegativeInt, PositiveInt, check_ranges


@dataclass(frozen=True)
class CriticSchedule:
    """`n_critic` discriminator updates (each on a fresh minibatch) for one generator update.

    With `boost` above 0, iterations that are below `boost_first` or a multiple of `boost_every` have `boost` updates
    instead. The official WGAN code (martinarjovsky/WassersteinGAN, main.py) has 100, 25 and 500. Iterations count
    from 0.
    """

    n_critic: PositiveInt = 1
    boost: NonNegativeInt = 0
    boost_first: NonNegativeInt = 25
    boost_every: PositiveInt = 500

    def __post_init__(self) -> None:
        check_ranges(self)

    def steps(self, iteration: int) -> int:
        """Discriminator updates in this iteration."""
        boosted = iteration < self.boost_first or iteration % self.boost_every == 0
        return self.boost if self.boost and boosted else self.n_critic

    def steps_before(self, iteration: int) -> int:
        """Discriminator updates, which is also minibatches drawn, in all iterations before this one."""
        if not self.boost:
            return self.n_critic * iteration
        early = min(iteration, self.boost_first)
        multiples = -(-iteration // self.boost_every)  # of boost_every in [0, iteration)
        early_multiples = -(-early // self.boost_every)
        boosted = early + multiples - early_multiples
        return self.boost * boosted + self.n_critic * (iteration - boosted)

    def iterations(self, minibatches: int) -> int:
        """The fewest iterations that draw at least so many minibatches."""
        low, high = 0, minibatches
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.steps_before(middle) >= minibatches else (middle + 1, high)
        return low
