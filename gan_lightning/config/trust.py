"""A saved configuration is data: it names parts, and settles nothing of this process."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gan_lightning import formats
from gan_lightning.config.resolvers import NAMES
from gan_lightning.errors import UserError
from gan_lightning.run_folder import SAVED

WRITING = ("callbacks", "logger")
HYDRAS = ("hydra", "defaults")  # keys by which Hydra is told what to load and to run
RESOLVER = re.compile(r"\$\{\s*([\w.]+)\s*:")
KNOWN = (*NAMES, "oc.select")  # oc.env, for one, would read this machine's environment into what is saved and sent


def read_data(path: Path) -> Any:
    """A configuration out of a run's folder, in plain containers and with the names of today.

    Raises UserError if it can't be read, holds settings of Hydra's, or asks for values from outside of it.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(
            f"{path} can't be read ({' '.join(str(error).split())}); the run's folder is damaged."
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} can't be read: it holds no configuration; the run's folder is damaged.")
    for key in HYDRAS:
        if key in content:
            raise UserError(f"{path} has a key {key}, by which Hydra would obey it; a saved configuration has none.")
    for key, text in _texts(content, ""):
        for name in RESOLVER.findall(text):
            if name not in KNOWN:
                raise UserError(
                    f"{path} asks at {key} for ${{{name}:…}}, which is not resolved in what comes from a run's folder."
                )
    return formats.upgrade_whole({str(key): value for key, value in content.items()})


def require_inside(config: DictConfig, folder: Path, given: Sequence[str]) -> None:
    """Raises UserError if a callback or a logger out of a run's folder names a place outside of it.

    `given` are the keys that the user has set, which may.
    """
    for key, text in _texts(OmegaConf.to_container(config, resolve=True), ""):
        path = Path(text)
        leaves = text.startswith("~") or ".." in path.parts
        leaves = leaves or (path.is_absolute() and not path.resolve().is_relative_to(folder.resolve()))
        if key.partition(".")[0] in WRITING and leaves and key not in given:
            raise UserError(
                f"{folder / SAVED} has {text} for {key}, outside of the run's folder; {key}={text} grants it, if you"
                " want what is written to go there."
            )


def settled(config: DictConfig) -> Any:
    """A configuration in plain containers, with its interpolations; of those that `read_data` refuses, the values.

    What a run took from the environment stays what it was when it goes on.
    """

    def walk(raw: Any, key: str) -> Any:
        if isinstance(raw, dict):
            return {name: walk(value, f"{key}.{name}" if key else str(name)) for name, value in raw.items()}
        return OmegaConf.select(config, key) if _is_foreign(raw) else raw

    return walk(OmegaConf.to_container(config), "")


def _is_foreign(value: Any) -> bool:
    return isinstance(value, str) and any(name not in KNOWN for name in RESOLVER.findall(value))


def _texts(content: Any, key: str) -> Iterator[tuple[str, str]]:
    """All texts of a configuration, each with its dotted key."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _texts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _texts(value, f"{key}[{index}]")
    elif isinstance(content, str):
        yield key, content
