"""Neighbours, balls and what is made of them, on points whose distances can be seen."""

import pytest
import torch

from gan_lightning.metrics import neighbours
from gan_lightning.metrics.manifold import DensityCoverage, PrecisionRecall, density_coverage, precision_recall
from gan_lightning.metrics.memorisation import Memorisation, copying
from gan_lightning.metrics.neighbours import balls_around, nearest, radii
from gan_lightning.metrics.observed import Observed

LINE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [7.0, 0.0]])


def points(count, seed=0, dimensions=8, offset=0.0):
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed)) + offset


class TestNearest:
    def test_in_ascending_order(self):
        distances, indices = nearest(torch.tensor([[2.5, 0.0], [0.0, 2.0]]), LINE, 2)
        torch.testing.assert_close(distances, torch.tensor([[0.5, 1.5], [2.0, 5**0.5]], dtype=torch.float64))
        assert indices.tolist() == [[2, 1], [0, 1]]

    @pytest.mark.parametrize("offset", [0.0, 1e4])
    def test_of_copies_is_exactly_zero(self, offset):
        drawn = points(200, offset=offset)
        distances, indices = nearest(drawn, drawn)
        assert not distances.any()
        assert torch.equal(indices.squeeze(1), torch.arange(200))

    def test_tells_near_duplicates_apart(self):
        """Far from the origin, where float32 norms and products say nothing of distances below 30."""
        drawn = points(100, dimensions=2, offset=1e5)
        moved = drawn.double() + torch.tensor([1e-3, 0.0])
        distances, indices = nearest(moved, drawn)
        assert torch.equal(indices.squeeze(1), torch.arange(100))
        torch.testing.assert_close(distances, torch.full((100, 1), 1e-3, dtype=torch.float64), rtol=1e-6, atol=0)

    def test_blocks_change_nothing(self, monkeypatch):
        queries, references = points(50), points(30, seed=1)
        whole = nearest(queries, references, 3)
        inside = balls_around(queries, references, radii(references, 3), closed=True)
        monkeypatch.setattr(neighbours, "BLOCK", 30 * 7)
        in_blocks = nearest(queries, references, 3)
        torch.testing.assert_close(in_blocks[0], whole[0], rtol=1e-12, atol=1e-12)
        assert torch.equal(in_blocks[1], whole[1])
        assert torch.equal(balls_around(queries, references, radii(references, 3), closed=True), inside)

    def test_refuses_more_neighbours_than_there_are(self):
        with pytest.raises(ValueError, match="5 neighbours among 4 references"):
            nearest(LINE, LINE, 5)


def test_radii_leave_out_the_sample_itself():
    assert radii(LINE, 1).tolist() == [1.0, 1.0, 2.0, 4.0]
    assert radii(LINE, 3).tolist() == [7.0, 6.0, 4.0, 7.0]


def test_balls_are_open_or_closed():
    queries = torch.tensor([[0.0, 0.0], [5.0, 0.0], [-1.0, 0.0], [3.1, 0.0]])
    reach = radii(LINE, 1)
    assert balls_around(queries, LINE, reach, closed=True).tolist() == [2, 2, 1, 2]
    assert balls_around(queries, LINE, reach, closed=False).tolist() == [1, 1, 0, 2]


class TestManifolds:
    def test_worked_out_by_hand(self):
        fake = torch.tensor([[0.5, 0.0], [1.5, 0.0], [9.0, 0.0], [50.0, 0.0]])
        # Real radii 1, 1, 2, 4; generated ones 1, 1, 7.5, 41: all but 50 lie in real balls; all four reals are reached.
        assert precision_recall(LINE, fake, 1) == (0.75, 1.0)
        # 0.5 lies in the first two balls, 1.5 in the second's and third's, 9 in the fourth's.
        assert density_coverage(LINE, fake, 1) == (5 / 4, 1.0)

    def test_precision_and_recall_are_of_different_sets(self):
        """Generated samples at one place of the data: all look real, and few of the real ones are reached."""
        real, fake = points(300, dimensions=2), points(300, seed=1, dimensions=2) / 10
        precision, recall = precision_recall(real, fake)
        density, coverage = density_coverage(real, fake)
        assert precision > 0.95
        assert density > 0.8
        assert recall < 0.15
        assert coverage < 0.15

    def test_of_a_set_with_itself(self):
        real = points(200)
        assert precision_recall(real, real) == (1.0, 1.0)
        assert density_coverage(real, real) == (1.0, 1.0)

    def test_of_disjoint_sets(self):
        real, fake = points(200), points(200, seed=1, offset=100.0)
        assert precision_recall(real, fake) == (0.0, 0.0)
        assert density_coverage(real, fake) == (0.0, 0.0)

    def test_of_one_distribution(self):
        density, coverage = density_coverage(points(2000, dimensions=4), points(2000, seed=1, dimensions=4))
        assert density == pytest.approx(1, abs=0.03)
        assert coverage == pytest.approx(1 - 2**-5, abs=0.015)

    def test_a_generator_of_one_image_reaches_no_one(self):
        real = points(200)
        assert precision_recall(real, real[:1].expand(200, -1)) == (1.0, 1 / 200)

    @pytest.mark.parametrize("metric", [PrecisionRecall(), DensityCoverage()], ids=["k=3", "k=5"])
    def test_asks_for_neighbours(self, metric):
        few, enough = (Observed(torch.zeros(n, 2), torch.zeros(n, 2)) for n in (metric.k, metric.k + 1))
        assert metric.missing(enough, enough) is None
        assert metric.missing(few, enough) == metric.missing(enough, few) == f"more than {metric.k} samples"


class TestMemorisation:
    training, unseen = points(1000, 1), points(400, 2)

    def test_of_samples_like_unseen_ones(self):
        ratio, copied = copying(self.training, self.unseen, points(2000, 3))
        assert ratio == pytest.approx(1, abs=0.05)
        assert copied == pytest.approx(0.01, abs=0.01)

    def test_of_copies(self):
        ratio, copied = copying(self.training, self.unseen, self.training[:100])
        assert ratio == pytest.approx(0, abs=1e-9)
        assert copied == 1.0

    def test_of_some_copies(self):
        generated = torch.cat([self.training[:50] + 1e-4, points(150, 4)])
        assert copying(self.training, self.unseen, generated).copied == pytest.approx(0.25, abs=0.02)

    def test_of_samples_far_away(self):
        ratio, copied = copying(self.training, self.unseen, points(200, 5, offset=50.0))
        assert ratio > 20
        assert copied == 0.0

    def test_of_points(self):
        """Where all distances are zero, nothing is nearer than unseen samples are."""
        assert copying(torch.ones(20, 2), torch.ones(10, 2), torch.ones(10, 2)).ratio == 1.0

    def test_lacks(self):
        alone = Observed(self.training, self.training)
        assert Memorisation().missing(alone, alone) == "unseen real samples"
        assert Memorisation().missing(Observed(self.training, self.training, unseen=alone), alone) is None
