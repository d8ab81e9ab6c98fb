"""Runs at the same cost: what each had reached when the cheapest of them ended."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np

from gan_lightning.studies.statistics import Floats, as_floats

Pick = Literal["last", "best"]


@dataclass(frozen=True)
class Curve:
    """A run's evaluations: `values` (m,) of one number where so much was `spent` (m,), in the order that they came in.

    What is spent are iterations, images, seconds, or updates of the discriminator. Raises ValueError if it falls.
    """

    spent: Floats
    values: Floats

    def __post_init__(self) -> None:
        if self.spent.ndim != 1 or self.spent.shape != self.values.shape:
            raise ValueError(f"spent and values must be of one length, got {self.spent.shape} and {self.values.shape}")
        if not np.isfinite(self.spent).all() or (np.diff(self.spent) < 0).any():
            raise ValueError(f"spent must be finite and never fall, got {self.spent}")

    @classmethod
    def of(cls, spent: Iterable[float | None], values: Iterable[float | None]) -> "Curve":
        """A curve of two columns of a metrics.csv: rows in which either is None or NaN are not of this number.

        An infinite value stays: an evaluation that failed.
        """
        at, numbers = as_floats(spent), as_floats(values)
        there = ~(np.isnan(at) | np.isnan(numbers)) if at.shape == numbers.shape else slice(None)
        return cls(at[there], numbers[there])


@dataclass(frozen=True)
class Equalised:
    """What runs had reached at a common `budget`, by name; NaN for runs without an evaluation up to it.

    `at` is what was spent at the evaluation that counts, `beyond` what each run spent after the budget up to its last
    evaluation, and `left_out` how many of its evaluations lie there. The budget is NaN if no run has any.
    """

    budget: float
    values: Mapping[str, float]
    at: Mapping[str, float]
    beyond: Mapping[str, float]
    left_out: Mapping[str, int]

    @property
    def differ(self) -> bool:
        """Whether any run had spent more than the budget."""
        return any(each > 0 for each in self.beyond.values())


def equalise(
    curves: Mapping[str, Curve], pick: Pick, higher_is_better: bool | None, budget: float | None = None
) -> Equalised:
    """The runs' numbers at a budget, by default the least of what they had spent at their last evaluations.

    `pick` says which evaluation counts of those that are not after the budget: the last, or the best finite one so far.
    The latter is what a checkpoint of the best gives, and it favours runs that were evaluated more often. Runs that
    were never evaluated don't lower the budget; one that stopped early does, so leave it out if it failed.

    Raises ValueError for the best of a number without a direction.
    """
    if pick == "best" and higher_is_better is None:
        raise ValueError("the best needs a direction, got higher_is_better=None")
    if budget is None:
        budget = common_budget(curves.values())
    found = {name: _reached(curve, budget, pick, higher_is_better) for name, curve in curves.items()}
    ends = {name: curve.spent[-1] if len(curve.spent) else nan for name, curve in curves.items()}
    return Equalised(
        budget=budget,
        values={name: value for name, (_, value) in found.items()},
        at={name: at for name, (at, _) in found.items()},
        beyond={name: max(0.0, float(end - budget)) if end > budget else 0.0 for name, end in ends.items()},
        left_out={name: int((curve.spent > budget).sum()) for name, curve in curves.items()},
    )


def common_budget(curves: Iterable[Curve]) -> float:
    """The least of what runs had spent at their last evaluations; NaN where none was evaluated."""
    return float(min((curve.spent[-1] for curve in curves if len(curve.spent)), default=nan))


def _reached(curve: Curve, budget: float, pick: Pick, higher_is_better: bool | None) -> tuple[float, float]:
    """What was spent at the evaluation that counts, and its value; NaN for both where there is none."""
    count = int((curve.spent <= budget).sum())
    spent, values = curve.spent[:count], curve.values[:count]
    if pick == "best":
        finite = np.isfinite(values)
        spent, values = spent[finite], values[finite]
    if not len(values):
        return nan, nan
    place = -1 if pick == "last" else int(values.argmax() if higher_is_better else values.argmin())
    return float(spent[place]), float(values[place])
