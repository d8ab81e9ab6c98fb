"""The closed forms of CriticUpdates against counting one iteration after the other."""

from itertools import accumulate

import pytest

from gan_lightning.schedules import Clock, Cosine, Linear, Scheduled, Step
from gan_lightning.training.critic_updates import CriticUpdates

# n_critic, boost, boost_first, boost_every
SETTINGS = [
    (1, 0, 25, 500),
    (5, 0, 7, 1),  # nothing is boosted
    (5, 100, 25, 500),
    (2, 3, 0, 10),
    (2, 3, 1, 500),
    (5, 1, 7, 10),  # fewer when boosted
    (1, 3, 25, 10),  # with multiples among the first
    (1, 100, 20, 10),  # the first end at a multiple
    (1, 2, 25, 1),  # everything is boosted
    (5, 3, 4, 2),
    (Linear(5, 1, over=30), 0, 25, 500),
    (Linear(5, 1, over=30), 9, 4, 13),
    (Linear(1, 4, over=12.5, begin=7.5), 1, 0, 7),
    (Linear(1, 4, over=12.6, begin=7.9), 20, 50, 60),
    (Cosine(6, 2, over=40, begin=3), 9, 4, 13),
    (Step(1, 3, over=20.5), 9, 4, 13),
    (Step(2, 7, over=5, begin=61), 0, 25, 500),
    (Step(2, 7, over=5, begin=61), 1, 0, 7),
]
each_setting = pytest.mark.parametrize(("n_critic", "boost", "first", "every"), SETTINGS)


def count(n_critic, boost, first, every, iterations):
    """The updates of each iteration, from the sets of iterations that are boosted and the schedule's own values."""
    boosted = set(range(first)) | set(range(0, iterations, every)) if boost else set()
    scheduled = isinstance(n_critic, Scheduled)
    ordinary = [round(n_critic.at(Clock(number))) if scheduled else n_critic for number in range(iterations)]
    return [boost if iteration in boosted else updates for iteration, updates in enumerate(ordinary)]


@each_setting
def test_equals_counting(n_critic, boost, first, every):
    critic_updates = CriticUpdates(n_critic, boost, first, every)
    counted = count(n_critic, boost, first, every, 1100)
    assert [critic_updates.updates(iteration) for iteration in range(1100)] == counted
    assert [critic_updates.updates_before(iteration) for iteration in range(1101)] == [0, *accumulate(counted)]


@each_setting
def test_iterations_is_the_fewest_that_suffice(n_critic, boost, first, every):
    critic_updates = CriticUpdates(n_critic, boost, first, every)
    totals = [0, *accumulate(count(n_critic, boost, first, every, 500))]
    fewest = 0
    for minibatches in range(500):
        while totals[fewest] < minibatches:
            fewest += 1
        assert critic_updates.iterations(minibatches) == fewest


def test_iterations_of_an_epoch_that_does_not_divide():
    # 14 minibatches of 128 digits, five an iteration: two iterations draw 10, three draw 15.
    assert [CriticUpdates(5).iterations(minibatches) for minibatches in (14, 15, 16)] == [3, 3, 4]


def test_the_official_wgan_code_has_100_updates_in_these_iterations():
    critic_updates = CriticUpdates(n_critic=5, boost=100)
    assert {iteration for iteration in range(1502) if critic_updates.updates(iteration) == 100} == {
        *range(25),
        *(500, 1000, 1500),
    }
    assert critic_updates.updates_before(500) == 2500 + 475 * 5
    assert critic_updates.updates_before(1001) == 2500 + 475 * 5 + 100 + 499 * 5 + 100


def test_default_is_one_update():
    assert [CriticUpdates().updates(iteration) for iteration in (0, 1, 24, 25, 500)] == [1] * 5
    assert CriticUpdates().updates_before(10**12) == 10**12


def test_far_iterations_stay_exact():
    critic_updates = CriticUpdates(n_critic=5, boost=100)
    # Of 10**15 iterations one in 500 is boosted, and 24 more at the start.
    total = 10**15 * 5 + 95 * (10**15 // 500 + 24)
    assert critic_updates.updates_before(10**15) == total
    assert critic_updates.iterations(total) == 10**15
    assert critic_updates.iterations(total + 1) == 10**15 + 1


@pytest.mark.parametrize(
    ("name", "value", "least"), [("n_critic", 0, 1), ("boost", -1, 0), ("boost_first", -1, 0), ("boost_every", 0, 1)]
)
def test_values_out_of_range(name, value, least):
    with pytest.raises(ValueError, match=f"^{name} must be at least {least}( and at most 1e.06)?, got {value}$"):
        CriticUpdates(**{name: value})
    CriticUpdates(**{name: least})


def test_a_changing_number_by_hand():
    critic_updates = CriticUpdates(Linear(5, 1, over=4))
    assert [critic_updates.updates(iteration) for iteration in range(7)] == [5, 4, 3, 2, 1, 1, 1]
    assert [critic_updates.updates_before(iteration) for iteration in (0, 1, 4, 5, 100)] == [0, 5, 14, 15, 110]
    assert [critic_updates.iterations(minibatches) for minibatches in (1, 5, 6, 14, 15, 110)] == [1, 1, 2, 4, 5, 100]
    assert critic_updates.updates_before(10**12) == 14 + 10**12 - 4


@pytest.mark.parametrize("n_critic", [Linear(5, 1), Linear(5, 1, over=9, unit="images")])
def test_a_changing_number_needs_a_length_in_iterations(n_critic):
    with pytest.raises(ValueError, match="must name its length, in iterations"):
        CriticUpdates(n_critic)


@pytest.mark.parametrize("n_critic", [Linear(5, 0, over=9), Linear(0.5, 2, over=9)])
def test_a_changing_number_is_never_below_one(n_critic):
    with pytest.raises(ValueError, match="n_critic must be at least 1"):
        CriticUpdates(n_critic)


@pytest.mark.parametrize("over", [1e12, float("inf"), float("nan")])
def test_a_schedule_that_can_not_be_added_up(over):
    with pytest.raises(ValueError, match=r"over must be above 0|after 10,000,000 iterations"):
        CriticUpdates(n_critic=Linear(5, 1, over))
