"""Samples of fixed latents over the course of training, as PNG files and in TensorBoard."""

from functools import partial
from pathlib import Path

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from gan_lightning.curves import Panel, as_panels, curves
from gan_lightning.networks.generator import Generator
from gan_lightning.pictures import grid, save_png, scatter
from gan_lightning.run_folder import SAMPLES
from gan_lightning.samples import Conditions, SampleSet, kind_of
from gan_lightning.sampling.conditions import contrasts
from gan_lightning.sampling.drawing import decode, draw_latents, evaluating, label_of_each
from gan_lightning.seeds import mix
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.types import Count, PositiveInt
from gan_lightning.watching.loggers import add_picture

POINTS = 1000  # that are drawn of vectors, real and generated
ROWS, MOST_ROWS = 4, 8  # of two real and two generated signals: without classes, and with them
FIXED_LATENTS = 0x5A  # keeps the grids' latents apart from every other use of the seed


class SampleGrids(IterationCallback):
    """Draws the average generator's samples of the same `count` latents, every `every` iterations and at both ends.

    With `every` None, at both ends alone. Each picture is written to samples/NNNNNNNN.png, named by the iteration.
    Loggers get those that `is_shown` picks, as `samples/generator`, and once as many real images, as `samples/real`. A
    conditional generator's grid has a row a class, with the same latents in each row; of conditions that are numbers,
    two or three rows each in turn, from its lowest to its highest (`contrasts`). Points are drawn with the real ones,
    over the critic's values there; signals as curves beside real ones, a row a class of the first eight, in the numbers
    of the data set's files.

    `real` are samples as networks see them, (N, ...), or a `SampleSet` of such, which knows their classes and units.
    """

    def __init__(
        self,
        folder: str | Path,
        real: Tensor | SampleSet,
        seed: int = 0,
        every: PositiveInt | None = 500,
        count: Count = 64,
    ) -> None:
        self.folder = Path(folder) / SAMPLES
        self.known = real if isinstance(real, SampleSet) else SampleSet(real)
        self.real = self.known.samples
        self.seed = seed
        self.every = every
        self.count = count
        self.shown: int | None = None

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        if trainer.is_global_zero and trainer.global_step == 0:
            if self.real.ndim == 4:
                add_pictures(trainer, "samples/real", grid(self.real))
            self.draw(trainer, model, shown=True)

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        return self.every is not None and trainer.is_global_zero and completed % self.every == 0

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        assert self.every is not None
        self.draw(trainer, model, is_shown(trainer.global_step, self.every))

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
        kind = kind_of(self.real.shape[1:])
        if kind == "signals":
            return self.signals(model, seed)
        if kind == "vectors":
            latents = draw_latents(model.latents, generator.latent_dim, len(self.real), seed)
            labels = label_of_each(generator, len(latents), model.conditions, seed)
            points = decode(generator, latents, model.device, labels)
            return scatter(self.real, points, partial(values, model))
        rows, labels = self.rows(generator, model.conditions, seed)
        columns = self.count // rows
        latents = draw_latents(model.latents, generator.latent_dim, columns, seed).repeat(rows, 1)
        return grid(decode(generator, latents, model.device, labels), None if labels is None else columns)

    def rows(self, generator: Generator, conditions: Conditions | None, seed: int) -> tuple[int, Tensor | None]:
        """How many rows a grid has, and the labels of all its samples, row by row; 1 and None without labels."""
        if not generator.classes:
            return 1, None
        if conditions is not None:
            shown = contrasts(conditions, self.count, seed)
            return len(shown), shown.flatten(0, 1)
        rows = min(generator.classes, self.count)
        return rows, torch.arange(rows).repeat_interleave(self.count // rows)

    def signals(self, model: GAN, seed: int) -> Tensor:
        """Two real signals and two generated ones a row; of the row's class or conditions, if there are any."""
        generator, conditions = model.ema_generator, model.conditions
        is_told, has_classes = generator.classes > 0, generator.classes > 0 and conditions is None
        rows, labels = min(ROWS, max(1, self.count // 2)), None
        if has_classes:
            rows = min(generator.classes, MOST_ROWS)
            labels = torch.arange(rows).repeat_interleave(2)
        elif is_told and conditions is not None:
            shown = contrasts(conditions, 6 * generator.classes, seed)[:MOST_ROWS, :2]  # at most three rows each
            rows, labels = len(shown), shown.flatten(0, 1)
        latents = draw_latents(model.latents, generator.latent_dim, 2 if is_told else 2 * rows, seed)
        fake = decode(generator, latents.repeat(rows if is_told else 1, 1), model.device, labels)
        made = as_panels(fake, "generated", labels if has_classes else None, self.known.classes)
        panels: list[Panel | None] = []
        for row in range(rows):
            panels += [*self.real_panels(row, has_classes), *made[2 * row : 2 * row + 2]]
        return curves(panels, 4, self.real, self.known.units)

    def real_panels(self, row: int, has_classes: bool) -> list[Panel | None]:
        """The two real signals of a row, or as many as there are."""
        labels = self.known.labels
        if has_classes and labels is not None:
            chosen = (labels == row).nonzero().flatten()[:2]
            found: list[Panel | None] = [*as_panels(self.real[chosen], "real", labels[chosen], self.known.classes)]
        else:
            found = [*as_panels(self.real[2 * row : 2 * row + 2], "real")]
        return found + [None] * (2 - len(found))


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
