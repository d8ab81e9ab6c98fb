"""How runs went: their curves against iterations, images, seconds and updates, and how much each has spent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from gan_lightning.run_folder import METRICS
from gan_lightning.studies.studied import StudiedRun, read_curves

Numbers = NDArray[np.float64]

IMAGES, SECONDS = "progress/images_seen", "progress/seconds"
AXES = {"iterations": "iteration", "images": IMAGES, "seconds": SECONDS}  # what curves are drawn against
BUDGETS = (*AXES, "updates")
EVALUATION = "evaluation/"
ONE_RUN = ("loss/", "discriminator/", "gradient_norm/", "learning_rate/", "regularizer/")  # told of one configuration


@dataclass(frozen=True)
class Course:
    """A run's curves: each tag's numbers (n,) and where on each axis they were logged (n,)."""

    axes: Mapping[str, Numbers]
    tags: Mapping[str, Numbers]

    def curve(self, tag: str, axis: str = "iterations") -> tuple[Numbers, Numbers]:
        """Where and what of a tag, (m,) and (m,), where both are known; empty without either."""
        if tag not in self.tags or axis not in self.axes:
            return np.empty(0), np.empty(0)
        x, y = self.axes[axis], self.tags[tag]
        known = np.isfinite(x) & np.isfinite(y)
        return x[known], y[known]


def course(run: StudiedRun, prefixes: Sequence[str] = (EVALUATION,)) -> Course:
    """The curves of a run whose tags begin with one of the prefixes.

    What was logged between two log points, as an evaluation may be, lies between them on the other axes too.
    """
    wanted = (*prefixes, *AXES.values())
    found = {name: np.array(each) for name, each in read_curves(run.folder / METRICS, wanted).items()}
    iterations = found.get("iteration", np.empty(0))
    axes = {axis: _filled(iterations, found[column]) for axis, column in AXES.items() if column in found}
    if (batch := batch_size(run)) and "images" in axes:
        axes["updates"] = axes["images"] / batch
    return Course(axes, {name: each for name, each in found.items() if name.startswith(tuple(prefixes))})


def _filled(iterations: Numbers, numbers: Numbers) -> Numbers:
    """Numbers that grow with the iterations, with those that are missing between two others put in."""
    known = np.isfinite(numbers)
    if not known.any():
        return numbers
    return np.interp(iterations, iterations[known], numbers[known], right=nan)


def batch_size(run: StudiedRun) -> float | None:
    """How many images one update of the discriminator sees."""
    size = run.config.get("dataset.batch_size")
    return float(size) if isinstance(size, int) and size > 0 else None


def spent(run: StudiedRun) -> dict[str, float]:
    """What a run has used up of each budget by its end, as far as its results tell."""
    if run.results is None:
        return {}
    images = run.results.metrics.get(IMAGES)
    found = {"iterations": float(run.results.iteration), "seconds": run.results.seconds}
    if images is not None:
        found["images"] = images
        if batch := batch_size(run):
            found["updates"] = images / batch
    return found
