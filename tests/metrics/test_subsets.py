"""Numbers of many subsets of the generated samples at once, against those of one after the other."""

from dataclasses import replace

import pytest
import torch

from gan_lightning.metrics import kernel, manifold, memorisation, wasserstein
from gan_lightning.metrics.kernel import KernelDistance, kernel_distances
from gan_lightning.metrics.manifold import DensityCoverage, PrecisionRecall
from gan_lightning.metrics.memorisation import Memorisation
from gan_lightning.metrics.observed import SUBSETS_AT_ONCE, Observed, measure_subsets
from gan_lightning.metrics.score import ClassifierScore
from gan_lightning.metrics.wasserstein import SlicedWasserstein

METRICS = [PrecisionRecall(2), PrecisionRecall(5), DensityCoverage(2), DensityCoverage(), Memorisation()]


def observed(count, seed, shift=0.0):
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)) + shift
    return Observed(points, points, points)


def real():
    return replace(observed(70, 1), unseen=observed(30, 2))


def fake():
    """Some samples are there twice, and some are copies of real ones."""
    drawn = observed(60, 3, 0.3)
    drawn.features[10:20] = drawn.features[:10]
    drawn.features[20:25] = real().features[:5]
    return drawn


def some_subsets():
    """All samples, halves, and a few of them, whose neighbours are far down the list of all neighbours."""
    source = torch.Generator().manual_seed(4)
    return [torch.arange(60), *(torch.randperm(60, generator=source)[:count] for count in (30, 30, 30, 20, 7))]


@pytest.mark.parametrize("metric", [*METRICS, SlicedWasserstein(8), ClassifierScore(3)], ids=str)
def test_of_subsets_one_after_the_other(metric):
    expected = [metric.measure(real(), fake().subset(rows), seed=5) for rows in some_subsets()]
    found = measure_subsets(metric, real(), fake(), some_subsets(), seed=5)
    assert found == [pytest.approx(numbers, rel=1e-9) for numbers in expected]


def test_of_more_subsets_than_are_measured_at_once():
    rows = [torch.arange(60).roll(shift)[:30] for shift in range(SUBSETS_AT_ONCE + 3)]
    found = measure_subsets(PrecisionRecall(2), real(), fake(), rows)
    assert found[-1] == PrecisionRecall(2).measure(real(), fake().subset(rows[-1]))
    assert len(found) == len(rows)


def estimate(real, fake):
    """The kernel distance, pair by pair."""
    kernels = {
        name: [(sum(x * y for x, y in zip(a, b, strict=True)) / 3 + 1) ** 3 for i, a in one for j, b in other if i != j]
        for name, one, other in (
            ("real", list(enumerate(real)), list(enumerate(real))),
            ("fake", list(enumerate(fake)), list(enumerate(fake))),
            ("both", list(enumerate(real)), [(-1, b) for b in fake]),
        )
    }
    means = {name: sum(values) / len(values) for name, values in kernels.items()}
    return means["real"] + means["fake"] - 2 * means["both"]


def test_a_kernel_distance_of_a_part_is_of_all_its_pairs():
    rows = torch.arange(11)
    measured = measure_subsets(KernelDistance(4), observed(20, 1), observed(20, 3), [torch.arange(20), rows])
    points = [observed(20, seed).features.tolist() for seed in (1, 3)]
    expected = [estimate(points[0], points[1]), estimate(points[0], points[1][:11])]
    assert [numbers["kernel_distance"] for numbers in measured] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("is_shared", [True, False])
def test_kernel_matrices_of_all_samples_and_of_each_subset_give_the_same(monkeypatch, is_shared):
    metric = KernelDistance(6, 25)
    expected = measure_subsets(metric, real(), fake(), some_subsets(), seed=5)
    monkeypatch.setattr(kernel, "_is_shared", lambda *counts: is_shared)
    found = measure_subsets(metric, real(), fake(), some_subsets(), seed=5)
    assert found == [pytest.approx(numbers, rel=1e-9, nan_ok=True) for numbers in expected]
    values = kernel_distances(real().features, fake().features, 6, 25, 5)
    assert found[0]["kernel_distance"] == pytest.approx(values.mean().item())
    assert found[0]["kernel_distance_std"] == pytest.approx(values.std(correction=0).item())


@pytest.mark.parametrize(
    ("metric", "room", "name", "times"),
    [
        (KernelDistance(6, 25), kernel, "_real_means", 1),
        (SlicedWasserstein(8), wasserstein, "_quantiles_of", 1),
        (DensityCoverage(), manifold, "nearest", 1),
        (Memorisation(), memorisation, "nearest_distances", 3),  # of unseen samples, and of generated ones twice
    ],
    ids=str,
)
def test_what_real_samples_alone_decide_is_computed_once(monkeypatch, metric, room, name, times):
    calls = []
    original = getattr(room, name)
    monkeypatch.setattr(room, name, lambda *inputs: calls.append(name) or original(*inputs))
    known = real()
    for _ in range(2):
        measure_subsets(metric, known, fake(), some_subsets())
    assert len(calls) == times


def test_radii_of_fewer_neighbours_come_from_one_search(monkeypatch):
    calls = []
    original = manifold.nearest
    monkeypatch.setattr(manifold, "nearest", lambda *inputs: calls.append(inputs) or original(*inputs))
    known = real()
    numbers = [metric.measure(known, fake()) for metric in (PrecisionRecall(3), DensityCoverage(5))]
    assert len(calls) == 1
    assert numbers == [metric.measure(real(), fake()) for metric in (PrecisionRecall(3), DensityCoverage(5))]
