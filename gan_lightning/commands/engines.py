"""What this project adds to the launchers of Hydra and its plugins: classes of the same names that stand in for them.

Threads are shared among the jobs, each failure is told in a paragraph, and a stop lets the jobs save.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper as HydraBasicSweeper
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override

from gan_lightning.commands.launcher import JobFailed, ProcessLauncher, Told
from gan_lightning.commands.random_search import RandomSearch
from gan_lightning.errors import RunFailed, UserError, paragraph, printable, reason
from gan_lightning.processes import REQUEUES, SIGNALS, Stopped, requeue, stoppable
from gan_lightning.studies import sweep_folder

LOOK_EVERY = 0.5  # seconds
TIMEOUTS = "hydra.launcher.max_num_timeout"
MANY = 1000  # times
# What launchers raise of settings that they can't use. Those of their own are about jobs.
MISUSED = (ValueError, TypeError, ConnectionError)


@dataclass(frozen=True)
class Stoppable:
    """A job's task, in a process of the launcher's, that is stopped where the process that has started it is killed.

    A stop is a failure of the job: there is no number to tell a sweeper, and the same command goes on with it.
    """

    task: TaskFunction

    def __call__(self, config: DictConfig) -> Any:
        try:
            with stoppable(), self.watched():
                return self.task(config)
        except Stopped as stop:
            raise RunFailed(str(stop)) from stop

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Has a thread look at the parent while the block runs."""
        done = threading.Event()
        blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # Ray has its processes deaf to Ctrl-C
        thread = threading.Thread(target=self.look, args=(done, os.getppid()), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def look(self, done: threading.Event, parent: int) -> None:
        """Sends this process a signal once it has another parent."""
        while not done.wait(LOOK_EVERY):
            if os.getppid() != parent:
                return os.kill(os.getpid(), signal.SIGTERM)


class Engine(Launcher):
    """Another launcher, the class that `of` names, with what is said above."""

    of: ClassVar[str]
    waits: ClassVar[bool] = False  # for jobs that save, when a signal has come; they are stopped by a file
    starts_jobs: ClassVar[bool] = False  # in processes that would outlive this one

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        module, _, name = self.of.rpartition(".")
        self.launcher: Launcher = getattr(import_module(module), name)(**settings)
        self.stopped_by = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.folder = Path(str(config.hydra.sweep.dir)).absolute()
        if self.starts_jobs:
            task_function = Stoppable(task_function)
        self.launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        try:
            with self.stopping(), cores_shared(self.at_once(len(job_overrides))):
                returns = list(self.launcher.launch(job_overrides, initial_job_idx))
        except Stopped as stop:
            raise Stopped(stop.number, f"{stop} {self.left()}".rstrip()) from stop
        except Exception as error:  # of whichever engine
            if not self.stopped_by:
                raise self.explained(error) from error
        if self.stopped_by:
            self.end()
        return told(returns)

    def at_once(self, jobs: int) -> int:
        """How many jobs compute on this machine at a time, where it is for nobody else to share its cores; else 1."""
        return 1

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Lets a signal stop the jobs of launchers that would not let them save, and this process with the last one."""
        if not self.waits or threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self.stop) for number in SIGNALS}
        try:
            yield
        except KeyboardInterrupt as interrupt:
            raise Stopped(signal.SIGINT) from interrupt
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def stop(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler. For the second Ctrl-C what Python has, which everybody obeys."""
        if self.stopped_by and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stopped_by = self.stopped_by or number
        sweep_folder.stop(self.folder)

    def end(self) -> None:
        """Raises Stopped, once the jobs have saved; has Slurm run this process again, if it has asked for that."""
        if self.stopped_by in REQUEUES and (asked := requeue()):
            print(printable(asked), file=sys.stderr)
        raise Stopped(self.stopped_by)

    def left(self) -> str:
        """What becomes of jobs that are somewhere else when this process is stopped: a sentence and a space."""
        return ""

    def explained(self, error: Exception) -> Exception:
        """What is to be raised for an error of the launcher itself, not of a job."""
        name = type(self).__name__
        if isinstance(error, UserError | RunFailed | JobFailed):
            return error
        if isinstance(error, MISUSED) or type(error) is RuntimeError:
            return UserError(f"hydra/launcher can't be used as it is set ({name}: {reason(error)}).")
        what = f"{type(error).__name__}: {reason(error)}"
        return JobFailed(printable(f"{name} has lost its jobs ({what})."))


class BasicLauncher(Engine):
    """Of Hydra itself: one job after the other, in this process."""

    of = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


class JoblibLauncher(Engine):
    """`n_jobs` processes of this machine, each for one job after the other."""

    of = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
    waits = starts_jobs = True

    def at_once(self, jobs: int) -> int:
        most = int(self.settings["n_jobs"])  # -1: as many as there are cores; -2: one less
        return min(jobs, most if most > 0 else max(1, (os.cpu_count() or 1) + 1 + most))


class RayLauncher(Engine):
    """Processes of a cluster of Ray's, which gives each job its cores and GPUs and shares them out itself."""

    of = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"
    waits = starts_jobs = True

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        # The jobs may be on machines where the current folder is another.
        with flag_override(config.hydra, ["struct", "readonly"], [False, False]):
            config.hydra.sweep.dir = str(Path(str(config.hydra.sweep.dir)).absolute())
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)


