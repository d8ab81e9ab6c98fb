"""The trainer and what it runs on."""

import logging
import os
import re
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler

from gan_lightning.errors import UserError, reason
from gan_lightning.processes import tasks
from gan_lightning.runs.cluster import WaitingDDP, environments
from gan_lightning.suggest import did_you_mean

# Each network's step leaves the other without gradients, which plain DDP takes for an error.
DISTRIBUTED = "ddp_find_unused_parameters_true"
DURATION = re.compile(r"(\d+):(\d\d):(\d\d):(\d\d)")
STRATEGIES = ("auto", "ddp", DISTRIBUTED)
PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16")


def spare_cuda_lookups() -> None:
    """Where there is no GPU, keeps torch from looking for one at every optimizer step.

    A CUDA build of torch asks at each step whether CUDA is there, and without a driver tries to load its library anew
    each time, 0.1 ms; with no device visible it knows at once.
    """
    if not torch.cuda.is_available():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def silence() -> None:
    """Keeps Lightning's advertisements and remarks meant for single-optimizer models out of the console."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")


def check_hardware(trainer: DictConfig) -> None:
    """Raises UserError if the accelerator that is asked for isn't there, or can't train a GAN as asked."""
    accelerator, strategy = str(trainer.accelerator), str(trainer.strategy)
    available = {
        "gpu": torch.cuda.is_available() or torch.backends.mps.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(accelerator, True):
        kind = {"mps": "MPS device (Apple silicon)"}.get(accelerator, "GPU that torch can use")
        raise UserError(
            f"trainer.accelerator is {accelerator}, but this machine has no {kind};"
            " use trainer.accelerator=cpu or auto."
        )
    if strategy not in STRATEGIES:
        raise UserError(
            f"trainer.strategy is {strategy}; with {', '.join(STRATEGIES)} gradients of alternating networks and of"
            f" penalties are averaged rightly, with others not.{did_you_mean(strategy, STRATEGIES)}"
        )
    devices = trainer.get("devices")
    if not isinstance(devices, int | str | ListConfig):
        raise UserError(f"trainer.devices is {devices}, but it must be a number of devices, a list of them, or auto.")
    if (precision := str(trainer.precision)) not in PRECISIONS:
        raise UserError(
            f"trainer.precision is {precision}, but weights and their average stay in 32 bits: there are"
            f" {', '.join(PRECISIONS)}.{did_you_mean(precision, PRECISIONS)}"
        )
    require_tasks(trainer)


def require_tasks(trainer: DictConfig) -> None:
    """Raises UserError if Slurm has started another number of tasks than there are to be ranks."""
    ranks = device_count(trainer) * trainer.num_nodes
    if tasks() > 1 and tasks() != ranks:
        raise UserError(
            f"trainer.devices ({trainer.devices}) times trainer.num_nodes ({trainer.num_nodes}) is {ranks}, but Slurm"
            f" has started {tasks()} tasks, each of which is to be one process of the run: trainer.devices={tasks()} on"
            f" one node, or srun --ntasks={ranks}."
        )


def duration(value: object) -> timedelta | None:
    """`trainer.max_time`. Raises UserError for anything but days:hours:minutes:seconds, or a timedelta's arguments."""
    if value is None:
        return None
    found = DURATION.fullmatch(str(value))
    try:
        if found:
            days, hours, minutes, seconds = map(int, found.groups())
            return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        arguments: Any = OmegaConf.to_container(value) if isinstance(value, DictConfig) else value
        return timedelta(**arguments)
    except (TypeError, OverflowError) as error:
        raise UserError(
            f"trainer.max_time is {value}, but it must be DAYS:HOURS:MINUTES:SECONDS, such as 00:12:00:00 for twelve"
            " hours, or null."
        ) from error


def device_count(trainer: DictConfig) -> int:
    """How many devices `trainer.devices` asks for."""
    devices = trainer.devices
    if devices in ("auto", -1, "-1"):
        on_gpu = trainer.accelerator != "cpu" and torch.cuda.is_available()
        return torch.cuda.device_count() if on_gpu else 1
    if isinstance(devices, int):
        return devices
    if isinstance(devices, str):
        return len(devices.split(",")) if "," in devices else int(devices) if devices.isdigit() else 1
    return len(devices)


def build_trainer(
    config: DictConfig,
    factory: Callable[..., Trainer],
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    max_steps: int,
) -> Trainer:
    """Lightning's Trainer with `trainer.*` as its arguments; several devices are trained with DDP."""
    chosen: dict[str, Any] = {"callbacks": list(callbacks), "logger": list(loggers), "max_steps": max_steps}
    # The time is Interrupt's, whose checkpoint can be gone on with.
    chosen |= {"max_time": None, "plugins": environments()}
    # Epochs have been turned into iterations: a round may span passes over the data, which Lightning can't express.
    chosen |= {"max_epochs": -1, "enable_model_summary": False, "num_sanity_val_steps": 0}
    asked = config.trainer
    if asked.get("profiler"):
        folder = getattr(factory, "keywords", {}).get("default_root_dir")
        chosen["profiler"] = PROFILERS[asked.profiler](dirpath=folder, filename="profiler")
    if asked.strategy in ("auto", "ddp", DISTRIBUTED) and device_count(asked) * asked.num_nodes > 1:
        chosen["strategy"] = WaitingDDP(find_unused_parameters=True)
    try:
        return factory(**chosen)
    except Exception as error:  # of half a dozen kinds, AttributeError among them
        raise UserError(f"trainer: {reason(error)}.") from error
