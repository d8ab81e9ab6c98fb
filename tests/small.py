"""Overrides that make the networks of any configuration as small as can be, so that an iteration takes milliseconds."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import yaml

from gan_lightning.config.places import CONF

SIZES = {"hidden_dim": 8, "blocks": 1, "width": 4, "expansion": 1, "group_width": 2, "embedding_dim": 3}
UNWATCHED = ("evaluation.every=null", "dashboard.every=null")
CODES = 12  # numbers in the latents of loss=infogan


@cache
def content(group: str, option: str) -> dict[str, Any]:
    """An option's file."""
    loaded: dict[str, Any] = yaml.safe_load((CONF / group / f"{option}.yaml").read_text())
    return loaded


def network_of(overrides: Sequence[str]) -> str:
    """The network that they choose: by itself, or else by what a data set, a loss or an experiment brings along."""
    chosen = dict(override.split("=", 1) for override in overrides if "=" in override)
    network = "mlp"
    for group in ("dataset", "loss", "experiment"):
        for entry in defaults_of(group, chosen[group]) if group in chosen else []:
            network = next((option for key, option in entry.items() if "/network" in key), network)
    return chosen.get("network", network)


def defaults_of(group: str, option: str) -> list[dict[str, str]]:
    """What an option's file chooses in other groups, with what the option of its own group that it starts from does."""
    found = []
    for entry in content(group, option).get("defaults", []):
        found += defaults_of(group, entry) if isinstance(entry, str) else [entry]
    return found


@cache
def sizes(network: str) -> tuple[str, ...]:
    """The overrides of whatever sizes an option of the group network has."""

    def walk(node: dict[str, Any], key: str) -> Iterator[str]:
        for name, value in node.items():
            if isinstance(value, dict):
                yield from walk(value, f"{key}.{name}")
            elif name in SIZES and isinstance(value, int):
                yield f"{key}.{name}={SIZES[name]}"

    return tuple(walk(content("network", network), "network"))


def small(*overrides: str, latent_dim: int = 4) -> list[str]:
    """Those that make networks small and leave out what takes longer than so short a run, and then `overrides`."""
    latent_dim += CODES if "loss=infogan" in overrides else 0
    return [*sizes(network_of(overrides)), f"network.latent_dim={latent_dim}", *UNWATCHED, *overrides]
