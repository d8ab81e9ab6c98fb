"""Composing a config from conf/ and the user's overrides, with mistakes answered in one paragraph. Imports no torch."""

import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from hydra.version import VersionBase
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from gan_lightning.config.annotations import show
from gan_lightning.config.check import KeyRefused, check
from gan_lightning.config.places import CONF
from gan_lightning.config.resolvers import register_resolvers
from gan_lightning.config.trainer import refuse_arguments, refused, require_obeyed
from gan_lightning.errors import UserError
from gan_lightning.plugins import conf_folders, granted
from gan_lightning.suggest import did_you_mean

# What Hydra raises for what it can't compose: its parser of defaults asks little of the kinds of values.
NOT_COMPOSED = (HydraException, OmegaConfBaseException, YAMLError, ValueError, TypeError, AttributeError)
OVERRIDING = re.compile(r"(?:Error merging override|Could not override) '?([^\n]*?)'?\.?(?:\n|$)")
# Groups whose names are the user's own; what stands there is checked.
OPEN = ("loss.weights", "regularizer", "heads", "metric", "logger", "callbacks")


class OwnOptions(SearchPathPlugin):
    """Has Hydra search some folders before its primary one, so that an option there goes before one of its name."""

    folders: ClassVar[tuple[Path, ...]] = ()

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in reversed(self.folders):
            search_path.prepend("own options", f"file://{folder}", SearchPathQuery(provider="main"))


@dataclass(frozen=True)
class Sources:
    """Where configs are found, and whose classes they may name.

    `name` is the primary config's, in `folder`; `extra` are folders of the user's (--config-dir), and `plugins` the
    packages that the user trusts. Options there go before those of the same name in `folder`.
    """

    name: str
    folder: Path = CONF
    extra: tuple[Path, ...] = ()
    plugins: tuple[str, ...] = ()

    @property
    def own(self) -> tuple[Path, ...]:
        """The folders that are searched before the primary one."""
        return (*self.extra, *conf_folders(self.plugins))

    def trusting(self, named: Sequence[Any]) -> "Sources":
        """The same, with what the user trusts: by name, by their own configs, or by standing consent (plugins.py).

        Raises UserError for a package that can't be imported.
        """
        folders = [*self.extra, *([self.folder] if self.folder != CONF else [])]
        return replace(self, plugins=granted([*named, *(name for folder in folders for name in named_in(folder))]))

    @contextmanager
    def searched(self) -> Iterator[None]:
        """Lets whatever starts Hydra find the user's own options."""
        Plugins.instance().register(OwnOptions)
        before, OwnOptions.folders = OwnOptions.folders, self.own
        try:
            yield
        finally:
            OwnOptions.folders = before

    @contextmanager
    def open(self) -> Iterator[ConfigLoader]:
        """Hydra, initialised to search them; within a program of Hydra's too, whose state is put back."""
        register_resolvers()
        with self.searched(), a_hydra_of_its_own(), initialize_config_dir(str(self.folder)):
            yield GlobalHydra.instance().config_loader()


@contextmanager
def a_hydra_of_its_own() -> Iterator[None]:
    """Puts back what there was before of what Hydra has one of in a process."""
    kinds: tuple[type, ...] = (GlobalHydra, VersionBase)
    before = {kind: Singleton._instances.pop(kind) for kind in kinds if kind in Singleton._instances}
    try:
        yield
    finally:
        for kind in kinds:
            Singleton._instances.pop(kind, None)
        Singleton._instances.update(before)


def named_in(folder: Path) -> list[Any]:
    """The packages that the configs in a folder of the user's name by a key `plugins` at the top."""
    named: list[Any] = []
    for file in sorted(folder.rglob("*.yaml")):
        try:
            content = OmegaConf.to_container(OmegaConf.load(file))
        except (OSError, ValueError, YAMLError, OmegaConfBaseException):
            continue  # whatever is wrong there is said where it is chosen
        names = content.get("plugins") if isinstance(content, dict) else None
        named += names if isinstance(names, list) else []
    return named


