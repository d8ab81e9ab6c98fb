"""Grids of fixed latents over the course of training, as PNG files and in TensorBoard."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from gan_lightning.networks.generator import Generator
from gan_lightning.pictures import grid, save_png
from gan_lightning.run_folder import SAMPLES
from gan_lightning.seeds import mix
from gan_lightning.training.gan import GAN
from gan_lightning.training.loggers import Events
from gan_lightning.types import PositiveInt

FIXED_LATENTS = 0x5A  # keeps the grids' latents apart from every other use of the seed


class SampleGrids(Callback):
    """Draws the average generator's images of the same `count` latents every `every` iterations and at both ends.

    Writes samples/NNNNNNNN.png, named by iteration, and TensorBoard's `samples/generator`; `samples/real` shows as many
    real images once.
    """

    def __init__(
        self, folder: Path, real: Tensor, seed: int, every: PositiveInt = 500, count: PositiveInt = 64
    ) -> None:
        self.folder = folder / SAMPLES
        self.real = real
        self.seed = seed
        self.every = every
        self.count = count
        self.drawn: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and trainer.global_step == 0:
            self.add_picture(trainer, "samples/real", grid(self.real))
            self.draw(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        iteration = trainer.global_step
        if trainer.is_global_zero and iteration % self.every == 0:
            self.draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and trainer.global_step != self.drawn:
            self.draw(trainer, pl_module)

    def draw(self, trainer: Trainer, model: LightningModule) -> None:
        """Draws the grid of this iteration."""
        assert isinstance(model, GAN)
        latents = draw_latents(model.ema_generator, self.count, mix(self.seed, FIXED_LATENTS))
        picture = grid(decode(model.ema_generator, latents, model.device))
        self.folder.mkdir(parents=True, exist_ok=True)
        save_png(picture, self.folder / f"{trainer.global_step:08d}.png")
        self.add_picture(trainer, "samples/generator", picture)
        self.drawn = trainer.global_step

    def add_picture(self, trainer: Trainer, tag: str, picture: Tensor) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, Events):
                logger.experiment.add_image(tag, picture, trainer.global_step)


def draw_latents(generator: Generator, count: int, seed: int) -> Tensor:
    """Latents (count, latent_dim) from N(0, I), on the CPU; the first k of a seed are the same for every count."""
    source = torch.Generator()
    drawn = [torch.randn(generator.latent_dim, generator=source.manual_seed(mix(seed, k))) for k in range(count)]
    return torch.stack(drawn)


@torch.no_grad()
def decode(generator: nn.Module, latents: Tensor, device: torch.device | str = "cpu", batch_size: int = 256) -> Tensor:
    """The images of latents (N, latent_dim), in batches, on the CPU and in float32."""
    with torch.autocast(torch.device(device).type, enabled=False):
        return torch.cat([generator(part.to(device)).float().cpu() for part in latents.split(batch_size)])
