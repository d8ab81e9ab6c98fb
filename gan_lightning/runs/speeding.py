"""What a run that is to be fast may do on the machine that it trains on: decided once, and told."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from torch.nn.modules.conv import _ConvNd

from gan_lightning.errors import UserError
from gan_lightning.losses.regularizers import Penalty, takes_gradients
from gan_lightning.training.compiled import is_kept
from gan_lightning.training.gan import GAN

# Discriminator updates with a gradient penalty from which on compiling pays, by what the smallest networks gain, with a
# margin of two: where it has to be done, and where torch has kept the graphs of an earlier run.
SHORTEST, KEPT = 200_000, 20_000

log = logging.getLogger(__name__)


class RunSize(NamedTuple):
    """Samples of a minibatch, and the iteration to stop at, -1 for none."""

    batch: int
    iterations: int


def hasten(
    config: DictConfig, trainer: Trainer, model: GAN, size: RunSize, checkpoint: Mapping[str, Any] | None
) -> None:
    """Has the model train as `speed` says, and a run that goes on with "auto" as it began, on whatever machine.

    Raises UserError for a precision that contradicts it.
    """
    asked, precision = config.speed.bfloat16, str(config.trainer.precision)
    if asked and precision.startswith("16"):
        raise UserError(
            f"speed={config.speed.name} computes in bfloat16, but trainer.precision is {precision}; leave"
            " trainer.precision out, or choose speed.bfloat16=false."
        )
    device = trainer.strategy.root_device
    natively = has_bfloat16(device)
    as_before = bool(checkpoint.get("bfloat16")) if checkpoint is not None else natively
    model.rounds = asked is True or (asked == "auto" and as_before)
    if asked == "auto" and not natively and not model.rounds:
        log.warning(
            "speed=%s leaves networks in float32, since this machine's %s doesn't multiply bfloat16 natively"
            " (speed.bfloat16=true does it all the same).",
            config.speed.name,
            device.type,
        )
    model.compiles = compiles(config.speed.compile, trainer, model, size, checkpoint)


def compiles(
    asked: bool | str, trainer: Trainer, model: GAN, size: RunSize, checkpoint: Mapping[str, Any] | None
) -> bool:
    """Whether graphs are compiled: "auto" does where a run is long enough to gain from it, and goes on as it began.

    What is gained has been measured in float32 on CPUs (docs/performance.md): time with gradient penalties and without
    convolutions. How long a run must be depends on whether torch has kept such graphs of an earlier one.
    """
    if asked != "auto":
        return bool(asked)
    if checkpoint is not None:
        return bool(checkpoint.get("compiled"))
    networks = model.generator, model.discriminator
    convolves = any(isinstance(part, _ConvNd) for network in networks for part in network.modules())
    penalties = [part for part in model.penalties.values() if isinstance(part, Penalty) and takes_gradients(part)]
    measured = trainer.strategy.root_device.type == "cpu" and not model.rounds and not convolves
    if not measured or trainer.world_size > 1 or not penalties:
        return False
    updates = model.critic_updates.updates_before(max(0, size.iterations)) / min(part.every for part in penalties)
    return size.iterations < 0 or updates >= (KEPT if is_kept(model, size.batch) else SHORTEST)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # What torch has no public names for.
    natively = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return device.type == "cpu" and any(is_supported() for is_supported in natively)
