"""Wasserstein distances of sets that were moved by a known amount."""

import pytest
import torch

from gan_lightning.metrics import wasserstein
from gan_lightning.metrics.matrices import flattened
from gan_lightning.metrics.observed import Observed
from gan_lightning.metrics.wasserstein import (
    ExactWasserstein,
    SlicedWasserstein,
    random_directions,
    sliced_wasserstein,
    squared_w2_on_lines,
    w2,
)


def points(count, seed=0, dimensions=2):
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


class TestOnLines:
    def test_of_unequal_numbers_of_points(self):
        """Thirds against halves: 0 -> 0 with 1/3, 3 -> 0 with 1/6, 3 -> 6 with 1/6, 6 -> 6 with 1/3."""
        one, other = torch.tensor([[6.0], [0.0], [3.0]]), torch.tensor([[6.0], [0.0]])
        assert squared_w2_on_lines(one, other).item() == pytest.approx(9 / 6 + 9 / 6)

    def test_of_repeated_points(self):
        one, other = points(7, dimensions=3), points(5, 1, dimensions=3)
        distances = squared_w2_on_lines(one, other)
        torch.testing.assert_close(squared_w2_on_lines(one.repeat(5, 1), other.repeat(7, 1)), distances)


class TestSliced:
    def test_of_a_shift(self):
        """Along a direction it is the shift's part in it: for d dimensions 1 / d of the squared length, on average."""
        shift = torch.tensor([3.0, 4.0, 0.0, 0.0])
        drawn = points(100, dimensions=4)
        assert sliced_wasserstein(drawn, drawn + shift, 20_000) == pytest.approx(5 / 4**0.5, rel=0.02)

    def test_of_a_set_with_itself(self):
        drawn = points(50)
        assert sliced_wasserstein(drawn, drawn) == 0
        assert sliced_wasserstein(drawn, drawn.repeat(3, 1)) == pytest.approx(0, abs=1e-12)

    def test_images_are_scaled(self):
        black, white = (torch.full((3, 2, 4, 4), value, dtype=torch.uint8) for value in (0, 255))
        lines = random_directions(32, 64, seed=5)
        expected = 2 * lines.sum(0).square().mean().sqrt().item()
        assert sliced_wasserstein(black, white, 64, seed=5) == pytest.approx(expected)
        assert flattened(black).unique().tolist() == [-1.0]
        assert flattened(white).unique().tolist() == [1.0]

    def test_directions_have_unit_length(self):
        lines = random_directions(5, 1000, seed=0)
        torch.testing.assert_close(torch.linalg.vector_norm(lines, dim=0), torch.ones(1000, dtype=torch.float64))
        torch.testing.assert_close(lines @ lines.T / 1000, torch.eye(5, dtype=torch.float64) / 5, rtol=0, atol=0.03)

    def test_blocks_change_nothing(self, monkeypatch):
        one, other = points(30), points(20, 1)
        whole = sliced_wasserstein(one, other)
        monkeypatch.setattr(wasserstein, "BLOCK", 14)
        assert sliced_wasserstein(one, other) == pytest.approx(whole, rel=1e-12)

    def test_takes_any_samples(self):
        images = Observed(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.zeros(3, 4))
        assert SlicedWasserstein().missing(images, images) is None


class TestW2:
    def test_of_a_shift(self):
        drawn = points(100)
        shuffled = (drawn + torch.tensor([3.0, 4.0]))[torch.randperm(100, generator=torch.Generator().manual_seed(1))]
        assert w2(drawn, shuffled) == pytest.approx(5, rel=1e-6)

    def test_is_of_the_best_matching(self):
        assert w2(torch.tensor([[0.0], [10.0]]), torch.tensor([[10.0], [1.0]])) == pytest.approx(0.5**0.5)

    def test_refuses_sets_of_different_sizes(self):
        with pytest.raises(ValueError, match="as many in both sets"):
            w2(points(3), points(4))

    def test_is_of_so_many_points(self):
        real, fake = (Observed(drawn, drawn) for drawn in (points(60), points(40, 1)))
        assert ExactWasserstein(40).measure(real, fake) == ExactWasserstein(1000).measure(real, fake)
        assert ExactWasserstein(40).measure(real, fake) != ExactWasserstein(20).measure(real, fake)
        assert ExactWasserstein(40).measure(real, fake, seed=1) != ExactWasserstein(40).measure(real, fake)

    def test_asks_for_vectors(self):
        images = Observed(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.zeros(3, 4))
        assert ExactWasserstein().missing(images, images) == "samples that are vectors"
