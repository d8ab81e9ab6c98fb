"""Wasserstein-2 distances of the samples themselves: sliced, for any, and exact, for vectors."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64, Num
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from gan_lightning.metrics.matrices import BLOCK, as_matrix, flattened
from gan_lightning.metrics.observed import Observed, SubsetMetric, membership
from gan_lightning.types import Count, check_ranges


class Quantiles(NamedTuple):
    """What is needed of a set of points on lines, to compare it with M others on each: exact for any number of points.

    `means` (L, M) are those of the M parts of equal weight of each line's points, in ascending order, and `spread` (L,)
    the mean squared distance of the points from the mean of their part.
    """

    means: Tensor
    spread: Tensor

    def squared_w2(self, points: Float64[Tensor, "l m"]) -> Float64[Tensor, " l"]:
        """The squared Wasserstein-2 distance from M points on each line, in ascending order."""
        squared: Tensor = self.spread + (self.means - points).square().mean(1)
        return squared


def quantiles(points: Float64[Tensor, "l n"], parts: int) -> Quantiles:
    """The `parts` quantiles of points on lines (L, N), in ascending order.

    Between two breaks, which are at k / N and at k / parts, the quantile function and its part are constant.
    """
    count = points.shape[1]
    if count == parts:
        return Quantiles(points, points.new_zeros(len(points)))
    breaks = torch.cat([torch.arange(count) * parts, torch.arange(parts) * count]).unique()  # of count * parts
    widths = breaks.diff(append=torch.tensor([count * parts])).double() / count  # of a part
    values, part = points[:, breaks // parts], breaks // count
    means = points.new_zeros(len(points), parts).index_add_(1, part, values * widths)
    spread = (values - means[:, part]).square() @ widths / parts
    return Quantiles(means, spread)


def squared_w2_on_lines(one: Float[Tensor, "n l"], other: Float[Tensor, "m l"]) -> Float64[Tensor, " l"]:
    """The squared Wasserstein-2 distance of each column of points (N, L) and (M, L) on a line: (L,), float64.

    The integral of the squared difference of the two quantile functions: exact for any N and M.
    """
    lines, others = (as_matrix(each, "points").T.contiguous().sort(1).values for each in (one, other))
    return quantiles(lines, others.shape[1]).squared_w2(others)


def random_directions(dimensions: int, count: int, seed: int) -> Float64[Tensor, "{dimensions} {count}"]:
    """Directions of unit length, uniformly distributed: (dimensions, count), float64."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(dimensions, count, generator=generator, dtype=torch.float64)
    directions: Tensor = normal / torch.linalg.vector_norm(normal, dim=0)
    return directions


