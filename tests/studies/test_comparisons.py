"""Which configuration is better: closed forms, errors within their nominal rates, and power as it was computed."""

from math import inf, isnan, nan, sqrt

import numpy as np
import pytest
from scipy import stats
from simulated import NORMAL, simulated

from gan_lightning.studies.comparisons import (
    compare,
    compare_two,
    compare_with_best,
    corrected,
    exact_p,
    holm,
    probability_interval,
    ranked,
)
from gan_lightning.studies.power import detectable, hedges, power, seeds_needed


def by_seed(*values, first=1):
    return dict(enumerate(values, first))


A = by_seed(1.0, 2.0, 3.0, 4.0, 6.0)
B = by_seed(2.0, 4.0, 3.5, 7.0, 9.0)


def two(one, other, higher_is_better=False):
    return compare_two("a", "b", {"a": one, "b": other}, higher_is_better)


def test_pairs_by_hand():
    """Differences -1, -2, -0.5, -3, -3: mean -1.9, variance 5.2 / 4; t is 2.776445 with 4 degrees of freedom."""
    found = two(A, B)
    error = sqrt(1.3 / 5)
    assert found.paired
    assert (found.used, found.pairs, found.wins, found.ties) == ((5, 5), 5, 5, 0)
    assert found.difference == pytest.approx(-1.9)
    assert found.interval == pytest.approx((-1.9 - 2.7764451 * error, -1.9 + 2.7764451 * error), rel=1e-6)
    assert found.p == pytest.approx(stats.ttest_rel([*A.values()], [*B.values()]).pvalue)
    assert found.exact_p == 2 / 32
    assert found.effect == pytest.approx(1.9 / sqrt(1.3) * hedges(4))
    # Of the 25 pairs, a seed of the first is lower in 5 + 4 + 4 + 2 + 2, and equal in 0 + 1 + 0 + 1 + 0.
    assert found.probability == (17 + 2 / 2) / 25


def test_direction_turns_what_is_better_and_not_the_difference():
    lower, higher, neither = (two(A, B, better) for better in (False, True, None))
    assert lower.difference == higher.difference == neither.difference
    assert lower.interval == higher.interval
    assert lower.p == higher.p
    assert lower.effect == -higher.effect > 0
    assert lower.probability == 1 - higher.probability
    assert (lower.wins, higher.wins, neither.wins) == (5, 0, 0)
    assert neither.effect == higher.effect


def test_groups_are_compared_as_scipy_does():
    """By Welch's t; g by hand: variances 3.7 and 8.17 of 5 and 4 seeds, 7 degrees of freedom."""
    other = by_seed(2.0, 4.0, 3.5, 9.0, first=6)
    found = two(A, other)
    test = stats.ttest_ind([*A.values()], [*other.values()], equal_var=False)
    assert (found.paired, found.exact_p, found.pairs) == (False, None, 20)
    assert found.p == pytest.approx(test.pvalue)
    assert found.interval == pytest.approx(test.confidence_interval(0.95))
    pooled = sqrt((4 * np.var([*A.values()], ddof=1) + 3 * np.var([*other.values()], ddof=1)) / 7)
    assert found.effect == pytest.approx((4.625 - 3.2) / pooled * hedges(7))
    assert found.wins + found.ties / 2 == pytest.approx(20 * found.probability)


@pytest.mark.parametrize(
    ("other", "paired", "used"),
    [
        (by_seed(2.0, nan, 3.5, None, 9.0), True, (3, 3)),
        (by_seed(2.0, 4.0, 3.0, 5.0, 6.0, first=3), True, (3, 3)),
        (by_seed(2.0, 4.0, 3.0, 5.0, 6.0, first=4), False, (5, 5)),
        (by_seed(2.0, 4.0, 3.0, 5.0, first=4), False, (5, 4)),
        (by_seed(2.0, 4.0, 3.0, 5.0, 6.0, first=5), False, (5, 5)),
        (by_seed(2.0, first=5), False, (5, 1)),
    ],
)
def test_pairs_are_taken_where_most_seeds_are_common(other, paired, used):
    found = two(A, other)
    assert (found.paired, found.used) == (paired, used)


