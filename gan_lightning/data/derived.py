"""Data sets made from others: digits stacked into a thousand classes, and digits with a long tail."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from gan_lightning.data.sources import Digits
from gan_lightning.data.torchvision_sets import TorchvisionSource
from gan_lightning.samples import SampleSet
from gan_lightning.seeds import mix
from gan_lightning.types import Count, FilePath, Range, Seed, check_ranges

Ratio = Annotated[float, Range(low=0, high=1, open_low=True)]


@dataclass(frozen=True)
class StackedMNIST:
    """Three random MNIST digits as the three channels of an image: a thousand modes that can be told apart and counted.

    Metz et al. 2017, arXiv:1611.02163, with the 128,000 samples of PacGAN (Lin et al. 2018, arXiv:1712.04086). Drawn
    with replacement from one split of MNIST; PacGAN's code draws from training and test images together.
    """

    root: FilePath
    count: Count = 128_000
    seed: Seed = 0
    split: Literal["train", "test"] = "train"

    def __post_init__(self) -> None:
        check_ranges(self)

    def load(self) -> SampleSet:
        """Returns uint8 (count, 3, 28, 28); digits a, b, c in channels 0, 1, 2 are class 100 a + 10 b + c.

        Raises UserError where MNIST itself would, see TorchvisionSource.
        """
        digits = TorchvisionSource("MNIST", self.root, self.split).load()
        assert digits.labels is not None
        generator = torch.Generator().manual_seed(mix(self.seed))
        chosen = torch.randint(len(digits.samples), (self.count, 3), generator=generator)
        labels = (digits.labels[chosen] * torch.tensor([100, 10, 1])).sum(1)
        return SampleSet(digits.samples[chosen, 0], labels, tuple(f"{number:03}" for number in range(1000)))


@dataclass(frozen=True)
class ImbalancedDigits:
    """scikit-learn's digits with a long tail: class k of the ten keeps a share ratio ** (k / 9) of what class 0 keeps.

    The profile of Cui et al. 2019, arXiv:1901.05555 (their imbalance factor is 1 / ratio). Class 0 keeps as many images
    as the smallest class has, 174, so that the profile is exact up to rounding and a ratio of 1 is balanced.
    """

    ratio: Ratio = 0.05
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_ranges(self)

    def load(self) -> SampleSet:
        """Returns uint8 (N, 1, 8, 8), drawn without replacement and in the order of the whole set."""
        digits = Digits().load()
        assert digits.labels is not None
        generator = torch.Generator().manual_seed(mix(self.seed))
        largest, last = int(digits.labels.bincount().min()), len(digits.classes) - 1
        kept = []
        for label in range(len(digits.classes)):
            places = (digits.labels == label).nonzero().flatten()
            count = max(1, round(largest * self.ratio ** (label / last)))
            kept.append(places[torch.randperm(len(places), generator=generator)[:count]])
        chosen = torch.cat(kept).sort().values
        return SampleSet(digits.samples[chosen], digits.labels[chosen], digits.classes)
