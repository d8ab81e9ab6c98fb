"""Fidelity and diversity apart: precision and recall, density and coverage, from balls about samples' features.

A sample's ball reaches to its k-th nearest neighbour in its own set, itself not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Float64
from torch import Tensor

from gan_lightning.metrics.neighbours import balls_around, nearest, radii
from gan_lightning.metrics.observed import Observed
from gan_lightning.types import Count, check_ranges


def precision_recall(
    real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], k: int = 3, reach: Float64[Tensor, " n"] | None = None
) -> tuple[float, float]:
    """The share of generated samples (M, D) in a ball of a real one (N, D), and of real ones in a generated one's.

    Kynkaanniemi et al. 2019, arXiv:1904.06991, equation 1: balls are closed, as in the official code. (prdc's are open,
    which only tells apart sets that share samples or distances.) Both fall as there are more samples; the official
    protocol is 50,000 of each. `reach` are the radii of the real balls, if they are at hand.
    """
    reach = radii(real, k) if reach is None else reach
    precision = balls_around(fake, real, reach, closed=True) > 0
    recall = balls_around(real, fake, radii(fake, k), closed=True) > 0
    return float(precision.double().mean()), float(recall.double().mean())


def density_coverage(
    real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], k: int = 5, reach: Float64[Tensor, " n"] | None = None
) -> tuple[float, float]:
    """How many balls of real samples (N, D) hold a generated one (M, D), over k; and the share of those that hold any.

    Naeem et al. 2020, arXiv:2002.09797, equations 3 and 4; balls are open, as in the official code (prdc), so that a
    set has the density 1 with itself. Two sets of one distribution have a density of 1 and, for many samples of each,
    a coverage of 1 - 2^-k, which is 0.97 for k = 5. `reach` are the radii of the balls, if they are at hand.
    """
    reach = radii(real, k) if reach is None else reach
    density = balls_around(fake, real, reach, closed=False).double().mean() / k
    covered = nearest(real, fake)[0].squeeze(1) < reach
    return float(density), float(covered.double().mean())


@dataclass(frozen=True)
class Neighbourhoods:
    """What both metrics share: how many neighbours a ball reaches to."""

    k: Count

    def __post_init__(self) -> None:
        check_ranges(self)

    def missing(self, real: Observed, fake: Observed) -> str | None:
        return None if min(len(real), len(fake)) > self.k else f"more than {self.k} samples"

    def reach(self, real: Observed) -> Float64[Tensor, " n"]:
        """The radii of the real samples' balls."""
        return real.once(("radii", self.k), lambda: radii(real.features, self.k))


@dataclass(frozen=True)
class PrecisionRecall(Neighbourhoods):
    """`precision_recall` of features."""

    k: Count = 3
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"precision": True, "recall": True}
    slow: ClassVar[bool] = False

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        precision, recall = precision_recall(real.features, fake.features, self.k, self.reach(real))
        return {"precision": precision, "recall": recall}


@dataclass(frozen=True)
class DensityCoverage(Neighbourhoods):
    """`density_coverage` of features."""

    k: Count = 5
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"density": True, "coverage": True}
    slow: ClassVar[bool] = False

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        density, coverage = density_coverage(real.features, fake.features, self.k, self.reach(real))
        return {"density": density, "coverage": coverage}
