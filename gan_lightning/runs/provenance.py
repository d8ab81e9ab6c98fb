"""Where a run's numbers come from: versions, machine, commit and hyper-parameters."""

import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard.summary import hparams

from gan_lightning import __version__

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "hydra-core", "omegaconf")
# TensorBoard's HParams page shows five hyper-parameters: those that are said to differ, then others by the alphabet.
SHOWN = 5
ALWAYS, OTHERWISE = ("loss", "seed"), ("n_critic", "regularizer", "network")
# The keys of the others that a sweep may try, or what they begin with.
KEYS = {
    "regularizer_weight": ("regularizer.", "loss.weights."),
    "n_critic": ("loss.n_critic", "loss.critic_updates.n_critic"),
    "generator_lr": ("loss.optimizer.generator.lr",),
    "discriminator_lr": ("loss.optimizer.discriminator.lr",),
    "generator_optimizer": ("loss.optimizer.generator._target_",),
    "discriminator_optimizer": ("loss.optimizer.discriminator._target_",),
    "latent_dim": ("network.latent_dim",),
    "batch_size": ("dataset.batch_size",),
    "ema_decay": ("ema.decay",),
    "ema_half_life": ("ema.half_life",),
    **{name: (name,) for name in ("dataset", "conditioning", "regularizer", "network")},
}


def provenance(trainer: Trainer) -> dict[str, Any]:
    """The software and the machine of a run, for results.json."""
    versions = {"gan_lightning": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in PACKAGES}
    root = trainer.strategy.root_device
    device = torch.cuda.get_device_name(root) if root.type == "cuda" else f"{root.type} ({platform.machine()})"
    told = {"versions": versions, "git": commit(), "device": device, "devices": trainer.world_size}
    return {**told, "memory": peak_memory(root)}


def peak_memory(device: torch.device) -> dict[str, int]:
    """The most bytes that this process has held at once, all it has done included, and its tensors on a CUDA device."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    return found | ({"device": torch.cuda.max_memory_allocated(device)} if device.type == "cuda" else {})


@cache
def commit() -> str | None:
    """The commit of the checkout that this package runs from, with "-dirty" if it was changed; None outside one."""
    package = Path(__file__).resolve().parents[1]
    # An installed package may lie below some other project's checkout, whose commit says nothing here.
    if not (package.parent / ".git").exists():
        return None
    git = ["git", "-C", str(package.parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}-dirty" if changed.strip() else head


def hyperparameters(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, str | float]:
    """What TensorBoard's HParams page compares runs by: numbers as numbers, and the same keys in every run.

    TensorBoard takes the columns from the first run alone, so that a key that only some runs had would be lost.
    """
    loss, optimizer = config["loss"], config["loss"]["optimizer"]
    regularizers = config["regularizer"]
    return {
        "loss": loss["name"],
        "regularizer": "+".join(regularizers) or "-",
        "regularizer_weight": "+".join(str(strength(part)) for part in regularizers.values()) or "-",
        "network": config["network"]["name"],
        "conditioning": config["conditioning"]["name"],
        "packing": loss["packing"],
        "dataset": config["dataset"]["name"],
        "seed": config["seed"],
        "n_critic": shown(loss["n_critic"]),
        "generator_optimizer": optimizer["generator"]["_target_"].rpartition(".")[2],
        "generator_lr": shown(optimizer["generator"].get("lr", "-")),
        "discriminator_optimizer": optimizer["discriminator"]["_target_"].rpartition(".")[2],
        "discriminator_lr": shown(optimizer["discriminator"].get("lr", "-")),
        "latent_dim": config["network"]["latent_dim"],
        "batch_size": config["dataset"]["batch_size"],
        "ema_decay": shown(config["ema"]["decay"]) if config["ema"]["half_life"] is None else "-",
        "ema_half_life": shown(config["ema"]["half_life"] or "-"),
        "max_steps": config["trainer"]["max_steps"],
        "precision": str(config["trainer"]["precision"]),
        "overrides": " ".join(overrides) or "-",
    }


def strength(regularizer: dict[str, Any]) -> str | float:
    """How strong a regularizer is, by whatever its argument for that is called."""
    names = ("weight", "bound", "std", "probability")
    return next((shown(regularizer[name]) for name in names if name in regularizer), "-")


def shown(value: Any) -> str | float:
    """A number, or a schedule in short: `2e-4 to 0`."""
    return f"{value['start']:g} to {value['end']:g}" if isinstance(value, dict) else value


def compared(values: dict[str, str | float], metrics: Sequence[str]) -> Sequence[Summary]:
    """What TensorBoard's HParams page is told of a run: its hyper-parameters, and which scalars it is compared by.

    The page shows the first five metrics, and of the hyper-parameters the loss, the seed and what the command has said:
    in a sweep what its runs differ in is among that.
    """
    typed = [text.lstrip("+~").partition("=")[0] for text in str(values["overrides"]).split()]
    told = [name for name, keys in KEYS.items() if any(_is_told(key, typed) for key in keys)]
    first = list(dict.fromkeys([*ALWAYS, *told, *OTHERWISE]))[:SHOWN]
    experiment, *others = hparams(values, dict.fromkeys(metrics, 0.0))
    content = experiment.value[0].metadata.plugin_data
    data = HParamsPluginData.FromString(content.content)
    for info in data.experiment.hparam_infos:
        info.differs = info.name in first
    content.content = data.SerializeToString()
    return [experiment, *others]


def _is_told(key: str, typed: Sequence[str]) -> bool:
    """Whether a key is among those that were typed; one that ends in a dot, whether any below it is."""
    return any(each.startswith(key) if key.endswith(".") else each == key for each in typed)
