"""Generators in files: written beside a run, found again, and made anew from what the file says of them."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar, cast, get_args

import torch
from safetensors import safe_open
from torch import Tensor, nn

from gan_lightning import __version__, formats
from gan_lightning.errors import UserError, printable, reason
from gan_lightning.files import parse_json
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.networks.plain import PlainGenerator
from gan_lightning.paths import typed
from gan_lightning.plugins import advice, package_of
from gan_lightning.run_folder import BEST, LAST, find_generator, last_saved
from gan_lightning.samples import Conditions, Units, as_condition_units, as_units
from gan_lightning.sampling.checkpoints import as_iteration, as_origin, read_checkpoint, read_last
from gan_lightning.sampling.latents import Prior
from gan_lightning.sampling.sizes import outline, require_drawable
from gan_lightning.sampling.whole import DIGEST, is_whole, save_whole

log = logging.getLogger(__name__)

Kind = TypeVar("Kind")
Weights = Literal["ema", "raw", "best"]

# What a file may name: constructors of generators and of priors, from these two rooms, and of the modules that a plain
# one is made of; beside them, those of packages that the user trusts.
ROOMS = ("gan_lightning.networks", "gan_lightning.sampling")
LAYERS = ("torch.nn", "torchvision.ops", "torchvision.models")
ROWS = ".conditions"  # the tensor of their rows; no weight's name begins with a dot
UNNAMED = ("_target_", "_args_", "_convert_", "_recursive_")


class GeneratorFile(NamedTuple):
    """A generator out of a file: the nodes that make it and its prior, its weights, and the iteration they are of.

    `classes` are the names of its labels in their order; () where the file has none, as those of before have. `units`
    lead from its samples to the numbers of the data set's files, if it has any. `conditions` are what its labels are
    where they are numbers. `origin` tells where its weights began, unless at random. `held` says which of a run's
    weights they are.
    """

    generator: dict[str, Any]
    latents: dict[str, Any]
    weights: dict[str, Tensor]
    iteration: int
    classes: tuple[str, ...] = ()
    units: Units | None = None
    conditions: Conditions | None = None
    origin: Mapping[str, Any] = MappingProxyType({})
    held: Weights = "ema"


def save_generator(
    generator: nn.Module,
    config: Mapping[str, Any],
    path: Path,
    iteration: int,
    classes: Sequence[str] = (),
    units: Units | None = None,
    conditions: Conditions | None = None,
    origin: Mapping[str, Any] | None = None,
    weights: Weights = "ema",
) -> None:
    """Writes a generator's weights; in the file's metadata, the nodes `generator` and `latents` of `config`, which
    `weights` of a run they are, the names of its classes, the units of its samples and the `origin` of its weights,
    plain data, if there are any.

    Of `conditions`, the rows are written beside the weights. Earlier releases, which would take them for classes, read
    no such file, and all others.
    """
    metadata = {
        "format": formats.GENERATOR if conditions is None else formats.CONDITIONED,
        "version": __version__,
        "config": json.dumps({name: config[name] for name in ("generator", "latents")}),
        "weights": weights,
        "iteration": str(iteration),
        "classes": json.dumps(list(classes)),
    }
    if units is not None:
        metadata["units"] = json.dumps(units.plain())
    if origin:
        metadata["origin"] = json.dumps(dict(origin))
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    if conditions is not None:
        metadata["conditions"] = json.dumps(conditions.units.plain())
        tensors[ROWS] = conditions.rows.contiguous()
    save_whole(tensors, path, metadata)


def node_of(generator: nn.Module, node: Mapping[str, Any]) -> dict[str, Any]:
    """The node that makes a generator anew, where `node` may make the plain module inside it."""
    if isinstance(generator, PlainGenerator):
        target = f"{ROOMS[0]}.{PlainGenerator.__name__}"
        return {"_target_": target, "module": dict(node), "latent_dim": generator.latent_dim}
    return dict(node)


def read_generator(path: Path) -> GeneratorFile:
    """What `save_generator` wrote, in this format or an earlier one. Raises UserError for any other file."""
    if not path.is_file():  # to open a pipe may take forever
        raise UserError(f"{path} can't be read as a generator: there is no such file.")
    try:
        # Of a header that claims more than the file has, this raises.
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except Exception as error:  # SafetensorError, OSError, and others for types that torch lacks
        raise UserError(f"{path} can't be read as a generator: {reason(error)}.") from error
    formats.require(metadata.get("format"), formats.CONDITIONED, f"{path} is not a generator of this program")
    require_written(path, metadata)
    try:
        config = formats.upgrade(parse_json(metadata["config"]))
        generator, latents = as_node(config["generator"]), as_node(config["latents"])
        iteration = as_iteration(int(metadata["iteration"]))
        classes = as_names(parse_json(metadata.get("classes", "[]")))
        units = as_units(parse_json(metadata["units"])) if "units" in metadata else None
        conditions = as_conditions(parse_json(metadata["conditions"]), tensors) if "conditions" in metadata else None
        origin = as_origin(parse_json(metadata.get("origin", "{}")))
        held = as_weights(metadata.get("weights", "ema"))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: its metadata can't be read ({reason(error)}).") from error
    return GeneratorFile(generator, latents, tensors, iteration, classes, units, conditions, origin, held)


def require_written(path: Path, metadata: Mapping[str, str]) -> None:
    """Raises UserError for a file that isn't what was written; of formats before the digest, nothing is known."""
    if (metadata["format"] in formats.UNSEALED and DIGEST not in metadata) or is_whole(path):
        return
    remade = f" {typed('resume', path.parent)} makes it anew, from {LAST}." if last_saved(path.parent) else ""
    raise UserError(f"{path} is damaged: its content is not what was written.{remade}")


