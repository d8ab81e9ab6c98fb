"""A constructor's signature is its schema: a config is checked against the signatures it names before it is built.

Neither torch nor lightning is imported for that. Annotations are read as far as a config can break them (numbers and
their ranges, true and false, text, choices, lists, mappings); any other type accepts anything.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue, OmegaConfBaseException

from gan_lightning.config.annotations import (
    SCHEMAS,
    Alternatives,
    Expectation,
    alternatives_of,
    either,
    is_target,
    show,
)
from gan_lightning.config.kinds import home, objection, require_class
from gan_lightning.config.signature import Signature, static_signature
from gan_lightning.errors import UserError
from gan_lightning.plugins import advice, package_of
from gan_lightning.suggest import did_you_mean

# What a `_target_` may be beside what a plug-in has; Hydra's instantiate runs with the same list.
ALLOWED = (
    "gan_lightning.*",
    "torch.nn.*",
    "torch.optim.*",
    "torchvision.*",
    "torchmetrics.*",
    "pytorch_lightning.*",
)
# What comes from there may read, write, download or train: it stands only where a place asks for its kind.
ASKED_FOR = (
    "gan_lightning.",
    "pytorch_lightning.",
    "torchmetrics.",
    "torchvision.datasets.",
    "torchvision.io.",
    "torchvision.models.",
)
SCHEDULES = "gan_lightning.schedules."
PACKAGES = tuple(pattern.removesuffix(".*") for pattern in ALLOWED)
OWNERS = tuple(f"{name}." for name in PACKAGES)


def allowed(plugins: Iterable[str]) -> tuple[str, ...]:
    """What a `_target_` may be where the user trusts some packages more."""
    return (*ALLOWED, *(f"{name}.*" for name in plugins))


Plugins = Sequence[str]
SPECIAL = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")  # Hydra's own keys, no arguments
UNNAMED = ("_args_", "_convert_", "_recursive_")  # those that change how a class gets its arguments
LARGEST_FLOAT, LARGEST_INT = 3.4028235e38, 2**63 - 1
MOST_LISTED = 12  # known keys in a message


class KeyRefused(UserError):
    """A mistake at one key."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class Entry:
    """A resolved value of a node; `origin` is the key it was written at, another one than `key` if interpolated."""

    name: str
    key: str
    origin: str
    value: Any


def check(cfg: DictConfig, target: str, key: str = "", plugins: Plugins = ()) -> None:
    """Raises UserError for the first mistake in `cfg`, the arguments of `target`, or in a node with a `_target_` below.

    `key` is the dotted key of `cfg` itself. Interpolations are resolved; a mistake is reported at the key they lead to.
    `plugins` are packages whose classes may stand there beside those of ALLOWED.
    """
    short = target.rpartition(".")[2]
    signature = _signature(target, key)
    parameters = {parameter.name: parameter for parameter in signature.parameters}
    _check_names(cfg, target, key)
    for entry in _entries(cfg, key):
        parameter = parameters.get(entry.name)
        annotation = parameter.annotation if parameter is not None else None
        alternatives = alternatives_of(annotation, parameter.module) if parameter is not None and annotation else ()
        _check_value(entry, alternatives, target, plugins)
    for parameter in signature.parameters[len(cfg.get("_args_") or ()) :]:
        if parameter.required and parameter.name not in cfg and not cfg.get("_partial_"):
            raise UserError(f"{_join(key, parameter.name)} needs a value: {short} can't do without it.")


def _signature(target: str, key: str) -> Signature:
    try:
        return static_signature(target)
    except LookupError as error:
        raise UserError(f"{_join(key, '_target_')} is {target!r}, but {error}") from error


def require_made(cfg: DictConfig, *names: str) -> None:
    """Raises KeyRefused if a node at the top, which is to be an object, is to be a factory."""
    for name in names:
        if cfg[name].get("_partial_"):
            raise KeyRefused(name, f"{name}._partial_ is true, but the object itself is wanted there.")


def _check_names(cfg: DictConfig, target: str, key: str) -> None:
    """Raises KeyRefused for a key that there isn't; of a schema's groups too, before anything asks for their values."""
    signature = _signature(target, key)
    parameters = {parameter.name: parameter for parameter in signature.parameters}
    for name in map(str, cfg):
        parameter = parameters.get(name)
        if parameter is None:
            if name not in SPECIAL and not signature.accepts_any_keyword and not _is_read(cfg, name, target, key):
                raise _unknown_key(cfg, name, key, target.rpartition(".")[2], list(parameters))
            continue
        group = cfg._get_node(name)
        if isinstance(group, DictConfig) and parameter.annotation and not OmegaConf.is_interpolation(cfg, name):
            for one in alternatives_of(parameter.annotation, parameter.module):
                if one.schema is not None and one.fits(group):
                    _check_names(group, one.schema, _join(key, name))


