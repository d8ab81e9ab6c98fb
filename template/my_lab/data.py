"""Sources of real samples: frozen dataclasses of plain values, whose `load()` gives a SampleSet."""

from dataclasses import dataclass

import torch
from gan_lightning.samples import SampleSet
from gan_lightning.types import NonNegativeFloat, PositiveInt, Seed, check_ranges


@dataclass(frozen=True)
class TwoMoons:
    """Two half circles in the plane that reach into each other: scikit-learn's make_moons, a label each."""

    noise: NonNegativeFloat = 0.05
    count: PositiveInt = 10_000
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_ranges(self)

    def load(self) -> SampleSet:
        """Returns the samples (count, 2), their middle near the origin."""
        from sklearn.datasets import make_moons  # slow to import

        points, moons = make_moons(self.count, noise=self.noise, random_state=self.seed)
        samples = torch.from_numpy(points - [0.5, 0.25]).float()
        return SampleSet(samples, torch.from_numpy(moons).long(), ("upper", "lower"))
