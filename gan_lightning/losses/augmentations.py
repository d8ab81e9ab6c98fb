"""Augmentations: random changes to whatever the discriminator is shown, real or fake, in both networks' steps.

An augmentation is a frozen dataclass with

    transform(samples) -> Tensor     of the same shape, differentiable with respect to the samples

so that the generator learns through it and is not led to imitate it. Samples are (N, ...), images in [-1, 1]; each is
changed by its own draw. All randomness comes from the default generator of the samples' device; drawn by `drawn_like`
(gan_lightning.ranks), the number of devices that share a minibatch changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gan_lightning.ranks import drawn_like
from gan_lightning.schedules import Scheduled, number
from gan_lightning.types import Fraction, NonNegativeFloat, check_ranges


@runtime_checkable
class Transformation(Protocol):
    """The interface above. `needs_images` says that it can't transform vectors (N, d)."""

    needs_images: ClassVar[bool]

    def transform(self, samples: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *shape"]: ...


@dataclass(frozen=True)
class InstanceNoise:
    """Sønderby et al. 2017 (arXiv:1610.04490) and Arjovsky and Bottou 2017 (arXiv:1701.04862): x + std * N(0, I).

    Noise gives the real and the generated distribution overlapping supports. Both papers lower `std` to zero in the
    course of training, as a schedule does here. The sum is not clipped to [-1, 1].
    """

    std: NonNegativeFloat | Scheduled = 0.1
    needs_images: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self)

    def transform(self, samples: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *shape"]:
        return samples + number(self.std) * drawn_like(samples, Tensor.normal_)


def brightness(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Adds a number from [-0.5, 0.5] to each image (N, C, H, W)."""
    return images + (_uniform(images) - 0.5)


def saturation(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Scales each pixel's distance from the mean of its channels by 0 to 2; grey images stay as they are."""
    mean = images.mean(dim=1, keepdim=True)
    return torch.lerp(mean, images, 2 * _uniform(images))


def contrast(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Scales each image's distance from its own mean by 0.5 to 1.5."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, _uniform(images) + 0.5)


def translation(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Moves each image by up to an eighth of its height and of its width, in whole pixels; zeros come in."""
    return _shifted(_shifted(images, 2), 3)


def cutout(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Sets a rectangle of half the height and half the width to zero, at a centre anywhere in the image."""
    return images * ~(_window(images, 2) & _window(images, 3))


def _uniform(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 1 1"]:
    """One number from [0, 1) an image: (N, 1, 1, 1)."""
    return drawn_like(images.new_empty(len(images), 1, 1, 1), Tensor.uniform_)


def _integers(images: Float[Tensor, "n c h w"], low: int, high: int) -> Int[Tensor, "n 1 1 1"]:
    """One whole number from low to high, inclusive, an image: (N, 1, 1, 1)."""
    numbers = images.new_empty(len(images), 1, 1, 1, dtype=torch.int64)
    return drawn_like(numbers, lambda each, generator: each.random_(low, high + 1, generator=generator))


def _positions(images: Float[Tensor, "n c h w"], dim: int) -> Int[Tensor, "1 1 #h #w"]:
    """0, 1, 2, ... along one dimension of four."""
    shape = [1, 1, 1, 1]
    shape[dim] = -1
    return torch.arange(images.shape[dim], device=images.device).view(shape)


def _shifted(images: Float[Tensor, "n c h w"], dim: int) -> Float[Tensor, "n c h w"]:
    length = images.shape[dim]
    most = int(length / 8 + 0.5)
    source = _positions(images, dim) - _integers(images, -most, most)  # (N, 1, H, 1) or (N, 1, 1, W)
    # Modulo the length, so that no pixel is gathered twice: CUDA sums the gradients of such in any order.
    moved = images.gather(dim, (source % length).expand_as(images))
    return moved * ((source >= 0) & (source < length))


def _window(images: Float[Tensor, "n c h w"], dim: int) -> Bool[Tensor, "n 1 #h #w"]:
    """Whether a position lies in the middle half around a random centre: (N, 1, H, 1) or (N, 1, 1, W)."""
    length = images.shape[dim]
    size = int(length / 2 + 0.5)
    start = _integers(images, 0, length - size % 2) - size // 2
    offset = _positions(images, dim) - start
    return (offset >= 0) & (offset < size)


Policy = Literal["color", "translation", "cutout"]

POLICIES: dict[Policy, tuple[Callable[[Tensor], Tensor], ...]] = {
    "color": (brightness, saturation, contrast),
    "translation": (translation,),
    "cutout": (cutout,),
}


@dataclass(frozen=True)
class DiffAugment:
    """Zhao et al. 2020 (arXiv:2006.10738): each of the `policy` in turn, on images (N, C, H, W).

    Ranges and the rounding of sizes are those of the official code (mit-han-lab/data-efficient-gans), in which images
    lie in [-1, 1] too, zero is mid-grey, and results are not clipped. `probability` is ours: each sample is augmented
    with that probability, by all of the policy, and is left alone otherwise; 1 is the paper. The number of channels is
    free. Colours act on all of them together, so augment before samples are packed.

    Raises ValueError for an unknown or empty policy, and for samples that are not images.
    """

    policy: Sequence[Policy] = ("color", "translation", "cutout")
    probability: Fraction | Scheduled = 1.0
    needs_images: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)
        unknown = [name for name in self.policy if name not in POLICIES]
        if unknown or not self.policy:
            raise ValueError(f"policy is {self.policy!r}; there are {', '.join(POLICIES)}")

    def transform(self, samples: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *shape"]:
        if samples.ndim != 4:
            raise ValueError(f"DiffAugment needs images (N, C, H, W), got samples of shape {tuple(samples.shape)}")
        augmented = samples
        for name in self.policy:
            for change in POLICIES[name]:
                augmented = change(augmented)
        return torch.where(_uniform(samples) < number(self.probability), augmented, samples)
