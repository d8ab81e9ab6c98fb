"""The data module: images in the networks' shape, and what the trainer gets of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.data.datamodule import GANDataModule, conform
from gan_lightning.data.rounds import MinibatchStream, to_unit_range
from gan_lightning.data.sources import ImageSet
from gan_lightning.errors import UserError
from gan_lightning.training.schedule import CriticSchedule

SHAPE = (1, 2, 3)


def noise(*shape):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


class FakeSource:
    """Images and labels out of nowhere; counts how often it is asked."""

    def __init__(self, images, labelled=True):
        self.images, self.labelled, self.loads = images, labelled, 0

    def load(self):
        self.loads += 1
        labels = 100 + torch.arange(len(self.images)) if self.labelled else None
        return ImageSet(self.images, labels, ())


def module(count=20, batch_size=6, shape=SHAPE, labelled=True, **options):
    return GANDataModule(FakeSource(noise(count, *SHAPE), labelled), shape, batch_size, CriticSchedule(2), 7, **options)


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
        assert data.loaded is data.images
        assert data.source.loads == 1

    def test_nothing_is_loaded_before(self):
        assert module().source.loads == 0

    def test_images_are_conformed(self):
        data = module(shape=(3, 4, 6))
        assert data.loaded.shape == (20, 3, 4, 6)
        assert torch.equal(data.loaded, conform(noise(20, *SHAPE), (3, 4, 6)))

    def test_too_large_a_batch(self):
        with pytest.raises(UserError) as caught:
            module(count=20, batch_size=21).setup()
        assert str(caught.value) == (
            "dataset.batch_size is 21, but the data set has only 20 images; choose a batch size of at most 20."
        )
        module(count=20, batch_size=20).setup()

    def test_stream(self):
        data = module()
        expected = MinibatchStream(20, 6, 7)
        assert data.stream.minibatches_per_pass == 3
        assert torch.equal(data.stream.minibatches(0, 7), expected.minibatches(0, 7))


class TestRealImages:
    @pytest.mark.parametrize("count", [1, 6, 7, 18])
    def test_are_the_first_of_the_first_pass(self, count):
        real = module().real_images(count)
        order = MinibatchStream(20, 6, 7).minibatches(0, 3).flatten()[:count]
        assert real.shape == (count, *SHAPE)
        assert real.dtype == torch.float32
        assert torch.equal(real, to_unit_range(noise(20, *SHAPE)[order]))
        assert len(order.unique()) == count


class TestTrainDataloader:
    def test_without_a_trainer(self):
        images, labels = next(iter(module().train_dataloader()))
        order = MinibatchStream(20, 6, 7).minibatches(0, 2)
        assert torch.equal(images, to_unit_range(noise(20, *SHAPE)[order]))
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
        images, labels = next(iter(loader))
        order = MinibatchStream(20, 6, 7).minibatches(8, 2)
        assert torch.equal(labels, 100 + order)
        assert torch.equal(images, to_unit_range(noise(20, *SHAPE)[order]))

    def test_ranks_share_each_minibatch(self):
        parts = []
        for rank in range(3):
            data = module()
            data.trainer = trainer(ranks=3, rank=rank)
            parts.append(data.train_dataloader().round(5))
        whole = module().train_dataloader().round(5)
        assert [part.images.shape for part in parts] == [(2, 2, *SHAPE)] * 3
        assert torch.equal(torch.cat([part.images for part in parts], dim=1), whole.images)
        assert torch.equal(torch.cat([part.labels for part in parts], dim=1), whole.labels)

    def test_ranks_that_do_not_divide_the_batch(self):
        data = module()
        data.trainer = trainer(ranks=4)
        with pytest.raises(UserError) as caught:
            data.train_dataloader()
        assert str(caught.value) == (
            "dataset.batch_size is 6, which 4 devices can't share evenly;"
            " choose a multiple of 4 (the batch size counts all devices together)."
        )

    @pytest.mark.parametrize(("spare", "device"), [(0, "meta"), (-1, "cpu")])
    def test_images_move_to_the_device_if_they_fit(self, spare, device):
        """`meta` stands in for an accelerator: data that move there lose their values, and show it."""
        data = module(memory_gib=(20 * 6 + spare) / 2**30)
        data.trainer = trainer("meta")
        loader = data.train_dataloader()
        assert loader.images.device.type == loader.labels.device.type == device
        assert loader.device.type == "meta"
        assert data.loaded is loader.images  # kept once
