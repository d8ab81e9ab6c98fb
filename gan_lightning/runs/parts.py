"""The parts of a run, built from its configuration in one visit, and checked against each other and the data."""

import copy
import logging
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger
from torch import nn

from gan_lightning.config.build import build, build_all, origin
from gan_lightning.config.check import require_made
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.errors import UserError, reason, require_memory
from gan_lightning.memory import size
from gan_lightning.networks.resolution import UnfitSamples
from gan_lightning.pictures import pixels_in_grid
from gan_lightning.samples import Kind, kind_of
from gan_lightning.schedules import Clock
from gan_lightning.training.checkpoint import RunCheckpoint
from gan_lightning.training.compatibility import Circumstances, cautions, refuse_data
from gan_lightning.training.discriminator_adapter import adapt
from gan_lightning.training.gan import GAN
from gan_lightning.training.ranks import refuse_strategy
from gan_lightning.training.timetable import END
from gan_lightning.watching.dashboard import Dashboard
from gan_lightning.watching.evaluation import Evaluation
from gan_lightning.watching.health import HealthCheck
from gan_lightning.watching.samples import POINTS, SampleGrids

LOOKED_AT: dict[Kind, int] = {"vectors": POINTS, "signals": 16, "images": 2}  # samples, for what is unwise

log = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)
LARGEST_PICTURE = 89_478_485  # pixels beyond which Pillow takes a file for an attack on memory
# How often a network's weights are there in training: themselves, their gradients, and two moments of each, which most
# optimizers keep; and the generator's average.
COPIES = {"generator": 5, "discriminator": 4}


class RunParts(NamedTuple):
    """What the nodes of these names in conf/train.yaml make. Those that need more than the config are factories."""

    data: GANDataModule
    model: GAN
    trainer: Callable[..., Trainer]
    checkpoint: Callable[..., RunCheckpoint]
    samples: Callable[..., SampleGrids]
    dashboard: Callable[..., Dashboard]
    health: Callable[..., HealthCheck]
    evaluation: Callable[..., Evaluation]
    logger: dict[str, Callable[..., Logger]]
    callbacks: dict[str, Callback]


def build_parts(config: DictConfig) -> RunParts:
    """Builds them, the networks' weights from torch's default random generator; the data are not loaded yet.

    Raises UserError for what a constructor refuses.
    """
    require_made(config, "data", "model")
    require_room(config)
    try:
        return RunParts(**build_all(config, RunParts._fields, config.plugins))
    except UserError as error:
        if isinstance(error.__cause__, UnfitSamples):
            both = f"network={config.network.name} doesn't fit dataset={config.dataset.name}"
            raise UserError(f"{both}: {error.__cause__}.") from error.__cause__
        raise


def iterations(config: DictConfig, data: GANDataModule) -> int:
    """The iteration to stop at, -1 for none: the earlier of `trainer.max_steps` and `trainer.max_epochs`."""
    steps, epochs = int(config.trainer.max_steps), config.trainer.max_epochs
    if steps == 0 or steps < -1:
        raise UserError(f"trainer.max_steps is {steps}, but it must be at least 1, or -1 for no limit.")
    if epochs is not None and (epochs == 0 or epochs < -1):
        raise UserError(f"trainer.max_epochs is {epochs}, but it must be at least 1, or -1 or null for no limit.")
    if epochs is None or epochs == -1:
        return steps
    assert data.critic_updates is not None
    in_epochs = data.critic_updates.iterations(epochs * data.stream.minibatches_per_pass)
    return in_epochs if steps == -1 else min(steps, in_epochs)