def _check_value(entry: Entry, alternatives: Alternatives, owner: str, plugins: Plugins) -> None:
    """Checks a value, and what lies below it, against what an annotation of `owner` accepts; () is anything."""
    group = next((one for one in alternatives if one.schema and one.fits(entry.value)), None)
    if group is not None and group.schema is not None:
        check(entry.value, group.schema, entry.origin, plugins)
        return
    if isinstance(entry.value, DictConfig) and not is_target(entry.value):
        values = next((one.values for one in alternatives if one.values), ())
        for inner in _entries(entry.value, entry.origin):
            _check_value(inner, values, owner, plugins)
    else:
        _check_node(entry.value, entry.origin, alternatives, owner, plugins)
    if alternatives and not _accepted(entry.value, alternatives):
        _refuse(entry, alternatives, owner.rpartition(".")[2])


def _is_read(cfg: DictConfig, name: str, target: str, key: str) -> bool:
    """Whether a group's key that no schema has is taken from it by an interpolation somewhere, as an option's own."""
    if not target.startswith(f"{SCHEMAS}."):
        return False
    whole = OmegaConf.to_yaml(cfg._get_root())
    return re.search(rf"\$\{{(oc\.select:)?{re.escape(_join(key, name))}[.,}}]", whole) is not None


def _check_node(node: Any, key: str, wanted: Alternatives, owner: str, plugins: Plugins) -> None:
    """Checks that a node names a class that may stand there, and its arguments; so in lists and mappings."""
    if isinstance(node, DictConfig) and "_target_" in node:
        target = node["_target_"]
        _check_target(target, _join(key, "_target_"), plugins)
        _check_special(node, target, key)
        _check_kind(node, key, wanted, owner, plugins)
        check(node, target, key, plugins)
    elif isinstance(node, DictConfig | ListConfig):
        for entry in _entries(node, key):
            _check_node(entry.value, entry.origin, (), owner, plugins)


def _check_kind(node: DictConfig, key: str, wanted: Alternatives, owner: str, plugins: Plugins) -> None:
    """Raises KeyRefused unless a node builds a class of a kind that its place, an argument of `owner`, asks for.

    Where nothing tells what a place wants, anything goes that can do no harm.
    """
    target = node["_target_"]
    fitting = [one for one in wanted if one.fits(node)]
    asked = [one for one in fitting if one.kind is not None]
    could_stand = (fitting or not wanted) and owner.startswith(OWNERS)
    if could_stand and not asked and target.startswith(ASKED_FOR) and not target.startswith(SCHEDULES):
        raise KeyRefused(key, f"{key} builds {target}, which nothing asks for there.")
    reasons = [_objection(target, one, plugins) for one in asked]
    if asked and len(asked) == len(fitting) and None not in reasons:
        names = either([str(one.kind).rpartition(".")[2] for one in asked])
        article = "an" if names[0] in "AEIOU" else "a"
        raise KeyRefused(key, f"{key} builds {target}, but {article} {names} is wanted there, and {reasons[0]}.")


def _objection(target: str, one: Expectation, plugins: Plugins) -> str | None:
    """Why a class is not what an expectation asks for, as the end of a sentence; None if it is."""
    if one.within and not package_of(f"{home(target)}.", one.within) and not package_of(target, plugins):
        return f"only those of {either(one.within)}, or of packages that plugins names, may be"
    return objection(target, str(one.kind))


def _check_special(node: DictConfig, target: str, key: str) -> None:
    """Raises KeyRefused for Hydra's own keys with values, or at classes, that no part is made with."""
    for name in ("_partial_", "_recursive_"):
        if name in node and not isinstance(node[name], bool):
            raise KeyRefused(key, f"{_join(key, name)} is {show(node[name])}, but it must be true or false.")
    for name in UNNAMED:
        if name in node and target.startswith(ASKED_FOR):
            raise KeyRefused(key, f"{_join(key, name)} can't be set: {target} takes arguments by their names.")


def _check_target(target: Any, key: str, plugins: Plugins) -> None:
    """Raises UserError unless it is the dotted path of a public class of an allowed package."""
    if not isinstance(target, str):
        raise UserError(f"{key} is {show(target)}, but it must be the dotted path of a class.")
    if not target.startswith(OWNERS) and not package_of(target, plugins):
        packages = either(PACKAGES)
        raise UserError(f"{key} is {target!r}, but it must lie in {packages}{advice(target)}.")
    try:
        require_class(target, () if package_of(target, plugins) else [*PACKAGES, *plugins])
    except LookupError as error:
        raise UserError(f"{key} is {target!r}, but {error}") from error


