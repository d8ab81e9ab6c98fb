"""A sweep's own launcher: every job in a process of its own, so that none can take another with it.

A process a job also means that a job's distributed ranks are started like a single run's, that memory is given back
between jobs, and that this parent never imports torch. Its jobs end with it, whatever ends it. Where they can be, they
are forked by a process that has imported everything once (forking.py).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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

from gan_lightning.commands.devices import Pool, gpus, has_other_gpu, needed
from gan_lightning.commands.forking import Forked, JobServer, job_server, signals_later
from gan_lightning.commands.jobs import JOB, LISTS_JOBS, add_job, is_complete
from gan_lightning.errors import printable
from gan_lightning.paths import override_value
from gan_lightning.processes import LEASH, STOPPED, Stopped
from gan_lightning.runs.outcome import Optimize, outcome
from gan_lightning.studies import endings
from gan_lightning.studies.endings import FAILED, FINISHED, REFUSED, Ending
from gan_lightning.types import PositiveInt

POLL_SECONDS = 0.05
CONSOLE = "console.log"
LAST_WORDS = 4096  # bytes at the end of a job's output


class JobFailed(CompactHydraException):
    """What a sweeper that searches is told of a job that has failed."""


class Told(JobReturn):
    """What became of a job. Of one that has failed, Hydra's own writes its overrides to stderr before it raises why."""

    @property
    def return_value(self) -> Any:
        if self.status == JobStatus.FAILED:
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


@dataclass
class Job:
    """One job: its overrides, its folder and, once started, its process."""

    overrides: list[str]
    folder: Path
    gpus: int = 0  # that it asks for, of those that there are
    chdir: bool = False  # into its folder, as hydra.job.chdir asks
    optimize: Optimize = None  # what is told of it when it has finished
    is_complete: bool = False  # by an earlier attempt
    process: subprocess.Popen[bytes] | Forked | None = None
    taken: list[str] = field(default_factory=list)  # the GPUs that it has


