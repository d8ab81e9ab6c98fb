"""Several seeds' curves as one, with a band."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gan_lightning.studies.budgets import Curve
from gan_lightning.studies.statistics import Floats, interquartile_mean, iqm_interval, mean_intervals

DRAWS = 1000  # of the bootstrap at each place


@dataclass(frozen=True)
class Band:
    """The mean or interquartile mean of seeds at each place of an axis (m,), with the 95 % interval of it.

    `counts` (m,) are the seeds that have a finite number there, of so many `seeds` in all. The `centre` is NaN where
    there is none, `low` and `high` where there are fewer than two. Where `counts` falls, the curve goes on with those
    that are left, and may leap: draw it otherwise there.
    """

    axis: Floats
    centre: Floats
    low: Floats
    high: Floats
    counts: NDArray[np.int64]
    seeds: int


def band(curves: Sequence[Curve], centre: Literal["mean", "iqm"] = "mean") -> Band:
    """Seeds' curves, one each, on the axis of all places where any of them was evaluated.

    Intervals are those of studies.statistics, place by place: 95 % of them hold the mean, not 95 % of bands all of it.
    """
    axis = np.unique(np.concatenate([np.empty(0), *(curve.spent for curve in curves)]))
    values = aligned(curves, axis)
    values = np.where(np.isfinite(values), values, nan)
    counts = np.isfinite(values).sum(0)
    if centre == "mean":
        means = np.where(counts > 0, np.nansum(values, axis=0) / np.maximum(counts, 1), nan)
        low, high = mean_intervals(values)
        return Band(axis, means, low, high, counts, len(curves))
    columns = [column[np.isfinite(column)] for column in values.T]
    ends = [iqm_interval(column, draws=DRAWS) if len(column) > 1 else (nan, nan) for column in columns]
    low, high = np.array(ends, dtype=np.float64).reshape(-1, 2).T
    return Band(axis, np.array([interquartile_mean(column) for column in columns]), low, high, counts, len(curves))


def aligned(curves: Sequence[Curve], axis: Floats) -> Floats:
    """The curves' values (n, m) on a common axis (m,), as steps: that of the last evaluation up to each place.

    Nothing is extrapolated: NaN before a curve's first evaluation, and after its last.
    """
    rows = np.full((len(curves), len(axis)), nan)
    for row, curve in zip(rows, curves, strict=True):
        if len(curve.spent):
            inside = (axis >= curve.spent[0]) & (axis <= curve.spent[-1])
            row[inside] = curve.values[np.searchsorted(curve.spent, axis[inside], side="right") - 1]
    return rows
