"""How much numbers vary with the generated samples that happened to be drawn."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Int64
from scipy.stats import t as student
from torch import Tensor


def random_halves(count: int, repeats: int = 20, seed: int = 0) -> list[Int64[Tensor, " {count//2}"]]:
    """The indices (count // 2,) of `repeats` random halves of `count` samples, drawn without replacement.

    Raises ValueError for fewer than 2 repeats, of which there is no spread.
    """
    if repeats < 2:
        raise ValueError(f"repeats must be at least 2, got {repeats}")
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(count, generator=generator)[: count // 2] for _ in range(repeats)]


def intervals(whole: Mapping[str, float], halves: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """The 95 % interval, (low, high), of each number of the `whole`, from the same numbers of its `random_halves`.

    It is the number plus and minus the standard deviation of the halves' numbers times Student's t of one degree of
    freedom less than there are halves. These are drawn without replacement: this is the delete-d jackknife with
    d = n / 2 (Shao & Wu 1989, Ann. Statist. 17, theorem 1), where the variance of a half's number about the mean of
    halves is that of the whole's, with no factor between.

    A bias that depends on the number of samples, like that of a Fréchet distance, moves the mean of the halves, and so
    nothing here. A bootstrap would not do: drawn with replacement, a set has copies, which disturb nearest neighbours
    and the ranks of covariances.

    Not for standard deviations over subsets or splits of the samples. Their uncertainty comes from how few parts there
    are, or from which samples the parts have, so that it is no smaller for the whole than for a half: such an interval
    would be twice too wide.
    """
    quantile = float(student.ppf(0.975, len(halves) - 1))
    found = {}
    for name, value in whole.items():
        margin = quantile * float(torch.tensor([half[name] for half in halves], dtype=torch.float64).std())
        found[name] = (value - margin, value + margin)
    return found
