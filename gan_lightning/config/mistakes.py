"""What is wrong with a config or with overrides, in one paragraph each. Imports no torch."""

import os
import re
from collections.abc import Sequence
from dataclasses import is_dataclass

from hydra import compose as hydra_compose
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from gan_lightning.config.annotations import show
from gan_lightning.config.check import KeyRefused
from gan_lightning.config.containers import keys
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError
from gan_lightning.extras import missing_engine
from gan_lightning.suggest import did_you_mean

# What Hydra raises for what it can't compose: its parser of defaults asks little of the kinds of values.
NOT_COMPOSED = (HydraException, OmegaConfBaseException, YAMLError, ValueError, TypeError, AttributeError)
OVERRIDING = re.compile(r"(?:Error merging override|Could not override) '?([^\n]*?)'?\.?(?:\n|$)")
# Groups whose names are the user's own; what stands there is checked.
OPEN = ("loss.weights", "regularizer", "heads", "metric", "logger", "callbacks", "attributes")


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


def require_own_files(config: DictConfig) -> None:
    """Raises UserError where Hydra would write its config.yaml in the place of the run's."""
    place = config.hydra.output_subdir
    if place is not None and os.path.normpath(place.strip()) == ".":
        raise UserError(
            f"hydra.output_subdir is {show(place)}, where Hydra's config.yaml would take the place of the run's; name a"
            " folder for it within the run's, or null for none."
        )


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


def require_text(given: str) -> None:
    """Raises UserError for bytes that are no text, as names of files can be: no configuration can hold them."""
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{given} is not UTF-8, as what a run's configuration saves must be; give the file or folder another name,"
            " or a link with one. What lies in a folder may have any names."
        ) from error


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
                        missing_engine(key, value)
                        or f"{key}={value}: there is no such {key}. There are {', '.join(options)}."
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


def unreadable(error: Exception, sources: Sources) -> UserError | None:
    """Which file is no YAML, if that is what the error says."""
    if isinstance(error, MarkedYAMLError) and (mark := error.problem_mark):
        return UserError(f"{mark.name} is no YAML: {error.problem}, in line {mark.line + 1}, column {mark.column + 1}.")
    if isinstance(error, UnicodeDecodeError):
        files = [file for folder in (*sources.own, sources.folder) for file in sorted(folder.rglob("*.yaml"))]
        which = next((file for file in files if file.is_file() and file.read_bytes() == error.object), "A file")
        return UserError(f"{which} is no YAML: it is not UTF-8 text.")
    return None


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop; of the error below one that says nothing itself."""
    if (told := OVERRIDING.match(str(error))) and error.__cause__:
        return f"{told[1]}, {first_line(error.__cause__)}"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (" ".join(lines[:2]) if lines[0].endswith(":") else lines[0]).rstrip(".")
