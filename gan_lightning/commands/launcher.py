"""A sweep's launcher: every job in a process of its own, so that none can take another with it.

A process a job also means that a job's distributed ranks are started like a single run's, that memory is given back
between jobs, and that this parent never imports torch.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, flag_override, open_dict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gan_lightning.errors import printable
from gan_lightning.paths import override_value, shell_word
from gan_lightning.processes import LEASH, REQUEUES, STOPPED, Stopped, requeue
from gan_lightning.runs import results
from gan_lightning.runs.outcome import Optimize, outcome
from gan_lightning.types import PositiveInt

POLL_SECONDS = 0.2
LAST_LINES = 15
CONSOLE = "console.log"


class SweepFailed(CompactHydraException):
    """Some jobs of a sweep failed; Hydra prints the message alone and exits with status 1."""


@dataclass
class Job:
    """One job: its overrides, its folder and, once started, its process."""

    number: int
    overrides: list[str]
    folder: Path
    accelerator: str
    chdir: bool = False  # into its folder, as hydra.job.chdir asks
    optimize: Optimize = None  # what is told of it when it has finished
    name: str = ""
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    seconds: float = 0.0

    @property
    def status(self) -> str:
        if self.process is None:
            return "not started"
        code = self.process.returncode
        # Negative, if it came once more when Python had ended already.
        stopped = {sign: "stopped" for status in STOPPED.values() for sign in (status, 128 - status)}
        return ({0: "finished", 2: "refused"} | stopped).get(code, f"failed ({code})")


class ProcessLauncher(Launcher):
    """Runs `jobs` jobs at a time; None means one a core on a machine that has no GPU to share, otherwise one."""

    def __init__(self, jobs: PositiveInt | None = None) -> None:
        self.jobs = jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        jobs = [self.prepare(list(overrides), initial_job_idx + k) for k, overrides in enumerate(job_overrides)]
        at_once = min(len(jobs), self.jobs or default_jobs(jobs))
        shared = name_jobs(jobs, self.config.hydra.job.config.override_dirname.exclude_keys)
        console.print(Text(printable(f"{len(jobs)} jobs, {at_once} at a time, in {self.config.hydra.sweep.dir}")))
        waiting, running = list(jobs), list[Job]()
        stopped_by = 0
        read, write = os.pipe()  # whose end the jobs see if this process is killed
        while waiting or running:
            try:
                while waiting and len(running) < at_once:
                    running.append(self.start(waiting.pop(0), at_once, console, read))
                time.sleep(POLL_SECONDS)
                for job in [job for job in running if job.process and job.process.poll() is not None]:
                    running.remove(job)
                    report(job, at_once > 1, console)
            except Stopped as stop:
                stopped_by = stopped_by or stop.number
                waiting.clear()
                for job in running:  # they save before they end, unless told so twice
                    assert job.process is not None
                    job.process.send_signal(stop.number)
        os.close(read)
        os.close(write)
        Console().print(table(jobs, shared))
        if stopped_by:
            told = f"Stopped by {signal.Signals(stopped_by).name}. {how_to_go_on()}"
            console.print(Text(printable(told)))
            if stopped_by in REQUEUES and (told_of_slurm := requeue()):
                console.print(Text(printable(told_of_slurm)))
            sys.exit(128 + stopped_by)
        return [self.job_return(job) for job in jobs]

    def prepare(self, overrides: list[str], number: int) -> Job:
        """Composes a job's config, for its folder."""
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = str(number), number
        folder = Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)
        accelerator, chdir = str(config.trainer.accelerator), bool(config.hydra.job.chdir)
        return Job(number, list(filter_overrides(overrides)), folder, accelerator, chdir, config.optimize)

    def start(self, job: Job, at_once: int, console: Console, leash: int) -> Job:
        """Starts a job's process; with several at a time its output goes to a file in its folder."""
        console.print(Text(printable(f"#{job.number} {job.name}")))
        flags = get_args_parser().parse_intermixed_args()
        command = [sys.executable, "-m", "gan_lightning", "train", *job.overrides]
        command += ["hydra.mode=RUN", f"hydra.run.dir={override_value(job.folder)}"]
        command += ["hydra.job.chdir=true"] if job.chdir else []
        for flag, value in (("dir", flags.config_dir), ("name", flags.config_name), ("path", flags.config_path)):
            command += [f"--config-{flag}", value] if value else []
        environment = os.environ | {LEASH: str(leash)}
        start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
        # A group of its own, so that Ctrl-C comes to the jobs once, from here.
        start = partial(start, command, env=environment, pass_fds=(leash,), process_group=0)
        if at_once > 1:
            # Threads of simultaneous jobs would fight for the cores.
            environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // at_once)))
            job.folder.mkdir(parents=True, exist_ok=True)
            with (job.folder / CONSOLE).open("wb") as output:
                job.process = start(stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        else:
            job.process = start()
        job.started = time.monotonic()
        return job

    def job_return(self, job: Job) -> JobReturn:
        result = JobReturn(overrides=job.overrides, working_dir=str(job.folder))
        if job.status == "finished":
            result.status, result.return_value = JobStatus.COMPLETED, outcome(job.optimize, job.folder)
        else:
            result.status = JobStatus.FAILED
            result.return_value = SweepFailed(f"Job #{job.number} ({job.name}) {job.status}; see {job.folder}.")
        return result


def tell_other_ranks() -> None:
    """Has the processes that Lightning starts for other devices train in this folder, whatever it is called.

    It puts bare quotes around hydra.run.dir for them.
    """
    config: Any = HydraConfig.instance().cfg
    with flag_override(config.hydra, ["struct", "readonly"], [False, False]):
        config.hydra.run.dir = override_value(config.hydra.run.dir)[1:-1]


def how_to_go_on() -> str:
    """What to type after a sweep that was stopped; its folder is among the arguments by now."""
    return f"What is missing is done by python -m gan_lightning {' '.join(map(shell_word, sys.argv[1:]))}"


def default_jobs(jobs: Sequence[Job]) -> int:
    """One job a core where nothing but the CPU computes; one where jobs would share a GPU."""
    has_gpu = Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists() or sys.platform == "darwin"
    on_cpu = all(job.accelerator == "cpu" or (job.accelerator == "auto" and not has_gpu) for job in jobs)
    return (os.cpu_count() or 1) if on_cpu else 1


def name_jobs(jobs: Sequence[Job], shared_keys: Sequence[str] = ()) -> str:
    """Names each job by the overrides in which they differ; returns the ones that all have.

    Of one job, which a sweeper may ask for at a time, those are the overrides of the `shared_keys`.
    """
    shared = set(jobs[0].overrides).intersection(*(job.overrides for job in jobs))
    if len(jobs) == 1:
        shared = {text for text in shared if text.partition("=")[0].lstrip("+~") in shared_keys}
    for job in jobs:
        job.name = " ".join(text for text in job.overrides if text not in shared) or "defaults"
    return " ".join(text for text in jobs[0].overrides if text in shared)


def report(job: Job, captured: bool, console: Console) -> None:
    """One line when a job has ended, and the last lines of its output when it failed unseen."""
    job.seconds = time.monotonic() - job.started
    console.print(Text(printable(f"#{job.number} {job.name}: {job.status} after {job.seconds:.0f} s")))
    if captured and job.status not in ("finished", "stopped"):
        lines = (job.folder / CONSOLE).read_text(errors="replace").splitlines()[-LAST_LINES:]
        console.print(Text("\n".join(f"    {printable(line)}" for line in lines)))


def table(jobs: Sequence[Job], shared: str) -> Table:
    """One row a job, from what its folder says."""
    result = Table(title=Text(printable(f"Sweep {shared}".strip())))
    result.add_column("job", overflow="fold")
    for name in ("status", "iterations", "seconds", "loss D", "loss G"):
        result.add_column(name, no_wrap=True)
    for job in jobs:
        found = results.find(job.folder)
        metrics = found.metrics if found else {}
        values = [metrics.get(name) for name in ("loss/discriminator", "loss/generator")]
        losses = ["-" if value is None else f"{value:.3f}" for value in values]
        iteration = str(found.iteration) if found else "-"
        status = found.status if found and job.status == "finished" else job.status
        result.add_row(Text(printable(job.name)), printable(status), iteration, f"{job.seconds:.0f}", *losses)
    return result
