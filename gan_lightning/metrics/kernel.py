"""The kernel distance of two sets of features: KID, where the features are Inception's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gan_lightning.metrics.matrices import BLOCK, as_matrix
from gan_lightning.metrics.observed import Observed
from gan_lightning.types import Count, check_ranges

LARGE = 5  # times the size of a subset, of some hundred subsets


def random_subsets(
    count: int, size: int, subsets: int, generator: torch.Generator
) -> Float64[Tensor, "{subsets} {count}"]:
    """Random subsets of `count` samples without replacement: (subsets, count), 1 for those inside, 0 for others."""
    order = torch.rand(subsets, count, generator=generator).argsort(1)
    return torch.zeros(subsets, count, dtype=torch.float64).scatter_(1, order[:, :size], 1.0)


def _kernel_sums(
    one: Float64[Tensor, "n d"],
    other: Float64[Tensor, "m d"],
    in_one: Float64[Tensor, "subsets n"],
    in_other: Float64[Tensor, "subsets m"],
) -> Float64[Tensor, " subsets"]:
    """The sum of the kernel over all pairs of the subsets of `one` and `other`: (subsets,)."""
    total = torch.zeros(len(in_one), dtype=torch.float64)
    rows = max(1, BLOCK // len(other))
    for chunk, chosen in zip(one.split(rows), in_one.split(rows, dim=1), strict=True):
        kernel = (chunk @ other.T / other.shape[1] + 1) ** 3
        total += ((chosen @ kernel) * in_other).sum(1)
    return total


def _discrepancies(
    real: Float64[Tensor, "n d"],
    fake: Float64[Tensor, "m d"],
    in_real: Float64[Tensor, "subsets n"],
    in_fake: Float64[Tensor, "subsets m"],
) -> Float64[Tensor, " subsets"]:
    """The estimate for each pair of subsets of real (N, D) and generated features (M, D): (subsets,)."""
    size = in_real[0].sum()
    within = torch.zeros(len(in_real), dtype=torch.float64)
    for features, chosen in ((real, in_real), (fake, in_fake)):
        own = (features.square().sum(1) / features.shape[1] + 1) ** 3  # a sample with itself
        within += _kernel_sums(features, features, chosen, chosen) - chosen @ own
    return within / (size * (size - 1)) - 2 * _kernel_sums(real, fake, in_real, in_fake) / size**2


def kernel_distances(
    real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], subsets: int = 100, size: int = 1000, seed: int = 0
) -> Float64[Tensor, " {subsets}"]:
    """The unbiased squared maximum mean discrepancy of features (N, D) and (M, D) over random subsets: (subsets,).

    Binkowski et al. 2018, arXiv:1801.01401, section 4, with its kernel (xy / D + 1)^3. Subsets have `size` samples of
    each set, or as many as the smaller set has: of a set that is no larger than that each subset is all of it, so that
    with two such sets there is no spread. One kernel matrix serves all subsets, but for sets so large that a matrix for
    each takes less time.
    """
    real, fake = as_matrix(real, "real features"), as_matrix(fake, "generated features")
    size = min(size, len(real), len(fake))
    if size < 2:
        raise ValueError("an unbiased estimate needs at least 2 samples of each set")
    generator = torch.Generator().manual_seed(seed)
    in_real, in_fake = (random_subsets(len(each), size, subsets, generator) for each in (real, fake))
    if max(len(real), len(fake)) <= LARGE * size:
        return _discrepancies(real, fake, in_real, in_fake)
    all_in = torch.ones(1, size, dtype=torch.float64)
    pairs = zip(in_real.bool(), in_fake.bool(), strict=True)
    return torch.cat([_discrepancies(real[rows], fake[others], all_in, all_in) for rows, others in pairs])


@dataclass(frozen=True)
class KernelDistance:
    """The mean of `kernel_distances` and their standard deviation over subsets (with 1/n, as in the official code).

    The deviation is of one subset's estimate, not of their mean. Unbiased estimates of small distances may be negative.
    """

    subsets: Count = 100
    size: Count = 1000
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"kernel_distance": False, "kernel_distance_std": None}
    spreads: ClassVar[tuple[str, ...]] = ("kernel_distance_std",)
    slow: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self)

    def missing(self, real: Observed, fake: Observed) -> str | None:
        return None if min(len(real), len(fake)) > 1 else "at least 2 samples"

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        values = kernel_distances(real.features, fake.features, self.subsets, self.size, seed)
        return {"kernel_distance": float(values.mean()), "kernel_distance_std": float(values.std(correction=0))}
