"""Runs at equal cost, seeds' curves as one, and what a search is worth."""

from itertools import combinations, product
from math import inf, isnan, nan

import numpy as np
import pytest
from simulated import NORMAL, share_covered, simulated

from gan_lightning.studies.bands import aligned, band
from gan_lightning.studies.budgets import Curve, common_budget, equalise
from gan_lightning.studies.statistics import interquartile_mean, iqm_interval, mean_interval
from gan_lightning.studies.trials import best_of, redrawn_weights, subset_weights

CURVES = {
    "short": Curve.of([100, 200, 300], [9.0, 5.0, 6.0]),
    "long": Curve.of([150, 250, 350, 450], [8.0, 3.0, 2.0, 1.0]),
    "late": Curve.of([400, 500], [7.0, 7.5]),
    "none": Curve.of([], []),
}


def test_the_last_evaluation_up_to_the_least_budget_counts():
    found = equalise(CURVES, "last", False)
    assert found.budget == common_budget(CURVES.values()) == 300
    assert found.values == pytest.approx({"short": 6.0, "long": 3.0, "late": nan, "none": nan}, nan_ok=True)
    assert found.at == pytest.approx({"short": 300, "long": 250, "late": nan, "none": nan}, nan_ok=True)
    assert found.beyond == {"short": 0, "long": 150, "late": 200, "none": 0}
    assert found.left_out == {"short": 0, "long": 2, "late": 2, "none": 0}
    assert found.differ


def test_the_best_so_far_may_count():
    assert equalise(CURVES, "best", False, 400).values["long"] == 2.0
    lowest, highest = (equalise(CURVES, "best", better) for better in (False, True))
    assert (lowest.values["short"], lowest.at["short"]) == (5.0, 200)
    assert (highest.values["short"], highest.at["short"]) == (9.0, 100)
    with pytest.raises(ValueError, match="needs a direction"):
        equalise(CURVES, "best", None)


def test_a_failed_evaluation_counts_if_it_is_the_last_and_never_as_the_best():
    curve = {"a": Curve.of([1, 2, 3], [4.0, 3.0, inf])}
    assert equalise(curve, "last", False).values["a"] == inf
    assert equalise(curve, "best", True).values["a"] == 4.0


def test_equal_budgets_are_not_said_to_differ():
    assert not equalise({"a": CURVES["short"], "b": CURVES["short"]}, "last", True).differ
    nothing = equalise({"none": CURVES["none"]}, "best", True)
    assert isnan(nothing.budget)
    assert not nothing.differ


def test_rows_of_other_numbers_are_no_evaluations():
    curve = Curve.of([1, 2, None, 4], [nan, 5.0, 6.0, None])
    assert (curve.spent.tolist(), curve.values.tolist()) == ([2.0], [5.0])


@pytest.mark.parametrize(
    ("spent", "values", "message"),
    [([1, 2], [1.0], "one length"), ([2, 1], [1.0, 1.0], "never fall"), ([1, inf], [1.0, 1.0], "be finite")],
)
def test_what_is_no_curve(spent, values, message):
    with pytest.raises(ValueError, match=message):
        Curve.of(spent, values)


def test_curves_are_steps_within_their_evaluations():
    axis = np.array([50.0, 100.0, 149.0, 150.0, 300.0, 301.0])
    expected = [[nan, 9, 9, 9, 6, nan], [nan, nan, nan, 8, 3, 3], [nan] * 6]
    np.testing.assert_equal(aligned([CURVES[name] for name in ("short", "long", "none")], axis), expected)


def test_a_band_goes_on_with_those_that_are_left():
    found = band([CURVES["short"], CURVES["long"], CURVES["none"], Curve.of([250], [inf])])
    assert found.axis.tolist() == [100, 150, 200, 250, 300, 350, 450]
    assert found.counts.tolist() == [1, 2, 2, 2, 2, 1, 1]
    assert found.centre.tolist() == [9.0, 8.5, 6.5, 4.0, 4.5, 2.0, 1.0]
    assert (found.low[2], found.high[2]) == pytest.approx(mean_interval([5.0, 8.0]))
    assert np.isnan(found.low).tolist() == np.isnan(found.high).tolist() == [True, *[False] * 4, True, True]
    assert found.seeds == 4


