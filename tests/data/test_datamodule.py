"""The data module: images in the networks' shape, and what the trainer gets of them."""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.data.datamodule import GANDataModule, conform, fit_shape
from gan_lightning.data.rounds import MinibatchStream
from gan_lightning.errors import UserError
from gan_lightning.samples import SampleSet, as_floats
from gan_lightning.training.critic_updates import CriticUpdates

SHAPE = (1, 2, 3)


def noise(*shape):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


class FakeSource:
    """Samples and labels out of nowhere; counts how often it is asked."""

    def __init__(self, samples, labelled=True):
        self.samples, self.labelled, self.loads = samples, labelled, 0

    def load(self):
        self.loads += 1
        if not self.labelled:
            return SampleSet(self.samples, None, ())
        labels = 100 + torch.arange(len(self.samples))
        return SampleSet(self.samples, labels, tuple(str(label) for label in range(100 + len(labels))))


def module(count=20, batch_size=6, shape=SHAPE, labelled=True, **options):
    return GANDataModule(FakeSource(noise(count, *SHAPE), labelled), shape, batch_size, CriticUpdates(2), 7, **options)


def vectors(count=20):
    """Vector i is (10 i, -i / 3)."""
    return torch.stack([10.0 * torch.arange(count), -torch.arange(count) / 3], dim=1)


def vector_module(count=20, batch_size=6, shape=(2,), labelled=True, **options):
    source = FakeSource(vectors(count), labelled)
    return GANDataModule(source, shape, batch_size, CriticUpdates(2), 7, **options)


def trainer(device="cpu", ranks=1, rank=0, step=0):
    """What of a trainer the data module looks at."""
    return SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device(device)), world_size=ranks, global_rank=rank, global_step=step
    )


def pillow(images, size):
    """Pillow's bicubic resizing of images (N, C, H, W), which widens its kernel when it makes them smaller."""
    height, width = size
    resized = [
        [np.asarray(Image.fromarray(channel).resize((width, height), Image.Resampling.BICUBIC)) for channel in image]
        for image in images.numpy()
    ]
    return torch.from_numpy(np.array(resized))


def distance(images, others):
    return (images.int() - others.int()).abs().max().item()


class TestConform:
    def test_the_right_shape_is_not_copied(self):
        images = noise(3, 3, 4, 5)
        assert conform(images, (3, 4, 5)) is images
        assert conform(images, [3, 4, 5]) is images

    def test_grey_becomes_colour(self):
        images = noise(3, 1, 4, 5)
        colour = conform(images, (3, 4, 5))
        assert colour.dtype == torch.uint8
        assert torch.equal(colour, images.expand(3, 3, 4, 5))

    @pytest.mark.parametrize(
        ("colour", "grey"),
        [
            ((255, 0, 0), 76),  # 0.299 * 255 = 76.2
            ((0, 255, 0), 150),  # 149.7
            ((0, 0, 255), 29),  # 29.1
            ((255, 255, 255), 255),
            ((0, 0, 0), 0),
            ((10, 200, 60), 127),  # 2.99 + 117.4 + 6.84 = 127.23
        ],
    )
    def test_colour_becomes_grey(self, colour, grey):
        images = torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 4, 5)
        converted = conform(images, (1, 4, 5))
        assert converted.shape == (2, 1, 4, 5)
        assert (converted == grey).all()

    def test_colour_becomes_grey_as_in_pillow(self):
        images = noise(2, 3, 16, 9)
        expected = [np.asarray(Image.fromarray(image).convert("L")) for image in images.permute(0, 2, 3, 1).numpy()]
        converted = conform(images, (1, 16, 9))
        difference = (converted.int() - torch.from_numpy(np.array(expected)).unsqueeze(1).int()).abs()
        assert difference.max() <= 1
        assert (difference == 0).float().mean() > 0.95

    @pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 12), (40, 31), (16, 7)])
    def test_resizes_as_pillow_does(self, height, width):
        images = noise(2, 3, 16, 20) // 2 + 64  # Pillow rounds and clamps between its two passes: no overshoot here
        resized = conform(images, (3, height, width))
        assert resized.shape == (2, 3, height, width)
        assert resized.dtype == torch.uint8
        assert distance(resized, pillow(images, (height, width))) <= 2

    def test_smaller_images_are_smoothed(self):
        """A checkerboard has no detail left at a quarter of its size: grey, where picking pixels gives 0 or 255."""
        board = ((torch.arange(32).view(-1, 1) + torch.arange(32)) % 2 * 255).to(torch.uint8)
        small = conform(board.expand(2, 1, 32, 32), (1, 8, 8))
        assert (small.float() - 127.5).abs().max() <= 8
        assert (small.float().mean() - 127.5).abs() <= 1

    def test_overshoot_is_clamped(self):
        """Cubic interpolation leaves 0..255 next to an edge; uint8 would wrap around."""
        edge = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
        edge[..., 4:] = 255
        large = conform(edge, (1, 8, 32))
        assert (large[..., :14] <= 20).all()
        assert (large[..., 18:] >= 235).all()
        assert distance(large, pillow(edge, (8, 32))) <= 2

    @pytest.mark.parametrize("value", [0, 1, 100, 255])
    def test_even_areas_stay(self, value):
        images = torch.full((2, 1, 9, 7), value, dtype=torch.uint8)
        assert (conform(images, (3, 4, 11)) == value).all()

    def test_large_sets_keep_their_order(self):
        """More images than are converted at a time."""
        count = 4096 + 200
        images = (torch.arange(count) % 251).to(torch.uint8).view(-1, 1, 1, 1)
        converted = conform(images, (1, 2, 2))
        assert converted.shape == (count, 1, 2, 2)
        assert torch.equal(converted, images.expand(-1, -1, 2, 2))


