"""Intervals against those that are known, and against the spread of independent sets."""

import pytest
import torch

from gan_lightning.metrics.frechet import frechet_distance
from gan_lightning.metrics.kernel import KernelDistance
from gan_lightning.metrics.manifold import PrecisionRecall
from gan_lightning.metrics.observed import Observed, measure_subsets
from gan_lightning.metrics.statistics import intervals, random_halves
from gan_lightning.metrics.wasserstein import SlicedWasserstein


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def interval(measure, count, repeats=20, seed=0):
    """Of numbers that `measure` gives of the samples at some indices."""
    halves = random_halves(count, repeats, seed)
    return intervals(measure(torch.arange(count)), [measure(half) for half in halves])


def mean_of(values):
    return lambda indices: {"mean": values[indices].mean().item()}


def width(bounds):
    return bounds[1] - bounds[0]


@pytest.mark.parametrize("count", [400, 401])
def test_width_for_a_mean(count):
    values = 3 * normal(count)
    expected = 2 * 1.96 * values.std().item() / count**0.5
    bounds = interval(mean_of(values), count, repeats=2000)["mean"]
    assert width(bounds) == pytest.approx(expected, rel=0.1)
    assert sum(bounds) / 2 == pytest.approx(values.mean().item(), abs=0.05 * expected)


@pytest.mark.parametrize("repeats", [8, 20, 100])
def test_coverage_for_a_mean(repeats):
    """Of 300 sets the intervals of 95 % hold the true mean 0: a binomial deviation is 1.3 %."""
    holds = 0
    for seed in range(300):
        low, high = interval(mean_of(normal(100, seed=seed)), 100, repeats, seed=seed)["mean"]
        holds += low <= 0 <= high
    assert 0.92 <= holds / 300 <= 0.98


def test_halves_need_a_spread():
    with pytest.raises(ValueError, match="repeats must be at least 2, got 1"):
        interval(mean_of(normal(10)), 10, repeats=1)


def test_width_for_a_frechet_distance():
    """Its bias with the number of samples, larger for halves, neither widens nor moves the interval."""
    real, sets = normal(1000, 8), [1.1 * normal(400, 8, seed=seed) for seed in range(1, 81)]
    values = torch.tensor([frechet_distance(real, fake) for fake in sets])

    def of(fake):
        return interval(lambda indices: {"distance": frechet_distance(real, fake[indices])}, len(fake), 100)["distance"]

    found = [of(fake) for fake in sets[:4]]
    spread = 2 * 1.96 * values.std().item()
    assert 1 / 1.5 < sum(map(width, found)) / 4 / spread < 1.5
    assert all(low < value < high for (low, high), value in zip(found, values.tolist(), strict=False))


def features(count, seed, shift=0.0):
    points = normal(count, 6, seed=seed).float() + shift
    return Observed(points, points)


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (SlicedWasserstein(16), "sliced_wasserstein"),
        (PrecisionRecall(), "recall"),
        (KernelDistance(100, 100), "kernel_distance"),
        (KernelDistance(8, 10), "kernel_distance"),
    ],
    ids=str,
)
def test_coverage_where_the_number_is_biased_local_or_of_random_subsets(metric, name):
    """Of 60 sets the intervals hold the mean over sets, which depends on their size: a deviation is 2.8 %."""
    real, sets = features(80, 1000), [features(100, seed, 0.2) for seed in range(60)]
    mean = sum(metric.measure(real, fake)[name] for fake in sets) / len(sets)
    holds = 0
    for seed, fake in enumerate(sets):
        whole, *halves = measure_subsets(metric, real, fake, [torch.arange(100), *random_halves(100, 20, seed)])
        low, high = intervals(whole, halves)[name]
        holds += low <= mean <= high
    assert 0.88 <= holds / 60 < 1


def test_is_of_halves_without_copies():
    halves = [half.tolist() for half in random_halves(11, 6)]
    assert [len(each) for each in halves] == [5] * 6
    assert all(len(set(each)) == len(each) and set(each) <= set(range(11)) for each in halves)
    assert len({tuple(sorted(each)) for each in halves}) == 6
    bounds = interval(lambda indices: {"first": float(len(indices)), "second": 2.0}, 11, repeats=6)
    assert bounds == {"first": (11.0, 11.0), "second": (2.0, 2.0)}


def test_is_the_seeds():
    values = normal(50)
    assert interval(mean_of(values), 50) == interval(mean_of(values), 50)
    assert interval(mean_of(values), 50) != interval(mean_of(values), 50, seed=1)