def compose(sources: Sources, overrides: Sequence[str], schema: str) -> DictConfig:
    """The config of one job, its node `hydra` included, checked against the signature of `schema`.

    Raises UserError for an unknown option or key, a wrong type or value, or an override that can't be read.
    """
    with sources.open() as loader:
        parsed = parse(overrides, loader)
        for override in parsed:
            refuse_choice(override, loader)
            if told := refused(override.key_or_group, override.input_line or "") if not override.is_delete() else None:
                raise UserError(told)
            refuse_unknown_addition(sources, override, parsed)
        try:
            with warnings.catch_warnings():  # which would be printed; it is said below
                warnings.filterwarnings("ignore", "provider=hydra.searchpath")
                config = hydra_compose(sources.name, list(overrides), return_hydra_config=True)
        except NOT_COMPOSED as error:
            raise explain(error, sources, parsed, loader) from error
        try:
            require_size(config)
            require_labels(config)
            refuse_arguments(config)
            check(without_hydra(config), schema, plugins=sources.plugins)
            require_obeyed(config)
            require_weights(config, loader)
            require_searched(config)
        except KeyRefused as error:
            raise UserError(f"{error}{standing_in(error.key, sources, parsed, loader)}") from error
        except OmegaConfBaseException as error:
            raise UserError(f"The configuration can't be resolved: {first_line(error)}.") from error
    return config


def with_plugins(sources: Sources, overrides: Sequence[str]) -> tuple[Sources, list[str]]:
    """The sources with what the user trusts, and the overrides with all of that for the one key `plugins`.

    A resumed run's own config grants nothing: this override takes the place of what stands there.
    """
    given = [override for override in parse(overrides) if override.key_or_group == "plugins"]
    named: list[Any] = []
    for override in given:
        value = override.value()
        named += value if isinstance(value, list) else [value]
    sources = sources.trusting(named)
    lines = [override.input_line for override in given]
    others = [text for text in overrides if text not in lines]
    return sources, [*others, f"plugins={json.dumps(sources.plugins)}"] if sources.plugins or given else others


def standing_in(key: str, sources: Sources, overrides: Sequence[Override], loader: ConfigLoader) -> str:
    """A sentence on the file that a key stands in, with its leading space; nothing for one off the command line."""
    for override in overrides:
        given = override.key_or_group
        is_group = bool(loader.get_group_options(given))
        if not is_group and (given == key or given.startswith(f"{key}.") or key.startswith(f"{given}.")):
            return ""
    found = None
    lines = [override.input_line or "" for override in overrides]
    for default in loader.compute_defaults_list(sources.name, lines, RunMode.RUN).defaults:
        package = "" if default.package in (None, "", "_global_") else f"{default.package}."
        if default.config_path is None or not key.startswith(package):
            continue
        # The last file that has it decides.
        loaded = loader.repository.load_config(default.config_path)  # type: ignore[attr-defined]  # of Hydra's only one
        if loaded is not None and key.removeprefix(package) in keys(loaded.config):
            found = f"{str(loaded.path).removeprefix('file://')}/{default.config_path}.yaml"
    return f" It stands in {found}." if found else ""


def replacements(sources: Sources, overrides: Sequence[str]) -> list[str]:
    """A sentence on each of the user's own options that is taken in the place of a built-in one of its name."""
    if not sources.own:
        return []
    told = []
    with sources.open() as loader:
        for default in loader.compute_defaults_list(sources.name, list(overrides), RunMode.RUN).defaults:
            built_in = CONF / f"{default.config_path}.yaml"
            for folder in sources.own:
                own = folder / f"{default.config_path}.yaml"
                if own.is_file() and built_in.is_file():
                    group, _, option = str(default.config_path).rpartition("/")
                    told.append(f"{group or 'config'}={option} is {own}, in place of the built-in one.")
                    break
    return told


def require_weights(config: DictConfig, loader: ConfigLoader) -> None:
    """Raises KeyRefused for a weight in `loss.weights` of a regularizer that there isn't."""
    known = [
        *loader.get_group_options("regularizer", ObjectType.CONFIG),
        *OmegaConf.select(config, "regularizer", default=()),
    ]
    for name in map(str, OmegaConf.select(config, "loss.weights", default=())):
        if name not in known:
            here = f"loss.weights.{name}"
            raise KeyRefused(here, f"{here} weighs no regularizer that there is.{did_you_mean(name, known)}")