class TestSetup:
    def test_loads_once(self):
        data = module()
        data.setup("fit")
        data.setup("fit")
        assert data.loaded is data.loaded
        assert data.source.loads == 1

    def test_nothing_is_loaded_before(self):
        assert module().source.loads == 0

    def test_images_are_conformed(self):
        data = module(shape=(3, 4, 6))
        assert data.loaded.samples.shape == (20, 3, 4, 6)
        assert torch.equal(data.loaded.samples, conform(noise(20, *SHAPE), (3, 4, 6)))

    def test_too_large_a_batch(self):
        with pytest.raises(UserError) as caught:
            module(count=20, batch_size=21).setup()
        assert str(caught.value) == (
            "dataset.batch_size is 21, but the data set has only 20 images to train on;"
            " choose a batch size of at most 20."
        )
        module(count=20, batch_size=20).setup()
        with pytest.raises(UserError, match="the data set has only 20 vectors"):
            vector_module(count=20, batch_size=21).setup()

    def test_stream(self):
        data = module()
        expected = MinibatchStream(20, 6, 7)
        assert data.stream.minibatches_per_pass == 3
        assert torch.equal(data.stream.minibatches(0, 7), expected.minibatches(0, 7))


class TestHeldOut:
    @pytest.mark.parametrize(("held_out", "expected"), [(0, 0), (3, 3), (0.2, 4), (0.5, 10), (1, 1)])
    def test_splits_the_source(self, held_out, expected):
        data = module(held_out=held_out)
        kept_out, trained = data.subset("held_out"), data.subset("train")
        assert len(kept_out.samples) == len(kept_out.labels) == expected
        assert sorted([*kept_out.labels.tolist(), *trained.labels.tolist()]) == list(range(100, 120))
        for part in (kept_out, trained):
            assert torch.equal(part.samples, noise(20, *SHAPE)[part.labels - 100])
            assert part.classes == data.source.load().classes

    def test_rounds_have_none_of_it(self):
        data = module(held_out=7)
        seen = torch.cat([following.labels.flatten() for following in islice(data.train_dataloader(), 9)])
        assert set(seen.tolist()) == set(data.subset("train").labels.tolist())
        assert data.stream.minibatches_per_pass == 2

    def test_real_images_have_none_of_it(self):
        data = vector_module(held_out=10, labelled=False)
        shown = {tuple(vector) for vector in data.first(6).as_floats().samples.tolist()}
        assert shown < {tuple(vector) for vector in data.subset("train").samples.tolist()}

    def test_is_the_same_for_every_seed(self):
        first, second = module(held_out=7), module(held_out=7)
        second.seed = 8
        assert torch.equal(first.subset("held_out").labels, second.subset("held_out").labels)
        assert not torch.equal(first.stream.minibatch(0), second.stream.minibatch(0))

    def test_labels_that_mean_other_classes_are_refused(self):
        other = FakeSource(noise(5, *SHAPE))
        other.load = lambda: SampleSet(noise(5, *SHAPE), torch.arange(5), ("100", "102", "101", "103", "104"))
        with pytest.raises(UserError, match=r"number 0 is 100 there and 0 here; give both .* class_order"):
            module(held_out=other).subset("held_out")

    def test_a_source_of_its_own(self):
        data = module(shape=(3, 4, 6), held_out=FakeSource(noise(5, 1, 9, 9)))
        assert torch.equal(data.subset("held_out").samples, conform(noise(5, 1, 9, 9), (3, 4, 6)))
        assert torch.equal(data.subset("held_out").labels, 100 + torch.arange(5))
        assert torch.equal(data.subset("train").samples, data.loaded.samples)

    @pytest.mark.parametrize("split", ["train", "held_out"])
    @pytest.mark.parametrize("own_source", [False, True])
    def test_a_subset_is_the_same_always(self, split, own_source):
        data = module(held_out=FakeSource(noise(9, *SHAPE)) if own_source else 9)
        whole, part = data.subset(split), data.subset(split, 4)
        assert len(part.samples) == len(part.labels) == 4
        assert torch.equal(part.labels, data.subset(split, 4).labels)
        places = [whole.labels.tolist().index(label) for label in part.labels.tolist()]
        assert torch.equal(part.samples, whole.samples[places])
        assert len(data.subset(split, 50).samples) == len(whole.samples)
        assert len(data.subset(split, 0).samples) == 0

    def test_leaves_some_to_train_on(self):
        with pytest.raises(
            UserError, match=r"dataset\.held_out is 20, but the data set has only 20 images; leave some"
        ):
            module(held_out=20).setup()
        with pytest.raises(UserError, match="has only 17 images to train on; choose a batch size of at most 17"):
            module(batch_size=18, held_out=3).setup()