def test_failed_seeds_are_counted_and_paired_with_nothing():
    found = two(by_seed(1.0, nan, 3.0, 4.0), by_seed(inf, 2.0, 4.0, 6.0))
    assert (found.counts, found.failed, found.used) == ((3, 3), (1, 1), (2, 2))
    assert found.difference == -1.5


def test_one_seed_or_none_tells_nothing():
    one = two({1: 1.0}, {1: 2.0})
    assert (one.paired, one.difference, one.interval, one.p, one.effect) == (True, -1.0, None, None, None)
    none = two({1: nan}, B)
    assert isnan(none.difference)
    assert (none.probability, none.p, none.counts, none.failed) == (None, None, (0, 5), (1, 0))
    assert not any(each.told for each in corrected([one, none]))
    group = two({9: 1.0}, B)
    assert (group.difference, group.p, group.interval) == (1.0 - 5.1, None, None)


@pytest.mark.parametrize("first", [1, 20], ids=["pairs", "groups"])
def test_seeds_that_agree(first):
    ten, one = by_seed(10.0, 10.0, 10.0), by_seed(1.0, 1.0, 1.0, first=first)
    found = two(ten, one, True)
    assert (found.p, found.effect, found.interval) == (0.0, inf, (9.0, 9.0))
    assert two(ten, by_seed(10.0, 10.0, 10.0, first=first)).p == 1.0
    assert two(ten, by_seed(10.0, 10.0, 10.0, first=first)).effect == 0.0
    assert two(one, ten, True).effect == -inf


@pytest.mark.parametrize("first", [1, 20], ids=["pairs", "groups"])
def test_two_seeds_tell_nothing_however_well_they_agree(first):
    """By the paired t-test the differences 9.0 and 9.1 would be no chance, p 0.004."""
    ten, one, third = by_seed(10.0, 10.1), by_seed(1.0, 1.0, first=first), by_seed(10.0, 10.1, 10.0)
    found, least = (corrected([two(each, one | other)])[0] for each, other in ((ten, {}), (third, {first + 2: 1.0})))
    assert (found.used, found.p, found.adjusted, found.needed, found.told) == ((2, 2), None, None, None, False)
    assert found.interval is not None
    assert (least.used, least.told) == ((3, 3), True)
    assert two(by_seed(10.0, 10.0), by_seed(10.0, 10.0, first=first)).p is None


