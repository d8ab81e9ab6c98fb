"""How processes that train together find each other, where Lightning alone would go astray or wait without a word."""

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from torch.distributed.constants import default_pg_timeout

from gan_lightning.errors import RunFailed, UserError, printable, reason
from gan_lightning.processes import SIGNALS, Stopped, is_first_process, stoppable, tasks

SAID_AFTER = 15.0  # seconds of waiting for other processes
LOOK_EVERY = 0.1
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


def stoppably(wait: Callable[[], None], look: Callable[[], None]) -> None:
    """Calls `wait` in another thread, since no signal is handled while the main one waits in C code.

    `look` is called again and again meanwhile. Raises Stopped, and what either of the two raises.
    """
    raised: list[BaseException] = []

    def catch() -> None:
        try:
            wait()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=catch, daemon=True)  # which doesn't keep the process from ending
    with stoppable():
        thread.start()
        while thread.is_alive():
            thread.join(LOOK_EVERY)
            if thread.is_alive():
                look()
    for error in raised:
        raise error


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
            stoppably(super().setup_distributed, self.look_after_others)
        except (Stopped, RunFailed):
            self.end_others()
            raise
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"trainer.num_nodes is {self.num_nodes} and trainer.devices {self.num_processes}: {told}, which have"
                f" not come ({reason(error)}); {remedy}."
            ) from error
        finally:
            say.cancel()
        SET_TIMEOUT(default_pg_timeout)  # of what they do together from now on

    def others(self) -> list[subprocess.Popen[bytes]]:
        """The processes that this one has started. Lightning kills it when one of those that it knows has failed."""
        return self.launcher.procs if isinstance(self.launcher, _SubprocessScriptLauncher) else []

    def look_after_others(self) -> None:
        """Raises Stopped if a signal has ended a process that is waited for, RunFailed if something else has."""
        for number, process in enumerate(self.others(), 1):
            status = process.poll()
            if status is not None:
                stopped_by = next((each for each in SIGNALS if status in (-each, 128 + each)), None)
                if stopped_by:
                    raise Stopped(stopped_by)
                raise RunFailed(f"Process {number} of this run has ended with status {status} before it could train.")

    def end_others(self) -> None:
        """Ends the processes that would go on waiting for this one."""
        processes = [*self.others()]
        self.others().clear()
        for process in processes:  # which have nothing to save yet, and may be busy with imports for long
            process.kill()
            process.wait()

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
