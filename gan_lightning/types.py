"""Value ranges as types: `n_critic: PositiveInt` is documentation, a config check and a constructor check at once."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints


@dataclass(frozen=True)
class Range:
    """The closed interval [low, high] of a number; `open_low` or `open_high` exclude that end."""

    low: float = float("-inf")
    high: float = float("inf")
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        low = "" if self.low == float("-inf") else f"{'above' if self.open_low else 'at least'} {self.low:g}"
        high = "" if self.high == float("inf") else f"{'below' if self.open_high else 'at most'} {self.high:g}"
        return " and ".join(end for end in (low, high) if end)


@dataclass(frozen=True)
class Filled:
    """Text that is not empty, as the value of an unset shell variable is: a path of that kind is the current folder."""

    def __contains__(self, value: str) -> bool:
        return bool(str(value).strip())

    def __str__(self) -> str:
        return "a path, and not empty as an unset shell variable is"


FilePath = Annotated[str, Filled()]
PositiveInt = Annotated[int, Range(low=1)]
Count = Annotated[int, Range(low=1, high=1_000_000)]  # of what is held in memory at once, so that no file asks for all
NonNegativeInt = Annotated[int, Range(low=0)]
PositiveFloat = Annotated[float, Range(low=0, open_low=True)]
NonNegativeFloat = Annotated[float, Range(low=0)]
Seed = Annotated[int, Range(low=0, high=4294967295)]  # what NumPy takes: 32 bits
Fraction = Annotated[float, Range(low=0, high=1)]


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def check_ranges(instance: Any) -> None:
    """Raises ValueError if a field of a dataclass instance lies outside the range its annotation names.

    A schedule (see gan_lightning.schedules) lies within it if both of its ends do, a sequence if all of its items do.
    """
    for name, hint in _hints(type(instance)).items():  # type: ignore[arg-type]  # classes are hashable
        field = getattr(instance, name, None)
        for each in (hint, *get_args(hint)):  # of `PositiveInt | None` too
            for bounds in getattr(each, "__metadata__", ()):
                for value in field if isinstance(field, list | tuple) else getattr(field, "extremes", (field,)):
                    is_number = isinstance(bounds, Range) and isinstance(value, int | float)
                    is_text = isinstance(bounds, Filled) and isinstance(value, str)
                    if (is_number or is_text) and value not in bounds:
                        raise ValueError(f"{name} must be {bounds}, got {value!r}")
