"""The kernel distance of two sets of features: KID, where the features are Inception's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from gan_lightning.metrics.matrices import BLOCK, as_matrix
from gan_lightning.metrics.observed import Observed, SubsetMetric, membership
from gan_lightning.types import Count, check_ranges

CUBING = 64  # multiplications in the time that it takes to raise one number of a kernel matrix to the third power


def random_subsets(
    count: int, size: int, subsets: int, generator: torch.Generator
) -> Float64[Tensor, "{subsets} {count}"]:
    """Random subsets of `count` samples without replacement: (subsets, count), 1 for those inside, 0 for others."""
    order = torch.rand(subsets, count, generator=generator).argsort(1)
    return torch.zeros(subsets, count, dtype=torch.float64).scatter_(1, order[:, :size], 1.0)


def _prepared(features: Float[Tensor, "n d"], name: str) -> Float64[Tensor, "n d+1"]:
    """Features whose products are xy / D + 1, of which the kernel is the third power."""
    matrix = as_matrix(features, name)
    return torch.cat([matrix / matrix.shape[1] ** 0.5, torch.ones(len(matrix), 1, dtype=torch.float64)], 1)


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
        products = chunk @ other.T
        kernel = products.square().mul_(products)
        total += ((chosen @ kernel) * in_other).sum(1)
    return total


def _sums_within(features: Float64[Tensor, "n d"], chosen: Float64[Tensor, "subsets n"]) -> Float64[Tensor, " subsets"]:
    """The same over all pairs of two samples of one subset: (subsets,)."""
    own = features.square().sum(1) ** 3  # a sample with itself
    return _kernel_sums(features, features, chosen, chosen) - chosen @ own


def _is_shared(count: int, size: int, subsets: int, sets: int, width: int) -> bool:
    """Whether one kernel matrix of all `count` samples takes less time than one for each subset."""
    together = count**2 * (width + CUBING + subsets * sets)
    return together <= subsets * size**2 * (width + CUBING + sets)


class _Pairs(NamedTuple):
    """Sums of the kernel over pairs of samples of each of some subsets, as far as they lie in each of some sets.

    `real` (subsets,) are means over pairs of two real samples, and `size` is how many a subset has of these; `fake` and
    `across` (sets, subsets) are sums over pairs of two generated samples and of one of each, and `counts` (sets,
    subsets) the numbers of generated samples.
    """

    real: Tensor
    size: int
    fake: Tensor
    across: Tensor
    counts: Tensor

    def each(self) -> Float64[Tensor, "sets subsets"]:
        """The estimate of each subset."""
        return self.real + self.fake / (self.counts * (self.counts - 1)) - 2 * self.across / (self.counts * self.size)

    def together(self) -> Float64[Tensor, " sets"]:
        """One estimate of all pairs: the mean of `each`, where subsets are of one size."""
        pairs = (self.counts * (self.counts - 1)).sum(1)
        return self.real.mean() + self.fake.sum(1) / pairs - 2 * self.across.sum(1) / (self.counts.sum(1) * self.size)


def _real_means(real: Float64[Tensor, "n d"], in_real: Float64[Tensor, "subsets n"]) -> Float64[Tensor, " subsets"]:
    """The mean of the kernel over all pairs of two samples of each subset."""
    size = int(in_real[0].sum())
    if _is_shared(len(real), size, len(in_real), 1, real.shape[1]):
        sums = _sums_within(real, in_real)
    else:
        all_in = torch.ones(1, size, dtype=torch.float64)
        sums = torch.cat([_sums_within(real[rows], all_in) for rows in in_real.bool()])
    return sums / (size * (size - 1))


def _fake_sums(
    real: Float64[Tensor, "n d"],
    fake: Float64[Tensor, "m d"],
    in_real: Float64[Tensor, "subsets n"],
    in_fake: Float64[Tensor, "subsets m"],
    sets: Float64[Tensor, "sets m"],
) -> tuple[Float64[Tensor, "sets subsets"], Float64[Tensor, "sets subsets"]]:
    """`_Pairs.fake` and `_Pairs.across`: one kernel matrix serves all sets and, of few samples, all subsets."""
    size, subsets = int(in_real[0].sum()), len(in_real)
    if _is_shared(max(len(real), len(fake)), size, subsets, len(sets), real.shape[1]):
        chosen, of_real = (sets.unsqueeze(1) * in_fake).flatten(0, 1), in_real.repeat(len(sets), 1)
        sums = _sums_within(fake, chosen), _kernel_sums(fake, real, chosen, of_real)
        return sums[0].unflatten(0, (-1, subsets)), sums[1].unflatten(0, (-1, subsets))
    all_real = torch.ones(len(sets), size, dtype=torch.float64)
    within, across = [], []
    for own, made in zip(in_real.bool(), in_fake.bool(), strict=True):
        features, chosen = fake[made], sets[:, made]
        within.append(_sums_within(features, chosen))
        across.append(_kernel_sums(features, real[own], chosen, all_real))
    return torch.stack(within, 1), torch.stack(across, 1)


def _pairs(
    real: Observed, fake: Observed, subsets: int, size: int, seed: int, sets: Float64[Tensor, "sets m"]
) -> _Pairs:
    """The sums over pairs of `kernel_distances`, of which those of two real samples are kept."""
    size = min(size, len(real), len(fake))
    if size < 2:
        raise ValueError("an unbiased estimate needs at least 2 samples of each set")
    of_real, of_fake = _prepared(real.features, "real features"), _prepared(fake.features, "generated features")
    generator = torch.Generator().manual_seed(seed)
    in_real, in_fake = (random_subsets(len(each), size, subsets, generator) for each in (real, fake))
    means = real.once(("kernel means", subsets, size, seed), lambda: _real_means(of_real, in_real))
    return _Pairs(means, size, *_fake_sums(of_real, of_fake, in_real, in_fake, sets), sets @ in_fake.T)


def kernel_distances(
    real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], subsets: int = 100, size: int = 1000, seed: int = 0
) -> Float64[Tensor, " {subsets}"]:
    """The unbiased squared maximum mean discrepancy of features (N, D) and (M, D) over random subsets: (subsets,).

    Binkowski et al. 2018, arXiv:1801.01401, section 4, with its kernel (xy / D + 1)^3. Subsets have `size` samples of
    each set, or as many as the smaller set has: of a set that is no larger than that each subset is all of it, so that
    with two such sets there is no spread. One kernel matrix serves all subsets, but for sets so large that a matrix for
    each takes less time.
    """
    all_of_it = torch.ones(1, len(fake), dtype=torch.float64)
    return _pairs(Observed(real, real), Observed(fake, fake), subsets, size, seed, all_of_it).each()[0]


@dataclass(frozen=True)
class KernelDistance(SubsetMetric):
    """The mean of `kernel_distances` and their standard deviation over subsets (with 1/n, as in the official code).

    The deviation is of one subset's estimate, not of their mean. Unbiased estimates of small distances may be negative.

    Of a choice of the generated samples, the subsets are those of all samples, each without those that aren't chosen,
    and the mean is that over all pairs: so a half differs from the whole by its samples alone, not by other subsets.
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

    def measure_subsets(
        self, real: Observed, fake: Observed, subsets: Sequence[Int64[Tensor, " _"]], seed: int = 0
    ) -> list[dict[str, float]]:
        pairs = _pairs(real, fake, self.subsets, self.size, seed, membership(subsets, len(fake)).double())
        means, deviations = pairs.together(), pairs.each().std(1, correction=0)
        return [
            {"kernel_distance": mean, "kernel_distance_std": deviation}
            for mean, deviation in zip(means.tolist(), deviations.tolist(), strict=True)
        ]
