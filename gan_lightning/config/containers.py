"""A composed config as plain containers, and its keys. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf


def without_hydra(config: DictConfig) -> DictConfig:
    """The config without Hydra's own node, some of which can be resolved in a running job alone."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def plain(config: DictConfig) -> dict[str, Any]:
    """A config as plain containers, every interpolation resolved."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


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