def as_node(value: Any) -> dict[str, Any]:
    """A node of a configuration. Raises ValueError for anything else."""
    if not isinstance(value, dict) or not isinstance(value.get("_target_"), str):
        raise ValueError("a node with a _target_ is missing")
    return value


def as_names(value: Any) -> tuple[str, ...]:
    """A list of names. Raises ValueError for anything else."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("the classes are no list of names")
    return tuple(value)


def as_weights(value: str) -> Weights:
    """Which weights of a run a file says it holds. Raises ValueError for anything else."""
    if value not in get_args(Weights):
        raise ValueError(f"its weights are {value!r}")
    return cast(Weights, value)


def as_conditions(units: Any, tensors: dict[str, Tensor]) -> Conditions:
    """Conditions whose rows are among tensors, and are taken out of them. Raises KeyError or ValueError for others."""
    known, rows = as_condition_units(units), tensors.pop(ROWS)
    if rows.ndim != 2 or rows.shape[1] != len(known.names) or not len(rows) or rows.dtype != torch.float32:
        raise ValueError("the rows of conditions don't fit their names")
    if not rows.isfinite().all():
        raise ValueError("the rows of conditions are not finite")
    return Conditions(known, rows)


def make(node: Mapping[str, Any], kind: type[Kind], path: Path, plugins: Sequence[str] = ()) -> Kind:
    """The generator or the prior that a node out of the file `path` names, with modules that it is made of.

    `plugins` are the packages that the user trusts to have them too. Raises UserError for anything else: a file that
    somebody sends must not get to call what it likes.
    """
    target = str(node.get("_target_"))
    found = constructor(target, plugins)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(
            f"{path} asks for {target!r}, which is no {kind.__name__.lower()} of this program{advice(target, plugins)}."
        )
    arguments = {name: argument(value, path, plugins) for name, value in node.items() if name not in UNNAMED}
    positional = argument(node.get("_args_", []), path, plugins)
    try:
        made: Kind = found(*positional, **arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} holds arguments that {found.__name__} can't be made with: {reason(error)}.") from error
    return made


def argument(value: Any, path: Path, plugins: Sequence[str]) -> Any:
    """An argument of a node: plain values as they are, and modules made of nodes."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            return make(value, nn.Module, path, plugins)
        return {name: argument(inner, path, plugins) for name, inner in value.items()}
    return [argument(inner, path, plugins) for inner in value] if isinstance(value, list) else value


