"""A sweep's job, whatever launches it: it tells in its folder why it hasn't finished, and takes no other with it."""

import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gan_lightning.errors import RunFailed, UserError, paragraph, printable, reason
from gan_lightning.processes import STOPPED, Stopped, is_first_process, stop, stop_if_asked, stoppable
from gan_lightning.run_folder import GENERATOR, LOG
from gan_lightning.runs import results
from gan_lightning.runs.folders import difference, read_saved
from gan_lightning.runs.outcome import Outcome, outcome
from gan_lightning.runs.ownership import is_owned
from gan_lightning.runs.results import Run
from gan_lightning.studies import endings, sweep_folder
from gan_lightning.studies.endings import FAILED, FINISHED, REFUSED, STOPPED_BY_SIGNAL, Ending
from gan_lightning.studies.sweep_folder import STOP, SweepJob

JOB = "GAN_LIGHTNING_JOB"  # the folder of the job that a process of its own has been started for
LISTS_JOBS = "BasicSweeper"  # Hydra's own sweeper, which knows all jobs beforehand, and ends at an error of one
LOOK_SECONDS = 1.0
ENDS = ("trainer.max_steps", "trainer.max_epochs", "trainer.max_time")


def do_job(config: DictConfig, hydra_config: Any) -> Outcome:
    """Runs a sweep's job in this process, inside of Hydra, and returns what the sweeper is told.

    What fails is told in the job's folder. A sweeper that searches is told of it by the error as well.
    """
    folder = Path(hydra_config.runtime.output_dir)
    sweep = Path(hydra_config.runtime.cwd, os.path.expanduser(hydra_config.sweep.dir))
    if is_first_process():
        add_job(sweep, folder, hydra_config.overrides.task)
    searches = LISTS_JOBS not in hydra_config.sweeper._target_
    if (sweep / STOP).exists():
        if searches:
            raise RunFailed("Not started: the sweep was stopped.")
        return None
    if is_complete(config, folder):
        return outcome(config.optimize, folder)
    try:
        run = attempt(config, hydra_config, folder, sweep)
    except Exception:  # of whichever kind: it has been noted
        stop_if_asked()
        if config.sweep.fail_fast:
            sweep_folder.stop(sweep)
        if searches:
            raise
        return None
    if run is None or run.status in STOPPED:
        return stopped_short(run, hydra_config, searches)
    return outcome(config.optimize, folder)


def stopped_short(run: Run | None, hydra_config: Any, searches: bool) -> Outcome:
    """What comes of a job that a signal has stopped: where it shares the sweep's process, that ends, too."""
    if run is not None and "BasicLauncher" in hydra_config.launcher._target_:
        raise Stopped(signal.Signals[run.status].value)
    if searches:
        raise RunFailed("The job was stopped, and has no number; the same command goes on with it.")
    return None


def attempt(config: DictConfig, hydra_config: Any, folder: Path, sweep: Path) -> Run | None:
    """One run in a job's folder; None if the sweep has stopped it."""
    from gan_lightning.runs.run import run_experiment

    asked = threading.Event()
    with heard(), ending_with(sweep, folder, asked):
        try:
            with noted(folder):
                return run_experiment(config, folder, hydra_config.overrides.task, hydra_config.runtime.cwd)
        except Stopped:
            if asked.is_set():
                return None
            raise


@contextmanager
def noted(folder: Path) -> Iterator[None]:
    """Leaves in a job's folder why it has not finished, if the block raises; of several processes the first one does.

    What an earlier attempt has left there goes.
    """
    if is_first_process():
        endings.forget(folder)
    try:
        yield
    except (Exception, Stopped) as error:
        if is_first_process():
            with suppress(OSError):  # for which there may be no room
                endings.write(folder, ending(error))
                leave_traceback(folder, error)
        raise


def ending(error: BaseException) -> Ending:
    """What a job has ended with, by the error that has ended it."""
    if isinstance(error, Stopped):
        return Ending(STOPPED_BY_SIGNAL, f"stopped by {signal.Signals(error.number).name}")
    if isinstance(error, UserError | RunFailed):
        return Ending(REFUSED if isinstance(error, UserError) else FAILED, paragraph(error))
    told = reason(error)
    name = type(error).__name__
    if name == "UncompletedJobError":  # submitit's answer to the signal that has stopped the run
        return Ending(STOPPED_BY_SIGNAL, printable(told))
    return Ending(FAILED, printable(name if told == name else f"{name}: {told}"))


def leave_traceback(folder: Path, error: BaseException) -> None:
    """Sees to it that train.log has the traceback of what is no mistake: a run that never began loses its log."""
    if isinstance(error, UserError | RunFailed | Stopped):  # whose traceback tells nothing, or is there already
        return
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)))


def heard() -> AbstractContextManager[None]:
    """Has SIGTERM stop what is not training yet, or no more, where it would do nothing, as in submitit's processes."""
    return nullcontext() if signal.getsignal(signal.SIGTERM) is stop else stoppable([signal.SIGTERM])


@contextmanager
def ending_with(sweep: Path, folder: Path, asked: threading.Event) -> Iterator[None]:
    """Has this process stop as by SIGTERM, and `asked` say so, once the sweep's folder says that it is to stop.

    By no other signal: jobs have perhaps had the sweep's Ctrl-C themselves, and a second one would not let them save. A
    run in `folder` that has stopped by it is left to finish what it writes.
    """

    def is_to_stop() -> bool:
        if not (sweep / STOP).exists() or not callable(signal.getsignal(signal.SIGTERM)):
            return False
        known = results.find(folder)
        return known is None or known.status not in STOPPED

    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            if is_to_stop():
                asked.set()
                os.kill(os.getpid(), signal.SIGTERM)
                return

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def add_job(sweep: Path, folder: Path, overrides: Any) -> None:
    """Enters a job in its sweep's list, if it isn't there. Raises UserError for a folder outside of the sweep's."""
    if not (sweep / sweep_folder.SWEEP).exists():  # on a machine that doesn't share it
        return
    sweep_folder.add(sweep, SweepJob(within(folder, sweep), [str(text) for text in overrides]))


def within(folder: Path, sweep: Path) -> str:
    """A job's folder as seen from its sweep's. Raises UserError if it is outside, or that folder itself."""
    path = os.path.relpath(folder, sweep)
    if path == "." or path.split(os.sep)[0] == "..":
        raise UserError(
            f"hydra.sweep.subdir names the folder {folder} for a job, but a job's folder lies in that of its sweep,"
            f" {sweep}; hydra.sweep.subdir='${{hydra.job.num}}' numbers them."
        )
    return path


def is_complete(config: DictConfig, folder: Path) -> bool:
    """Whether a run of this configuration has ended in a job's folder, and this command asks for no more."""
    known = results.find(folder)
    is_whole = known is not None and known.status in FINISHED and (folder / GENERATOR).is_file()
    if not is_whole or is_owned(folder):
        return False
    with suppress(UserError):
        saved = read_saved(folder)
        same_end = all(OmegaConf.select(config, key) == OmegaConf.select(saved, key) for key in ENDS)
        return same_end and difference(config, saved) is None
    return False
