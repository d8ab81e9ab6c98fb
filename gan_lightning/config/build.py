"""Building the objects that a checked config names."""

import re
from collections.abc import Sequence
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from gan_lightning.config.check import allowed
from gan_lightning.config.mistakes import first_line
from gan_lightning.errors import UserError


def build(config: DictConfig, key: str, plugins: Sequence[str] = ()) -> Any:
    """The object of the node at `key`, its nested nodes included.

    Only targets on the whitelist, and of the packages `plugins`, are imported. A constructor's ValueError, by which it
    refuses its arguments, becomes a UserError that names the key; any other error is a defect and passes through.
    """
    return _instantiated(OmegaConf.select(config, key), config, key, plugins)


def build_all(config: DictConfig, names: Sequence[str], plugins: Sequence[str] = ()) -> dict[str, Any]:
    """The objects of several nodes at the top of a config, in their order, in one visit of it.

    `plugins` are packages that may be imported beside those of the whitelist.
    """
    resolved = OmegaConf.to_container(config, resolve=True)
    assert isinstance(resolved, dict)
    # Of these nodes alone: Hydra copies all that a node lies in for each object that it makes.
    built: dict[str, Any] = _instantiated(
        OmegaConf.create({name: resolved[name] for name in names}), config, names[0], plugins
    )
    return built


def _instantiated(node: Any, config: DictConfig, key: str, plugins: Sequence[str] = ()) -> Any:
    try:
        return instantiate(node, _convert_="all", _execution_whitelist_=allowed(plugins))
    except ValueError as error:
        raise UserError(f"{blamed_key(config, error, key)}: {str(error).rstrip('.')}.") from error
    except TypeError as error:
        if "instantiate abstract class" not in str(error):
            raise
        raise UserError(f"{blamed_key(config, error, key)}: {first_line(error)}; name a class that is one.") from error


def blamed_key(config: DictConfig, error: Exception, default: str) -> str:
    """The key of the node whose constructor failed, as the user would write it."""
    # Hydra adds to an error, as notes, where in the config it came from.
    lines = [line for note in getattr(error, "__notes__", ()) for line in note.splitlines() if "full_key: " in line]
    return origin(config, lines[-1].partition("full_key: ")[2].strip() if lines else default)


def origin(config: DictConfig, key: str) -> str:
    """Where the value at a dotted key is written: the key that its plain interpolations `${a.b}` lead to."""
    place = ""
    for name in key.split("."):
        node = OmegaConf.select(config, place) if place else config
        here = f"{place}.{name}" if place else name
        link = None
        if isinstance(node, DictConfig) and name in node and OmegaConf.is_interpolation(node, name):
            raw: Any = OmegaConf.to_container(node, resolve=False)
            link = re.fullmatch(r"\$\{([\w.]+)\}", str(raw[name]))
        place = origin(config, link[1]) if link else here
    return place