def require_searched(config: DictConfig) -> None:
    """Raises UserError for a folder to search for options that there isn't, which Hydra passes over."""
    for path in config.hydra.searchpath:
        if path.startswith("file://") and not os.path.isdir(path.removeprefix("file://")):
            raise UserError(f"hydra.searchpath has {path}, but there is no such folder.")


def require_size(config: DictConfig) -> None:
    """Raises UserError for a size of images that is none, before anything that follows from it is found wrong."""
    size = OmegaConf.select(config, "dataset.image_size")
    sides = list(size) if isinstance(size, ListConfig) else [size, size]
    if size is not None and not (len(sides) == 2 and all(type(side) is int and side >= 1 for side in sides)):
        raise UserError(
            f"dataset.image_size is {show(size)}, but it must be pixels a side, at least 1, or [HEIGHT,WIDTH]."
        )


def require_labels(config: DictConfig) -> None:
    """Raises UserError where networks are to be told, or to tell, labels that the data set doesn't have."""
    groups = ("dataset", "loss", "conditioning")
    dataset, loss, conditioning = (OmegaConf.select(config, f"{group}.name") for group in groups)
    is_conditional = conditioning not in (None, "none")
    names_labels = OmegaConf.select(config, "heads.classification") is not None
    if names_labels and OmegaConf.select(config, "dataset.conditions") is not None:
        raise UserError(
            "dataset.conditions are numbers, but the head classification names classes; use conditioning=concat or"
            " conditioning=projection with a loss that has no such head, or dataset.conditions=null for classes."
        )
    if (is_conditional or names_labels) and OmegaConf.select(config, "dataset.classes") == 0:
        asking = f"conditioning={conditioning}" if is_conditional else f"loss={loss}"
        raise UserError(
            f"{asking} needs labels, but dataset={dataset} has none (dataset.classes is 0); use conditioning=none with"
            " a loss that needs none either, or where there are labels, tell how many classes by dataset.classes=N, or"
            " name columns of numbers by dataset.conditions=[NAME,NAME]."
        )


