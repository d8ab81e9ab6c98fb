"""The shape of what is bright in an image, in numbers that a gradient passes through."""

import torch
from jaxtyping import Float
from torch import Tensor

SHAPES = ("brightness", "contrast", "thickness", "width", "height", "slant")  # the columns of `shape_of`
EDGE = 1e-3  # of a pixel's steps to its neighbours: less is no edge


def shape_of(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 6"]:
    """Images (N, C, H, W) in [-1, 1] -> (N, 6), in the order of SHAPES, of the mean over their channels.

    `brightness` is the mean of the levels, from 0 to 1, and `contrast` their standard deviation. `thickness` is that of
    a stroke in pixels, its area for half the length of its edge. `width` and `height` are two standard deviations of
    where the light is, in pixels, and `slant` is how many pixels it moves to the right for each upwards.
    """
    levels = (images.float().mean(1) + 1) / 2
    area = levels.sum((1, 2)).clamp_min(EDGE)
    height, width = levels.shape[1:]
    y = torch.arange(height, device=levels.device, dtype=levels.dtype).view(1, -1, 1)
    x = torch.arange(width, device=levels.device, dtype=levels.dtype).view(1, 1, -1)

    def mean(values: Tensor) -> Tensor:
        return (levels * values).sum((1, 2)) / area

    x = x - mean(x).view(-1, 1, 1)
    y = y - mean(y).view(-1, 1, 1)
    of_x, of_y = (mean(each**2).clamp_min(EDGE) for each in (x, y))
    columns = (
        levels.mean((1, 2)),
        levels.flatten(1).std(1),
        2 * area / edge(levels),
        2 * of_x.sqrt(),
        2 * of_y.sqrt(),
        -mean(x * y) / of_y,
    )
    return torch.stack(columns, dim=1)


def edge(levels: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """The length of the edges in pixels, of images that are black around: the sum of each pixel's slope."""
    padded = torch.nn.functional.pad(levels, (0, 1, 0, 1))
    right = padded[:, :-1, 1:] - padded[:, :-1, :-1]
    down = padded[:, 1:, :-1] - padded[:, :-1, :-1]
    return (right**2 + down**2 + EDGE**2).sqrt().sum((1, 2))