class TestFitShape:
    def test_vectors_are_not_copied(self):
        samples = vectors()
        assert fit_shape(samples, (2,)) is samples
        assert fit_shape(samples, [2]) is samples

    @pytest.mark.parametrize("shape", [(1,), (3,), (1, 8, 8), (2, 1, 1)])
    def test_vectors_of_another_length(self, shape):
        with pytest.raises(UserError) as caught:
            vector_module(shape=shape).setup()
        assert str(caught.value) == (
            f"dataset.sample_shape is {list(shape)}, but the data set has vectors of 2 numbers;"
            " set dataset.sample_shape=[2]."
        )

    @pytest.mark.parametrize("shape", [(2,), (3, 4), (1, 2, 3)])
    def test_signals_are_of_their_shape(self, shape):
        samples = torch.zeros(5, 2, 3)
        assert fit_shape(samples, [2, 3]) is samples
        with pytest.raises(UserError) as caught:
            fit_shape(samples, shape)
        assert str(caught.value) == (
            f"dataset.sample_shape is {list(shape)}, but the data set has signals of 2 channels and 3 steps;"
            " set dataset.sample_shape=[2,3]."
        )

    @pytest.mark.parametrize("shape", [(2,), (8, 8)])
    def test_images_as_vectors(self, shape):
        with pytest.raises(UserError) as caught:
            module(shape=shape).setup()
        assert str(caught.value) == (
            f"dataset.sample_shape is {list(shape)}, but the data set has images;"
            " set it to their [channels, height, width]."
        )


class TestClasses:
    @pytest.mark.parametrize("labelled", [True, False])
    def test_unconditional_training_asks_for_no_labels(self, labelled):
        module(labelled=labelled).setup()
        vector_module(labelled=labelled).setup()

    def test_as_many_as_the_data_have(self):
        data = module(count=20, classes=120)
        data.setup()
        assert torch.equal(data.loaded.labels, 100 + torch.arange(20))

    def test_no_labels(self):
        with pytest.raises(UserError) as caught:
            vector_module(labelled=False, classes=3).setup()
        assert str(caught.value) == ("dataset.classes is 3, but the data set has no labels; use conditioning=none.")

    @pytest.mark.parametrize("classes", [119, 121])
    def test_another_number(self, classes):
        data = module(count=20, classes=classes)
        with pytest.raises(UserError) as caught:
            data.setup()
        assert str(caught.value) == (
            f"dataset.classes is {classes}, but the data set has 120; set dataset.classes=120."
        )
        assert data._loaded is None  # not loaded by halves


class TestRequireEven:
    @pytest.mark.parametrize(
        ("batch_size", "packing", "ranks", "message"),
        [
            (
                6,
                1,
                4,
                "which 4 devices can't share evenly; choose 4 or 8 (the batch size counts all devices together).",
            ),
            (3, 1, 4, "which 4 devices can't share evenly; choose 4 (the batch size counts all devices together)."),
            (10, 4, 1, "which can't be split into packs of loss.packing=4 samples; choose 8 or 12."),
            (3, 4, 1, "which can't be split into packs of loss.packing=4 samples; choose 4."),
            (
                9,
                3,
                2,
                "which 2 devices can't share evenly in packs of loss.packing=3 samples; choose 6 or 12"
                " (the batch size counts all devices together).",
            ),
        ],
    )
    def test_nearest_sizes_are_named(self, batch_size, packing, ranks, message):
        with pytest.raises(UserError) as caught:
            module(batch_size=batch_size, packing=packing).require_even(ranks)
        assert str(caught.value) == f"dataset.batch_size is {batch_size}, {message}"

    @pytest.mark.parametrize(("batch_size", "packing", "ranks"), [(6, 1, 3), (6, 6, 1), (12, 3, 2), (12, 2, 3)])
    def test_even_ones_pass(self, batch_size, packing, ranks):
        module(batch_size=batch_size, packing=packing).require_even(ranks)

    def test_packs_are_checked_before_there_is_a_trainer(self):
        with pytest.raises(UserError, match=r"packs of loss\.packing=4 samples; choose 4 or 8\."):
            module(batch_size=6, packing=4).setup()
        module(batch_size=6, packing=3).setup()


