"""Composing a config from conf/ and the user's overrides, with mistakes answered in one paragraph. Imports no torch."""

import json
import warnings
from collections.abc import Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from gan_lightning.config.check import KeyRefused, check
from gan_lightning.config.containers import keys, without_hydra
from gan_lightning.config.mistakes import (
    NOT_COMPOSED,
    explain,
    first_line,
    refuse_choice,
    refuse_unknown_addition,
    require_labels,
    require_own_files,
    require_searched,
    require_size,
    require_text,
    require_weights,
)
from gan_lightning.config.places import CONF
from gan_lightning.config.sources import Sources
from gan_lightning.config.trainer import refuse_arguments, refused, require_obeyed
from gan_lightning.errors import UserError
from gan_lightning.paths import in_quotes, shell_word


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
            require_own_files(config)
        except KeyRefused as error:
            raise UserError(f"{error}{standing_in(error.key, sources, parsed, loader)}") from error
        except OmegaConfBaseException as error:
            raise UserError(f"The configuration can't be resolved: {first_line(error)}.") from error
    return config


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
                f"{quoting(text, parser)}"
            ) from error
    return parsed


def quoting(text: str, parser: OverridesParser) -> str:
    """How to type an override that can't be read, if its value is text: a sentence with its leading space."""
    if text.partition("=")[2][:1] in ("", "[", "{"):
        return ""
    try:
        parser.parse_overrides([in_quotes(text)])
    except HydraException:
        return ""
    return f" Text with such characters is written {shell_word(in_quotes(text))}."


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
