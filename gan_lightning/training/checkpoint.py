"""What a run leaves behind to go on from and to sample from; replaced atomically, so that a crash spoils neither."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from gan_lightning import formats
from gan_lightning.errors import Diverged
from gan_lightning.files import replacing
from gan_lightning.run_folder import BEST, GENERATOR, LAST, PREVIOUS
from gan_lightning.samples import Units
from gan_lightning.sampling.files import node_of, save_generator
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.checkpoint_files import CheckpointFiles
from gan_lightning.training.gan import GAN
from gan_lightning.training.ranks import require_equal_weights
from gan_lightning.types import PositiveInt


class RunCheckpoint(IterationCallback, Checkpoint):
    """Writes checkpoints/last.ckpt and generator.safetensors every `every` iterations and at the end or a stop.

    checkpoints/previous.ckpt is the one before, for when the last is found damaged. With `keep_every`,
    checkpoints/iteration=NNNNNNNN.ckpt stay beside them; checkpoints/best.ckpt is that of the latest iteration for
    which `is_best` was true. A checkpoint holds both networks, the average, both optimizers, the loops'
    counters, the resolved config and the format, in plain containers: it loads with weights_only=True. In a script of
    one's own there is no config, which generator.safetensors needs to make the network anew, and so no such file.
    `classes` are the names that a conditional generator's file has for its labels, and `units` those of its samples.

    `last_good` is the iteration of the last checkpoint, that a resumed run began with included; None before the first.
    What isn't finite is never saved: saving raises Diverged then.
    """

    def __init__(
        self,
        folder: str | Path,
        config: dict[str, Any] | None = None,
        every: PositiveInt = 1000,
        keep_every: PositiveInt | None = None,
        is_best: Callable[[int], bool] = lambda iteration: False,
        classes: Sequence[str] = (),
        units: Units | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.config = config
        self.every = every
        self.keep_every = keep_every
        self.is_best = is_best
        self.classes = classes
        self.units = units
        self.last_good: int | None = None
        self.best_at: int | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"best_at": self.best_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_at = state_dict["best_at"]

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        # A run that has stopped during an evaluation makes it now that it goes on.
        if trainer.global_step != self.best_at and self.is_best(trainer.global_step):
            self.save(trainer, model, [BEST.name])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # none that somebody has chosen
            trainer.strategy.checkpoint_io = CheckpointFiles()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.last_good = checkpoint["global_step"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config
        checkpoint["format"] = formats.CHECKPOINT

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        # Lightning runs checkpoint callbacks after all others, so a stop that one of them asked for is known here.
        # Saved after the last batch instead, a run could not be prolonged: Lightning would hold its epoch for finished.
        is_end = completed == trainer.max_steps or trainer.should_stop
        return completed % self.every == 0 or is_end or bool(self.kept(completed))

    def kept(self, completed: int) -> list[str]:
        """The names under which a checkpoint after so many iterations stays."""
        kept = [f"iteration={completed:08d}.ckpt"] if self.keep_every and completed % self.keep_every == 0 else []
        return [*kept, BEST.name] if self.is_best(completed) else kept

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        self.save(trainer, model, self.kept(trainer.global_step))

    def save(self, trainer: Trainer, model: GAN, kept: Sequence[str]) -> None:
        """Saves now, on all ranks together, and copies under the names `kept`."""
        require_finite_state(trainer, model, self.last_good)
        require_equal_weights(model, trainer.global_step)
        self.best_at = trainer.global_step if BEST.name in kept else self.best_at
        last = self.folder / LAST
        if not trainer.is_global_zero:
            trainer.save_checkpoint(last)  # gives its part to the first rank, and writes nothing
            self.last_good = trainer.global_step
            return
        with replacing(last, before=self.folder / PREVIOUS) as temporary:
            trainer.save_checkpoint(temporary)
            for name in kept:  # copies, since damage to one file is not to be damage to the others
                with replacing(last.with_name(name)) as copy:
                    shutil.copyfile(temporary, copy)
        self.last_good = trainer.global_step
        if self.config is not None:
            save_average(model, self.config, self.folder, trainer.global_step, self.classes, self.units)
        for logger in trainer.loggers:
            logger.save()  # what they hold of the iterations until here, a run that goes on from here doesn't log again


def save_average(
    model: GAN,
    config: Mapping[str, Any],
    folder: Path,
    iteration: int,
    classes: Sequence[str] = (),
    units: Units | None = None,
) -> None:
    """Writes generator.safetensors of the average as it is now; `classes` names its labels, if it has any, and `units`
    those of its samples.
    """
    node, average = config["network"]["generator"], model.ema_generator
    parts = {"generator": node_of(average, node), "latents": config["latents"]}
    names = classes if average.classes else ()
    save_generator(average, parts, folder / GENERATOR, iteration, names, units, model.conditions, model.origin)


def require_finite_state(trainer: Trainer, model: GAN, last_good: int | None) -> None:
    """Raises Diverged naming what is not finite of what a run goes on from: it must not replace a checkpoint that is.

    Weights, running statistics and averages, what the optimizers keep, and the means since the last log point. With
    16-mixed, gradients may overflow, and their norms aren't asked.
    """
    floats = {name: value for name, value in state(trainer, model).items() if value.is_floating_point()}
    by_device: dict[torch.device, list[str]] = {}
    for name, value in floats.items():
        by_device.setdefault(value.device, []).append(name)
    for names in by_device.values():
        finite = torch.stack([floats[name].isfinite().all() for name in names])
        for name, is_finite in zip(names, finite.tolist(), strict=True):
            if not is_finite:
                raise diverged(f"{name} is not finite", trainer.global_step, last_good)


def state(trainer: Trainer, model: GAN) -> dict[str, Tensor]:
    """All tensors that a run goes on from, by what they are."""
    tensors = dict(model.state_dict())
    networks = (("generator", model.generator), ("discriminator", model.discriminator))
    for (network, module), optimizer in zip(networks, trainer.optimizers, strict=True):
        names: dict[Tensor, str] = {parameter: f"{network}.{name}" for name, parameter in module.named_parameters()}
        for parameter, kept in optimizer.state.items():
            of = f"of {names.get(parameter, network)}, which its optimizer keeps,"
            tensors |= {f"{key} {of}": value for key, value in kept.items() if isinstance(value, Tensor)}
    for tags, sums, _ in model.means.state_dict():
        asked = {tag: total for tag, total in zip(tags, sums, strict=True) if not (trainer.scaler and is_norm(tag))}
        tensors |= {f"the running mean of {tag}": torch.tensor(total) for tag, total in asked.items()}
    return tensors


def is_norm(name: str) -> bool:
    """Whether a metric is a gradient's norm, which overflows on purpose under a scaler."""
    return name.startswith("gradient_norm/")


def diverged(what: str, iteration: int, last_good: int | None) -> Diverged:
    """The error of a training whose numbers aren't finite any more; `what` is a clause that says which."""
    kept = "no checkpoint was made before" if last_good is None else f"the last checkpoint is of iteration {last_good}"
    return Diverged(
        f"{what} at iteration {iteration}: training has diverged; {kept}. A lower learning rate or a stronger"
        " regularizer may help."
    )


def last_good(trainer: Trainer) -> int | None:
    """The iteration of a trainer's last checkpoint, if there is one."""
    found = [callback.last_good for callback in trainer.checkpoint_callbacks if isinstance(callback, RunCheckpoint)]
    return found[0] if found else None
