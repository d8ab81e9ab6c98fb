"""Toy distributions, drawn once from a seed: (count, d) float32 vectors of one or two dimensions in units of their own,
and waves, (count, C, L).

The papers' codes differ in geometry; the numbers of each are in conf/dataset/. gan_toy.py, the toy code of WGAN-GP
(igul222/improved_wgan_training), divides its points by about their standard deviation: here `radius`, `spacing` and
`std` are what is left after that. It also draws most points anew for each minibatch, where here, as in PacGAN's code,
100,000 are drawn before training and passed over again and again (conf/dataset/ holds a tenth of them out).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from gan_lightning.samples import SampleSet
from gan_lightning.seeds import mix
from gan_lightning.types import Count, NonNegativeFloat, PositiveFloat, PositiveInt, Seed, check_ranges

COUNT = 100_000  # of PacGAN's code: `num_sample`


class Mixture:
    """Equally likely round Gaussians in the plane, with standard deviation `std` in each direction.

    A subclass says where: its `centres`. A sample's label is the index of the Gaussian it was drawn from.
    """

    std: NonNegativeFloat
    count: Count
    seed: Seed

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def centres(self) -> Tensor:
        """The means, float32 (modes, 2)."""
        raise NotImplementedError

    def load(self) -> SampleSet:
        """Returns the samples (count, 2), the mode of each drawn at random as in both codes."""
        generator, centres = _generator(self.seed), self.centres
        modes = torch.randint(len(centres), (self.count,), generator=generator)
        samples = centres[modes] + self.std * torch.randn(self.count, 2, generator=generator)
        return SampleSet(samples, modes, tuple(str(mode) for mode in range(len(centres))))


@dataclass(frozen=True)
class Ring(Mixture):
    """`modes` Gaussians evenly spaced on a circle, counter-clockwise from (radius, 0).

    Defaults of PacGAN's code (Lin et al. 2018, arXiv:1712.04086; fjxmlzn/PacGAN, 2DRing): eight on the unit circle.
    """

    modes: Count = 8
    radius: PositiveFloat = 1.0
    std: NonNegativeFloat = 0.01
    count: Count = COUNT
    seed: Seed = 0

    @property
    def centres(self) -> Tensor:
        """Mode k lies at the angle 2 pi k / modes: (modes, 2)."""
        angles = torch.arange(self.modes, dtype=torch.float64) * (2 * pi / self.modes)
        return (self.radius * torch.stack([angles.cos(), angles.sin()], dim=1)).float()


@dataclass(frozen=True)
class Grid(Mixture):
    """side x side Gaussians on a square lattice around the origin, `spacing` apart.

    Defaults of PacGAN's code (fjxmlzn/PacGAN, 2DGrid): {-4, -2, 0, 2, 4} in both directions. gan_toy.py has as many
    samples of each mode; here, as in PacGAN's code, their numbers are random.
    """

    side: Count = 5
    spacing: PositiveFloat = 2.0
    std: NonNegativeFloat = 0.05
    count: Count = COUNT
    seed: Seed = 0

    @property
    def centres(self) -> Tensor:
        """Mode side * i + j lies in column i (along x) and row j (along y), both counted upwards: (side ** 2, 2)."""
        places = (torch.arange(self.side) - (self.side - 1) / 2) * self.spacing
        return torch.cartesian_prod(places, places)


@dataclass(frozen=True)
class SwissRoll:
    """A rolled-up band seen from its edge: a spiral in the plane, without labels.

    scikit-learn's Swiss roll, coordinates 0 and 2, with noise of standard deviation `noise`, all divided by 7.5: in
    gan_toy.py, the standard deviation "plus a little".
    """

    noise: NonNegativeFloat = 0.25
    count: Count = COUNT
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_ranges(self)

    def load(self) -> SampleSet:
        """Returns the samples (count, 2)."""
        from sklearn.datasets import make_swiss_roll  # slow to import

        points, _ = make_swiss_roll(self.count, noise=self.noise, random_state=self.seed)
        return SampleSet(torch.from_numpy(points[:, [0, 2]] / 7.5).float(), None, ())


@dataclass(frozen=True)
class PointMass:
    """All samples at one point, `at` in each dimension.

    The data of the Dirac-GAN, with the defaults: Mescheder et al. 2018, arXiv:1801.04406, definition 2.1.
    """

    dimensions: Count = 1
    at: float = 0.0
    count: Count = COUNT

    def __post_init__(self) -> None:
        check_ranges(self)

    def load(self) -> SampleSet:
        """Returns the samples (count, dimensions)."""
        return SampleSet(torch.full((self.count, self.dimensions), float(self.at)), None, ())


@dataclass(frozen=True)
class Gaussian1d:
    """N(mean, std ** 2) on the line; the defaults are well away from the latents' N(0, 1)."""

    mean: float = 4.0
    std: NonNegativeFloat = 0.5
    count: Count = COUNT
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_ranges(self)

    def load(self) -> SampleSet:
        """Returns the samples (count, 1)."""
        return SampleSet(self.mean + self.std * torch.randn(self.count, 1, generator=_generator(self.seed)), None, ())


@dataclass(frozen=True)
class Sines:
    """Sine waves of one of a few frequencies, at any phase: signals whose modes are known, and told by their spectrum.

    A frequency is in periods a signal. Each wave has a frequency and a phase drawn evenly, `amplitude`, and noise of
    standard deviation `noise`; each further channel is a quarter of a period ahead of the one before. A sample's label
    is the index of its frequency. `sample_shape` is [C, L].
    """

    sample_shape: Sequence[PositiveInt] = (1, 128)
    frequencies: Sequence[PositiveFloat] = (2.0, 3.0, 5.0, 8.0)
    amplitude: PositiveFloat = 0.8
    noise: NonNegativeFloat = 0.02
    count: Count = 20_000
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_ranges(self)
        if len(self.sample_shape) != 2:
            raise ValueError(f"sine waves are signals, sample_shape=[C,L], got {list(self.sample_shape)}")
        if not self.frequencies:
            raise ValueError("frequencies is empty, but waves need at least one")

    def load(self) -> SampleSet:
        """Returns the samples (count, C, L), and classes named by their frequency."""
        generator, (channels, length) = _generator(self.seed), self.sample_shape
        modes = torch.randint(len(self.frequencies), (self.count,), generator=generator)
        phases = torch.rand(self.count, 1, 1, generator=generator) + torch.arange(channels).view(-1, 1) / 4
        periods = torch.tensor(self.frequencies)[modes].view(-1, 1, 1) * torch.arange(length) / length
        samples = self.amplitude * (2 * pi * (periods + phases)).sin()
        samples += self.noise * torch.randn(samples.shape, generator=generator)
        return SampleSet(samples, modes, tuple(f"{frequency:g}" for frequency in self.frequencies))


def _generator(seed: int) -> torch.Generator:
    """Mixed, so that a run with the same seed does not draw its latents from the very same numbers."""
    return torch.Generator().manual_seed(mix(seed))