class ProcessLauncher(Launcher):
    """Runs `jobs` jobs at a time; None means one a GPU, or one a core where nothing but the CPU computes.

    With `fork`, a job is forked by a process that has imported everything, where that can be.
    """

    def __init__(self, jobs: PositiveInt | None = None, fork: bool = True) -> None:
        self.jobs, self.fork = jobs, fork
        self.server: JobServer | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        jobs = [self.prepare(list(overrides), initial_job_idx + k) for k, overrides in enumerate(job_overrides)]
        waiting = [job for job in jobs if not job.is_complete]
        names = gpus()
        at_once = min(len(jobs), self.jobs or default_jobs(jobs, len(names)))
        threads = threads_of_a_job(at_once)
        self.server = job_server(threads) if self.fork and waiting else None
        read, write = os.pipe()  # whose end the jobs see if this process is killed
        try:
            stopped_by = self.run(waiting, at_once, Pool(names, at_once), threads, read)
        finally:
            os.close(read)
            os.close(write)
        if stopped_by:
            raise Stopped(stopped_by)
        return [self.job_return(job) for job in jobs]

    def run(self, waiting: list[Job], at_once: int, pool: Pool, threads: str | None, leash: int) -> int:
        """Runs jobs, so many at once; returns the number of the signal that has stopped them, or 0."""
        running, stopped_by = list[Job](), 0
        while waiting or running:
            try:
                while self.can_start(waiting, running, at_once, pool):
                    running.append(waiting.pop(0))
                    self.start(running[-1], threads, leash, pool.environment(running[-1].taken))
                time.sleep(POLL_SECONDS)
                for job in [job for job in running if job.process and job.process.poll() is not None]:
                    running.remove(job)
                    pool.give_back(job.taken)
                    if note_end(job) and self.config.sweep.fail_fast:
                        waiting.clear()
                        send(running, signal.SIGTERM)
            except Stopped as stop:
                stopped_by = stopped_by or stop.number
                waiting.clear()
                running = [job for job in running if job.process]
                send(running, stop.number)
        return stopped_by

    def can_start(self, waiting: Sequence[Job], running: Sequence[Job], at_once: int, pool: Pool) -> bool:
        """Whether the next job may start; it has its GPUs then."""
        if not waiting or len(running) >= at_once or (self.server and self.server.is_starting()):
            return False
        taken = pool.take(waiting[0].gpus)
        waiting[0].taken = taken or []
        return taken is not None

    def prepare(self, overrides: list[str], number: int) -> Job:
        """Composes a job's config, for its folder, and enters it in the sweep's list."""
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = str(number), number
        sweep = Path(config.hydra.sweep.dir)
        folder = sweep / str(config.hydra.sweep.subdir)
        own = list(filter_overrides(overrides))
        add_job(sweep, folder, own)
        chdir = bool(config.hydra.job.chdir)
        return Job(own, folder, needed(config.trainer), chdir, config.optimize, is_complete(config, folder))

    def start(self, job: Job, threads: str | None, leash: int, devices: Mapping[str, str]) -> Job:
        """Starts a job's process, which sees some devices, and whose output goes to a file in its folder."""
        flags = get_args_parser().parse_intermixed_args()
        arguments = ["train", *job.overrides, "hydra.mode=RUN", f"hydra.run.dir={override_value(job.folder)}"]
        arguments += ["hydra.job.chdir=true"] if job.chdir else []
        for flag, value in (("dir", flags.config_dir), ("name", flags.config_name), ("path", flags.config_path)):
            arguments += [f"--config-{flag}", value] if value else []
        environment = {**os.environ, LEASH: str(leash), JOB: str(job.folder.absolute()), **devices}
        environment |= {"OMP_NUM_THREADS": threads} if threads else {}
        command = [sys.executable, "-m", "gan_lightning", *arguments]
        # A group of its own, so that Ctrl-C comes to the jobs once, from here.
        start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
        start = partial(start, command, env=environment, pass_fds=(leash,), process_group=0)
        job.folder.mkdir(parents=True, exist_ok=True)
        endings.forget(job.folder)
        with (job.folder / CONSOLE).open("wb") as output:
            if self.server is not None:
                with signals_later():  # lest there is a job that nobody knows of
                    job.process = self.server.fork(arguments, environment, output, leash)
            if job.process is None:
                job.process = start(stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        return job

    def job_return(self, job: Job) -> JobReturn:
        """What the sweeper is told. One that lists its jobs would end at the first that has failed."""
        result = Told(overrides=job.overrides, working_dir=str(job.folder))
        status, cause, _ = endings.state_of(job.folder)
        if status in FINISHED or LISTS_JOBS in self.config.hydra.sweeper._target_:
            result.status = JobStatus.COMPLETED
            result.return_value = outcome(job.optimize, job.folder) if status in FINISHED else None
        else:
            result.status = JobStatus.FAILED
            result.return_value = JobFailed(printable(f"{job.folder}: {status} ({cause})."))
        return result


def send(jobs: Sequence[Job], number: int) -> None:
    """Sends jobs a signal: they save before they end, unless told so twice."""
    for job in jobs:
        assert job.process is not None
        job.process.send_signal(number)


def note_end(job: Job) -> bool:
    """Whether a job has failed, which is noted in its folder where it has not done so itself."""
    assert job.process is not None
    code = job.process.returncode
    assert code is not None
    # Negative, if it came once more when Python had ended already.
    if code == 0 or code in STOPPED.values() or 128 - code in STOPPED.values():
        return False
    if endings.find(job.folder) is None:
        endings.write(job.folder, Ending(REFUSED if code == 2 else FAILED, last_words(job.folder, code)))
    return True


def last_words(folder: Path, code: int) -> str:
    """Why a process has ended that has left no reason: the signal, or the last line that it has printed."""
    if code < 0:
        known = {number.value: number.name for number in signal.Signals}
        return f"killed by {known.get(-code, f'signal {-code}')}" + (
            ", perhaps for want of memory" if -code == signal.SIGKILL else ""
        )
    with (folder / CONSOLE).open("rb") as file:
        file.seek(-min(LAST_WORDS, os.fstat(file.fileno()).st_size), os.SEEK_END)
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return printable(lines[-1] if lines else f"it has ended with {code}")


def tell_other_ranks() -> None:
    """Has the processes that Lightning starts for other devices train in this folder, whatever it is called.

    It puts bare quotes around hydra.run.dir for them.
    """
    config: Any = HydraConfig.instance().cfg
    with flag_override(config.hydra, ["struct", "readonly"], [False, False]):
        config.hydra.run.dir = override_value(config.hydra.run.dir)[1:-1]


def default_jobs(jobs: Sequence[Job], count: int) -> int:
    """One job a core where nothing but the CPU computes; one a GPU of `count`, or one where it can't be told."""
    on_cpu = all(job.gpus == 0 for job in jobs) or not (count or has_other_gpu())
    return (os.cpu_count() or 1) if on_cpu else max(1, count)


def threads_of_a_job(at_once: int) -> str | None:
    """OMP_NUM_THREADS of simultaneous jobs, whose threads would fight for the cores; None where that is as it is."""
    if at_once < 2 or "OMP_NUM_THREADS" in os.environ:
        return None
    return str(max(1, (os.cpu_count() or 1) // at_once))