def constructor(target: str, plugins: Sequence[str]) -> Any:
    """What stands at a dotted path, if that is a public name of a package that files may name; None elsewhere."""
    room, _, name = target.rpartition(".")
    is_public = not any(part.startswith("_") for part in target.split("."))
    if not is_public or not (room in ROOMS or package_of(target, (*LAYERS, *plugins))):
        return None
    try:
        return getattr(import_module(room), name, None)
    except ImportError:
        return None


class Loaded(NamedTuple):
    """A generator with its weights, the prior of its latents, the iteration that the weights are of, the names of
    its classes, () if it has none or they are not known, the units of its samples, if they have any, and what its
    labels are where they are numbers.
    """

    generator: Generator
    latents: Prior
    iteration: int
    classes: tuple[str, ...] = ()
    units: Units | None = None
    conditions: Conditions | None = None


def load(run: str | Path, weights: Weights = "ema", plugins: Sequence[str] = ()) -> Loaded:
    """The generator of a run's folder, or of a generator.safetensors file, which has the last average only.

    `weights` are the last average, the last raw ones, or the average of checkpoints/best.ckpt; `plugins` as in `make`.
    Where the last checkpoint is damaged, the raw weights are those of the one before it, which is said. Raises
    UserError if there is none, or if it is damaged.
    """
    path = find_generator(str(run))
    file = read_generator(path)
    tensors, iteration = file.weights, file.iteration
    if weights != "ema":
        checkpoint = last_content(path.parent) if weights == "raw" else read_checkpoint(path.parent / BEST)
        prefix = "generator." if weights == "raw" else "ema_generator."
        state, iteration = checkpoint["state_dict"], checkpoint["global_step"]
        tensors = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    prior = make(file.latents, Prior, path, plugins)
    build = partial(make, file.generator, Generator, path, plugins)
    generator = outline(build, tensors, path)
    # No activation of it is larger than its weights, so that it can be tried as it is. What is computed without memory
    # takes torch's compiler, whose import takes as long as that of torch.
    is_bounded = type(generator) is MLPGenerator
    generator = build() if is_bounded else generator
    shape = require_drawable(generator, prior, path, file.conditions is not None)
    require_units(file.units, shape, path)
    generator = generator if is_bounded else build()
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:  # of types that can't become a network's
        raise UserError(f"{path} is damaged: its weights are not those of the network that it names.") from error
    if file.classes and len(file.classes) != generator.classes:
        raise UserError(
            f"{path} is damaged: it names {len(file.classes)} classes, but its generator has {generator.classes}."
        )
    if file.conditions and len(file.conditions.units.names) != generator.classes:
        names = file.conditions.units.names
        raise UserError(
            f"{path} is damaged: it names {len(names)} conditions, but its generator has {generator.classes}."
        )
    return Loaded(generator, prior, iteration, file.classes, file.units, file.conditions)


def require_units(units: Units | None, shape: tuple[int, ...] | None, path: Path) -> None:
    """Raises UserError for units that are none of samples of such a shape; None: it is not known."""
    if units is None or shape is None:
        return
    fits = len(units.scale) in (1, shape[0]) and len(units.whole) in (0, 1, shape[0])
    if not fits or len(units.names) not in (0, prod(shape)):
        raise UserError(f"{path} is damaged: its units are none of samples of shape {list(shape)}.")


def last_content(run: Path) -> dict[str, Any]:
    """What a run's last checkpoint has, or the one before it, which is said then."""
    checkpoint = read_last(run)
    if checkpoint.instead:
        log.warning("%s", printable(checkpoint.instead))
    return checkpoint.content
