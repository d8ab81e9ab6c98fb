"""Which settings a number depends on, where that is known."""

from itertools import product
from math import nan

import numpy as np
import pytest
from scipy import stats

from gan_lightning.studies.comparisons import holm
from gan_lightning.studies.sensitivity import correlation, kruskal, sensitivity

GRID = [
    {"lr": lr, "loss": loss, "width": width, "same": 1}
    for lr, loss, width, _ in product((1e-3, 1e-4, 1e-2), ("hinge", "lsgan"), (32, 64), range(4))
]
NOISE = np.random.default_rng(0).normal(size=len(GRID))


def numbers(lr=0.0, loss=0.0):
    places = np.array([np.log10(each["lr"]) for each in GRID])
    return places * lr + loss * np.array([each["loss"] == "hinge" for each in GRID]) + NOISE


def test_what_matters_comes_first():
    found = sensitivity(GRID, numbers(lr=3.0, loss=1.5), False)
    assert [each.key for each in found] == ["lr", "loss", "width"]  # and not what was the same in all
    lr, loss, width = found
    assert lr.share > 0.6 > loss.share
    assert width.share < 0.1
    assert lr.adjusted < 1e-3
    assert lr.slope > 0.75
    assert (lr.numeric, loss.numeric, loss.slope) == (True, False, None)
    assert all(each.balanced for each in found)
    assert [each.adjusted for each in found] == holm([each.p for each in found])


def test_levels_are_over_all_else_in_the_order_of_numbers():
    values = numbers(lr=1.0)
    by_key = {each.key: each for each in sensitivity(GRID, values, False)}
    assert [level.name for level in by_key["lr"].levels] == ["0.0001", "0.001", "0.01"]
    assert [level.name for level in by_key["loss"].levels] == ["hinge", "lsgan"]
    assert by_key["lr"].levels[0].summary.mean == pytest.approx(values[16:32].mean())
    assert by_key["loss"].levels[0].summary.count == 24


def test_share_and_test_are_those_of_kruskal_and_wallis():
    values = np.round(numbers(lr=0.5), 1)  # with ties
    lr = next(each for each in sensitivity(GRID, values, False) if each.key == "lr")
    test = stats.kruskal(*(values[start : start + 16] for start in (0, 16, 32)))
    assert lr.p == pytest.approx(test.pvalue)
    assert lr.share == pytest.approx((test.statistic - 2) / 45)
    assert lr.slope == pytest.approx(stats.spearmanr([each["lr"] for each in GRID], values).statistic)


def test_nothing_is_found_where_nothing_is():
    """Of 120 studies no key is told in more than 5 %, and three standard errors; shares are near 0."""
    found = [sensitivity(GRID, np.random.default_rng(seed).normal(size=48), True) for seed in range(120)]
    assert np.mean([any(each.adjusted < 0.05 for each in keys) for keys in found]) < 0.05 + 3 * np.sqrt(0.0475 / 120)
    shares = [each.share for keys in found for each in keys]
    assert 0 < np.mean(shares) < 0.02


def test_failed_runs_have_the_worst_rank():
    """Those with the highest rate fail: it is what matters, though the others' numbers show nothing."""
    values = [nan if each["lr"] == 1e-2 else value for each, value in zip(GRID, NOISE, strict=True)]
    for better, sign in ((False, 1), (True, -1)):
        lr = sensitivity(GRID, values, better)[0]
        assert lr.key == "lr"
        assert sign * lr.slope > 0.5
        assert lr.levels[-1].summary.failed == 16
    assert next(each for each in sensitivity(GRID, values, None) if each.key == "lr").share < 0.2


def test_an_unbalanced_search_is_said_to_be_one():
    found = sensitivity(GRID[:-3], NOISE[:-3], False)
    assert not any(each.balanced for each in found)


def test_many_numbers_are_parted_into_quarters():
    rates = np.random.default_rng(1).uniform(size=40)
    found = sensitivity([{"lr": rate, "on": rate > 0.5} for rate in rates.tolist()], -rates, True)
    lr, on = sorted(found, key=lambda each: each.key)
    assert [level.summary.count for level in lr.levels] == [10, 10, 10, 10]
    assert lr.levels[0].name == f"{rates.min():g} to {np.sort(rates)[9]:g}"
    assert lr.slope == pytest.approx(-1)
    assert lr.share > 0.85
    assert (on.numeric, [level.name for level in on.levels]) == (False, ["True", "False"])


def test_too_little_to_tell():
    alone = sensitivity([{"loss": "a"}, {"loss": "b"}], [1.0, 2.0], False)[0]
    assert (alone.share, alone.p, alone.adjusted) == (None, None, None)
    assert kruskal(np.ones(4), ["a", "a", "b", "b"]) == (0.0, 1.0)
    assert correlation(np.ones(3), np.arange(3.0)) is None
    assert sensitivity([], [], True) == []
    absent = sensitivity([{"x": 1}, {"x": 1}, {}, {}], [1.0, 2.0, 8.0, 9.0], True)[0]
    assert [level.name for level in absent.levels] == ["1", "None"]
    assert not absent.numeric
    with pytest.raises(ValueError, match="for each of 1 settings"):
        sensitivity([{"loss": "a"}], [], True)