def test_a_band_of_interquartile_means():
    values = simulated(NORMAL, 6, 3, seed=2)
    found = band([Curve.of([1, 2, 3], row) for row in values], "iqm")
    assert found.centre.tolist() == [interquartile_mean(column) for column in values.T]
    ends = [iqm_interval(column, draws=1000) for column in values.T]
    assert found.low.tolist() == [low for low, _ in ends]
    assert found.high.tolist() == [high for _, high in ends]
    one = band([CURVES["short"]], "iqm")
    assert one.centre.tolist() == [9.0, 5.0, 6.0]
    assert np.isnan(one.low).all()


@pytest.mark.parametrize("centre", ["mean", "iqm"])
def test_a_band_of_nothing_is_empty(centre):
    found = band([CURVES["none"]], centre)
    assert [len(each) for each in (found.axis, found.centre, found.low, found.high, found.counts)] == [0] * 5


def test_the_best_of_k_by_hand():
    """Of 1, 2 and 4: the pairs' highest are 2, 4, 4, and their lowest 1, 1, 2."""
    higher, lower = best_of([4.0, 1.0, 2.0], True), best_of([4.0, 1.0, 2.0], False)
    assert higher.expected == pytest.approx([7 / 3, 10 / 3, 4.0])
    assert lower.expected == pytest.approx([7 / 3, 4 / 3, 1.0])
    pairs = [max(pair) for pair in product([1.0, 2.0, 4.0], repeat=2)]
    assert higher.deviation[:2] == pytest.approx([np.std([1.0, 2.0, 4.0]), np.std(pairs)])
    assert lower.deviation[1] == pytest.approx(np.std([min(pair) for pair in product([1.0, 2.0, 4.0], repeat=2)]))


def test_weights_are_shares_of_subsets():
    count = 7
    for k in range(1, count + 1):
        subsets = [max(subset) for subset in combinations(range(count), k)]
        assert subset_weights(count)[k - 1] == pytest.approx(np.bincount(subsets, minlength=count) / len(subsets))
    drawn = [max(each) for each in product(range(3), repeat=3)]
    assert redrawn_weights(3)[2] == pytest.approx(np.bincount(drawn, minlength=3) / 27)
    assert subset_weights(500).sum(1) == pytest.approx(np.ones(500))


def test_the_best_of_k_is_unbiased():
    """Uniform values: the highest of k is k / (k + 1) on average. Drawn with replacement, it would come out lower."""
    trials = np.sort(np.random.default_rng(0).uniform(size=(20_000, 8)), axis=1)
    expected = np.arange(1, 9) / np.arange(2, 10)
    assert (subset_weights(8) @ trials.T).mean(1) == pytest.approx(expected, abs=0.003)
    assert ((redrawn_weights(8) @ trials.T).mean(1)[4:] < expected[4:] - 0.02).all()


def test_coverage_of_the_bests_interval():
    """Of 400 searches: 0.06 is three standard errors."""
    expected = np.arange(1, 21) / np.arange(2, 22)
    found = [best_of(trials, True) for trials in np.random.default_rng(0).uniform(size=(400, 20))]
    low, high = np.array([each.low for each in found]), np.array([each.high for each in found])
    covered = [share_covered(low[:, k - 1], high[:, k - 1], expected[k - 1]) for k in (1, 5, 10, 20)]
    assert covered == pytest.approx([0.95, 0.88, 0.81, 0.61], abs=0.06)


def test_failed_trials_count_as_the_worst():
    found = best_of([1.0, None, 3.0, nan], False)
    assert found.failed == 2
    assert found.expected == pytest.approx(best_of([1.0, 3.0, 3.0, 3.0], False).expected)
    assert best_of([1.0, inf, 3.0], True).expected == pytest.approx(best_of([1.0, 1.0, 3.0], True).expected)
    assert np.isnan(best_of([None], True).expected).all()
    with pytest.raises(ValueError, match="no trials"):
        best_of([], True)


def test_the_interval_turns_with_the_direction():
    values = [3.0, 5.0, 9.0, 2.0, 7.0]
    lower, higher = best_of(values, False), best_of([-value for value in values], True)
    assert lower.low == pytest.approx(-higher.high)
    assert (lower.low <= lower.expected).all()
    assert (lower.expected <= lower.high).all()
    assert (np.diff(lower.expected) < 0).all()
