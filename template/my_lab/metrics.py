"""Metrics: frozen dataclasses that compare generated samples with real ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from gan_lightning.metrics import Observed
from gan_lightning.types import PositiveInt, check_ranges
from torch import Tensor


@dataclass(frozen=True)
class EnergyDistance:
    """Székely and Rizzo 2013 (J. Stat. Plan. Inference 143): 2 E|X - Y| - E|X - X'| - E|Y - Y'| of features.

    It is 0 for the same distribution alone. Of `points` random samples of each set, or as many as there are; unbiased,
    so that it may fall a little below 0.
    """

    points: PositiveInt = 1000
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"energy_distance": False}
    slow: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self)

    def missing(self, real: Observed, fake: Observed) -> str | None:
        return None if min(self.points, len(real), len(fake)) > 1 else "two samples of each kind"

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        generator = torch.Generator().manual_seed(seed)
        x, y = (
            each.features[torch.randperm(len(each), generator=generator)[: self.points]].double()
            for each in (real, fake)
        )
        between = torch.cdist(x, y).mean()
        return {"energy_distance": float(2 * between - mean_distance(x) - mean_distance(y))}


def mean_distance(points: Tensor) -> Tensor:
    """The mean distance of two different points out of (N, d)."""
    return torch.cdist(points, points).sum() / (len(points) * (len(points) - 1))
