"""Sizes of images in networks of convolutions: how often they are halved, and what is left over.

A network of convolutions takes images of any size from 8x8 up. Its number of stages is the number of halvings that
leave at least four pixels of the smaller side (64x64 gives four, 32x32 three, 28x28 and 16x16 two, 8x8 one). A
generator starts from the size that so many doublings take to the image's or past it, and is cropped in the middle.
"""

from collections.abc import Sequence

from jaxtyping import Shaped
from torch import Tensor

SMALLEST = 8


def image_dimensions(sample_shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width. Raises ValueError for vectors, and for images of fewer than 8x8 pixels."""
    if len(sample_shape) != 3:
        raise ValueError(
            f"networks of convolutions need images (channels, height, width), got samples of shape "
            f"{tuple(sample_shape)}; use network=mlp or network=toy"
        )
    channels, height, width = sample_shape
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"networks of convolutions need images of at least {SMALLEST}x{SMALLEST} pixels, got {height}x{width}"
        )
    return channels, height, width


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