def require_parts(config: DictConfig, model: GAN, data: GANDataModule, limit: int) -> None:
    """Raises UserError for parts that fit neither each other nor the data, which otherwise shows within `fit`.

    What is only unwise is said as a warning, unless `compatibility_warnings` is false.
    """
    require_told(config, model)
    networks = (model.generator.parameters(), model.discriminator.parameters())
    try:
        optimizers = model.configure_optimizers()
        model.timetable.optimizers(END, *networks)  # where a schedule may lead out of an argument's range
    except ValueError as error:
        raise UserError(f"loss.optimizer: {str(error).rstrip('.')}.") from error
    try:
        moment = model.timetable.at(model.clock(0, data.batch_size, limit))
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise UserError(f"{reason}; set trainer.max_steps, or the length too: ${{linear:START,END,OVER}}.") from error
    require_picture(int(config.samples.count), data.sample_shape)
    packing, looked_at = model.discriminator.packing, LOOKED_AT[kind_of(data.sample_shape)]
    real, labels, *_ = data.first(packing * max(2, -(-looked_at // packing))).as_floats()
    if not real.isfinite().all():
        raise UserError(f"The samples of dataset={config.dataset.name} are not all finite numbers of 32 bits.")
    try:
        refuse_data(model.parts, model.adapter(moment.regularizers), real, labels)
    except ValueError as error:
        raise UserError(f"{str(error).rstrip('.')}.") from error
    if config.compatibility_warnings:
        given = Circumstances(optimizers[1], str(config.trainer.precision), real, config.loss.discriminator_norm)
        for caution in cautions(model.parts, given):
            log.warning("%s (compatibility_warnings=false silences this)", caution)


def require_picture(count: int, shape: tuple[int, ...]) -> None:
    """Raises UserError for more samples in one picture than programs that show pictures would open."""
    if len(shape) == 3 and count * pixels_in_grid(shape[1], shape[2]) > LARGEST_PICTURE:
        most = LARGEST_PICTURE // pixels_in_grid(shape[1], shape[2])
        raise UserError(
            f"samples.count is {count}, which makes pictures of more than {LARGEST_PICTURE} pixels, as most programs"
            f" refuse to open; choose {most} at most."
        )


def require_room(config: DictConfig) -> None:
    """Raises UserError for networks whose training takes more memory than there is; they are made without any here."""
    total = 0
    for name, copies in COPIES.items():
        try:
            with torch.random.fork_rng(devices=[]), torch.device("meta"), warnings.catch_warnings(action="ignore"):
                network = build(config, f"model.{name}", config.plugins)
            weights = sum(value.nbytes for value in (*network.parameters(), *network.buffers()))
        except Exception:  # of whatever kind: it is raised again, and explained, where the network is made
            return
        total += copies * weights
        key = origin(config, f"model.{name}")
        what = f"{key} has weights of {size(weights)}, and what is trained"
        require_memory(what, total, f"choose smaller sizes for {key}, or a smaller dataset.image_size")


def require_step(model: GAN, data: GANDataModule, devices: int) -> None:
    """Raises UserError if the networks can't take a minibatch as it comes to each device, such as a single sample.

    Copies without memory are tried. Networks of one's own that compute with values can't be, and are let through.
    """
    share, labels = data.batch_size // devices, None
    tried = "generator"
    try:
        with torch.no_grad(), torch.device("meta"), warnings.catch_warnings(action="ignore"):
            generator, discriminator = weightless(model.generator).train(), weightless(model.discriminator).train()
            adapter = adapt(discriminator, model.heads)
            if data.classes:
                labels = torch.zeros(share, dtype=torch.int64)
            fake = generator(torch.zeros(share, generator.latent_dim), labels if generator.classes else None)
            tried = "discriminator"
            adapter.outputs(adapter.view(fake), adapter.packed(labels))
    except ValueError as error:  # by which torch refuses a shape; of other kinds are what can't be done without memory
        here = f", and so {share} on each of {devices} devices" if devices > 1 else ""
        raise UserError(
            f"dataset.batch_size is {data.batch_size}{here}, which the {tried} can't be trained with"
            f" ({reason(error)}); use a larger one, or another normalisation, such as network.{tried}.norm=layer."
        ) from error
    except Exception:  # of whatever kind, from networks of one's own
        return


def weightless(network: Network) -> Network:
    """A copy of a network on torch's meta device, which takes no memory."""
    tensors = [*network.parameters(), *network.buffers()]
    memo: dict[int, Any] = {}
    for tensor in tensors:
        empty = torch.empty_like(tensor, device="meta")
        is_weight = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(empty, requires_grad=tensor.requires_grad) if is_weight else empty
    return copy.deepcopy(network, memo)


def require_strategy(trainer: Trainer, model: GAN) -> None:
    """Raises UserError for a strategy that would not train both networks rightly: `fit` would raise no such error."""
    try:
        refuse_strategy(trainer.strategy, model)
    except ValueError as error:
        raise UserError(f"{error}.") from error


def require_told(config: DictConfig, model: GAN) -> None:
    """Raises UserError where a network of one's own does without labels or packs that it is to be shown."""
    name, network = config.conditioning.name, config.network.name
    for told, takes_labels, which in (
        (config.conditioning.generator, model.generator.classes > 0, "generator"),
        (config.conditioning.discriminator, model.discriminator.label_input != "none", "discriminator"),
    ):
        if told != "none" and not takes_labels:
            raise UserError(
                f"conditioning={name} tells the {which} labels, but that of network={network} takes none; use"
                f" conditioning=none, or give network.{which} the arguments classes and label_input."
            )
    if config.loss.packing != model.discriminator.packing:
        raise UserError(
            f"loss.packing is {config.loss.packing}, but the discriminator of network={network} sees"
            f" {model.discriminator.packing} samples together; use loss.packing={model.discriminator.packing}, or give"
            " network.discriminator the argument packing."
        )


def mention_moved_end(model: GAN, before: object, now: int) -> None:
    """Warns where a resumed run has another end, and with it schedules that last to the end of the run."""
    try:
        model.timetable.at(Clock(0))
    except ValueError:  # for such a schedule has no value without an end
        if before != now:
            log.warning("Schedules that last to the end of the run now end at iteration %s instead of %s.", now, before)
