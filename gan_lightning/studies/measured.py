"""What is told of a metric: a leaderboard, what can be told apart, and charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from gan_lightning.studies.accounts import Table
from gan_lightning.studies.courses import Course
from gan_lightning.studies.figures import Series, shown
from gan_lightning.studies.studied import StudiedRun

Ends = tuple[float, float] | None


@dataclass(frozen=True)
class Ran:
    """How the runs went, by their folders, and the budget that they are compared at; None: their ends."""

    courses: Mapping[Path, Course]
    spent: Mapping[Path, Mapping[str, float]]
    budget: str | None = None


@dataclass(frozen=True)
class Standing:
    """A configuration's numbers by seed, NaN where there is none and `lacking` says why; and what they come to."""

    name: str
    runs: Mapping[int, StudiedRun]
    values: Mapping[int, float]
    lacking: Mapping[int, str]
    mean: float
    ends: Ends
    iqm: float
    iqm_ends: Ends
    colour: int

    def by_rank(self, better: str | None) -> list[int]:
        """The seeds that have a number, the best first; in their order where it isn't known which that is."""
        known = [seed for seed, value in self.values.items() if isfinite(value)]
        if better is None:
            return known
        return sorted(known, key=lambda seed: self.values[seed], reverse=better == "higher")


@dataclass(frozen=True)
class Dependence:
    """How a metric depends on a key that was varied: points against a number, or those of each name."""

    key: str
    sentence: str
    series: Sequence[Series]
    groups: Mapping[str, Sequence[tuple[str, float]]]


@dataclass(frozen=True)
class Measured:
    """All that is told of a metric.

    `best` is the number of the best standing, None where nobody can say; `alike` names those that the seeds can't tell
    from it.
    """

    metric: str
    better: str | None
    standings: Sequence[Standing]
    best: int | None
    alike: Sequence[str] = ()
    notes: Sequence[str] = ()
    sentences: Sequence[str] = ()
    comparisons: Table | None = None
    curves: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    dependences: Sequence[Dependence] = ()
    trials: Sequence[Series] = ()


def interval(ends: Ends) -> str:
    """An interval as people read it."""
    return "-" if ends is None else f"{shown(ends[0])} to {shown(ends[1])}"
