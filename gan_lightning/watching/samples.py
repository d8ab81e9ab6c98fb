"""Grids of fixed latents over the course of training, as PNG files and in TensorBoard."""

from functools import partial
from pathlib import Path

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from gan_lightning.pictures import grid, save_png, scatter
from gan_lightning.run_folder import SAMPLES
from gan_lightning.sampling.drawing import class_of_each, decode, draw_latents, evaluating
from gan_lightning.seeds import mix
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.types import Count, PositiveInt
from gan_lightning.watching.loggers import add_picture

POINTS = 1000  # that are drawn of vectors, real and generated
FIXED_LATENTS = 0x5A  # keeps the grids' latents apart from every other use of the seed


class SampleGrids(IterationCallback):
    """Draws the average generator's samples of the same `count` latents, every `every` iterations and at both ends.

    Each picture is written to samples/NNNNNNNN.png, named by the iteration. Loggers get those that `is_shown` picks, as
    `samples/generator`, and once as many real images, as `samples/real`. A conditional generator's grid has a row a
    class, with the same latents in each row. Points are drawn with the real ones, over the critic's values there.
    """

    def __init__(
        self,
        folder: str | Path,
        real: Tensor,
        seed: int = 0,
        every: PositiveInt = 500,
        count: Count = 64,
    ) -> None:
        self.folder = Path(folder) / SAMPLES
        self.real = real
        self.seed = seed
        self.every = every
        self.count = count
        self.shown: int | None = None

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        if trainer.is_global_zero and trainer.global_step == 0:
            if self.real.ndim == 4:
                add_pictures(trainer, "samples/real", grid(self.real))
            self.draw(trainer, model, shown=True)

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        iteration = trainer.global_step
        if trainer.is_global_zero and iteration % self.every == 0:
            self.draw(trainer, model, is_shown(iteration, self.every))

    def after_training(self, trainer: Trainer, model: GAN) -> None:
        if trainer.is_global_zero and trainer.global_step != self.shown:
            self.draw(trainer, model, shown=True)

    def draw(self, trainer: Trainer, model: GAN, shown: bool) -> None:
        """Draws the picture of this iteration, as a file and, if `shown`, for the loggers."""
        picture = self.picture(model)
        self.folder.mkdir(parents=True, exist_ok=True)
        save_png(picture, self.folder / f"{trainer.global_step:08d}.png")
        if shown:
            add_pictures(trainer, "samples/generator", picture)
            self.shown = trainer.global_step

    def picture(self, model: GAN) -> Tensor:
        """The samples that the average generator makes of the fixed latents: (C, height, width), uint8."""
        generator, seed = model.ema_generator, mix(self.seed, FIXED_LATENTS)
        if self.real.ndim == 2:
            latents = draw_latents(model.latents, generator.latent_dim, len(self.real), seed)
            points = decode(generator, latents, model.device, class_of_each(generator, len(latents)))
            return scatter(self.real, points, partial(values, model))
        rows = min(generator.classes, self.count) or None
        columns = self.count // rows if rows else self.count
        latents = draw_latents(model.latents, generator.latent_dim, columns, seed).repeat(rows or 1, 1)
        labels = torch.arange(rows).repeat_interleave(columns) if rows else None
        return grid(decode(generator, latents, model.device, labels), columns if rows else None)


def is_shown(iteration: int, every: int, per_doubling: int = 8) -> bool:
    """Whether loggers get what may be drawn every `every` iterations, so that a long run's logs stay small.

    The first 2 * per_doubling times; from then on, the interval doubles whenever the iteration has: per_doubling times
    from each power of two to the next. A run that is resumed is shown at the same iterations as one that isn't.
    """
    doublings = max(0, (iteration // (every * per_doubling)).bit_length() - 1)
    return iteration % (every << doublings) == 0


def add_pictures(trainer: Trainer, tag: str, picture: Tensor) -> None:
    """Gives every logger that takes any a picture (C, height, width), uint8, of this iteration."""
    for logger in trainer.loggers:
        add_picture(logger, tag, picture, trainer.global_step)


@torch.no_grad()
def values(model: GAN, points: Tensor) -> Tensor | None:
    """The critic's values (N,) at points (N, d), on the CPU; None where it sees packs or needs labels."""
    if model.discriminator.packing > 1 or model.discriminator.label_input != "none":
        return None
    with evaluating(model.discriminator):
        return model.adapter().logits(points.to(model.device)).float().cpu()
