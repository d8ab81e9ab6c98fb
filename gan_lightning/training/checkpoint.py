"""What a run leaves behind to go on from and to sample from; replaced atomically, so that a crash spoils neither."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from torch import nn

from gan_lightning import formats
from gan_lightning.files import replacing
from gan_lightning.run_folder import BEST, GENERATOR, LAST
from gan_lightning.sampling.files import node_of, save_generator
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.types import PositiveInt


class RunCheckpoint(IterationCallback, Checkpoint):
    """Writes checkpoints/last.ckpt and generator.safetensors every `every` iterations and at the end or a stop.

    With `keep_every`, checkpoints/iteration=NNNNNNNN.ckpt stay beside it; checkpoints/best.ckpt is that of the latest
    iteration for which `is_best` was true. A checkpoint holds both networks, the average, both optimizers, the loops'
    counters, the resolved config and the format, in plain containers: it loads with weights_only=True. In a script of
    one's own there is no config, which generator.safetensors needs to make the network anew, and so no such file.
    """

    def __init__(
        self,
        folder: str | Path,
        config: dict[str, Any] | None = None,
        every: PositiveInt = 1000,
        keep_every: PositiveInt | None = None,
        is_best: Callable[[int], bool] = lambda iteration: False,
    ) -> None:
        self.folder = Path(folder)
        self.config = config
        self.every = every
        self.keep_every = keep_every
        self.is_best = is_best

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config
        checkpoint["format"] = formats.CHECKPOINT

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        # Lightning runs checkpoint callbacks after all others, so a stop that one of them asked for is known here.
        # Saved after the last batch instead, a run could not be prolonged: Lightning would hold its epoch for finished.
        iteration = trainer.global_step
        kept = [f"iteration={iteration:08d}.ckpt"] if self.keep_every and iteration % self.keep_every == 0 else []
        kept += [BEST.name] if self.is_best(iteration) else []
        if kept or iteration % self.every == 0 or iteration == trainer.max_steps or trainer.should_stop:
            self.save(trainer, model, kept)

    def save(self, trainer: Trainer, model: GAN, kept: Sequence[str]) -> None:
        """Saves now, on all ranks together, under the names `kept` too."""
        require_finite_weights(model, trainer.global_step)
        last = self.folder / LAST
        if not trainer.is_global_zero:
            trainer.save_checkpoint(last)  # gives its part to the first rank, and writes nothing
            return
        with replacing(last) as temporary:
            trainer.save_checkpoint(temporary)
            for name in kept:
                link(temporary, last.with_name(name))
        if self.config is not None:
            node, average = self.config["network"]["generator"], model.ema_generator
            parts = {"generator": node_of(average, node), "latents": self.config["latents"]}
            save_generator(average, parts, self.folder / GENERATOR, trainer.global_step)


def link(file: Path, name: Path) -> None:
    """Gives a file another name too, in the place of what has it."""
    name.unlink(missing_ok=True)
    try:
        os.link(file, name)
    except OSError:  # a file system without links
        shutil.copyfile(file, name)


def require_finite_weights(model: nn.Module, iteration: int) -> None:
    """Raises FloatingPointError naming a tensor that is not finite: it must not replace a checkpoint that is."""
    floats = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    finite = torch.stack([value.isfinite().all() for value in floats.values()])
    for name, is_finite in zip(floats, finite.tolist(), strict=True):
        if not is_finite:
            raise FloatingPointError(
                f"{name} is not finite at iteration {iteration}: training has diverged."
                " The last checkpoint, if any, is kept."
            )
