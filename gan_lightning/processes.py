"""What has started this process, as its environment tells, and how it is made to end. Imports no torch."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import FrameType

LEASH = "GAN_LIGHTNING_LEASH"  # the number of a file that ends when the process that has started this one does
# Exit statuses of a run that a signal has stopped: Ctrl-C, or what clusters send before they end a job.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
STOPPED = {number.name: 128 + number for number in SIGNALS}
REQUEUES = (signal.SIGUSR1, signal.SIGUSR2)  # those by which a scheduler says that the job is to be run again
AGAIN_AFTER = 0.05  # seconds
AT_A_SHELL = ("bash", "interactive")  # names of Slurm's jobs in which somebody types commands, as Lightning has them


def is_first_process() -> bool:
    """Whether this process is the first of those that train together, or the only one: it alone writes and speaks."""
    environment = os.environ
    if tasks() > 1:
        return environment["SLURM_PROCID"] == "0"
    if {"RANK", "WORLD_SIZE"} <= environment.keys():  # torchrun's
        return environment["RANK"] == "0"
    return environment.get("LOCAL_RANK", "0") == environment.get("NODE_RANK", "0") == "0"  # Lightning's


def slurm_job() -> str | None:
    """Slurm's number of the job that this process belongs to, with that of its step if it has one: 4711 or 4711.0.

    A job that is requeued keeps its number, and its steps theirs. None without Slurm, and in a job in which somebody
    types commands.
    """
    number = os.environ.get("SLURM_JOB_ID")
    if not number or os.environ.get("SLURM_JOB_NAME") in AT_A_SHELL:
        return None
    step = os.environ.get("SLURM_STEP_ID")
    return f"{number}.{step}" if step else number


def was_requeued() -> bool:
    """Whether this is a job of Slurm's that is not run for the first time."""
    return slurm_job() is not None and os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")


def tasks() -> int:
    """As how many tasks of Slurm's this command runs, each of which is a rank; 1 without Slurm."""
    number = os.environ.get("SLURM_NTASKS", "")
    return int(number) if slurm_job() and number.isdecimal() and "SLURM_PROCID" in os.environ else 1


def start() -> str:
    """What a new run's folder is named by: the time, or the job of Slurm's, so that all tasks and requeues agree."""
    job = slurm_job()
    return f"slurm/{job}" if job else datetime.now().strftime("%Y-%m-%d/%H-%M-%S")


def requeue() -> str | None:
    """Asks Slurm to run this job again, which then goes on; returns what came of it, None without a job of Slurm's.

    Of a sweep's processes the first one asks, once its jobs have saved.
    """
    if slurm_job() is None or leashed:
        return None
    array, number = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ["SLURM_JOB_ID"]
    job = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}" if array else number
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"Slurm's scontrol can't be run ({error.strerror}); requeue job {job} by hand, and it goes on."
    if done.returncode:
        return f"Slurm doesn't run job {job} again ({' '.join(done.stderr.split())}); the same command goes on."
    return f"Slurm is to run job {job} again, which goes on where this one was."


class Stopped(BaseException):
    """One of SIGNALS has come outside of training, or Ctrl-C for the second time.

    No KeyboardInterrupt, on which Lightning ends the process by itself, and which some C code takes for its own.
    """

    def __init__(self, number: int, told: str | None = None) -> None:
        super().__init__(told or f"Stopped by {'Ctrl-C' if number == signal.SIGINT else signal.Signals(number).name}.")
        self.status = 128 + number
        self.number = number


received: list[int] = []  # the signals for which `stop` was called
leashed: list[int] = []  # the leash, in a process that a sweep has started


def stop(number: int, frame: FrameType | None) -> None:
    """A signal's handler, which raises Stopped; in the midst of an import, as soon as that is done.

    C code that is being imported loses an exception, or ends the process (`terminate called`) with no word of ours.
    """
    received.append(number)
    if is_importing(frame):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER)
    else:
        raise Stopped(number)


def again(number: int, frame: FrameType | None) -> None:
    """The timer's handler: the last signal once more, for whoever handles it by now."""
    signal.raise_signal(received[-1])


def is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported where a signal has come."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


@contextmanager
def stoppable(signals: Sequence[signal.Signals] = SIGNALS) -> Iterator[None]:
    """Lets signals raise Stopped while the block runs, if this is the main thread, which alone can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, stop) for number in signals}
    previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, again)
    try:
        yield
    finally:
        received.clear()  # of no concern to whatever this process does next
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop_if_asked() -> None:
    """Raises Stopped if a signal has come before: the imports of some C code lose it, or fail in consequence."""
    if received:
        raise Stopped(received[0])


def end_with_parent() -> None:
    """Where a sweep has started this process: has it stop, as by SIGTERM, should the sweep's process be killed."""
    number = os.environ.pop(LEASH, "")
    if number.isdecimal():
        leashed.append(int(number))
        threading.Thread(target=watch, args=(int(number),), daemon=True).start()


def watch(file: int) -> None:
    """Waits until nobody has the other end of a pipe any more."""
    try:
        while os.read(file, 1):
            pass
    except OSError:  # not a file of ours
        return
    os.kill(os.getpid(), signal.SIGTERM)
