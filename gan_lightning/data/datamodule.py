"""The one data module: any source, held in memory and indexed, in the shape the networks are built for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.nn.functional import interpolate

from gan_lightning.data.rounds import MinibatchStream, RoundLoader, Schedule, as_floats
from gan_lightning.data.sources import SampleSet, Source
from gan_lightning.errors import UserError
from gan_lightning.seeds import mix
from gan_lightning.types import NonNegativeFloat, NonNegativeInt, PositiveInt

SPLIT, PART = 0x4E1D, 0x4EF1  # keep what samples are chosen here apart from every other use of a seed
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts colour to grey


class GANDataModule(LightningDataModule):
    """Serves rounds of real samples of shape `image_shape`: images (C, H, W) in [-1, 1], or vectors (d,) as they are.

    Images are brought into that shape; vectors must have it. `batch_size` counts the samples of one minibatch over all
    devices together: more hardware makes no larger batches (though batch normalisation sees those of its own device).
    `classes` is the number of classes the networks are conditioned on, 0 for none; `packing` the number of samples the
    discriminator judges together. `held_out` is what is not trained on, to measure by: a source of its own, such as a
    set's test split, or so many of the source's samples (a share of them if below 1), the same ones whatever the seed.
    Samples of up to `memory_gib` GiB in all (images as uint8, vectors as float32) are
    kept on the training device; more stay where the source has them (in host memory or in a memory-mapped file) and
    travel round by round.
    """

    def __init__(
        self,
        source: Source,
        image_shape: Sequence[PositiveInt],
        batch_size: PositiveInt,
        schedule: Schedule,
        seed: int = 0,
        memory_gib: NonNegativeFloat = 4.0,
        classes: NonNegativeInt = 0,
        packing: PositiveInt = 1,
        held_out: NonNegativeFloat | Source = 0,
    ) -> None:
        super().__init__()
        self.source = source
        self.image_shape = tuple(image_shape)
        self.batch_size = batch_size
        self.schedule = schedule
        self.seed = seed
        self.memory_gib = memory_gib
        self.classes = classes
        self.packing = packing
        self.held_out_from = held_out
        self.images: Tensor | None = None
        self.labels: Tensor | None = None
        self.class_names: tuple[str, ...] = ()
        self.other_set: SampleSet | None = None  # held out, where it has a source of its own
        self.training_rows: Tensor | None = None  # None: all
        self.held_out_rows = torch.empty(0, dtype=torch.int64)

    def setup(self, stage: str | None = None) -> None:
        """Loads the source, once. Raises UserError for what the user can mend."""
        if self.images is not None:
            return
        sample_set = self.source.load()
        require_classes(sample_set, self.classes)
        samples = fit_shape(sample_set.samples, self.image_shape)
        what = "vectors" if samples.ndim == 2 else "images"
        count = len(samples)
        if isinstance(self.held_out_from, int | float) and self.held_out_from > 0:
            share = self.held_out_from
            held_out = round(share * count) if share < 1 else int(share)
            if held_out >= count:
                raise UserError(
                    f"dataset.held_out is {share:g}, but the data set has only {count} {what}; leave some to train on."
                )
            rows = torch.randperm(count, generator=torch.Generator().manual_seed(mix(SPLIT)))
            self.held_out_rows, self.training_rows = rows[:held_out].sort().values, rows[held_out:].sort().values
            count -= held_out
        if count < self.batch_size:
            raise UserError(
                f"dataset.batch_size is {self.batch_size}, but the data set has only {count} {what} to train on;"
                f" choose a batch size of at most {count}."
            )
        self.require_even(1)
        self.images, self.labels, self.class_names = samples, sample_set.labels, sample_set.classes

    @property
    def stream(self) -> MinibatchStream:
        samples = self.loaded
        count = len(samples if self.training_rows is None else self.training_rows)
        return MinibatchStream(count, self.batch_size, self.seed, self.training_rows)

    @property
    def training(self) -> SampleSet:
        """What is trained on, in the networks' shape, on the CPU."""
        return self.part("train")

    @property
    def held_out(self) -> SampleSet:
        """What is not trained on, in the networks' shape, on the CPU; an empty set if nothing is held out."""
        return self.part("held_out")

    def part(self, split: Literal["train", "held_out"], count: int | None = None) -> SampleSet:
        """At most `count` samples of what is trained on, or of what isn't, the same ones always; all without a count.

        In the networks' shape, on the CPU. Raises UserError where loading held-out ones does, or where these don't fit
        the training samples.
        """
        self.setup()
        whole = SampleSet(self.loaded, self.labels, self.class_names)
        rows = self.training_rows
        if split == "held_out":
            rows = self.held_out_rows
            if not isinstance(self.held_out_from, int | float):
                if self.other_set is None:
                    loaded = self.held_out_from.load()
                    require_classes(loaded, self.classes)
                    self.other_set = replace(loaded, samples=fit_shape(loaded.samples, self.image_shape))
                whole, rows = self.other_set, None
        total = len(whole.samples if rows is None else rows)
        if count is not None and count < total:
            chosen = torch.randperm(total, generator=torch.Generator().manual_seed(mix(PART)))[:count].sort().values
            rows = chosen if rows is None else rows[chosen]
        if rows is None:
            return replace(
                whole, samples=whole.samples.cpu(), labels=None if whole.labels is None else whole.labels.cpu()
            )
        at = rows.to(whole.samples.device)
        labels = None if whole.labels is None else whole.labels[rows.to(whole.labels.device)].cpu()
        return replace(whole, samples=whole.samples[at].cpu(), labels=labels)

    @property
    def loaded(self) -> Tensor:
        """All samples of the source, held-out ones too: images, uint8 (N, C, H, W), or vectors, float32 (N, d)."""
        self.setup()
        assert self.images is not None
        return self.images

    def real_images(self, count: int) -> Tensor:
        """The first `count` samples that training sees, as the networks see them: (count, *image_shape), on the CPU."""
        order = torch.cat([self.stream.minibatch(number) for number in range(-(-count // self.batch_size))])
        return as_floats(self.loaded[order[:count].to(self.loaded.device)]).cpu()

    def require_even(self, ranks: int) -> None:
        """Raises UserError if a minibatch can't be shared evenly by so many devices, in packs of `packing` samples."""
        unit = self.packing * ranks
        below = self.batch_size // unit * unit
        if below == self.batch_size:
            return
        packs = f"packs of loss.packing={self.packing} samples"
        problem = f"can't be split into {packs}"
        if ranks > 1:
            problem = f"{ranks} devices can't share evenly" + (f" in {packs}" if self.packing > 1 else "")
        nearest = " or ".join(str(size) for size in (below, below + unit) if size > 0)
        counted = " (the batch size counts all devices together)" if ranks > 1 else ""
        raise UserError(f"dataset.batch_size is {self.batch_size}, which {problem}; choose {nearest}{counted}.")

    def train_dataloader(self) -> RoundLoader:
        images, labels = self.loaded, self.labels
        trainer = self.trainer
        if trainer is None:
            return RoundLoader(images, labels, self.stream, self.schedule, torch.device("cpu"))
        device, ranks = trainer.strategy.root_device, trainer.world_size
        self.require_even(ranks)
        if images.nbytes <= self.memory_gib * 2**30:
            images = self.images = images.to(device)
            labels = self.labels = None if labels is None else labels.to(device)
        return RoundLoader(
            images,
            labels,
            self.stream,
            self.schedule,
            device,
            start=lambda: trainer.global_step,
            rank=trainer.global_rank,
            ranks=ranks,
        )


def require_classes(sample_set: SampleSet, classes: int) -> None:
    """Raises UserError if networks conditioned on so many classes (0: on none) don't fit the labels."""
    if classes == 0:
        return
    if sample_set.labels is None:
        raise UserError(f"dataset.classes is {classes}, but the data set has no labels; use conditioning=none.")
    if len(sample_set.classes) != classes:
        found = len(sample_set.classes)
        raise UserError(f"dataset.classes is {classes}, but the data set has {found}; set dataset.classes={found}.")


def fit_shape(samples: Tensor, shape: Sequence[int]) -> Tensor:
    """The samples in the shape the networks are built for; raises UserError where only the user can tell how."""
    if samples.ndim == 2:
        dimensions = samples.shape[1]
        if list(shape) != [dimensions]:
            raise UserError(
                f"dataset.image_shape is {list(shape)}, but the data set has vectors of {dimensions} numbers;"
                f" set dataset.image_shape=[{dimensions}]."
            )
        return samples
    if len(shape) != 3:
        raise UserError(
            f"dataset.image_shape is {list(shape)}, but the data set has images;"
            " set it to their [channels, height, width]."
        )
    return conform(samples, shape)


def conform(images: Tensor, shape: Sequence[int]) -> Tensor:
    """uint8 images (N, c, h, w) in the shape (C, H, W), grey turned into colour or back, resized with antialiasing."""
    channels, *size = shape
    if images.shape[1:] == tuple(shape):
        return images
    converted = []
    for chunk in images.split(4096):  # floats of a whole data set at once could exhaust memory
        pixels = chunk.float()
        if channels == 1 and chunk.shape[1] == 3:
            pixels = (pixels * torch.tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
        elif channels != chunk.shape[1]:
            pixels = pixels.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        if list(pixels.shape[2:]) != size:
            pixels = interpolate(pixels, size=size, mode="bicubic", antialias=True)
        converted.append(pixels.round().clamp(0, 255).to(torch.uint8))
    return torch.cat(converted)
