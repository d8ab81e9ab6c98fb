"""Scalars that change during a run: wherever a loss, an optimizer or the average takes one, a schedule may stand.

A schedule is a frozen dataclass that gives a value for a point of the one clock, `Clock`: of the iteration, or of the
real images seen. It holds `start` before `begin`, reaches `end` after `over` more, and holds that. In a configuration

    loss.optimizer.generator.lr='${linear:2e-4,0}'            from 2e-4 to 0 over the whole run
    regularizer.r1.weight='${cosine:2,0.2,1e6,images}'        over the first million real images

or, written out, a node with `_target_: gan_lightning.schedules.Cosine`.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

Unit = Literal["iterations", "images"]
Part = TypeVar("Part")


class Clock(NamedTuple):
    """Where a run stands: iterations completed, real images seen by the discriminator, and both at the run's end."""

    iteration: int
    images: int = 0
    last_iteration: int = -1  # -1: no end is known
    last_images: int = -1


@dataclass(frozen=True)
class Scheduled:
    """What all schedules share. `over` is counted in `unit` from `begin`; None means to the end of the run.

    Raises ValueError for a length that is not positive, and from `at` when a run without an end leaves `over` open.
    """

    start: float
    end: float
    over: float | None = None
    unit: Unit = "iterations"
    begin: float = 0

    def __post_init__(self) -> None:
        if self.over is not None and not self.over > 0:
            raise ValueError(f"over must be above 0, got {self.over}")
        if not self.begin >= 0:
            raise ValueError(f"begin must be at least 0, got {self.begin}")
        if self.unit not in ("iterations", "images"):
            raise ValueError(f"unit is {self.unit!r}; there are iterations and images")

    def at(self, clock: Clock) -> float:
        """The value at a point of the clock."""
        now, last = (
            (clock.iteration, clock.last_iteration) if self.unit == "iterations" else (clock.images, clock.last_images)
        )
        if self.over is None and last < 0:
            raise ValueError("a schedule without `over` lasts to the end of the run, and this run has none")
        elapsed, over = now - self.begin, last - self.begin if self.over is None else self.over
        progress = elapsed / over if over > 0 else float(elapsed >= 0)  # a run may end at `begin`, or before
        low, high = sorted(self.extremes)
        return min(max(self.curve(min(max(progress, 0.0), 1.0)), low), high)  # for rounding may lead out of a range

    def curve(self, progress: float) -> float:
        """The value after a share of the way, 0 to 1."""
        raise NotImplementedError

    @property
    def extremes(self) -> tuple[float, float]:
        """All values lie between these two."""
        return self.start, self.end


@dataclass(frozen=True)
class Linear(Scheduled):
    """A straight line from `start` to `end`."""

    def curve(self, progress: float) -> float:
        return self.start * (1 - progress) + self.end * progress


@dataclass(frozen=True)
class Cosine(Scheduled):
    """Half a cosine wave from `start` to `end`, flat at both (Loshchilov and Hutter 2017, equation 5)."""

    def curve(self, progress: float) -> float:
        left = (1 + math.cos(math.pi * progress)) / 2
        return self.start * left + self.end * (1 - left)


@dataclass(frozen=True)
class Exponential(Scheduled):
    """By the same factor in equal times: start * (end / start) ** progress. Both ends must be above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.start, self.end) <= 0:
            raise ValueError(f"start and end must be above 0, got {self.start} and {self.end}")

    def curve(self, progress: float) -> float:
        return float(self.start ** (1 - progress) * self.end**progress)


@dataclass(frozen=True)
class Step(Scheduled):
    """`start` until `over` has passed, and `end` from then on."""

    def curve(self, progress: float) -> float:
        return self.end if progress >= 1 else self.start


def value_at(value: Any, clock: Clock) -> Any:
    """A schedule's value at a point of the clock, inside lists and tuples too; anything else as it is."""
    if isinstance(value, Scheduled):
        return value.at(clock)
    if isinstance(value, list | tuple) and is_scheduled(value):
        return type(value)(value_at(item, clock) for item in value)
    return value


def number(value: float | Scheduled) -> float:
    """The value itself. Raises TypeError for a schedule, which has a value only at a point of the clock (`part_at`)."""
    if isinstance(value, Scheduled):
        raise TypeError(f"{value} has a value only at a point of the clock; use part_at first")
    return value


def is_scheduled(value: Any) -> bool:
    """Whether a value is a schedule, or a list or tuple that holds one."""
    return isinstance(value, Scheduled) or (isinstance(value, list | tuple) and any(map(is_scheduled, value)))


def scheduled_fields(part: Any) -> list[str]:
    """The fields of a dataclass instance that are scheduled; none for anything else."""
    if not dataclasses.is_dataclass(part):
        return []
    return [field.name for field in dataclasses.fields(part) if is_scheduled(getattr(part, field.name))]


def part_at(part: Part, clock: Clock) -> Part:
    """A dataclass instance with the values that its scheduled fields have at a point of the clock."""
    names = scheduled_fields(part)
    if not names:
        return part
    values = {name: value_at(getattr(part, name), clock) for name in names}
    replaced: Part = dataclasses.replace(part, **values)  # type: ignore[type-var]  # Part is a dataclass here
    return replaced