class TestRealImages:
    @pytest.mark.parametrize("count", [1, 6, 7, 18])
    def test_are_the_first_of_the_first_pass(self, count):
        real = module().first(count).as_floats().samples
        order = MinibatchStream(20, 6, 7).minibatches(0, 3).flatten()[:count]
        assert real.shape == (count, *SHAPE)
        assert real.dtype == torch.float32
        assert torch.equal(real, as_floats(noise(20, *SHAPE)[order]))
        assert len(order.unique()) == count

    def test_of_vectors_are_in_their_units(self):
        order = MinibatchStream(20, 6, 7).minibatches(0, 3).flatten()[:7]
        real = vector_module().first(7).as_floats().samples
        assert torch.equal(real, vectors()[order])


class TestTrainDataloader:
    def test_without_a_trainer(self):
        images, labels, *_ = next(iter(module().train_dataloader()))
        order = MinibatchStream(20, 6, 7).minibatches(0, 2)
        assert torch.equal(images, as_floats(noise(20, *SHAPE)[order]))
        assert torch.equal(labels, 100 + order)

    def test_without_labels(self):
        data = module(labelled=False)
        data.trainer = trainer()
        assert next(iter(data.train_dataloader())).labels is None

    def test_begins_at_the_trainers_iteration(self):
        data = module()
        data.trainer = trainer(step=1)
        loader = data.train_dataloader()
        data.trainer.global_step = 4  # known only once a checkpoint is restored
        images, labels, *_ = next(iter(loader))
        order = MinibatchStream(20, 6, 7).minibatches(8, 2)
        assert torch.equal(labels, 100 + order)
        assert torch.equal(images, as_floats(noise(20, *SHAPE)[order]))

    def test_ranks_share_each_minibatch(self):
        parts = []
        for rank in range(3):
            data = module()
            data.trainer = trainer(ranks=3, rank=rank)
            parts.append(data.train_dataloader().round(5))
        whole = module().train_dataloader().round(5)
        assert [part.samples.shape for part in parts] == [(2, 2, *SHAPE)] * 3
        assert torch.equal(torch.cat([part.samples for part in parts], dim=1), whole.samples)
        assert torch.equal(torch.cat([part.labels for part in parts], dim=1), whole.labels)

    def test_ranks_that_do_not_divide_the_batch(self):
        data = module()
        data.trainer = trainer(ranks=4)
        with pytest.raises(UserError) as caught:
            data.train_dataloader()
        assert str(caught.value) == (
            "dataset.batch_size is 6, which 4 devices can't share evenly;"
            " choose 4 or 8 (the batch size counts all devices together)."
        )

    @pytest.mark.parametrize(("spare", "device"), [(0, "meta"), (-1, "cpu")])
    def test_images_move_to_the_device_if_they_fit(self, spare, device):
        """`meta` stands in for an accelerator: data that move there lose their values, and show it."""
        data = module(memory_gib=(20 * 6 + spare) / 2**30)
        data.trainer = trainer("meta")
        loader = data.train_dataloader()
        assert loader.data.samples.device.type == loader.data.labels.device.type == device
        assert loader.device.type == "meta"
        assert data.loaded.samples is loader.data.samples  # kept once

    @pytest.mark.parametrize(("spare", "device"), [(0, "meta"), (-1, "cpu")])
    def test_vectors_count_as_the_floats_they_are(self, spare, device):
        data = vector_module(memory_gib=(20 * 2 * 4 + spare) / 2**30)
        data.trainer = trainer("meta")
        assert data.train_dataloader().data.samples.device.type == device

    def test_vectors_and_their_labels(self):
        samples, labels, *_ = next(iter(vector_module().train_dataloader()))
        order = MinibatchStream(20, 6, 7).minibatches(0, 2)
        assert torch.equal(samples, vectors()[order])
        assert torch.equal(labels, 100 + order)
