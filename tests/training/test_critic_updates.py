"""The schedule's closed forms against counting one iteration after the other."""

import itertools

import pytest

from gan_lightning.schedules import Clock, Cosine, Linear, Step
from gan_lightning.training.critic_updates import CriticUpdates

SETTINGS = [
    pytest.param(*values, id="-".join(map(str, values)))
    for values in itertools.product((1, 2, 5), (0, 1, 3, 100), (0, 1, 7, 25), (1, 2, 10, 500))
]


def count(n_critic, boost, boost_first, boost_every, iterations):
    """The updates of each iteration, from the sets of iterations that are boosted."""
    boosted = set(range(boost_first)) | set(range(0, iterations, boost_every)) if boost else set()
    return [boost if iteration in boosted else n_critic for iteration in range(iterations)]


@pytest.mark.parametrize(("n_critic", "boost", "boost_first", "boost_every"), SETTINGS)
def test_equals_counting(n_critic, boost, boost_first, boost_every):
    schedule = CriticUpdates(n_critic, boost, boost_first, boost_every)
    steps = count(n_critic, boost, boost_first, boost_every, 1100)
    totals = [0, *itertools.accumulate(steps)]
    assert [schedule.updates(iteration) for iteration in range(1100)] == steps
    assert [schedule.updates_before(iteration) for iteration in range(1101)] == totals


@pytest.mark.parametrize(("n_critic", "boost", "boost_first", "boost_every"), SETTINGS)
def test_iterations_is_the_fewest_that_suffice(n_critic, boost, boost_first, boost_every):
    schedule = CriticUpdates(n_critic, boost, boost_first, boost_every)
    totals = [0, *itertools.accumulate(count(n_critic, boost, boost_first, boost_every, 300))]
    fewest = 0
    for minibatches in range(250):
        while totals[fewest] < minibatches:
            fewest += 1
        assert schedule.iterations(minibatches) == fewest


def test_iterations_of_an_epoch_that_does_not_divide():
    # 14 minibatches of 128 digits, five an iteration: two iterations draw 10, three draw 15.
    assert CriticUpdates(5).iterations(14) == 3
    assert CriticUpdates(5).iterations(15) == 3
    assert CriticUpdates(5).iterations(16) == 4


def test_official_wgan_counts():
    schedule = CriticUpdates(n_critic=5, boost=100)
    steps = {iteration: schedule.updates(iteration) for iteration in range(1502)}
    boosted = {iteration for iteration, number in steps.items() if number == 100}
    assert boosted == {*range(25), 500, 1000, 1500}
    assert all(number == 5 for iteration, number in steps.items() if iteration not in boosted)
    assert schedule.updates_before(25) == 2500
    assert schedule.updates_before(500) == 2500 + 475 * 5
    assert schedule.updates_before(501) == 2500 + 475 * 5 + 100
    assert schedule.updates_before(1001) == 2500 + 475 * 5 + 100 + 499 * 5 + 100


def test_default_is_one_update():
    schedule = CriticUpdates()
    assert [schedule.updates(iteration) for iteration in (0, 1, 24, 25, 500)] == [1] * 5
    assert schedule.updates_before(10**12) == 10**12


def test_far_iterations_stay_exact():
    schedule = CriticUpdates(n_critic=5, boost=100)
    # Of 10**15 iterations one in 500 is boosted, and 24 more at the start.
    total = 10**15 * 5 + 95 * (10**15 // 500 + 24)
    assert schedule.updates_before(10**15) == total
    assert schedule.iterations(total) == 10**15
    assert schedule.iterations(total + 1) == 10**15 + 1


@pytest.mark.parametrize(
    ("name", "value", "least"), [("n_critic", 0, 1), ("boost", -1, 0), ("boost_first", -1, 0), ("boost_every", 0, 1)]
)
def test_values_out_of_range(name, value, least):
    with pytest.raises(ValueError, match=f"^{name} must be at least {least}, got {value}$"):
        CriticUpdates(**{name: value})
    CriticUpdates(**{name: least})


# n_critic as a schedule

CHANGING = {
    "falling": Linear(5, 1, over=30),
    "rising": Linear(1, 4, over=12.5, begin=7.5),
    "cosine": Cosine(6, 2, over=40, begin=3),
    "step": Step(1, 3, over=20),
    "late step": Step(2, 7, over=5, begin=61),
}


def updates(schedule, boost, first, every, iterations):
    """Counted one by one, from the schedule's own values."""
    ordinary = [round(schedule.at(Clock(iteration))) for iteration in range(iterations)]
    boosted = set(range(first)) | set(range(0, iterations, every)) if boost else set()
    return [boost if iteration in boosted else number for iteration, number in enumerate(ordinary)]


@pytest.mark.parametrize(("boost", "first", "every"), [(0, 25, 500), (9, 4, 13), (1, 0, 7), (20, 50, 60)])
@pytest.mark.parametrize("name", CHANGING)
def test_a_changing_number_equals_counting(name, boost, first, every):
    schedule = CriticUpdates(CHANGING[name], boost, first, every)
    steps = updates(CHANGING[name], boost, first, every, 150)  # far beyond each schedule's end
    assert len(set(steps)) > 1
    assert [schedule.updates(iteration) for iteration in range(150)] == steps
    totals = [0, *itertools.accumulate(steps)]
    assert [schedule.updates_before(iteration) for iteration in range(151)] == totals
    fewest = 0
    for minibatches in range(totals[-1]):
        while totals[fewest] < minibatches:
            fewest += 1
        assert schedule.iterations(minibatches) == fewest


def test_a_changing_number_by_hand():
    schedule = CriticUpdates(Linear(5, 1, over=4))
    assert [schedule.updates(iteration) for iteration in range(7)] == [5, 4, 3, 2, 1, 1, 1]
    assert [schedule.updates_before(iteration) for iteration in (0, 1, 4, 5, 100)] == [0, 5, 14, 15, 110]
    assert [schedule.iterations(minibatches) for minibatches in (1, 5, 6, 14, 15, 110)] == [1, 1, 2, 4, 5, 100]
    assert schedule.updates_before(10**12) == 14 + 10**12 - 4


@pytest.mark.parametrize("schedule", [Linear(5, 1), Linear(5, 1, over=9, unit="images")])
def test_a_changing_number_needs_a_length_in_iterations(schedule):
    with pytest.raises(ValueError, match="must name its length, in iterations"):
        CriticUpdates(schedule)


@pytest.mark.parametrize("schedule", [Linear(5, 0, over=9), Linear(0.5, 2, over=9)])
def test_a_changing_number_is_never_below_one(schedule):
    with pytest.raises(ValueError, match="n_critic must be at least 1"):
        CriticUpdates(schedule)
