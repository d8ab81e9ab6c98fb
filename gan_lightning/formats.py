"""The formats of what is saved, and how an earlier one reads today. The standard library alone.

Names that a configuration may hold are public ones (gan_lightning/namespace.py) and don't change. Where one must, or a
key or an argument, it is entered here, and saved runs go on being read.
"""

import copy
import re
from typing import Any

from gan_lightning.errors import UserError

GENERATOR = "gan_lightning.generator/4"
CONDITIONED = "gan_lightning.generator/5"  # with conditions that are numbers: 4 is still written of all others
UNSEALED = ("gan_lightning.generator/2", "gan_lightning.generator/3")  # those without a digest
CHECKPOINT, FIRST_CHECKPOINT = "gan_lightning.checkpoint/2", "gan_lightning.checkpoint/1"
CONFIG = "gan_lightning.config/2"  # in the first line, and composed.yaml beside it; before, neither was there
RESULTS, FIRST_RESULTS = "gan_lightning.results/2", "gan_lightning.results/1"
SWEEP = "gan_lightning.sweep/1"
JOB = "gan_lightning.job/1"
READABLE = {
    GENERATOR: 2,
    CONDITIONED: 2,
    CHECKPOINT: 1,
    CONFIG: 1,
    RESULTS: 1,
    SWEEP: 1,
    JOB: 1,
}  # the oldest that is read

# Until format 2 of a checkpoint, a class was named by the file that it stood in. Most files lie in the same room today;
# these don't.
FILES = {
    "gan_lightning.latents": "gan_lightning.sampling",
    "gan_lightning.scheduled": "gan_lightning.schedules",
    **{
        f"gan_lightning.training.{name}": "gan_lightning.watching"
        for name in ("dashboard", "evaluation", "health", "loggers", "samples")
    },
}
BY_FILE = re.compile(r"(gan_lightning\.(?:losses|networks|metrics|data|sampling|training|watching))\.[a-z0-9_]+")
CLASSES = {
    "gan_lightning.metrics.Raw": "gan_lightning.metrics.Identity",
    "gan_lightning.metrics.Transport": "gan_lightning.metrics.ExactWasserstein",
    "gan_lightning.training.CriticSchedule": "gan_lightning.training.CriticUpdates",
}
# Dotted keys from the top of a configuration, and what stands there today. The arguments of classes are among them.
KEYS = {
    "advice": "compatibility_warnings",
    "dataset.image_shape": "dataset.sample_shape",
    "dataset.steps": "dataset.iterations",
    "loss.schedule": "loss.critic_updates",
    "model.schedule": "model.critic_updates",
    "data.schedule": "data.critic_updates",
}
ARGUMENTS = {"image_shape": "sample_shape"}  # of networks and of the data module
RESOLVERS = {"default_steps": "default_iterations"}
# What a configuration of today has and an earlier one lacks.
ADDED: dict[str, Any] = {
    "plugins": [],
    "callbacks": {},
    "optimize": None,
    "matmul": "auto",
    "init_from": None,
    "init_strict": True,
    "speed": {"name": "exact", "bfloat16": False, "compile": False},
    "sweep": {"resume": None, "fail_fast": False},
}
VALUES = {"advice": {"on": True, "off": False}}


def require(found: str | None, today: str, problem: str) -> None:
    """Raises UserError, beginning with `problem`, unless the format `found` is one that is read today."""
    name, _, version = today.partition("/")
    other, _, number = str(found).partition("/")
    if other != name or not number.isdigit():
        raise UserError(f"{problem}: its format is {found!r}.")
    if not READABLE[today] <= int(number) <= int(version):
        which = "a newer" if int(number) > int(version) else "too old a"
        raise UserError(f"{problem}: it was written by {which} version of it (format {found}; read are up to {today}).")


def upgrade_whole(config: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration from its top, with the names and the keys of today."""
    upgraded: dict[str, Any] = upgrade(config)
    for key, value in ADDED.items():
        if isinstance(value, dict) and isinstance(node := upgraded.get(key), dict):
            upgraded[key] = value | node
        else:
            upgraded.setdefault(key, copy.copy(value))
    return upgraded


def upgrade(config: Any, key: str = "") -> Any:
    """A saved configuration, or a node of one, in plain containers and with the names of today.

    Interpolations may be resolved or not. `key` is the dotted key of the node. What has today's names stays as it is.
    """
    if isinstance(config, dict):
        upgraded = {}
        for name, value in config.items():
            place = f"{key}.{name}" if key else str(name)
            argument = ARGUMENTS.get(name, name) if "_target_" in config else name
            today = KEYS[place].rpartition(".")[2] if place in KEYS else argument
            value = VALUES[place].get(value, value) if place in VALUES and isinstance(value, str) else value
            upgraded[today] = public(value) if name == "_target_" else upgrade(value, place)
        return upgraded
    if isinstance(config, list):
        return [upgrade(item, key) for item in config]
    return _interpolations(config) if isinstance(config, str) and "${" in config else config


def public(target: Any) -> Any:
    """The public name of what a `_target_` named."""
    if not isinstance(target, str):
        return target
    file, _, name = target.rpartition(".")
    by_file = BY_FILE.fullmatch(file)
    room = FILES.get(file) or (by_file[1] if by_file else file)
    return CLASSES.get(f"{room}.{name}", f"{room}.{name}")


def _interpolations(text: str) -> str:
    for old, today in KEYS.items():
        text = re.sub(rf"\$\{{{re.escape(old)}(?=[}}.])", f"${{{today}", text)
    for old, today in RESOLVERS.items():
        text = text.replace(f"${{{old}:", f"${{{today}:")
    return text


def upgrade_record(record: dict[str, Any]) -> dict[str, Any]:
    """An evaluation's record, of a protocol whose names are those of today."""
    protocol = record.get("protocol")
    if not isinstance(protocol, dict) or protocol.get("extractor") != "raw":
        return record
    return {**record, "protocol": {**protocol, "extractor": "identity"}}
