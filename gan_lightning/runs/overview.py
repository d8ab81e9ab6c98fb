"""summary.png: a run at one glance, for whoever opens its folder and nothing else. Made of the folder's files alone."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_lightning.config.trust import read_data
from gan_lightning.errors import printable, reason
from gan_lightning.files import replacing
from gan_lightning.run_folder import CONFIG, METRICS, SAMPLES, SUMMARY
from gan_lightning.runs import results
from gan_lightning.watching.tables import ITERATION, read_table

log = logging.getLogger(__name__)

Curves = Mapping[str, Sequence[float]]

EVALUATION = "evaluation/"
FEWEST = 2  # log points, below which there is no curve to see
MOST_POINTS = 2000  # of a curve, which has fewer pixels
COLOURS = 128  # of the file, which is a third as large by that


def draw_overview(folder: Path) -> bool:
    """Writes summary.png of a run that has ended, and says whether it did: not where there are no curves yet.

    It is no part of what a run is for, and so never a reason for it to fail: what goes wrong is logged.
    """
    try:
        curves = read_curves(folder / METRICS)
        if len(curves.get(ITERATION, ())) < FEWEST:
            return False
        picture = drawn(folder, curves)
        with replacing(folder / SUMMARY, lasting=False) as temporary:
            picture.save(temporary, format="PNG")
    except Exception as error:  # of whatever kind: of a disk, a font, a file of the user's
        log.warning("%s was not drawn: %s", printable(folder / SUMMARY), printable(reason(error)))
        return False
    return True


def read_curves(path: Path) -> Curves:
    """The columns of metrics.csv, NaN where there is no number; of many rows, some at equal distances."""
    table = read_table(path)
    rows = list(table.rows.values())
    rows = rows[:: max(1, math.ceil(len(rows) / MOST_POINTS))]
    return {name: [float(row.get(name) or "nan") for row in rows] for name in table.columns}


def drawn(folder: Path, curves: Curves) -> Image.Image:
    """Losses, D(x) and the first metric by iteration, beside the newest samples."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # matplotlib takes a second to import
    from matplotlib.figure import Figure

    pictures = sorted(path for path in (folder / SAMPLES).glob("*.png") if path.stem.isdecimal())
    metric = next((name for name in curves if name.startswith(EVALUATION)), None)
    panels = {
        "losses": ("loss/discriminator", "loss/generator"),
        "D(x)": ("discriminator/real", "discriminator/fake"),
        **({metric.removeprefix(EVALUATION).replace("_", " "): (metric,)} if metric else {}),
    }
    figure = Figure(figsize=(10, 5.6), dpi=100)
    canvas = FigureCanvasAgg(figure)
    figure.subplots_adjust(0.06, 0.09, 0.98, 0.86, 0.16, 0.3)
    grid = figure.add_gridspec(len(panels), 2, width_ratios=(1.1, 1))
    for row, (title, names) in enumerate(panels.items()):
        draw_curves(figure.add_subplot(grid[row, 0]), curves, names, title, is_last=row == len(panels) - 1)
    axes = figure.add_subplot(grid[:, 1])
    axes.axis("off")
    if pictures:
        with Image.open(pictures[-1], formats=["PNG"]) as picture:
            axes.imshow(np.asarray(picture.convert("RGB")), interpolation="nearest", aspect="equal")
        axes.set_title(f"samples, iteration {int(pictures[-1].stem)}", fontsize=9)
    for height, size, colour, line in headings(folder):
        figure.text(0.06, height, line, fontsize=size, color=colour, parse_math=False)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(COLOURS)


def draw_curves(axes: Any, curves: Curves, names: Sequence[str], title: str, is_last: bool) -> None:
    """One panel: a line a name, through the points at which it was logged."""
    for name in names:
        points = [(x, y) for x, y in zip(curves[ITERATION], curves.get(name, ()), strict=False) if math.isfinite(y)]
        if points:
            marker = "." if len(points) < 30 else None
            axes.plot(*zip(*points, strict=True), linewidth=1, marker=marker, label=name.rpartition("/")[2])
    if len(names) > 1 and axes.lines:
        axes.legend(fontsize=7, frameon=False, ncols=2, loc="best")
    axes.set_title(title, fontsize=9, loc="left", pad=3)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)
    if is_last:
        axes.set_xlabel("iteration", fontsize=8)


def headings(folder: Path) -> list[tuple[float, float, str, str]]:
    """What the run is and how it ended, and its verdicts or numbers: height, size, colour and text of each line."""
    config, found = read_data(folder / CONFIG), results.read(folder)
    names = (config.get("loss"), config.get("dataset"))
    told = " on ".join(str(each.get("name")) for each in names if isinstance(each, dict))
    values = found.evaluation.get("last", {}).get("values", {})
    numbers = [f"{name} {value:.4g}" for name, value in values.items() if value is not None][:5]
    verdicts = ", ".join(dict.fromkeys(str(verdict.get("kind")) for verdict in found.health.verdicts))
    title = f"{told}, seed {found.seed}: {found.status} at iteration {found.iteration:,}, {found.seconds:,.0f} s"
    colour, below = ("firebrick", f"health check: {verdicts}") if verdicts else ("dimgrey", ", ".join(numbers))
    return [(0.95, 12, "black", printable(title)), (0.91, 8, colour, printable(below))]
