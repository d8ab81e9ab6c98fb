"""Samples as pictures a person can look at: images in [-1, 1] as grids, points as scatter plots; signals: curves.py."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from gan_lightning.files import replacing

PADDING = 2
SURFACE = 80  # points a side at which a critic's values are drawn
LARGEST_JPEG = 65_500  # pixels a side
SHOWN_FOR = 100  # milliseconds of a film's picture
LEGIBLE = 48  # cells of a grid are enlarged by a whole factor to about this many pixels


def to_pixels(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8 0..255, rounded to the nearest level; values outside are clamped. Any shape."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def drawable(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] as grey or colour: 4 channels as colour on white, by the transparency that is the
    last; of any other number, their mean.
    """
    if images.shape[1] == 4:
        opacity = images[:, 3:].add(1).div(2).clamp(0, 1)
        return images[:, :3] * opacity + (1 - opacity)
    return images if images.shape[1] in (1, 3) else images.mean(1, keepdim=True)


def grid(images: Tensor, columns: int | None = None) -> Tensor:
    """One picture (C, height, width), uint8, of images (N, C, H, W) in [-1, 1], row by row.

    Without `columns` the grid is as square as can be. Small images are enlarged by repeating pixels.
    """
    pixels = to_pixels(drawable(images))
    count, channels, height, width = pixels.shape
    columns = columns or max(1, round(count**0.5))
    rows = -(-count // columns)
    factor = enlargement(height, width)
    pixels = pixels.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    cell_height, cell_width = height * factor + PADDING, width * factor + PADDING
    canvas = torch.zeros(channels, rows * cell_height + PADDING, columns * cell_width + PADDING, dtype=torch.uint8)
    for index, image in enumerate(pixels):
        top, left = (index // columns) * cell_height + PADDING, (index % columns) * cell_width + PADDING
        canvas[:, top : top + image.shape[1], left : left + image.shape[2]] = image
    return canvas


def enlargement(height: int, width: int) -> int:
    """How many pixels a side a pixel of an image takes in a grid."""
    return max(1, LEGIBLE // max(height, width))


def pixels_in_grid(height: int, width: int) -> int:
    """How many pixels an image takes in a grid."""
    factor = enlargement(height, width)
    return (height * factor + PADDING) * (width * factor + PADDING)


def as_image(pixels: Tensor) -> Image.Image:
    """uint8 pixels (C, H, W) with 1, 3 or 4 channels as Pillow's grey or colour image, 4 with transparency."""
    array = pixels.numpy()
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0))


def save_png(pixels: Tensor, path: Path) -> None:
    """Writes uint8 pixels (C, H, W) with 1, 3 or 4 channels as a PNG; the same pixels give the same bytes."""
    with replacing(path, lasting=False) as temporary:
        as_image(pixels).save(temporary, format="PNG")


def save_jpeg(pixels: Tensor, path: Path) -> None:
    """The same with 1 or 3 channels, and at most LARGEST_JPEG pixels a side, as a JPEG that looks like it."""
    with replacing(path, lasting=False) as temporary:
        as_image(pixels).save(temporary, format="JPEG", quality=95, subsampling=0)


def save_film(pictures: Sequence[Tensor], path: Path) -> None:
    """Writes pictures (C, H, W), uint8, with 1 or 3 channels, as a film that begins again at its end.

    A .gif, whose colours are at most 256 a picture, or else an animated PNG, which has them all.
    """
    first, *others = [as_image(pixels) for pixels in pictures]
    form = "GIF" if path.suffix.lower() == ".gif" else "PNG"
    with replacing(path, lasting=False) as temporary:
        first.save(temporary, format=form, save_all=True, append_images=others, duration=SHOWN_FOR, loop=0)


def save_pngs(images: Tensor, folder: Path) -> Sequence[Path]:
    """Writes images (N, C, H, W) in [-1, 1] at native size as folder/00000.png, 00001.png, …; returns the paths."""
    return save_each(to_pixels(images if images.shape[1] == 4 else drawable(images)), folder)


def save_each(pictures: Iterable[Tensor], folder: Path) -> Sequence[Path]:
    """Writes pictures (C, H, W), uint8, as folder/00000.png, 00001.png, …; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, pixels in enumerate(pictures):
        paths.append(folder / f"{index:05d}.png")
        save_png(pixels, paths[-1])
    return paths


def scatter(
    real: Tensor | None, fake: Tensor, values: Callable[[Tensor], Tensor | None] = lambda points: None
) -> Tensor:
    """One picture (3, height, width), uint8, of points (N, d), over a critic's `values` (N, d) -> (N,) if any.

    Points of a plane are drawn as such, points of a line as two histograms under the curve of the critic's values; of
    more dimensions, the first two are drawn, without values. The view is that of the real points, if they are given.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # matplotlib takes a second to import
    from matplotlib.figure import Figure

    shown = fake if real is None else real
    low, high = shown.amin(0), shown.amax(0)
    margin = (high - low).clamp(min=1e-3).max() * 0.25 + (0.5 if shown.shape[1] == 1 else 0)
    low, high = low - margin, high + margin
    figure = Figure(figsize=(5, 5), dpi=100, layout="tight")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    draw = _draw_line if shown.shape[1] == 1 else _draw_plane
    draw(axes, real, fake, values, low, high)
    if real is not None:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return rendered(canvas)


def rendered(canvas: Any) -> Tensor:
    """matplotlib's canvas as a picture (3, height, width), uint8."""
    canvas.draw()
    pixels = torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8)
    return pixels.view(*reversed(canvas.get_width_height()), 4)[..., :3].permute(2, 0, 1).contiguous()


def _draw_plane(
    axes: Any, real: Tensor | None, fake: Tensor, values: Callable[[Tensor], Tensor | None], low: Tensor, high: Tensor
) -> None:
    if fake.shape[1] == 2:
        x, y = (torch.linspace(float(low[i]), float(high[i]), SURFACE) for i in range(2))
        at = torch.cartesian_prod(x, y)
        surface = values(at)
        if surface is not None:
            drawn = axes.contourf(x.numpy(), y.numpy(), surface.view(SURFACE, SURFACE).T.numpy(), 20, cmap="viridis")
            axes.figure.colorbar(drawn, ax=axes, label="critic's value", shrink=0.8)
    for points, colour, name in ((real, "white", "real"), (fake, "orangered", "generated")):
        if points is not None:
            axes.scatter(points[:, 0], points[:, 1], s=6, c=colour, edgecolors="black", linewidths=0.2, label=name)
    axes.set(xlim=(float(low[0]), float(high[0])), ylim=(float(low[1]), float(high[1])), aspect="equal")


def _draw_line(
    axes: Any, real: Tensor | None, fake: Tensor, values: Callable[[Tensor], Tensor | None], low: Tensor, high: Tensor
) -> None:
    span = (float(low), float(high))
    for points, colour, name in ((real, "grey", "real"), (fake, "orangered", "generated")):
        if points is not None:
            axes.hist(points[:, 0].clamp(*span).numpy(), bins=60, range=span, color=colour, alpha=0.6, label=name)
    at = torch.linspace(*span, SURFACE)
    curve = values(at.unsqueeze(1))
    if curve is not None:
        above = axes.twinx()
        above.plot(at.numpy(), curve.numpy(), color="black")
        above.set_ylabel("critic's value")
    axes.set(xlim=span, ylabel="samples")
