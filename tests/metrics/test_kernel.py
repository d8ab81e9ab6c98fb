"""The kernel distance where it is known, and its subsets."""

import pytest
import torch

from gan_lightning.metrics import kernel
from gan_lightning.metrics.kernel import kernel_distances, random_subsets
from gan_lightning.metrics.matrices import BLOCK


def features(count, seed, dimensions=3):
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_worked_out_by_hand():
    """Kernels, with D = 1: k(0, .) = 1, k(1, 1) = 8, k(1, 2) = 27, k(2, 2) = 125."""
    real, fake = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    expected = 1 + 27 - 2 * (1 + 1 + 8 + 27) / 4
    assert kernel_distances(real, fake, subsets=2).tolist() == [expected, expected]


def test_is_unbiased():
    """Of many small sets of one distribution the mean is 0; the biased estimate's would be 1.4."""
    values = torch.cat([kernel_distances(features(20, i), features(20, i + 500), 1) for i in range(500)])
    error = values.std().item() / len(values) ** 0.5
    assert abs(values.mean().item()) < 3 * error < 0.2


def test_subsets_are_clipped_to_the_smaller_set():
    real, fake = features(30, 1), features(20, 2)
    clipped = kernel_distances(real, fake, 10, 1000)
    assert torch.equal(clipped, kernel_distances(real, fake, 10, 20))
    assert clipped.std() > 0
    assert kernel_distances(real[:20], fake, 10).std() < 1e-12


def test_subsets_are_drawn_without_replacement():
    drawn = random_subsets(10, 4, 200, torch.Generator().manual_seed(0))
    assert drawn.sum(1).tolist() == [4.0] * 200
    assert drawn.unique().tolist() == [0.0, 1.0]
    # Each sample is in 80 of 200 subsets, with a standard deviation of 7.
    assert (drawn.sum(0) - 80).abs().max() < 30


def test_blocks_change_nothing(monkeypatch):
    real, fake = features(70, 1), features(40, 2)
    whole = kernel_distances(real, fake, 5, 30)
    monkeypatch.setattr(kernel, "BLOCK", 40 * 9)
    torch.testing.assert_close(kernel_distances(real, fake, 5, 30), whole, rtol=1e-10, atol=1e-12)
    assert BLOCK > 70 * 70


def test_refuses_a_single_sample():
    with pytest.raises(ValueError, match="at least 2 samples"):
        kernel_distances(features(1, 0), features(5, 1))
