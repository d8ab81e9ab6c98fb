"""Fidelity and diversity apart: precision and recall, density and coverage, from balls about samples' features.

A sample's ball reaches to its k-th nearest neighbour in its own set, itself not counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from gan_lightning.metrics.neighbours import in_balls, nearest, radii, radii_in_subsets
from gan_lightning.metrics.observed import Observed, SubsetMetric, membership
from gan_lightning.types import Count, check_ranges

AT_LEAST = 8  # neighbours, of which any smaller number is had without another search


def _all_of(samples: Tensor) -> Bool[Tensor, "1 n"]:
    """The subset that has all of the samples."""
    return torch.ones(1, len(samples), dtype=torch.bool)


def precision_recall(real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], k: int = 3) -> tuple[float, float]:
    """The share of generated samples (M, D) in a ball of a real one (N, D), and of real ones in a generated one's.

    Kynkaanniemi et al. 2019, arXiv:1904.06991, equation 1: balls are closed, as in the official code. (prdc's are open,
    which only tells apart sets that share samples or distances.) Both fall as there are more samples; the official
    protocol is 50,000 of each.
    """
    inside = _all_of(fake)
    return float(_precisions(real, fake, radii(real, k), inside)), float(_recalls(real, fake, k, inside))


def _precisions(
    real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], reach: Float64[Tensor, " n"], inside: Bool[Tensor, "s m"]
) -> Float64[Tensor, " s"]:
    """The precision of each subset of the generated samples, with the radii of the real ones' balls."""
    is_held = torch.zeros(len(fake), dtype=torch.bool)
    for held in in_balls(fake, real, reach, closed=True):
        is_held[held.queries] = True
    return (inside & is_held).sum(1).double() / inside.sum(1)


def _recalls(
    real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], k: int, inside: Bool[Tensor, "s m"]
) -> Float64[Tensor, " s"]:
    """The recall of each subset of the generated samples, whose balls reach to neighbours in the same subset."""
    reach = radii_in_subsets(fake, k, inside)
    is_reached = torch.zeros(len(inside), len(real), dtype=torch.bool)
    for held in in_balls(real, fake, reach.amax(0), closed=True):
        for radius, reached in zip(reach, is_reached, strict=True):
            own = radius[held.references]
            reached[held.queries[(held.squared <= own.square()) & (own >= 0)]] = True
    return is_reached.double().mean(1)


def density_coverage(real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], k: int = 5) -> tuple[float, float]:
    """How many balls of real samples (N, D) hold a generated one (M, D), over k; and the share of those that hold any.

    Naeem et al. 2020, arXiv:2002.09797, equations 3 and 4; balls are open, as in the official code (prdc), so that a
    set has the density 1 with itself. Two sets of one distribution have a density of 1 and, for many samples of each,
    a coverage of 1 - 2^-k, which is 0.97 for k = 5.
    """
    densities, coverages = _densities(real, fake, k, radii(real, k), _all_of(fake))
    return float(densities), float(coverages)


def _densities(
    real: Float[Tensor, "n d"],
    fake: Float[Tensor, "m d"],
    k: int,
    reach: Float64[Tensor, " n"],
    inside: Bool[Tensor, "s m"],
) -> tuple[Float64[Tensor, " s"], Float64[Tensor, " s"]]:
    """The density and the coverage of each subset of the generated samples, with the radii of the real ones' balls."""
    counts = torch.zeros(len(fake), dtype=torch.int64)
    is_covered = torch.zeros(len(inside), len(real), dtype=torch.bool)
    for held in in_balls(fake, real, reach, closed=False):
        counts += held.queries.bincount(minlength=len(fake))
        for chosen, covered in zip(inside, is_covered, strict=True):
            covered[held.references[chosen[held.queries]]] = True
    densities = (inside * counts).sum(1).double() / inside.sum(1) / k
    return densities, is_covered.double().mean(1)


@dataclass(frozen=True)
class Neighbourhoods(SubsetMetric):
    """What both metrics share: how many neighbours a ball reaches to."""

    k: Count

    def __post_init__(self) -> None:
        check_ranges(self)

    def missing(self, real: Observed, fake: Observed) -> str | None:
        return None if min(len(real), len(fake)) > self.k else f"more than {self.k} samples"

    def reach(self, real: Observed) -> Float64[Tensor, " n"]:
        """The radii of the real samples' balls."""
        count = min(max(self.k, AT_LEAST) + 1, len(real))
        distances = real.once(("neighbours", count), lambda: nearest(real.features, real.features, count)[0])
        return distances[:, self.k]


@dataclass(frozen=True)
class PrecisionRecall(Neighbourhoods):
    """`precision_recall` of features."""

    k: Count = 3
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"precision": True, "recall": True}
    slow: ClassVar[bool] = False

    def measure_subsets(
        self, real: Observed, fake: Observed, subsets: Sequence[Int64[Tensor, " _"]], seed: int = 0
    ) -> list[dict[str, float]]:
        inside = membership(subsets, len(fake))
        precisions = _precisions(real.features, fake.features, self.reach(real), inside).tolist()
        recalls = _recalls(real.features, fake.features, self.k, inside).tolist()
        return [{"precision": each, "recall": other} for each, other in zip(precisions, recalls, strict=True)]


@dataclass(frozen=True)
class DensityCoverage(Neighbourhoods):
    """`density_coverage` of features."""

    k: Count = 5
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"density": True, "coverage": True}
    slow: ClassVar[bool] = False

    def measure_subsets(
        self, real: Observed, fake: Observed, subsets: Sequence[Int64[Tensor, " _"]], seed: int = 0
    ) -> list[dict[str, float]]:
        inside = membership(subsets, len(fake))
        both = _densities(real.features, fake.features, self.k, self.reach(real), inside)
        return [{"density": each, "coverage": other} for each, other in zip(*(x.tolist() for x in both), strict=True)]
