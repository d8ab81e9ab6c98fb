"""Sizes of images and signals in networks of convolutions: how often they are divided, and what is left over.

A network of convolutions takes images of any size from 8x8 up. Its number of stages is the number of halvings that
leave at least four pixels of the smaller side (64x64 gives four, 32x32 three, 28x28 and 16x16 two, 8x8 one). A
generator starts from the size that so many doublings take to the image's or past it, and is cropped in the middle.

Of signals, which are any length from 8 up, it is the same with divisions by a stride that leave at least eight steps.
"""

from collections.abc import Sequence

from jaxtyping import Shaped
from torch import Tensor

SMALLEST = 8


class UnfitSamples(ValueError):
    """Samples have a shape that a network isn't for."""


def image_dimensions(sample_shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width. Raises UnfitSamples for other samples, and for images of fewer than 8x8 pixels."""
    if len(sample_shape) == 2:
        raise UnfitSamples(
            "networks of convolutions in two dimensions need images (channels, height, width), got signals (channels,"
            f" length) of shape {tuple(sample_shape)}; use network=conv1d or network=mlp"
        )
    if len(sample_shape) != 3:
        raise UnfitSamples(
            f"networks of convolutions need images (channels, height, width), got samples of shape "
            f"{tuple(sample_shape)}; use network=mlp or network=toy"
        )
    channels, height, width = sample_shape
    if min(height, width) < SMALLEST:
        raise UnfitSamples(
            f"networks of convolutions need images of at least {SMALLEST}x{SMALLEST} pixels, got {height}x{width}"
        )
    return channels, height, width


def signal_dimensions(sample_shape: Sequence[int]) -> tuple[int, int]:
    """Channels and length. Raises UnfitSamples for other samples, and for signals of fewer than 8 steps."""
    if len(sample_shape) != 2:
        kind, fitting = "samples", "network=mlp or network=toy"
        if len(sample_shape) == 3:
            kind, fitting = "images", "network=dcgan, resnet, r3gan or mlp"
        raise UnfitSamples(
            f"networks of convolutions in one dimension need signals (channels, length), got {kind} of shape"
            f" {tuple(sample_shape)}; use {fitting}"
        )
    channels, length = sample_shape
    if length < SMALLEST:
        raise UnfitSamples(
            f"networks of convolutions need signals of at least {SMALLEST} steps, got {length}; use network=mlp"
        )
    return channels, length


def signal_stages(length: int, stride: int) -> int:
    """How often a length can be divided by a stride with at least eight steps left; 1 at least. By 4: 16384 -> 5."""
    count = 1
    while length // stride ** (count + 1) >= SMALLEST:
        count += 1
    return count


def stages(height: int, width: int) -> int:
    """How often the smaller side can be halved with at least four pixels left: 8 -> 1, 28 -> 2, 32 -> 3, 64 -> 4."""
    return (min(height, width) // 4).bit_length() - 1


def base_size(height: int, width: int) -> tuple[int, int]:
    """The smallest height and width that `stages` doublings take to at least the given ones: 64 -> 4, 30 -> 8."""
    count = stages(height, width)
    return -(-height // 2**count), -(-width // 2**count)


def crop(images: Shaped[Tensor, "n c h w"], height: int, width: int) -> Shaped[Tensor, "n c {height} {width}"]:
    """The middle of images (N, C, H, W): (N, C, height, width)."""
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]
