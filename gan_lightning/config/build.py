"""Building the objects that a checked config names."""

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from gan_lightning.config.check import ALLOWED
from gan_lightning.errors import UserError


def build(config: DictConfig, key: str) -> Any:
    """The object of the node at `key`, its nested nodes included.

    Only targets on the whitelist are imported. A constructor's ValueError, by which it refuses its arguments,
    becomes a UserError that names the key; any other error is a defect and passes through.
    """
    node = OmegaConf.select(config, key)
    try:
        return instantiate(node, _convert_="all", _execution_whitelist_=ALLOWED)
    except ValueError as error:
        raise UserError(f"{blamed_key(config, error, key)}: {str(error).rstrip('.')}.") from error


def blamed_key(config: DictConfig, error: ValueError, default: str) -> str:
    """The key of the node whose constructor failed, as the user would write it."""
    # Hydra adds to an error, as notes, where in the config it came from.
    lines = [line for note in getattr(error, "__notes__", ()) for line in note.splitlines() if "full_key: " in line]
    key = lines[-1].partition("full_key: ")[2].strip() if lines else default
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if isinstance(node, DictConfig) and name in node and OmegaConf.is_interpolation(node, name):
        raw = OmegaConf.to_container(node, resolve=False)
        assert isinstance(raw, dict)
        return str(raw[name])[2:-1]
    return key
