"""Signals as pictures a person can look at: curves over axes in the numbers of the user's files, and small sketches."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import adaptive_max_pool1d

from gan_lightning.pictures import rendered
from gan_lightning.samples import Units

MOST_CHANNELS = 8  # that are drawn
APART = 5  # channels whose ranges differ by this factor have axes of their own
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")  # Tableau's
FINER = 3  # how much larger sketches are drawn than they are, so that their lines are smooth
MARGIN = 0.1  # of a range, above and below


class Panel(NamedTuple):
    """A signal (C, L), and what stands above it."""

    title: str
    signal: Tensor


def curves(panels: Sequence[Panel | None], columns: int, view: Tensor, units: Units | None = None) -> Tensor:
    """One picture (3, height, width), uint8, of the panels row by row, a line a channel, in the numbers of `units`.

    Where there is None, nothing is drawn. All have the same axes: those of the signals `view` (N, C, L), which are as
    networks see them too. Channels whose ranges are too different for that have axes of their own, one below the other.
    Of more than eight channels the first are drawn, which is said.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # matplotlib takes a second to import
    from matplotlib.figure import Figure

    restore = (units or Units()).restore
    channels, length = view.shape[1:]
    limits = [limits_of(channel) for channel in restore(view).transpose(0, 1)[:MOST_CHANNELS]]
    lanes = lanes_of(limits)
    rows = -(-len(panels) // columns)
    tall, gap, below, above = 0.8 * max(1.2, len(lanes)), 0.32, 0.5, 0.5 if channels > 1 else 0.3  # inches
    width, height = 0.85 + 1.9 * columns, below + rows * tall + (rows - 1) * gap + above
    figure = Figure(figsize=(width, height), dpi=100)
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, columns, wspace=0.08, hspace=gap / tall)
    figure.subplots_adjust(0.75 / width, below / height, 1 - 0.1 / width, 1 - above / height)
    for place, panel in enumerate(panels):
        if panel is None:
            continue
        row, column = divmod(place, columns)
        axes = grid[row, column].subgridspec(len(lanes), 1, hspace=0.1).subplots(squeeze=False)[:, 0]
        numbers = restore(panel.signal.float().unsqueeze(0))[0]
        for lane, axis in zip(lanes, axes, strict=True):
            for channel in lane:
                axis.plot(range(length), numbers[channel].numpy(), linewidth=0.8, color=COLOURS[channel])
            low, high = min(limits[each][0] for each in lane), max(limits[each][1] for each in lane)
            axis.set(xlim=(0, max(1, length - 1)), ylim=(low, high))
            is_lowest = axis is axes[-1] and place + columns >= len(panels)
            axis.tick_params(labelsize=7, labelleft=column == 0, labelbottom=is_lowest)
        axes[0].set_title(panel.title, fontsize=8, pad=3)
    figure.supxlabel("step", fontsize=9, y=0.08 / height)
    figure.supylabel("value", fontsize=9, x=0.08 / width)
    if channels > 1:
        add_legend(figure, len(limits), channels)
    return rendered(canvas)


def add_legend(figure: Any, drawn: int, channels: int) -> None:
    """The channels' colours, above all panels."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=COLOURS[channel], label=f"channel {channel}") for channel in range(drawn)]
    if drawn < channels:
        lines.append(Line2D([], [], linestyle="", label=f"the first {drawn} of {channels}"))
    figure.legend(handles=lines, loc="upper center", ncols=len(lines), fontsize=7, frameon=False, columnspacing=1)


def limits_of(numbers: Tensor) -> tuple[float, float]:
    """The lowest and the highest of the numbers that are finite, with a margin; -1 and 1 without any."""
    finite = numbers[numbers.isfinite()].double()
    if not len(finite):
        return -1.0, 1.0
    low, high = (float(end) for end in finite.aminmax())
    margin = (high - low) * MARGIN or abs(high) * MARGIN or 1.0
    return low - margin, high + margin


def lanes_of(limits: Sequence[tuple[float, float]]) -> list[list[int]]:
    """The channels that share axes: all, unless that would make some of them flat."""
    whole = max(high for _, high in limits) - min(low for low, _ in limits)
    if whole <= APART * min(high - low for low, high in limits):
        return [list(range(len(limits)))]
    return [[channel] for channel in range(len(limits))]


def as_panels(
    signals: Tensor, name: str = "", labels: Tensor | None = None, classes: Sequence[str] = ()
) -> list[Panel]:
    """Signals (N, C, L) under their name, and that of their class where they have one."""
    told = [""] * len(signals) if labels is None else [class_name(label, classes) for label in labels.tolist()]
    return [Panel(", ".join(filter(None, (name, each))), signal) for signal, each in zip(signals, told, strict=True)]


def class_name(label: int, classes: Sequence[str]) -> str:
    """What stands above a sample of a class."""
    return f"class {classes[label] if label < len(classes) else label}"


def sketches(signals: Tensor, view: Tensor, height: int = 48, width: int = 72) -> Tensor:
    """Signals (N, C, L) as small images (N, 3, height, width) in [-1, 1], as `grid` takes them: see `sketched`."""
    return torch.stack([each.float() / 127.5 - 1 for each in sketched(signals, view, height, width)])


def sketched(signals: Tensor, view: Tensor, height: int, width: int) -> Iterator[Tensor]:
    """Signals (N, C, L) as pictures (3, height, width), uint8, one at a time: a line a channel on white, without axes.

    From the lowest to the highest that signals `view` (M, C, L) have anywhere. Long ones are drawn by what is lowest
    and highest at each pixel.
    """
    low, high = limits_of(view)
    for signal in signals:
        middle = math.fsum((low, high)) / 2
        finite = signal.float().nan_to_num(middle, high, low).clamp(low, high)
        values = thinned(finite, width * FINER)
        x = torch.linspace(0, width * FINER - 1, values.shape[1])
        y = (high - values) / (high - low) * (height * FINER - 1)
        image = Image.new("RGB", (width * FINER, height * FINER), "white")
        draw = ImageDraw.Draw(image)
        for channel, line in list(enumerate(y))[:MOST_CHANNELS][::-1]:
            points = torch.stack([x, line], 1).flatten().tolist()
            draw.line(points, fill=COLOURS[channel], width=FINER)
        small = image.resize((width, height), Image.Resampling.BOX)
        yield torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(height, width, 3).permute(2, 0, 1)


def thinned(signal: Tensor, most: int) -> Tensor:
    """A signal (C, L) of which, if it is longer, the lowest and the highest of so many stretches are left, in turn."""
    if signal.shape[1] <= 2 * most:
        return signal
    ends = [-adaptive_max_pool1d(-signal, most), adaptive_max_pool1d(signal, most)]
    return torch.stack(ends, 2).flatten(1)