def _projected(samples: Num[Tensor, "n ..."], lines: Float64[Tensor, "d l"]) -> Float64[Tensor, "l n"]:
    """Samples on lines (d, L): (L, N), in blocks of samples."""
    found = torch.empty(lines.shape[1], len(samples), dtype=torch.float64)
    first = 0
    for chunk in samples.split(max(1, BLOCK // len(lines))):
        found[:, first : (first := first + len(chunk))] = lines.T @ as_matrix(flattened(chunk), "samples").T
    return found


def _line_blocks(count: int, samples: int) -> Iterator[slice]:
    """Some of `count` lines at a time, with so many samples on each."""
    lines = max(1, BLOCK // (4 * samples))
    return (slice(first, first + lines) for first in range(0, count, lines))


def sliced_wasserstein(
    real: Num[Tensor, " n *shape"], fake: Num[Tensor, " m *shape"], directions: int = 512, seed: int = 0
) -> float:
    """The root of the mean of squared Wasserstein-2 distances along random directions of unit length.

    Of samples, (N, ...) and (M, ...), `flattened`: images in [-1, 1]. Bonneel et al. 2015 (J. Math. Imaging Vis. 51),
    definition 3, with p = 2 as in POT's default; not the distance of Laplacian pyramids of patches that
    Karras et al. 2018 give this name. It is at most the Wasserstein-2 distance; a shift by v gives |v| / sqrt(d).
    """
    everything = torch.ones(1, len(fake), dtype=torch.bool)
    lines = random_directions(real[0].numel(), directions, seed)
    return _sliced(_quantiles_of(real, lines, {len(fake)}), fake, lines, everything)[0]


def _quantiles_of(
    samples: Num[Tensor, "n ..."], lines: Float64[Tensor, "d l"], parts: Set[int]
) -> dict[int, Quantiles]:
    """The quantiles of samples on lines, for each number of parts."""
    projected = _projected(samples, lines)
    found: dict[int, list[Quantiles]] = {number: [] for number in parts}
    for block in _line_blocks(*projected.shape):
        ascending = projected[block]
        ascending.numpy().sort(1)  # in place, and in half of the time that torch takes
        for number, blocks in found.items():
            blocks.append(quantiles(ascending, number))
    return {number: Quantiles(*map(torch.cat, zip(*blocks, strict=True))) for number, blocks in found.items()}


def _sliced(
    of_real: Mapping[int, Quantiles],
    fake: Num[Tensor, "m ..."],
    lines: Float64[Tensor, "d l"],
    inside: Bool[Tensor, "s m"],
) -> list[float]:
    """The distance of each subset of the generated samples; the real ones have quantiles for each size of these."""
    projected = _projected(fake, lines)
    totals = torch.zeros(len(inside), dtype=torch.float64)
    for block in _line_blocks(*projected.shape):
        ascending, order = projected[block].sort(1)
        for k, chosen in enumerate(inside):
            count = int(chosen.sum())
            means, spread = (rows[block] for rows in of_real[count])
            of_subset = ascending.masked_select(chosen.take(order)).view(-1, count)
            totals[k] += Quantiles(means, spread).squared_w2(of_subset).sum()
    return (totals / lines.shape[1]).sqrt().tolist()


def w2(one: Float[Tensor, "n d"], other: Float[Tensor, "m d"]) -> float:
    """The Wasserstein-2 distance of two sets of as many points (N, d): of the best matching of them, exactly.

    The time grows like N^3: 0.1 s for 1,000. Raises ValueError for sets of different sizes.
    """
    one, other = as_matrix(one, "points"), as_matrix(other, "points")
    if one.shape != other.shape:
        raise ValueError(f"points must be as many in both sets, got {tuple(one.shape)} and {tuple(other.shape)}")
    squared = torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist").square()
    rows, columns = linear_sum_assignment(squared.numpy())
    return float(squared[torch.from_numpy(rows), torch.from_numpy(columns)].mean().sqrt())


@dataclass(frozen=True)
class SlicedWasserstein(SubsetMetric):
    """`sliced_wasserstein` of the samples themselves."""

    directions: Count = 512
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"sliced_wasserstein": False}
    slow: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self)

    def missing(self, real: Observed, fake: Observed) -> str | None:
        return None

    def measure_subsets(
        self, real: Observed, fake: Observed, subsets: Sequence[Int64[Tensor, " _"]], seed: int = 0
    ) -> list[dict[str, float]]:
        lines = random_directions(real.samples[0].numel(), self.directions, seed)
        counts = frozenset(map(len, subsets))
        of_real = real.once(
            ("on lines", self.directions, seed, counts), lambda: _quantiles_of(real.samples, lines, counts)
        )
        found = _sliced(of_real, fake.samples, lines, membership(subsets, len(fake)))
        return [{"sliced_wasserstein": value} for value in found]


@dataclass(frozen=True)
class ExactWasserstein:
    """`w2` of vectors, of `points` random ones of each set, or as many as the smaller one has.

    Biased: two sets of the same distribution lie apart by about N^(-1/2) of its width in the plane.
    """

    points: Count = 1000
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"w2": False}
    slow: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self)

    def missing(self, real: Observed, fake: Observed) -> str | None:
        return None if fake.samples.ndim == 2 else "samples that are vectors"

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        generator = torch.Generator().manual_seed(seed)
        count = min(self.points, len(real), len(fake))
        chosen = [each.samples[torch.randperm(len(each), generator=generator)[:count]] for each in (real, fake)]
        return {"w2": w2(*chosen)}
