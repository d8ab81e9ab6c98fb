"""Weights that a new run begins with in the place of random ones: those of another run, or of a file."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from gan_lightning.config.containers import plain
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.errors import UserError, printable
from gan_lightning.metrics.weights import file_hash
from gan_lightning.paths import whole
from gan_lightning.run_folder import GENERATOR, LAST, find_beginning
from gan_lightning.samples import Units
from gan_lightning.sampling.checkpoints import Checkpoint, origin_in, read_checkpoint, read_last
from gan_lightning.sampling.files import GeneratorFile, read_generator
from gan_lightning.training.gan import GAN

log = logging.getLogger(__name__)

NETWORKS = ("generator", "discriminator", "ema_generator")
MOST_TOLD = 4  # weights in a message
MOST_NAMED = 20  # labels in a message
MOST_EARLIER = 16  # origins of a line of runs


class Meanings(NamedTuple):
    """What the numbers that networks are told and make stand for, as texts: their labels, and columns of samples.

    Labels are the names of classes, or of conditions, each with its ends. () is what isn't known, or has no names.
    """

    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


class Start(NamedTuple):
    """Weights by network, the file that they are of, its iteration, and where these began themselves."""

    path: Path
    iteration: int
    states: dict[str, dict[str, Tensor]]
    origin: Mapping[str, Any]
    latents: Any  # the node of the prior that they were trained with; None where that isn't told
    meanings: Meanings


def start_from(config: DictConfig, model: GAN) -> Start | None:
    """Gives a model the weights of `init_from`, if that is set, and notes where they are from in its `origin`.

    A run's last checkpoint, or any checkpoint, has both networks and the generator's average; a generator.safetensors
    has the average, which the generator begins with too, and the discriminator stays as it is. Optimizers begin anew.
    Raises UserError for weights that the networks have no place for, unless `init_strict` is false: then what fits is
    taken, and the rest is told. Nothing random is drawn. Returns what was read, if anything was.
    """
    if config.init_from is None:
        return None
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
    return start


def require_same_meanings(config: DictConfig, start: Start, data: GANDataModule) -> None:
    """Raises UserError where weights were trained with as many labels or columns as the data have, but others, or in
    another order, which shapes don't tell; with `init_strict` false, they are told of.
    """
    conditions = data.conditions
    here = meanings(data.loaded.classes if data.classes else (), conditions and conditions.units, data.loaded.units)
    for what, there, ours in zip(("labels", "columns"), start.meanings, here, strict=True):
        if len(there) != len(ours) or there == ours:
            continue
        number = next(k for k, (theirs, own) in enumerate(zip(there, ours, strict=True)) if theirs != own)
        told = (
            f"init_from is {start.path}, trained with the {what} {listed(there)}, but dataset={config.dataset.name} has"
            f" {listed(ours)}: number {number} is {there[number]} there and {ours[number]} here"
        )
        if config.init_strict:
            raise UserError(
                f"{told}; give the data the same in the same order, or init_strict=false takes the weights."
            )
        log.warning("%s", printable(f"{told}; what they mean now must be learnt anew."))


def meanings(classes: Sequence[str], conditions: Units | None, samples: Units | None) -> Meanings:
    """Those of a data set, or of a generator's file."""
    ends = zip(conditions.names, conditions.shift, conditions.scale, strict=True) if conditions else ()
    numbers = [f"{name} from {middle - half:g} to {middle + half:g}" for name, middle, half in ends]
    return Meanings(tuple(numbers or classes), samples.names if samples else ())


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
        return Start(file, generator.iteration, both, generator.origin, generator.latents, meanings_of(generator))
    state: dict[str, Tensor] = checkpoint.content["state_dict"]
    states = {
        name: {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        for name in NETWORKS
    }
    latents = checkpoint.content["config"].get("latents")
    origin = origin_in(checkpoint.content)
    return Start(checkpoint.path, checkpoint.iteration, states, origin, latents, meanings_beside(checkpoint.path))


def meanings_of(file: GeneratorFile) -> Meanings:
    return meanings(file.classes, file.conditions and file.conditions.units, file.units)


def meanings_beside(checkpoint: Path) -> Meanings:
    """Those of a checkpoint in a run's folder, whose generator's file has them: the checkpoint itself has none."""
    file = checkpoint.parent.parent / GENERATOR
    if checkpoint.parent.name != LAST.parent.name or not file.is_file():
        return Meanings()
    try:
        return meanings_of(read_generator(file))
    except UserError:  # which is no reason not to begin with a checkpoint that is whole
        return Meanings()


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


def listed(names: Sequence[str]) -> str:
    """The first of some names, with how many more there are."""
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED))


def sized(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
