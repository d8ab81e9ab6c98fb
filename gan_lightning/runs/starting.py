"""Weights that a new run begins with in the place of random ones: those of another run, or of a file."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from gan_lightning.config.containers import plain
from gan_lightning.errors import UserError, printable
from gan_lightning.metrics.weights import file_hash
from gan_lightning.paths import whole
from gan_lightning.run_folder import LAST, find_beginning
from gan_lightning.sampling.checkpoints import Checkpoint, origin_in, read_checkpoint, read_last
from gan_lightning.sampling.files import read_generator
from gan_lightning.training.gan import GAN

log = logging.getLogger(__name__)

NETWORKS = ("generator", "discriminator", "ema_generator")
MOST_TOLD = 4  # weights in a message
MOST_EARLIER = 16  # origins of a line of runs


class Start(NamedTuple):
    """Weights by network, the file that they are of, its iteration, and where these began themselves."""

    path: Path
    iteration: int
    states: dict[str, dict[str, Tensor]]
    origin: Mapping[str, Any]
    latents: Any  # the node of the prior that they were trained with; None where that isn't told


def start_from(config: DictConfig, model: GAN) -> None:
    """Gives a model the weights of `init_from`, if that is set, and notes where they are from in its `origin`.

    A run's last checkpoint, or any checkpoint, has both networks and the generator's average; a generator.safetensors
    has the average, which the generator begins with too, and the discriminator stays as it is. Optimizers begin anew.
    Raises UserError for weights that the networks have no place for, unless `init_strict` is false: then what fits is
    taken, and the rest is told. Nothing random is drawn.
    """
    if config.init_from is None:
        return
    start = read_start(whole(config.init_from))
    misfits = {name: list(misfitting(getattr(model, name).state_dict(), state)) for name, state in start.states.items()}
    # Those of the average are the generator's.
    told = [f"{name}.{each}" for name, found in misfits.items() if name != "ema_generator" for each in found]
    fits = [] if told and config.init_strict else [n for n, state in start.states.items() if take(model, n, state)]
    if told and "generator" not in fits:
        way_out = "init_strict=false takes what fits" if config.init_strict else "choose the network that it is of"
        raise UserError(
            f"init_from is {start.path}, whose weights don't fit network={config.network.name}: {some(told)};"
            f" {way_out}."
        )
    if told:
        log.warning("%s", printable(f"init_from takes what fits of {start.path}, and leaves the rest: {some(told)}."))
    if start.latents is not None and start.latents != (prior := plain(config)["latents"]):
        told_of = f"init_from is {start.path}, trained with latents={start.latents}, but here they are {prior}"
        log.warning("%s", printable(f"{told_of}; what doesn't fit must be learnt anew."))
    model.origin = {
        "init_from": str(start.path),
        "sha256": file_hash(start.path),
        "iteration": start.iteration,
        "networks": fits,
        "left_out": told,
        **({"before": earlier(start.origin)} if start.origin else {}),
    }


def earlier(origin: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The origins of a line of runs, the nearest first, each without those before it; of a long line, the nearest.

    In files of earlier releases, and of others, `before` may be nested.
    """
    found: list[dict[str, Any]] = []
    pending: list[Any] = [dict(origin)]
    while pending and len(found) < MOST_EARLIER:
        each = pending.pop(0)
        if isinstance(each, Mapping):
            before = each.get("before", [])
            found.append({name: value for name, value in each.items() if name != "before"})
            pending = [*(before if isinstance(before, list) else [before]), *pending]
    return found


def read_start(path: Path) -> Start:
    """What a run's folder, a checkpoint or a generator file has to begin with. Raises UserError for anything else."""
    file = find_beginning(str(path))
    if file == path / LAST:
        checkpoint = read_last(path)
        if checkpoint.instead:
            log.warning("%s", printable(checkpoint.instead))
    elif file.suffix == ".ckpt":
        checkpoint = Checkpoint(file, read_checkpoint(file))
    else:
        generator = read_generator(file)
        both = {"generator": generator.weights, "ema_generator": generator.weights}
        return Start(file, generator.iteration, both, generator.origin, generator.latents)
    state: dict[str, Tensor] = checkpoint.content["state_dict"]
    states = {
        name: {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        for name in NETWORKS
    }
    latents = checkpoint.content["config"].get("latents")
    return Start(checkpoint.path, checkpoint.iteration, states, origin_in(checkpoint.content), latents)


def misfitting(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Iterator[str]:
    """A clause on each tensor of a network or of a state that the other has none for, or one of another shape."""
    for name, value in expected.items():
        if name not in state:
            yield f"{name} is {sized(value)} here and isn't there"
        elif state[name].shape != value.shape:
            yield f"{name} is {sized(value)} here and {sized(state[name])} there"
    for name, value in state.items():
        if name not in expected:
            yield f"{name} is {sized(value)} there and isn't here"


@torch.no_grad()
def take(model: GAN, name: str, state: Mapping[str, Tensor]) -> bool:
    """Copies what fits of a state into a network of that name; returns whether anything did."""
    own = getattr(model, name).state_dict()
    fitting = [key for key, value in own.items() if key in state and state[key].shape == value.shape]
    for key in fitting:
        own[key].copy_(state[key])
    return bool(fitting)


def some(told: list[str]) -> str:
    """The first of some clauses, with how many more there are."""
    more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    return "; ".join(told[:MOST_TOLD]) + more


def sized(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
