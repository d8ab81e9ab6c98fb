"""The options of a command that has no groups: KEY=VALUE onto a file of defaults. Imports neither Hydra nor torch."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from gan_lightning.config.check import check
from gan_lightning.errors import UserError
from gan_lightning.paths import KEYS, NAMED, PATTERNS, require_plain, typed_path
from gan_lightning.suggest import did_you_mean

INTERPOLATION = re.compile(r"(\\*)\$\{")


def read_options(file: Path, arguments: Sequence[str], schema: str) -> dict[str, Any]:
    """The defaults in `file`, overridden by the arguments and checked against the signature of `schema`.

    Values are YAML, but for paths, which are taken as they stand: names such as `loss=vanilla,seed=1` are folders. Keys
    of patterns have lists: one as it stands, or several in brackets, which are YAML.
    Raises UserError for an unknown key, a value of another kind, and an argument that can't be read.
    """
    options = OmegaConf.load(file)
    assert isinstance(options, DictConfig)
    known = [str(key) for key in options]
    for text in arguments:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UserError(f"{text!r} can't be read: an option is written KEY=VALUE.")
        if key not in known:
            raise UserError(f"{text}: there is no key {key}.{did_you_mean(key, known)}")
        if key in PATTERNS and not value.startswith("["):
            options[key] = [_as_it_stands(key, value)]
        else:
            options[key] = _path(key, value) if key in KEYS else _parsed(text, value)
    check(options, schema)
    plain = OmegaConf.to_container(options, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _path(key: str, value: str) -> str | None:
    if value == "null" and key not in NAMED:
        return None
    return _as_it_stands(key, value)


def _as_it_stands(key: str, value: str) -> str:
    # As OmegaConf wants it escaped.
    return INTERPOLATION.sub(lambda found: found[1] * 2 + r"\${", require_plain(key, typed_path(value)))


def _parsed(text: str, value: str) -> Any:
    try:
        # By OmegaConf's own reading, in which 1e3 is a number.
        return OmegaConf.to_container(OmegaConf.create(f"value: {value}"))["value"]  # type: ignore[index, call-overload]  # a mapping
    except (YAMLError, ValueError) as error:
        raise UserError(f"{text!r} can't be read: an option is written KEY=VALUE.") from error