def _unknown_key(cfg: DictConfig, name: str, key: str, short: str, known: list[str]) -> UserError:
    raw: Any = OmegaConf.to_container(cfg, resolve=False)
    listed = f" Known keys: {', '.join(known)}." if 0 < len(known) <= MOST_LISTED else ""
    hint = did_you_mean(_join(key, name), [_join(key, other) for other in known])
    here = _join(key, name)
    return KeyRefused(here, f"{here} is not a key of {short} (it is set to {show(raw[name])}).{listed}{hint}")


def _entries(node: DictConfig | ListConfig, key: str) -> Iterator[Entry]:
    names: Iterable[Any] = list(node.keys()) if isinstance(node, DictConfig) else range(len(node))
    for name in names:
        own_key = _join(key, name)
        try:
            entry = Entry(str(name), own_key, _origin(node, name, own_key), node[name])
        except MissingMandatoryValue as error:
            raise UserError(f"{own_key} needs a value.") from error
        except InterpolationToMissingValueError as error:
            missing = str(error).splitlines()[0].rpartition(": ")[2]
            raise UserError(f"{missing} needs a value ({own_key} is taken from it).") from error
        except OmegaConfBaseException as error:
            raw: Any = OmegaConf.to_container(node, resolve=False)
            reason = str(error).splitlines()[0].rstrip(".")
            raise UserError(f"{own_key} is {raw[name]!r}, which can't be resolved: {reason}.") from error
        if limit := _limit(entry.value):
            raise KeyRefused(entry.origin, f"{entry.origin} is {show(entry.value)}, but it must be {limit}.")
        yield entry


def _limit(value: Any) -> str | None:
    """What a number of a config has to be and isn't: one that the tensors and counters of a run can hold."""
    if isinstance(value, float) and not abs(value) <= LARGEST_FLOAT:  # which NaN isn't either
        return "a finite number of 32 bits"
    return "below 2^63" if isinstance(value, int) and abs(value) > LARGEST_INT else None


def _origin(node: DictConfig | ListConfig, name: Any, key: str) -> str:
    """`key`, or the key at the end of a chain of plain interpolations `${a.b}`."""
    if not OmegaConf.is_interpolation(node, name):
        return key
    child: Any = node._get_node(name)
    end = child._dereference_node()
    if end._get_root() is child._get_root():
        return key if end._get_full_key(None) == child._get_full_key(None) else str(end._get_full_key(None))
    # What a resolver made, such as a schedule, has no key: it was asked for where the chain ends.
    link = re.fullmatch(r"\$\{([\w.]+)\}", child._value())
    if link is None or link[1].startswith("."):
        return key
    parent, _, last = link[1].rpartition(".")
    place: Any = OmegaConf.select(node._get_root(), parent) if parent else node._get_root()
    return _origin(place, last, link[1])


def _join(key: str, name: Any) -> str:
    if isinstance(name, int):
        return f"{key}[{name}]"
    return f"{key}.{name}" if key else str(name)


def _accepted(value: Any, alternatives: Alternatives) -> bool:
    return any(
        expected.fits(value)
        and (expected.bounds is None or value in expected.bounds)
        and _first_bad_entry(value, expected) is None
        for expected in alternatives
    )


def _first_bad_entry(value: Any, expected: Expectation, key: str = "") -> "tuple[Entry, Alternatives] | None":
    """The first item of a list, or value of a mapping, that isn't accepted there, and what would be."""
    is_list = isinstance(value, ListConfig) and bool(expected.items)
    is_mapping = isinstance(value, DictConfig) and bool(expected.values) and not is_target(value)
    if not is_list and not is_mapping:
        return None
    for index, entry in enumerate(_entries(value, key)):
        alternatives = expected.values or expected.item(index)
        if not _accepted(entry.value, alternatives):
            return entry, alternatives
    return None


def _refuse(entry: Entry, alternatives: Alternatives, short: str) -> NoReturn:
    """Says what is wrong with a value, as closely as an alternative of the right type lets one: its range, an item."""
    near = next((expected for expected in alternatives if expected.fits(entry.value)), None)
    if near is not None and (bad := _first_bad_entry(entry.value, near, entry.origin)) is not None:
        _refuse(*bad, short)
    if near is not None:
        expected, hint = f"it must be {near.bounds}", ""
    else:
        words = either(dict.fromkeys(alternative.words for alternative in alternatives))
        choices = [choice for one in alternatives for choice in one.choices if isinstance(choice, str)]
        expected, hint = f"{short} expects {words} there", did_you_mean(str(entry.value), choices)
    taken = "" if entry.origin == entry.key else f" ({entry.key} is taken from it)"
    raise KeyRefused(entry.origin, f"{entry.origin} is {show(entry.value)}, but {expected}{taken}.{hint}")
