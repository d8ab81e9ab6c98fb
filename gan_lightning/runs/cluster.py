"""How processes that train together find each other, where Lightning alone would go astray or wait without a word."""

import sys
import threading
from datetime import timedelta

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch.distributed.constants import default_pg_timeout

from gan_lightning.errors import UserError, printable, reason
from gan_lightning.processes import is_first_process, tasks

SAID_AFTER = 15.0  # seconds of waiting for other processes
GIVEN_UP_AFTER = timedelta(minutes=10)
# torch 2.11 has it under its private name alone.
SET_TIMEOUT = getattr(torch.distributed, "set_timeout", None) or torch.distributed.distributed_c10d._set_pg_timeout


class SlurmTasks(SLURMEnvironment):
    """Slurm's tasks as ranks. Lightning's own requeueing, which leaves files in the current folder, stays off."""

    def __init__(self) -> None:
        super().__init__(auto_requeue=False)

    @staticmethod
    def _validate_srun_variables() -> None:
        """Lightning wants --ntasks-per-node; hardware.require_tasks compares the numbers themselves."""


def environments() -> list[ClusterEnvironment]:
    """What Lightning is to take for the cluster where it would find Slurm; elsewhere none, and it looks by itself."""
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    return [SlurmTasks() if tasks() > 1 else LightningEnvironment()]


class WaitingDDP(DDPStrategy):
    """DDP that says which processes it waits for, and gives up when they don't come."""

    def setup_distributed(self) -> None:
        told, remedy = self.awaited()
        say = threading.Timer(SAID_AFTER, lambda: print(printable(f"{told}; {remedy}."), file=sys.stderr, flush=True))
        say.daemon = True
        if is_first_process():
            say.start()
        self._timeout = GIVEN_UP_AFTER
        try:
            super().setup_distributed()
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"trainer.num_nodes is {self.num_nodes} and trainer.devices {self.num_processes}: {told}, which have"
                f" not come ({reason(error)}); {remedy}."
            ) from error
        finally:
            say.cancel()
        SET_TIMEOUT(default_pg_timeout)  # of what they do together from now on

    def awaited(self) -> tuple[str, str]:
        """What this process waits for, and what makes it come."""
        environment = self.cluster_environment
        assert environment is not None
        address, port = environment.main_address, environment.main_port
        told = f"process 0 of {self.num_nodes * self.num_processes} waits at {address}:{port} for the others"
        if not isinstance(environment, LightningEnvironment):
            return told, "whatever started this one has to start them too (srun, torchrun)"
        return told, (
            "on each further node, start the same command with NODE_RANK=1, 2, … and"
            f" MASTER_ADDR={address} MASTER_PORT={port}"
        )
