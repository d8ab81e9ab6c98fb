"""Minibatches and rounds: every index where it belongs, from wherever one starts."""

import itertools

import pytest
import torch
from host_syncs import Copies

from gan_lightning.data.rounds import MinibatchStream, RoundLoader
from gan_lightning.samples import SampleSet
from gan_lightning.training.critic_updates import CriticUpdates

SIZE, BATCH, PER_PASS = 23, 6, 3
CPU = torch.device("cpu")
UPDATES = CriticUpdates(n_critic=2, boost=4, boost_first=1, boost_every=3)
COUNTS = [4, 2, 2, 4, 2, 2, 4, 2]


def a_pass(stream, number):
    """The indices of one pass over the data, (PER_PASS, BATCH)."""
    return stream.minibatches(number * PER_PASS, PER_PASS)


class TestMinibatchStream:
    @pytest.fixture
    def stream(self):
        return MinibatchStream(SIZE, BATCH, seed=5)

    def test_minibatches_of_a_pass_are_disjoint_and_in_range(self, stream):
        assert stream.minibatches_per_pass == PER_PASS
        for number in range(20):
            indices = a_pass(stream, number)
            assert indices.shape == (PER_PASS, BATCH)
            assert indices.dtype == torch.int64
            assert len(indices.unique()) == PER_PASS * BATCH
            assert indices.min() >= 0
            assert indices.max() < SIZE

    def test_a_pass_that_divides_evenly_has_every_sample(self):
        stream = MinibatchStream(12, 4, seed=5)
        for number in range(5):
            assert stream.minibatches(3 * number, 3).flatten().sort().values.tolist() == list(range(12))

    def test_every_pass_has_an_order_of_its_own(self, stream):
        orders = {tuple(a_pass(stream, number).flatten().tolist()) for number in range(50)}
        assert len(orders) == 50
        assert tuple(range(PER_PASS * BATCH)) not in orders

    def test_what_is_left_out_differs_between_passes(self, stream):
        left_out = [set(range(SIZE)) - set(a_pass(stream, number).flatten().tolist()) for number in range(40)]
        assert {len(indices) for indices in left_out} == {SIZE - PER_PASS * BATCH}
        assert set.union(*left_out) == set(range(SIZE))

    def test_places_are_shared_evenly(self, stream):
        """Over 2,000 passes a sample opens a pass in 6 of 23 cases: 522 +- 19.6; five of these are allowed."""
        first = torch.cat([stream.minibatch(number * PER_PASS) for number in range(2000)]).bincount(minlength=SIZE)
        assert first.sum() == 12_000
        assert (first - 12_000 / 23).abs().max() < 5 * 19.6

    def test_depends_on_the_seed_alone(self, stream):
        same, other = MinibatchStream(SIZE, BATCH, seed=5), MinibatchStream(SIZE, BATCH, seed=6)
        assert torch.equal(stream.minibatches(0, 9), same.minibatches(0, 9))
        for number in range(9):
            assert not torch.equal(stream.minibatch(number), other.minibatch(number))

    def test_leaves_the_global_generator_alone(self, stream):
        torch.manual_seed(1)
        expected = torch.rand(3)
        torch.manual_seed(1)
        stream.minibatches(0, 9)
        assert torch.equal(torch.rand(3), expected)

    def test_random_access_equals_sequential(self, stream):
        sequential = [stream.minibatch(number).clone() for number in range(4 * PER_PASS)]
        jumping = MinibatchStream(SIZE, BATCH, seed=5)
        for number in [11, 0, 5, 5, 1, 10, 4, 3, 9, 2, 8, 6, 7]:
            assert torch.equal(jumping.minibatch(number), sequential[number])

    def test_consecutive_ones_may_cross_passes(self, stream):
        single = torch.stack([stream.minibatch(number) for number in range(2, 9)])
        assert torch.equal(stream.minibatches(2, 7), single)

    def test_a_batch_may_be_all_there_is(self):
        stream = MinibatchStream(5, 5, seed=1)
        assert stream.minibatches_per_pass == 1
        for number in range(4):
            assert stream.minibatch(number).sort().values.tolist() == [0, 1, 2, 3, 4]


def data():
    """Image i has the pixels 10 * i + 0..3 in a fixed layout, and the label 1000 - i: any mix-up shows."""
    pixels = 10 * torch.arange(SIZE).view(-1, 1, 1, 1) + torch.arange(4).view(1, 1, 2, 2)
    return SampleSet(pixels.to(torch.uint8), 1000 - torch.arange(SIZE), tuple("classes"))


def indices_of(images):
    """The indices (k, B) of the images of a round, after a check that each is whole."""
    pixels = ((images.double() + 1) * 127.5).round().long().view(*images.shape[:2], 4)
    assert torch.equal(pixels - pixels[..., :1], torch.arange(4).expand_as(pixels))
    return pixels[..., 0] // 10


def loader(**options):
    return RoundLoader(data(), MinibatchStream(SIZE, BATCH, 5), UPDATES, CPU, **options)


def take(rounds, count):
    return list(itertools.islice(rounds, count))


