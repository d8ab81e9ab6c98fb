"""One configuration over its seeds: closed forms, and intervals that hold a known truth as often as they say."""

from math import isnan, nan, sqrt

import numpy as np
import pytest
from simulated import HEAVY, MEANS, NORMAL, SKEWED, VERY_SKEWED, share_covered, simulated

from gan_lightning.studies.statistics import (
    interquartile_mean,
    iqm_interval,
    mean_interval,
    mean_intervals,
    summarise,
)


def test_mean_and_interval_by_hand():
    """t is 2.776445 with 4 degrees of freedom, in any table."""
    summary = summarise([1.0, 2.0, 3.0, 4.0, 10.0])
    deviation = sqrt((9 + 4 + 1 + 0 + 36) / 4)
    margin = 2.7764451 * deviation / sqrt(5)
    assert (summary.mean, summary.median, summary.count, summary.failed) == (4.0, 3.0, 5, 0)
    assert summary.deviation == pytest.approx(deviation)
    assert summary.interval == pytest.approx((4 - margin, 4 + margin), rel=1e-6)
    assert summary.iqm == 3.0
    assert summary.iqm_interval == iqm_interval(summary.values)


def test_failed_seeds_are_counted():
    summary = summarise([2.0, None, nan, float("inf"), 4.0])
    assert (summary.values, summary.failed, summary.mean) == ((2.0, 4.0), 3, 3.0)
    assert summary.interval == mean_interval([2.0, 4.0])


def test_one_seed_has_no_interval():
    summary = summarise([2.5, nan])
    assert (summary.mean, summary.iqm, summary.median, summary.failed) == (2.5, 2.5, 2.5, 1)
    assert summary.interval is summary.iqm_interval is summary.deviation is None


@pytest.mark.parametrize("numbers", [[], [None, nan]])
def test_no_seed_has_no_mean(numbers):
    summary = summarise(numbers)
    assert isnan(summary.mean)
    assert isnan(summary.iqm)
    assert isnan(summary.median)
    assert (summary.count, summary.failed, summary.interval) == (0, len(numbers), None)


# Of 20,000 studies, so that 0.005 is three standard errors. The bounds are what the docstring says.
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (NORMAL, {2: 0.95, 3: 0.95, 5: 0.95, 10: 0.95}),
        (HEAVY, {3: 0.96, 5: 0.96, 10: 0.96}),
        (SKEWED, {3: 0.92, 5: 0.92, 10: 0.92}),
        (VERY_SKEWED, {3: 0.84, 5: 0.81, 10: 0.84}),
    ],
)
def test_coverage_of_the_means_interval(kind, expected):
    for count, share in expected.items():
        low, high = mean_intervals(simulated(kind, count, 20_000, seed=count))
        assert share_covered(low, high, MEANS[kind]) == pytest.approx(share, abs=0.012 if kind != NORMAL else 0.005)


def test_columns_with_gaps():
    values = np.array([[1.0, nan, nan], [2.0, 5.0, nan], [6.0, 7.0, 3.0]])
    low, high = mean_intervals(values)
    assert (low[0], high[0]) == pytest.approx(mean_interval([1.0, 2.0, 6.0]))
    assert (low[1], high[1]) == pytest.approx(mean_interval([5.0, 7.0]))
    assert isnan(low[2])
    assert isnan(high[2])


@pytest.mark.parametrize("values", [[1.0], [], [1.0, nan], [[1.0, 2.0], [3.0, 4.0]]])
@pytest.mark.parametrize("interval", [mean_interval, iqm_interval])
def test_an_interval_needs_two_finite_values(interval, values):
    with pytest.raises(ValueError, match="at least 2 finite values"):
        interval(values)


TASKS = ([1.2, 3.4, 2.2, 9.1, 4.0], [10.0, 12.0, 30.0, 11.0, 13.0])


def test_interquartile_mean_is_that_of_rliable():
    """rliable 1.2.0: aggregate_iqm and its stratified bootstrap, with 50,000 draws."""
    assert interquartile_mean(*TASKS) == pytest.approx(8.25)
    assert interquartile_mean(TASKS[0]) == pytest.approx(3.2)
    assert interquartile_mean([2.2, 1.0, 0.5, 3.4], [9.0, 12.0, 14.0, 8.0]) == pytest.approx(5.65)
    assert interquartile_mean([1.0, 2.0, 9.0]) == 4.0
    assert iqm_interval(*TASKS, draws=50_000) == pytest.approx((6.633, 11.683), abs=0.1)
    assert iqm_interval(TASKS[0], draws=50_000) == pytest.approx((1.5333, 7.4), abs=0.05)


def test_the_bootstrap_is_the_same_each_time():
    assert iqm_interval(*TASKS, draws=100) == iqm_interval(*TASKS, draws=100)
    assert iqm_interval(*TASKS, draws=100) != iqm_interval(*TASKS, draws=100, seed=1)


# Of 600 studies: 0.05 is three standard errors and more.
@pytest.mark.parametrize(("count", "share"), [(3, 0.74), (5, 0.90), (10, 0.93)])
def test_coverage_of_the_interquartile_means_interval(count, share):
    studies = simulated(NORMAL, 600, count, seed=7)
    ends = np.array([iqm_interval(values, draws=500) for values in studies])
    assert share_covered(ends[:, 0], ends[:, 1], 0.0) == pytest.approx(share, abs=0.05)
