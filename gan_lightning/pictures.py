"""Images in [-1, 1] as pictures a person can look at."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

PADDING = 2
LEGIBLE = 48  # cells of a grid are enlarged by a whole factor to about this many pixels


def to_pixels(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8 0..255, rounded to the nearest level; values outside are clamped. Any shape."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def drawable(images: Tensor) -> Tensor:
    """Images (N, C, H, W) as grey or colour: with any other number of channels, their mean."""
    return images if images.shape[1] in (1, 3) else images.mean(1, keepdim=True)


def grid(images: Tensor, columns: int | None = None) -> Tensor:
    """One picture (C, height, width), uint8, of images (N, C, H, W) in [-1, 1], row by row.

    Without `columns` the grid is as square as can be. Small images are enlarged by repeating pixels.
    """
    pixels = to_pixels(drawable(images))
    count, channels, height, width = pixels.shape
    columns = columns or max(1, round(count**0.5))
    rows = -(-count // columns)
    factor = max(1, LEGIBLE // max(height, width))
    pixels = pixels.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    cell_height, cell_width = height * factor + PADDING, width * factor + PADDING
    canvas = torch.zeros(channels, rows * cell_height + PADDING, columns * cell_width + PADDING, dtype=torch.uint8)
    for index, image in enumerate(pixels):
        top, left = (index // columns) * cell_height + PADDING, (index % columns) * cell_width + PADDING
        canvas[:, top : top + image.shape[1], left : left + image.shape[2]] = image
    return canvas


def save_png(pixels: Tensor, path: Path) -> None:
    """Writes uint8 pixels (C, H, W) with 1 or 3 channels as a PNG; the same pixels give the same bytes."""
    array = pixels.numpy()
    Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0)).save(path, format="PNG")


def save_pngs(images: Tensor, folder: Path) -> Sequence[Path]:
    """Writes images (N, C, H, W) in [-1, 1] at native size as folder/00000.png, 00001.png, …; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:05d}.png" for index in range(len(images))]
    for pixels, path in zip(to_pixels(drawable(images)), paths, strict=True):
        save_png(pixels, path)
    return paths
