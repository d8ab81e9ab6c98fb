"""What a run leaves behind to go on from and to sample from; replaced atomically, so that a crash spoils neither."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from gan_lightning import __version__
from gan_lightning.errors import UserError
from gan_lightning.run_folder import BEST, GENERATOR, LAST
from gan_lightning.training.gan import GAN
from gan_lightning.types import PositiveInt

FORMAT = "gan_lightning.generator/2"


class RunCheckpoint(Checkpoint):
    """Writes checkpoints/last.ckpt and generator.safetensors every `every` iterations and at the end or a stop.

    With `keep_every`, checkpoints/iteration=NNNNNNNN.ckpt stay beside it; checkpoints/best.ckpt is that of the latest
    iteration for which `is_best` was true. A checkpoint holds both networks, the
    average, both optimizers, the loops' counters and the resolved config, in plain containers: it loads with
    weights_only=True.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        every: PositiveInt = 1000,
        keep_every: PositiveInt | None = None,
        is_best: Callable[[int], bool] = lambda iteration: False,
    ) -> None:
        self.folder = folder
        self.config = config
        self.every = every
        self.keep_every = keep_every
        self.is_best = is_best

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Lightning runs checkpoint callbacks after all others, so a stop that one of them asked for is known here.
        # Saved after the last batch instead, a run could not be prolonged: Lightning would hold its epoch for finished.
        iteration = trainer.global_step
        kept = [f"iteration={iteration:08d}.ckpt"] if self.keep_every and iteration % self.keep_every == 0 else []
        kept += [BEST.name] if self.is_best(iteration) else []
        if kept or iteration % self.every == 0 or iteration == trainer.max_steps or trainer.should_stop:
            self.save(trainer, pl_module, kept)

    def save(self, trainer: Trainer, model: LightningModule, kept: Sequence[str]) -> None:
        """Saves now, on all ranks together, under the names `kept` too."""
        assert isinstance(model, GAN)
        require_finite_weights(model, trainer.global_step)
        last = self.folder / LAST
        temporary = last.with_suffix(".tmp")
        trainer.save_checkpoint(temporary)
        if not trainer.is_global_zero:
            return
        for name in kept:
            named = last.with_name(name)
            named.unlink(missing_ok=True)
            try:
                os.link(temporary, named)
            except OSError:  # a file system without links
                shutil.copyfile(temporary, named)
        os.replace(temporary, last)
        parts = {"generator": self.config["network"]["generator"], "latents": self.config["latents"]}
        save_generator(model.ema_generator, parts, self.folder / GENERATOR, trainer.global_step)


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


def save_generator(generator: nn.Module, config: dict[str, Any], path: Path, iteration: int) -> None:
    """Writes a generator's weights; in the file's metadata, the `config` that rebuilds it and its latents' prior."""
    metadata = {
        "format": FORMAT,
        "version": __version__,
        "config": json.dumps(config),
        "weights": "ema",
        "iteration": str(iteration),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, metadata=metadata)
    os.replace(temporary, path)


def read_generator(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor], int]:
    """The config of `generator` and `latents`, the weights, and their iteration.

    Raises UserError for a file that is not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} can't be read as a generator: {error}.") from error
    if metadata.get("format") != FORMAT:
        raise UserError(f"{path} is not a generator of this program: its format is {metadata.get('format')!r}.")
    return json.loads(metadata["config"]), tensors, int(metadata["iteration"])


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU. Raises UserError if the file is absent, truncated or holds pickled code."""
    if not path.is_file():
        stopped = "the run may have stopped before its first one"
        reason = "no evaluation has ranked one" if path.name == BEST.name else stopped
        raise UserError(f"There is no checkpoint {path}; {reason}.")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises half a dozen types for a damaged file
        reason = str(error).strip().splitlines()[0]
        kept = sorted(path.parent.glob("iteration=*.ckpt"))
        others = f" {kept[-1]} is there too; copied to its place, it can be resumed." if kept else ""
        raise UserError(f"The checkpoint {path} is damaged and can't be loaded ({reason}).{others}") from error
    if not isinstance(checkpoint, dict) or not {"global_step", "state_dict", "config"} <= checkpoint.keys():
        raise UserError(f"{path} is not a checkpoint of this program.")
    return checkpoint
