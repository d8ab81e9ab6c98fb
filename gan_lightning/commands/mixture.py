"""What generated samples are worth to a classifier: its accuracy along mixtures of them with real ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_lightning.errors import printable
from gan_lightning.files import replacing
from gan_lightning.metrics.classes import mixture_accuracy
from gan_lightning.metrics.observed import Observed
from gan_lightning.seeds import mix
from gan_lightning.studies.markdown import csv_text
from gan_lightning.studies.statistics import mean_interval

CSV, PNG = "augmentation.csv", "augmentation.png"
PROTOCOL = ("samples", "reference", "split", "seed")  # of an evaluation's protocol
HEADS = ("real", "accuracy", "low", "high", "weights", "iteration", *PROTOCOL, "classifiers")
INCHES = (5, 3.5)


class Point(NamedTuple):
    """The mean accuracy at a share of real samples, and its 95 % interval over classifiers, cut to [0, 1]."""

    share: float
    accuracy: float
    low: float
    high: float


def curve(real: Observed, fake: Observed, shares: Sequence[float], classifiers: int, seed: int) -> list[Point]:
    """A point for each share, of so many classifiers, which have the same seeds at each share."""
    points = []
    for share in shares:
        found = [mixture_accuracy(real, fake, share, mix(seed, number)) for number in range(classifiers)]
        low, high = mean_interval(found)
        points.append(Point(share, sum(found) / len(found), max(0.0, low), min(1.0, high)))
    return points


def save(points: Sequence[Point], record: Mapping[str, Any], classifiers: int, folder: Path) -> None:
    """Writes the curve into a run's folder, as a picture and as a table, whose columns say how it was measured.

    `record` is the run's evaluation on the same samples.
    """
    told = (record["weights"], record["iteration"], *(record["protocol"][name] for name in PROTOCOL), classifiers)
    with replacing(folder / CSV, lasting=False) as temporary:
        temporary.write_text(csv_text(HEADS, [(*point, *told) for point in points]), encoding="utf-8")
    from matplotlib.figure import Figure

    figure = Figure(INCHES, layout="constrained")
    axes = figure.add_subplot(xlabel="share of real samples", ylabel="accuracy on held-out samples")
    shares, means, lows, highs = zip(*points, strict=True)
    axes.fill_between(shares, lows, highs, alpha=0.3)
    axes.plot(shares, means, marker="o")
    with replacing(folder / PNG, lasting=False) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def told(points: Sequence[Point], run: Path, classifiers: int) -> str:
    """The curve in lines for a terminal."""
    head = f"{run.name}: accuracy of classifiers ({classifiers} seeds) by their share of real samples; {CSV}, {PNG}"
    lines = [f"  {p.share:5.2f}  {p.accuracy:.4f}  ({p.low:.4f} to {p.high:.4f})" for p in points]
    return "\n".join(printable(line) for line in (head, *lines))