def without_hydra(config: DictConfig) -> DictConfig:
    """The config without Hydra's own node, some of which can be resolved in a running job alone."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def parse(overrides: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """The overrides, parsed one by one so that a mistake names its own."""
    parser = OverridesParser.create(config_loader=loader)
    parsed = []
    for text in overrides:
        require_text(text)
        try:
            [override] = parser.parse_overrides([text])
            if not override.key_or_group.strip("."):
                raise UserError(f"{text!r} can't be read: an override is written KEY=VALUE, and the key is missing.")
            parsed.append(override)
        except HydraException as error:
            raise UserError(
                f"{text!r} can't be read: an override is written KEY=VALUE ({first_line(error)})."
            ) from error
    return parsed


def require_text(given: str) -> None:
    """Raises UserError for bytes that are no text, as names of files can be: no configuration can hold them."""
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{given} is not UTF-8, as what a run's configuration saves must be; give the file or folder another name,"
            " or a link with one. What lies in a folder may have any names."
        ) from error


def unreadable(error: Exception, sources: Sources) -> UserError | None:
    """Which file is no YAML, if that is what the error says."""
    if isinstance(error, MarkedYAMLError) and (mark := error.problem_mark):
        return UserError(f"{mark.name} is no YAML: {error.problem}, in line {mark.line + 1}, column {mark.column + 1}.")
    if isinstance(error, UnicodeDecodeError):
        files = [file for folder in (*sources.own, sources.folder) for file in sorted(folder.rglob("*.yaml"))]
        which = next((file for file in files if file.is_file() and file.read_bytes() == error.object), "A file")
        return UserError(f"{which} is no YAML: it is not UTF-8 text.")
    return None


def explain(error: Exception, sources: Sources, overrides: Sequence[Override], loader: ConfigLoader) -> UserError:
    """What was wrong with the overrides that Hydra could not compose."""
    if told := unreadable(error, sources):
        return told
    groups = {group for group in loader.list_groups("") if group != "hydra"}
    choices = []
    for override in overrides:
        key = override.key_or_group
        if loader.get_group_options(key) and not override.is_delete():
            options = loader.get_group_options(key, ObjectType.CONFIG)
            if override.value() is None:
                return UserError(f"{key}=null: choose one of {', '.join(options)}, or leave {key} out.")
            chosen = override.value()
            for value in chosen if isinstance(chosen, list) else [chosen]:
                if isinstance(value, str) and value not in options and value != "null":
                    return UserError(
                        f"{key}={value}: there is no such {key}. There are {', '.join(options)}."
                        f"{did_you_mean(value, options)}"
                    )
            choices.append(override.input_line or "")
    try:
        config = hydra_compose(sources.name, choices, return_hydra_config=True)
    except NOT_COMPOSED:
        config = None
    for override in overrides:
        key = override.key_or_group
        known = keys(config, of_hydra=key.startswith("hydra.")) if config is not None else []
        if known and not (key in known or key in groups or "/" in key or override.is_add()):
            hint = did_you_mean(key, [*known, *groups])
            return UserError(f"{override.input_line}: there is no key {key}.{hint}")
    return UserError(f"The configuration can't be composed: {first_line(error)}.")


def refuse_choice(override: Override, loader: ConfigLoader) -> None:
    """Raises UserError for what is no name of an option where a group's is chosen, and for a group that isn't."""
    group = override.key_or_group
    if group == "dataset_loss" and not override.is_delete():
        raise UserError(
            f"{override.input_line} can't be set: what a data set needs of a loss follows from dataset and loss;"
            " ~dataset_loss leaves it out."
        )
    options = loader.get_group_options(group, ObjectType.CONFIG)
    if not options or override.is_delete() or override.is_sweep_override():
        return
    chosen = override.value()
    for value in chosen if isinstance(chosen, list) else [chosen]:
        if not isinstance(value, str | QuotedString) and not (value is None and chosen is None):
            raise UserError(
                f"{override.input_line}: {group} is chosen by the name of an option, but {show(value)} is none. There"
                f" are {', '.join(options)}; one that is called so wants quotes: {group}='\"{value}\"'."
            )


def refuse_unknown_addition(sources: Sources, override: Override, overrides: Sequence[Override]) -> None:
    """Hydra's +key=value adds keys; one that nothing would read is a mistake, unless a constructor can take it."""
    key = override.key_or_group
    if not override.is_add() or key.startswith("hydra/"):
        return
    others = [other.input_line or "" for other in overrides if not other.is_add()]
    try:
        config = hydra_compose(sources.name, others, return_hydra_config=True)
    except NOT_COMPOSED:
        return  # whatever is wrong there is said by the caller
    parent = OmegaConf.select(config, key.rpartition(".")[0]) if "." in key else config
    known = keys(config, of_hydra=key.startswith("hydra."))
    if known and key.startswith("hydra."):
        # What Hydra itself reads has a type; elsewhere, such as in logging's configuration, any key may stand.
        if key not in known and parent is not None and is_dataclass(OmegaConf.get_type(parent)):
            raise UserError(f"{override.input_line}: Hydra reads no key {key}.{did_you_mean(key, known)}")
        return
    is_group = key in GlobalHydra.instance().config_loader().list_groups("")
    is_open = key.startswith(tuple(f"{group}." for group in OPEN))
    is_open = is_open or (isinstance(parent, DictConfig) and "_target_" in parent)
    if key not in known and not is_group and not is_open:
        raise UserError(f"{override.input_line}: nothing reads a key {key}.{did_you_mean(key, known)}")


def keys(config: DictConfig, of_hydra: bool = False) -> list[str]:
    """All dotted keys of a config, inner nodes included: the user's, or Hydra's own. Resolves no interpolation."""
    found: list[str] = []

    def walk(node: Any, prefix: str) -> None:
        if isinstance(node, Mapping):
            for name, value in node.items():
                found.append(f"{prefix}{name}")
                walk(value, f"{prefix}{name}.")

    unresolved = OmegaConf.to_container(config, resolve=False)
    assert isinstance(unresolved, dict)
    walk({name: node for name, node in unresolved.items() if (name == "hydra") == of_hydra}, "")
    return [key for key in found if key.rpartition(".")[2] not in ("_target_", "_partial_")]


def plain(config: DictConfig) -> dict[str, Any]:
    """A config as plain containers, every interpolation resolved."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop; of the error below one that says nothing itself."""
    if (told := OVERRIDING.match(str(error))) and error.__cause__:
        return f"{told[1]}, {first_line(error.__cause__)}"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (" ".join(lines[:2]) if lines[0].endswith(":") else lines[0]).rstrip(".")