def test_holm_by_hand():
    """0.01 x 4; 0.02 x 3; 0.03 x 2; 0.04 x 1, which is no smaller than the one before."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9, 0.4]) == [1.0, 1.0, 1.0]
    assert holm([0.001, 0.2]) == pytest.approx([0.002, 0.2])
    assert holm([]) == []


def test_sign_flips_by_hand():
    assert exact_p(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert exact_p(np.array([1.0, 2.0, -3.0])) == 1.0
    assert exact_p(np.array([3.0, 4.0, -1.0])) == 4 / 8  # |sum| 6 or 8, each twice
    assert exact_p(np.array([0.1, 0.1, 0.1, -0.1])) == 10 / 16  # all but the sums of 0, which are rounded
    assert exact_p(np.zeros(4)) == 1.0
    differences = simulated(NORMAL, 18, seed=3) + 0.4
    test = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(5)
    )
    assert exact_p(differences) == pytest.approx(test.pvalue, abs=0.01)
    assert exact_p(differences + 9) == 1 / (1 << 14)


def test_probability_is_that_of_rliable():
    """rliable 1.2.0, probability_of_improvement, higher being better."""
    x, y = by_seed(1.2, 3.4, 2.2, 9.1, 4.0), by_seed(2.2, 1.0, 0.5, 3.4, first=20)
    assert two(x, y, True).probability == pytest.approx(0.8)
    x, y = by_seed(10.0, 12.0, 30.0, 11.0, 13.0), by_seed(9.0, 12.0, 14.0, 8.0, first=20)
    assert two(x, y, True).probability == pytest.approx(0.675)


def test_interval_of_the_probability_solves_its_equation():
    """With all 25 pairs won: 1 - theta = z sqrt(V(theta)), of which 1 is the other solution."""
    low, high = probability_interval(1.0, 5, 5)
    variance = low * (1 - low) * (1 + 4 * ((1 - low) / (2 - low) + low / (1 + low))) / 25
    assert 1 - low == pytest.approx(1.959964 * sqrt(variance), rel=1e-5)
    assert high == 1.0
    assert probability_interval(0.0, 5, 5) == pytest.approx((0.0, 1 - low))
    low, high = probability_interval(0.5, 4, 9)
    assert low == pytest.approx(1 - high)


# Of 600 studies each, values 0 and 1 deviation apart: theta is Phi(shift / sqrt(2)).
@pytest.mark.parametrize(("shift", "count", "share"), [(1, 3, 0.92), (1, 5, 0.945), (2, 5, 0.945), (2, 10, 0.953)])
def test_coverage_of_the_probabilitys_interval(shift, count, share):
    left, right = simulated(NORMAL, 600, count, seed=1) + shift, simulated(NORMAL, 600, count, seed=2)
    found = (left[:, :, None] > right[:, None]).mean((1, 2))
    ends = {each: probability_interval(each, count, count) for each in set(found.tolist())}
    truth = stats.norm.cdf(shift / sqrt(2))
    covered = np.mean([ends[each][0] <= truth <= ends[each][1] for each in found.tolist()])
    assert covered == pytest.approx(share, abs=0.03)


CONFIGURATIONS = {"b": B, "a": A, "none": by_seed(nan, None), "c": by_seed(9.0, 8.0, 9.0, 7.0, 8.0)}


def test_who_is_compared_with_whom():
    assert ranked(CONFIGURATIONS, False) == ["a", "b", "c", "none"]
    assert ranked(CONFIGURATIONS, True) == ranked(CONFIGURATIONS, None) == ["c", "b", "a", "none"]
    every = compare(CONFIGURATIONS, False)
    assert [(each.first, each.second) for each in every] == [
        ("a", "b"),
        ("a", "c"),
        ("a", "none"),
        ("b", "c"),
        ("b", "none"),
        ("c", "none"),
    ]
    assert [each.family for each in every] == [3] * 6
    against = compare(CONFIGURATIONS, False, reference="b")
    assert [(each.first, each.second) for each in against] == [("a", "b"), ("c", "b"), ("none", "b")]
    assert [each.family for each in against] == [2] * 3
    best = compare_with_best(CONFIGURATIONS, False)
    assert best == every[:3]
    with pytest.raises(KeyError):
        compare(CONFIGURATIONS, False, reference="d")
    with pytest.raises(KeyError):
        compare({}, False, reference="d")
    assert compare({}, True) == compare_with_best({}, True) == []


def test_a_family_is_corrected_as_one():
    every = compare(CONFIGURATIONS, False)
    tested = [each for each in every if each.p is not None]
    assert [each.adjusted for each in tested] == holm([each.p for each in tested])
    assert all(each.adjusted is None and not each.told for each in every if each.p is None)
    assert [each.needed for each in tested] == [seeds_needed(each.effect, 0.05 / 3) for each in tested]


def family(shifts, count, seed):
    values = simulated(NORMAL, len(shifts), count, seed=seed)
    return {str(place): by_seed(*row + shift) for place, (row, shift) in enumerate(zip(values, shifts, strict=True))}


@pytest.fixture(scope="module")
def tables():
    """Comparisons of four equals, each with each, in 400 studies."""
    return [compare(family([0, 0, 0, 0], 5, seed), True) for seed in range(400)]


def test_false_positives_of_a_table_are_within_the_nominal_rate(tables):
    """Of any in a table: at most 0.05, and three standard errors. Without the correction there are too many."""
    wrong = np.mean([any(each.told for each in table) for table in tables])
    assert 0.002 < wrong <= 0.05 + 3 * sqrt(0.05 * 0.95 / 400)
    assert np.mean([any(each.p < 0.05 for each in table) for table in tables]) > 0.13


def test_the_best_of_equals_is_told_no_more_often():
    """All 15 pairs are counted, and not 5, since any of the six might have been the best."""
    best = [compare_with_best(family([0] * 6, 5, seed), True) for seed in range(150)]
    assert np.mean([any(each.told for each in table) for table in best]) <= 0.05 + 2 * sqrt(0.05 * 0.95 / 150)
    assert all(each.family == 15 for each in best[0])


@pytest.mark.parametrize(("paired", "deviation"), [(True, sqrt(2)), (False, 1.0)])
def test_power_is_what_simulated_studies_have(paired, deviation):
    """Pairs of independent values, whose differences have a deviation of sqrt(2), and groups of a deviation of 1."""
    effect, seeds = 1.2, 8
    assert (
        power(effect / 2, seeds, 0.01, paired) < power(effect, seeds, 0.01, paired) < power(effect, seeds, 0.05, paired)
    )
    left = simulated(NORMAL, seeds, 20_000, seed=1) + effect * deviation
    right = simulated(NORMAL, seeds, 20_000, seed=2)
    test = stats.ttest_rel(left, right) if paired else stats.ttest_ind(left, right)
    assert power(effect, seeds, 0.05, paired) == pytest.approx(np.mean(test.pvalue < 0.05), abs=0.01)


def test_power_is_that_of_the_noncentral_t():
    freedom, centre = 9, 0.7 * sqrt(10)
    critical = stats.t.isf(0.025, freedom)
    expected = stats.nct.sf(critical, freedom, centre) + stats.nct.cdf(-critical, freedom, centre)
    assert power(0.7, 10) == pytest.approx(expected, abs=1e-5)
    assert power(0.0, [3, 10, 50]) == pytest.approx(0.05, abs=1e-4)


def test_seeds_needed():
    """As in G*Power's manual and Cohen 1988: d of 0.5 takes 34 pairs or 64 of each group; 0.8 takes 15 or 26."""
    assert [seeds_needed(d, 0.05, paired) for d in (0.5, 0.8) for paired in (True, False)] == [34, 64, 15, 26]
    assert seeds_needed(-0.5) == 34
    assert seeds_needed(0.2) == inf
    assert seeds_needed(inf) == 3
    assert seeds_needed(0.8, 0.05 / 15) > seeds_needed(0.8)
    with pytest.raises(ValueError, match="NaN"):
        seeds_needed(nan)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 4950])
def test_effects_that_can_be_told_fall_with_seeds(paired, alpha):
    effects = detectable(alpha, paired)
    assert (np.diff(effects) < 0).all()
    assert power(effects, np.arange(3, 101), alpha, paired) == pytest.approx(0.8, abs=1e-6)


def test_hedges_factor_makes_an_effect_unbiased():
    """Beside its usual approximation, 1 - 3 / (4 m - 1)."""
    assert hedges(1) == 0.0
    assert hedges(2) == pytest.approx(1 / sqrt(np.pi))
    assert hedges(30) == pytest.approx(1 - 3 / 119, abs=1e-4)
    values = simulated(NORMAL, 5, 20_000) + 1
    assert hedges(4) * (values.mean(0) / values.std(0, ddof=1)).mean() == pytest.approx(1, abs=0.02)


def test_seeds_that_did_not_tell_are_fewer_than_needed():
    for seed in range(60):
        for each in compare(family([0, 0.5, 1, 2], 5, seed), True):
            assert each.told or each.needed > 5
