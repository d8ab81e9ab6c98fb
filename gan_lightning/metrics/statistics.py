"""How much numbers vary with the generated samples that happened to be drawn."""

from collections.abc import Callable

import torch
from jaxtyping import Int64
from scipy.stats import t as student
from torch import Tensor

Measure = Callable[[Int64[Tensor, " n"]], dict[str, float]]


def interval(measure: Measure, count: int, repeats: int = 20, seed: int = 0) -> dict[str, tuple[float, float]]:
    """The 95 % interval, (low, high), of each number that `measure` gives of the samples at some indices (n,).

    It is the number of the whole, plus and minus the standard deviation of `repeats` random halves' numbers times
    Student's t of `repeats` - 1 degrees of freedom. Halves are drawn without replacement: this is the delete-d
    jackknife with d = n / 2 (Shao & Wu 1989, Ann. Statist. 17, theorem 1), where the variance of a half's number about
    the mean of halves is that of the whole's, with no factor between.

    A bias that depends on the number of samples, like that of a Fréchet distance, moves the mean of the halves, and so
    nothing here. A bootstrap would not do: drawn with replacement, a set has copies, which disturb nearest neighbours
    and the ranks of covariances.

    Not for standard deviations over subsets or splits of the samples. Their uncertainty comes from how few parts there
    are, or from which samples the parts have, so that it is no smaller for the whole than for a half: such an interval
    would be twice too wide.

    Raises ValueError for fewer than 2 repeats.
    """
    if repeats < 2:
        raise ValueError(f"repeats must be at least 2, got {repeats}")
    generator = torch.Generator().manual_seed(seed)
    halves = [measure(torch.randperm(count, generator=generator)[: count // 2]) for _ in range(repeats)]
    quantile = float(student.ppf(0.975, repeats - 1))
    intervals = {}
    for name, value in measure(torch.arange(count)).items():
        margin = quantile * float(torch.tensor([half[name] for half in halves], dtype=torch.float64).std())
        intervals[name] = (value - margin, value + margin)
    return intervals
