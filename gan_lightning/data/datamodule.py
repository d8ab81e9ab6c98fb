"""The one data module: any source, held as uint8 and indexed, in the shape the networks are built for."""

from collections.abc import Sequence

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.nn.functional import interpolate

from gan_lightning.data.rounds import MinibatchStream, RoundLoader, Schedule, to_unit_range
from gan_lightning.data.sources import Source
from gan_lightning.errors import UserError
from gan_lightning.types import NonNegativeFloat, PositiveInt

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts colour to grey


class GANDataModule(LightningDataModule):
    """Serves rounds of real images in [-1, 1], shape `image_shape` = (C, H, W).

    `batch_size` counts the images of one minibatch over all devices together: more hardware makes no larger batches
    (though batch normalisation sees those of its own device). Images up to `memory_gib` GiB in all are kept on the
    training device; more stay where the source has them (in host memory or in a memory-mapped file) and travel as
    uint8, round by round.
    """

    def __init__(
        self,
        source: Source,
        image_shape: Sequence[PositiveInt],
        batch_size: PositiveInt,
        schedule: Schedule,
        seed: int = 0,
        memory_gib: NonNegativeFloat = 4.0,
    ) -> None:
        super().__init__()
        self.source = source
        self.image_shape = tuple(image_shape)
        self.batch_size = batch_size
        self.schedule = schedule
        self.seed = seed
        self.memory_gib = memory_gib
        self.images: Tensor | None = None
        self.labels: Tensor | None = None

    def setup(self, stage: str | None = None) -> None:
        """Loads the source, once. Raises UserError for what the user can mend."""
        if self.images is not None:
            return
        image_set = self.source.load()
        self.images, self.labels = conform(image_set.images, self.image_shape), image_set.labels
        if len(self.images) < self.batch_size:
            raise UserError(
                f"dataset.batch_size is {self.batch_size}, but the data set has only {len(self.images)} images;"
                f" choose a batch size of at most {len(self.images)}."
            )

    @property
    def stream(self) -> MinibatchStream:
        return MinibatchStream(len(self.loaded), self.batch_size, self.seed)

    @property
    def loaded(self) -> Tensor:
        """All images, uint8 (N, C, H, W)."""
        self.setup()
        assert self.images is not None
        return self.images

    def real_images(self, count: int) -> Tensor:
        """The first `count` images that training sees, in [-1, 1]: shape (count, C, H, W), on the CPU."""
        order = torch.cat([self.stream.minibatch(number) for number in range(-(-count // self.batch_size))])
        return to_unit_range(self.loaded[order[:count].to(self.loaded.device)]).cpu()

    def require_even(self, ranks: int) -> None:
        """Raises UserError if so many devices can't share a minibatch evenly."""
        if self.batch_size % ranks:
            raise UserError(
                f"dataset.batch_size is {self.batch_size}, which {ranks} devices can't share evenly;"
                f" choose a multiple of {ranks} (the batch size counts all devices together)."
            )

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
