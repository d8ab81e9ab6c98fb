"""Which GPUs a sweep's jobs compute on: each on its own, of those that this machine has. Imports no torch."""

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from omegaconf import DictConfig

VISIBLE = "CUDA_VISIBLE_DEVICES"
ALL = -1  # devices, for a job that says otherwise which than by how many


def gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The names of NVIDIA's GPUs for this process, as CUDA_VISIBLE_DEVICES has them."""
    if VISIBLE in environment:
        named = (name.strip() for name in environment[VISIBLE].split(","))
        return list(takewhile(is_name, named))  # CUDA, too, sees none from the first on that is no name
    return [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def is_name(text: str) -> bool:
    """Whether CUDA may know a GPU, or a part of one, by this."""
    return text.isdecimal() or text.startswith(("GPU-", "MIG-"))


def has_other_gpu() -> bool:
    """Whether this machine may have a GPU that is not NVIDIA's."""
    return Path("/dev/kfd").exists() or sys.platform == "darwin"


def needed(trainer: DictConfig) -> int:
    """How many GPUs a job of this configuration is to have, where there are some: ALL if it names them itself."""
    if trainer.accelerator == "cpu":
        return 0
    devices = trainer.devices
    return devices if type(devices) is int and devices > 0 else ALL


class Pool:
    """The GPUs that jobs take and give back; `jobs` at once share them where there are more of these than of those."""

    def __init__(self, names: Sequence[str], jobs: int) -> None:
        self.names = list(names)
        self.most = -(-jobs // max(1, len(self.names)))  # jobs on one GPU
        self.jobs = Counter[str]()  # on each

    def take(self, count: int) -> list[str] | None:
        """The names of so many that have the fewest jobs; None while there are too few."""
        count = len(self.names) if count == ALL else min(count, len(self.names))
        free = sorted((name for name in self.names if self.jobs[name] < self.most), key=lambda name: self.jobs[name])
        if len(free) < count:
            return None
        self.jobs.update(free[:count])
        return free[:count]

    def give_back(self, names: Sequence[str]) -> None:
        self.jobs.subtract(names)

    def environment(self, names: Sequence[str]) -> dict[str, str]:
        """What has a process see these alone; one that is to have all, or none, sees what this one does."""
        return {VISIBLE: ",".join(names)} if 0 < len(names) < len(self.names) else {}
