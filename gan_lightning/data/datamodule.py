"""The one data module: any source, held in memory and indexed, in the shape the networks are built for."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.nn.functional import interpolate

from gan_lightning.data.ahead import is_larger_than_memory
from gan_lightning.data.conditions import rescaled
from gan_lightning.data.decoding import Fit, inscribed, middle
from gan_lightning.data.rounds import MinibatchStream, RoundLoader, RoundSizes
from gan_lightning.data.sources import ChangeableSource, Source
from gan_lightning.errors import UserError
from gan_lightning.samples import Conditions, SampleSet, kind_of
from gan_lightning.seeds import mix
from gan_lightning.types import NonNegativeFloat, NonNegativeInt, PositiveInt

SPLIT, SUBSET, CONDITIONS = 0x4E1D, 0x4EF1, 0x4C0D  # keep what is chosen here apart from every other use of a seed
MOST_ROWS = 1024  # of conditions, that a generator's file holds
Split = Literal["train", "held_out"]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts colour to grey


class GANDataModule(LightningDataModule):
    """Serves real samples: images (C, H, W) in [-1, 1], or signals (C, L) and vectors (d,) in their own units.

    Arguments:
        source: where the samples come from.
        sample_shape: the shape that the networks are built for. Images are converted to it (colour to grey or back,
            resized); signals and vectors must have it.
        batch_size: samples of one minibatch, over all devices together. More devices make no larger minibatches, but
            batch normalisation sees the samples of its own device alone.
        critic_updates: how many minibatches each iteration draws; None: as many as the GAN that is trained asks for.
        seed: decides the order of the samples.
        memory_gib: data of up to this size (images as uint8, vectors as float32) are kept on the training device.
            Larger ones stay in host memory or in a memory-mapped file and are fetched round by round. Of a file that
            is larger than the memory that is free, the next round is read while one is trained on.
        classes: the number of classes, or of conditions that are numbers, that the networks are conditioned on; 0 for
            none.
        packing: the number of samples that the discriminator sees together.
        fit: what becomes of images of other proportions: the middle is cut out (crop), the whole is put on black (pad)
            or distorted (stretch, as in runs that are older than this argument).
        held_out: what is not trained on. Either a source of its own, such as a test split; or how many samples of
            `source` to set aside, a share of them if below 1. They are the same ones for every seed.
    """

    def __init__(
        self,
        source: Source,
        sample_shape: Sequence[PositiveInt],
        batch_size: PositiveInt,
        critic_updates: RoundSizes | None = None,
        seed: int = 0,
        memory_gib: NonNegativeFloat = 4.0,
        classes: NonNegativeInt = 0,
        packing: PositiveInt = 1,
        held_out: NonNegativeFloat | Source = 0,
        fit: Fit = "stretch",
    ) -> None:
        super().__init__()
        self.source = source
        self.sample_shape = tuple(sample_shape)
        self.batch_size = batch_size
        self.critic_updates = critic_updates
        self.seed = seed
        self.memory_gib = memory_gib
        self.classes = classes
        self.packing = packing
        self.held_out = held_out
        self.fit = fit
        self.facts: Mapping[str, Any] = {}  # what the source tells of its samples, once they are loaded
        self._loaded: SampleSet | None = None
        self._held_out_set: SampleSet | None = None  # where it has a source of its own
        self._training_rows: Tensor | None = None  # None: all
        self._held_out_rows = torch.empty(0, dtype=torch.int64)

    def setup(self, stage: str | None = None) -> None:
        """Loads the source, once. Raises UserError for what the user can mend."""
        if self._loaded is not None:
            return
        samples, self.facts = (
            self.source.load_with_facts() if isinstance(self.source, ChangeableSource) else (self.source.load(), {})
        )
        loaded = self._fitted(samples)
        what, count = kind_of(self.sample_shape), len(loaded.samples)
        if isinstance(self.held_out, int | float) and self.held_out > 0:
            share = self.held_out
            held_out = round(share * count) if share < 1 else int(share)
            if held_out >= count:
                raise UserError(
                    f"dataset.held_out is {share:g}, but the data set has only {count} {what}; leave some to train on."
                )
            rows = torch.randperm(count, generator=torch.Generator().manual_seed(mix(SPLIT)))
            self._held_out_rows, self._training_rows = rows[:held_out].sort().values, rows[held_out:].sort().values
            count -= held_out
        if count < self.batch_size:
            raise UserError(
                f"dataset.batch_size is {self.batch_size}, but the data set has only {count} {what} to train on;"
                f" choose a batch size of at most {count}."
            )
        self.require_even(1)
        self._loaded = loaded

    def _fitted(self, loaded: SampleSet) -> SampleSet:
        """What a source has, in the networks' shape."""
        require_classes(loaded, self.classes)
        return loaded._replace(samples=fit_shape(loaded.samples, self.sample_shape, self.fit))

    @property
    def loaded(self) -> SampleSet:
        """All that the source has, held-out samples too, in the networks' shape and as it is stored."""
        self.setup()
        assert self._loaded is not None
        return self._loaded

    @property
    def stream(self) -> MinibatchStream:
        """The minibatches of rows of `loaded`."""
        return MinibatchStream(len(self.training_rows()), self.batch_size, self.seed, self._training_rows)

    @property
    def conditions(self) -> Conditions | None:
        """What the networks are conditioned on, with at most MOST_ROWS rows of it; None for classes, or nothing."""
        loaded = self.loaded
        if loaded.conditions is None or loaded.labels is None or self.classes == 0:
            return None
        rows = self.training_rows()
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(mix(CONDITIONS)))[:MOST_ROWS]
        return Conditions(loaded.conditions, loaded.labels.cpu()[rows[order]])

    def training_rows(self) -> Tensor:
        """The rows of `loaded` that are trained on."""
        loaded = self.loaded
        return torch.arange(len(loaded.samples)) if self._training_rows is None else self._training_rows

    def take(self, rows: Tensor) -> SampleSet:
        """Samples of some rows of `loaded`, as they are stored, on the CPU."""
        return self.loaded.take(rows).to("cpu")

    def first(self, count: int) -> SampleSet:
        """The first `count` samples that training sees, from later passes too if there are fewer; on the CPU."""
        order = [self.stream.minibatch(number) for number in range(-(-count // self.batch_size))]
        return self.take(torch.cat(order)[:count] if order else torch.empty(0, dtype=torch.int64))

    def subset(self, split: Split, count: int | None = None) -> SampleSet:
        """At most `count` samples of what is trained on, or of what isn't, the same ones always; all without a count.

        In the order of the data set and as they are stored, on the CPU; an empty set if nothing is held out. Raises
        UserError where loading held-out ones does, or where these don't fit the training samples.
        """
        whole, rows = self.loaded, self._training_rows
        if split == "held_out":
            rows = self._held_out_rows
            if not isinstance(self.held_out, int | float):
                self._held_out_set = self._held_out_set or self._fitted(self.held_out.load())
                self._held_out_set = told_alike(self._held_out_set, whole)
                whole, rows = self._held_out_set, None
        total = len(whole.samples if rows is None else rows)
        if count is not None and count < total:
            chosen = torch.randperm(total, generator=torch.Generator().manual_seed(mix(SUBSET)))[:count].sort().values
            rows = chosen if rows is None else rows[chosen]
        return (whole if rows is None else whole.take(rows)).to("cpu")

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
        loaded = self.loaded
        trainer = self.trainer
        sizes = self.critic_updates or getattr(trainer and trainer.lightning_module, "critic_updates", None)
        if sizes is None:
            raise ValueError("critic_updates is needed, unless a GAN is trained, which has its own")
        if trainer is None:
            return RoundLoader(loaded, self.stream, sizes, torch.device("cpu"))
        device, ranks = trainer.strategy.root_device, trainer.world_size
        self.require_even(ranks)
        if loaded.samples.nbytes <= self.memory_gib * 2**30:
            loaded = self._loaded = loaded.to(device)
        return RoundLoader(
            loaded,
            self.stream,
            sizes,
            device,
            start=lambda: trainer.global_step,
            rank=trainer.global_rank,
            ranks=ranks,
            asks=is_larger_than_memory(loaded.samples),
        )


def require_classes(sample_set: SampleSet, classes: int) -> None:
    """Raises UserError if networks conditioned on so many classes (0: on none) don't fit the labels."""
    if classes == 0:
        return
    if sample_set.labels is None:
        raise UserError(f"dataset.classes is {classes}, but the data set has no labels; use conditioning=none.")
    if sample_set.conditions is not None and len(sample_set.conditions.names) != classes:
        found = len(sample_set.conditions.names)
        raise UserError(
            f"dataset.classes is {classes}, but dataset.conditions names {found}; leave dataset.classes to them."
        )
    if sample_set.conditions is None and len(sample_set.classes) != classes:
        found = len(sample_set.classes)
        raise UserError(f"dataset.classes is {classes}, but the data set has {found}; set dataset.classes={found}.")


def told_alike(held_out: SampleSet, trained: SampleSet) -> SampleSet:
    """Held-out samples with labels that mean what those of the trained ones do; conditions are scaled as these are.

    Raises UserError where the labels of two sources would mean different classes or conditions.
    """
    names, wanted = (each.conditions.names if each.conditions else () for each in (held_out, trained))
    if names != wanted:
        raise UserError(
            f"dataset.held_out and dataset.source have other conditions, {list(names)} there and {list(wanted)} here;"
            " give both the same."
        )
    if held_out.conditions and trained.conditions and held_out.labels is not None:
        labels = rescaled(held_out.labels, held_out.conditions, trained.conditions)
        return held_out._replace(labels=labels, conditions=trained.conditions)
    for number, (other, name) in enumerate(zip(held_out.classes, trained.classes, strict=False)):
        if other != name:
            raise UserError(
                f"dataset.held_out and dataset.source have classes in another order: number {number} is {other} there"
                f" and {name} here; give both the same classes, and the same class_order."
            )
    return held_out


def fit_shape(samples: Tensor, shape: Sequence[int], fit: Fit = "stretch") -> Tensor:
    """The samples in the shape the networks are built for; raises UserError where only the user can tell how."""
    found = list(samples.shape[1:])
    kind = kind_of(found)
    if kind != "images":
        if list(shape) != found:
            size = f"of {found[0]} numbers" if kind == "vectors" else f"of {found[0]} channels and {found[1]} steps"
            raise UserError(
                f"dataset.sample_shape is {list(shape)}, but the data set has {kind} {size}; set"
                f" dataset.sample_shape={str(found).replace(' ', '')}."
            )
        return samples
    if len(shape) != 3:
        raise UserError(
            f"dataset.sample_shape is {list(shape)}, but the data set has images;"
            " set it to their [channels, height, width]."
        )
    return conform(samples, shape, fit)


def conform(images: Tensor, shape: Sequence[int], fit: Fit = "stretch") -> Tensor:
    """Images (N, c, h, w) in the shape (C, H, W), grey turned into colour or back, resized with antialiasing.

    They are uint8, or float32 in [-1, 1], and stay so.
    """
    channels, *size = shape
    if images.shape[1:] == tuple(shape):
        return images
    is_float, converted = images.is_floating_point(), []
    for chunk in images.split(4096):  # floats of a whole data set at once could exhaust memory
        pixels = chunk.float()
        if channels == 1 and chunk.shape[1] == 3:
            pixels = (pixels * torch.tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
        elif channels != chunk.shape[1]:
            pixels = pixels.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        pixels = _resized(pixels, size, fit, black=-1 if is_float else 0)
        converted.append(pixels.clamp(-1, 1) if is_float else pixels.round().clamp(0, 255).to(torch.uint8))
    return torch.cat(converted)


def _resized(pixels: Tensor, size: Sequence[int], fit: Fit, black: float) -> Tensor:
    """Images (N, C, h, w) in another size (H, W)."""
    (height, width), inner = pixels.shape[2:], list(size)
    if fit == "crop":
        top, left, height, width = middle(height, width, size)
        pixels = pixels[:, :, top : top + height, left : left + width]
    elif fit == "pad":
        inner = inscribed(height, width, size)
    if [height, width] != inner:
        pixels = interpolate(pixels, size=inner, mode="bicubic", antialias=True)
    if inner == list(size):
        return pixels
    canvas = pixels.new_full((*pixels.shape[:2], *size), black)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[:, :, top : top + inner[0], left : left + inner[1]] = pixels
    return canvas