class LocalLauncher(Engine):
    """Of submitit: all jobs at once, in processes of this machine."""

    of = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"
    waits = True

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from submitit.local import local

        start, local.start_controller = local.start_controller, partial(deaf, local.start_controller)
        try:
            return super().launch(job_overrides, initial_job_idx)
        finally:
            local.start_controller = start

    def at_once(self, jobs: int) -> int:
        return jobs


class SlurmLauncher(Engine):
    """Of submitit: jobs of Slurm's."""

    of = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"

    def left(self) -> str:
        return "Its jobs stay Slurm's, until scancel ends them. "


class BasicSweeper(HydraBasicSweeper):
    """Hydra's sweeper of this name, but that it does not compose each job, a tenth of a second, to see whether it can.

    That has been seen before it was asked for any (`gan_lightning.commands.sweep.check_jobs`).
    """

    def validate_batch_is_legal(self, batch: Any) -> None:
        pass


ENGINES = {each.of: each for each in (BasicLauncher, JoblibLauncher, RayLauncher, LocalLauncher, SlurmLauncher)}


def require_one_process(config: DictConfig) -> None:
    """Raises UserError for a job of several processes where it can be but one.

    Lightning would start the launcher's program for the others.
    """
    engine = ENGINES.get(config.hydra.launcher._target_)
    devices = OmegaConf.select(config, "trainer.devices")
    count = len(devices) if isinstance(devices, ListConfig) else devices
    if engine is None or type(count) is not int or count < 2:
        return
    if config.hydra.launcher.get("tasks_per_node", 1) == 1:
        raise UserError(
            f"trainer.devices is {devices}, but a job of {engine.__name__} is one process; use"
            " hydra/launcher=processes, or submitit_slurm with as many hydra.launcher.tasks_per_node."
        )


def engine(config: DictConfig, given: Sequence[str]) -> list[str]:
    """What has Hydra take the launcher of this project's in the place of its own, as overrides; `given` are the user's.

    A job of Slurm's that runs out of time goes on where it was, and so is run again; the plugin would not have it.
    """
    standing_in = ENGINES.get(config.hydra.launcher._target_)
    if standing_in is None:
        return []
    added = [f"hydra.launcher._target_={__name__}.{standing_in.__name__}"]
    if standing_in is SlurmLauncher and TIMEOUTS not in given:
        added.append(f"{TIMEOUTS}={MANY}")
    return added


def deaf(start: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Starts a process that has no ear for Ctrl-C: submitit's would kill its job a second after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return start(*arguments, **settings)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def register_engines() -> None:
    """Lets Hydra make this project's launchers and sweepers."""
    for each in (ProcessLauncher, RandomSearch, BasicSweeper, *ENGINES.values()):
        Plugins.instance().register(each)


@contextmanager
def cores_shared(at_once: int) -> Iterator[None]:
    """Has processes that the block starts compute with a part of the cores each, unless the user says with how many."""
    if at_once < 2 or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // at_once))
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


def told(returns: Sequence[JobReturn]) -> Sequence[JobReturn]:
    """Says of each job that has failed why, in a line; Hydra would of one, with a traceback."""
    for result in returns:
        if result.status != JobStatus.FAILED:
            continue
        error = result._return_value
        known = isinstance(error, UserError | RunFailed)
        cause = paragraph(error) if known else f"{type(error).__name__}: {reason(error)}; train.log has where."
        result.return_value = JobFailed(printable(f"{result.working_dir}: {cause}"))
        result._remote_traceback = None
        result.__class__ = Told
    return returns
