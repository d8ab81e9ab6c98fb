"""A comparison in plain words."""

from math import inf, nan

import pytest

from gan_lightning.studies.comparisons import Comparison, compare, compare_two
from gan_lightning.studies.sentences import sentence, shown
from gan_lightning.studies.statistics import Interval

FID = "frechet_distance"


def comparison(**changes):
    base = {
        "first": "wgan_gp",
        "second": "vanilla",
        "higher_is_better": False,
        "counts": (5, 5),
        "failed": (0, 0),
        "paired": True,
        "used": (5, 5),
        "difference": -4.1,
        "interval": Interval(-5.3, -2.9),
        "wins": 5,
        "p": 0.001,
        "adjusted": 0.01,
        "needed": 3.0,
        "family": 3,
    }
    return Comparison(**base | changes)


UNDECIDED = {"difference": -0.3, "interval": Interval(-1.8, 1.2), "p": 0.4, "adjusted": 0.8, "needed": 14.0}
GROUPS = {"paired": False, "counts": (5, 4), "used": (5, 4), "wins": 19}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "wgan_gp is better than vanilla on frechet_distance: 4.1 lower [2.9, 5.3], 5 of 5 seeds"),
        (
            {"wins": 3, "ties": 1},
            "wgan_gp is better than vanilla on frechet_distance: 4.1 lower [2.9, 5.3], 3 of 5 seeds, 1 tie",
        ),
        (
            {"higher_is_better": True, "wins": 0},
            "wgan_gp is worse than vanilla on frechet_distance: 4.1 lower [2.9, 5.3], 5 of 5 seeds",
        ),
        (
            {"higher_is_better": True, "difference": 4.1, "interval": Interval(2.9, 5.3), "wins": 4},
            "wgan_gp is better than vanilla on frechet_distance: 4.1 higher [2.9, 5.3], 4 of 5 seeds",
        ),
        (
            {"difference": 4.1, "interval": Interval(2.9, 5.3), "wins": 1},
            "wgan_gp is worse than vanilla on frechet_distance: 4.1 higher [2.9, 5.3], 4 of 5 seeds",
        ),
        (
            {"higher_is_better": None, "wins": 1},
            "wgan_gp is lower than vanilla on frechet_distance, by 4.1 [2.9, 5.3], 4 of 5 seeds",
        ),
        (GROUPS, "wgan_gp is better than vanilla on frechet_distance: 4.1 lower [2.9, 5.3], 19 of 20 pairs of seeds"),
        (
            {"failed": (0, 1)},
            "wgan_gp is better than vanilla on frechet_distance: 4.1 lower [2.9, 5.3], 5 of 5 seeds; "
            "vanilla failed with 1 of 6 seeds",
        ),
        (
            UNDECIDED,
            "5 seeds can't tell wgan_gp from vanilla on frechet_distance (0.3 lower [-1.2, 1.8]); about 14 would",
        ),
        (
            UNDECIDED | {"needed": inf},
            "5 seeds can't tell wgan_gp from vanilla on frechet_distance (0.3 lower [-1.2, 1.8]); "
            "more than 100 would be needed",
        ),
        (
            UNDECIDED | GROUPS,
            "5 and 4 seeds can't tell wgan_gp from vanilla on frechet_distance (0.3 lower [-1.2, 1.8]); "
            "about 14 of each would",
        ),
        (
            UNDECIDED | {"interval": Interval(-0.5, -0.1), "p": 0.03},
            "5 seeds can't tell wgan_gp from vanilla on frechet_distance (0.30 lower [0.10, 0.50], which may be chance "
            "among 3 comparisons); about 14 would",
        ),
        (
            UNDECIDED | {"difference": 0.0, "interval": Interval(-1.5, 1.5)},
            "5 seeds can't tell wgan_gp from vanilla on frechet_distance (0.0 apart [-1.5, 1.5]); about 14 would",
        ),
    ],
)
def test_sentences(changes, expected):
    assert sentence(comparison(**changes), FID) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({1: 2.0}, {1: 2.5}, "1 seed can't tell a from b on m (0.5 lower); it takes 3 at least"),
        ({1: 2.0}, {1: 2.0}, "a and b are equal on m, with 1 seed"),
        ({1: 2.0, 2: 3.0}, {1: 2.0, 2: 3.0}, "a and b are equal on m, with each of 2 seeds"),
        ({1: 2.0, 2: 2.0}, {3: 2.0}, "a and b are equal on m, with each of 2 pairs of seeds"),
        ({1: nan}, {1: 2.0}, "b and a can't be compared on m: no number of a; a failed with 1 of 1 seed"),
        ({}, {}, "a and b can't be compared on m: no number of a and b"),
        (
            {1: 10.0, 2: 10.0, 3: 10.0},
            {1: 1.0, 2: 1.0, 3: 1.0},
            "b is better than a on m: 9 lower [9, 9], 3 of 3 seeds",
        ),
        (
            {1: 10.0, 2: 10.0},
            {1: 1.0, 2: 1.0},
            "2 seeds can't tell b from a on m (9 lower [9, 9]); it takes 3 at least",
        ),
        (
            {1: 10.0, 2: 11.0},
            {1: 1.0, 2: 2.01},
            "2 seeds can't tell b from a on m (8.995 lower [8.931, 9.059]); it takes 3 at least",
        ),
        ({1: 10.0}, {2: 8.0, 3: 9.0}, "2 and 1 seed can't tell b from a on m (1.5 lower); it takes 3 at least"),
    ],
)
def test_few_seeds(one, other, expected):
    assert sentence(compare({"a": one, "b": other}, False)[0], "m") == expected


def test_an_uncorrected_comparison_tells_nothing():
    """Or a forgotten correction would go unnoticed."""
    found = compare_two("a", "b", {"a": {1: 1.0, 2: 1.1, 3: 0.9}, "b": {1: 9.0, 2: 9.0, 3: 9.2}}, False)
    assert found.p < 0.01
    assert sentence(found, "m").startswith("3 seeds can't tell")


@pytest.mark.parametrize(
    ("numbers", "width", "expected"),
    [
        ([4.1234, -2.9], 2.4, ["4.1", "-2.9"]),
        ([1234.6, 3.0], 480.0, ["1230", "0"]),
        ([1234.6, 3.4], 48.0, ["1235", "3"]),
        ([0.01234], 0.002, ["0.0123"]),
        ([-0.04], 2.0, ["0.0"]),
        ([1.23456e-9], 1e-9, ["1.235e-09"]),
        ([1.23456], 0, ["1.235"]),
        ([1.23456], inf, ["1.235"]),
    ],
)
def test_numbers_have_the_digits_that_their_interval_deserves(numbers, width, expected):
    assert shown(numbers, width) == expected