class TestRoundLoader:
    def test_shapes_follow_the_schedule(self):
        for count, (images, labels, *others) in zip(COUNTS, loader(), strict=False):
            assert images.shape == (count, BATCH, 1, 2, 2)
            assert images.dtype == torch.float32
            assert labels.shape == (count, BATCH)
            assert labels.dtype == torch.int64
            assert others == [(), None, None]  # which Lightning would go through at each iteration

    def test_rounds_are_the_streams_minibatches_in_order(self):
        rounds = take(loader(), len(COUNTS))
        drawn = torch.cat([indices_of(images) for images, *_ in rounds])
        assert torch.equal(drawn, MinibatchStream(SIZE, BATCH, 5).minibatches(0, sum(COUNTS)))

    def test_labels_follow_the_images(self):
        for images, labels, *_ in take(loader(), 5):
            assert torch.equal(labels, 1000 - indices_of(images))

    def test_a_device_is_sent_an_order_a_pass_and_nothing_a_round(self):
        device = torch.device("meta")
        far = SampleSet(torch.empty(SIZE, 1, 2, 2, dtype=torch.uint8), torch.arange(SIZE)).to(device)
        rounds = RoundLoader(far, MinibatchStream(SIZE, BATCH, 5), CriticUpdates(), device)
        with Copies() as copies:
            take(rounds, 4 * PER_PASS)
        assert copies.count == 4

    def test_without_labels(self):
        rounds = RoundLoader(SampleSet(data().samples), MinibatchStream(SIZE, BATCH, 5), UPDATES, CPU)
        first = next(iter(rounds))
        assert first.labels is None
        assert torch.equal(first.samples, loader().round(0).samples)

    def test_range_is_minus_one_to_one(self):
        images = torch.tensor([0, 255, 51], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 2, 1, 1)
        values = RoundLoader(SampleSet(images), MinibatchStream(3, 3, 1), CriticUpdates(), CPU).round(0).samples
        assert values.shape == (1, 3, 2, 1, 1)
        ordered = values[0, :, :, 0, 0].sort(0).values
        assert ordered[0].tolist() == [-1, -1]
        assert ordered[1].tolist() == pytest.approx([-0.6, -0.6], rel=1e-6)
        assert ordered[2].tolist() == [1, 1]

    def test_vectors_keep_their_units(self):
        vectors = torch.stack([100.0 * torch.arange(SIZE), -torch.arange(SIZE) / 7], dim=1)
        rounds = RoundLoader(SampleSet(vectors, data().labels), MinibatchStream(SIZE, BATCH, 5), UPDATES, CPU)
        stream = MinibatchStream(SIZE, BATCH, 5)
        for (samples, labels, *_), first, count in zip(take(rounds, 3), [0, 4, 6], COUNTS, strict=False):
            indices = stream.minibatches(first, count)
            assert samples.shape == (count, BATCH, 2)
            assert samples.dtype == torch.float32
            assert torch.equal(samples, vectors[indices])
            assert torch.equal(labels, 1000 - indices)
            samples.zero_()
        assert vectors[1].tolist() == pytest.approx([100, -1 / 7])  # the data are left alone

    @pytest.mark.parametrize("start", [1, 3, 7, 500])
    def test_starting_late_equals_the_tail(self, start):
        whole = take(loader(), start + 4)
        tail = take(loader(start=lambda: start), 4)
        for (images, labels, *_), (expected_images, expected_labels, *_) in zip(tail, whole[start:], strict=True):
            assert torch.equal(images, expected_images)
            assert torch.equal(labels, expected_labels)

    def test_start_is_asked_when_iteration_begins(self):
        asked = []

        def start():
            asked.append(now)
            return now

        now = 1
        rounds = loader(start=start)
        assert asked == []
        now = 3
        images = next(iter(rounds)).samples
        assert asked == [3]
        assert torch.equal(images, loader().round(3).samples)

    def test_iterators_do_not_disturb_each_other(self):
        rounds = loader()
        expected = [indices_of(images) for images, *_ in take(loader(), 4)]
        first, second = iter(rounds), iter(rounds)
        order = [(first, 0), (first, 1), (first, 2), (second, 0), (second, 1), (first, 3), (second, 2)]
        for iterator, number in order:
            assert torch.equal(indices_of(next(iterator).samples), expected[number])

    @pytest.mark.parametrize("ranks", [2, 3, 6])
    def test_ranks_share_each_minibatch(self, ranks):
        parts = [take(loader(rank=rank, ranks=ranks), 4) for rank in range(ranks)]
        for number, (images, labels, *_) in enumerate(take(loader(), 4)):
            for part in parts:
                assert part[number].samples.shape == (COUNTS[number], BATCH // ranks, 1, 2, 2)
            assert torch.equal(torch.cat([part[number].samples for part in parts], dim=1), images)
            assert torch.equal(torch.cat([part[number].labels for part in parts], dim=1), labels)

    def test_data_are_left_alone(self):
        images, labels, *_ = kept = data()
        rounds = RoundLoader(kept, MinibatchStream(SIZE, BATCH, 5), UPDATES, CPU)
        for real, *_ in take(rounds, 3):
            real.zero_()
        assert torch.equal(images, data()[0])
        assert torch.equal(labels, data()[1])
