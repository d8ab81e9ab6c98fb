"""One line over all jobs of a sweep, read off their folders, so that it serves whatever launches them."""

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from gan_lightning.config.trust import read_data
from gan_lightning.errors import UserError, printable
from gan_lightning.run_folder import CONFIG, METRICS, RESULTS
from gan_lightning.runs.ownership import is_owned
from gan_lightning.studies import endings, sweep_folder
from gan_lightning.studies.endings import FINISHED, INTERRUPTED, NOT_STARTED, RUNNING
from gan_lightning.studies.table import job_names

POLL_SECONDS, SAID_EVERY = 1.0, 60.0
SHARE = 20  # looking takes no more than one part in so many of the time
LAST_ROW = 1 << 16  # bytes at the end of metrics.csv that hold its last row
LEFT_OUT = (NOT_STARTED, RUNNING)


@dataclass
class Watched:
    """A job in its folder. `ended` is the status that it has ended with since the sweep was begun, or before."""

    folder: Path
    before: tuple[int, int] = (0, 0)  # when what is known of its end was written: its results and its job.json
    began_at: float = 0.0  # the share of its iterations that it had then
    share: float = 0.0  # that it has now
    ended: str | None = None
    is_running: bool = False
    missed: bool = False  # it had an owner and has none, but has left no word yet
    max_steps: int = 0

    def begin(self) -> None:
        """Notes what earlier attempts have left."""
        self.before = self.written()
        status, _, _ = endings.state_of(self.folder)
        self.ended = status if status in FINISHED else None
        self.began_at = self.share = 1.0 if self.ended else self.look_up()

    def look(self) -> bool:
        """Looks at the folder; whether the job has ended since the last time."""
        was_ended, self.is_running = self.ended, is_owned(self.folder)
        if self.is_running:
            self.ended, self.missed = None, False
            self.share = self.look_up()
            return False
        written = self.written()
        if written == self.before:
            return False
        status, _, _ = endings.state_of(self.folder)
        if status in LEFT_OUT:
            return False
        if status == INTERRUPTED and not self.missed:  # who has started it may have a word to say
            self.missed = True
            return False
        self.ended, self.before = status, written
        self.share = 1.0 if status in FINISHED else self.share
        return was_ended is None

    def written(self) -> tuple[int, int]:
        """When its results and its job.json were written, in ns; 0 for what isn't there."""
        return written_at(self.folder / RESULTS), written_at(self.folder / endings.JOB)

    def look_up(self) -> float:
        """The share of its iterations that a run has made; 0 where that isn't known."""
        if not self.max_steps:
            with suppress(UserError):
                config: Any = read_data(self.folder / CONFIG)
                steps = config.get("trainer", {}).get("max_steps")
                self.max_steps = steps if isinstance(steps, int) else 0
        return min(1.0, last_iteration(self.folder / METRICS) / self.max_steps) if self.max_steps > 0 else 0.0


def written_at(path: Path) -> int:
    """When a file was written, in ns; 0 if it isn't there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def last_iteration(path: Path) -> int:
    """That of the last whole row of a metrics.csv; 0 if there is none. The iteration is its first column."""
    try:
        with path.open("rb") as file:
            file.seek(-min(LAST_ROW, os.fstat(file.fileno()).st_size), os.SEEK_END)
            rows = file.read().split(b"\n")[:-1]
    except OSError:
        return 0
    first = rows[-1].partition(b",")[0].strip() if rows else b""
    return int(first) if first.isdigit() else 0


@dataclass
class Progress:
    """Tells how a sweep goes on while the block runs: live on a terminal that the jobs don't write to themselves
    (`is_quiet`), otherwise in a printed line at each job's end and once a minute.
    """

    folder: Path
    console: Console
    is_quiet: bool = True
    jobs: dict[str, Watched] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    listed: int = 0  # when sweep.json was written
    started: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Self:
        self.over = threading.Event()
        self.live: Live | None = None
        self.read_jobs()
        if self.is_quiet and self.console.is_terminal:
            self.live = Live(Text(self.line()), console=self.console, transient=True, auto_refresh=False)
            self.live.start()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()
        self.look()
        if self.live is not None:
            self.live.stop()

    def watch(self) -> None:
        """Looks again and again."""
        pause = POLL_SECONDS
        while not self.over.wait(pause):
            began = time.monotonic()
            self.look()
            pause = max(POLL_SECONDS, SHARE * (time.monotonic() - began))

    def look(self) -> None:
        """Looks at all jobs once, and tells what is new."""
        self.read_jobs()
        ended = [name for name, job in self.jobs.items() if job.look()]
        for name in ended:
            self.say(f"{self.names[name]}: {self.jobs[name].ended}; {self.line()}")
        if self.live is not None:
            self.live.update(Text(self.line(), no_wrap=True, overflow="ellipsis"), refresh=True)
        elif time.monotonic() - self.said >= SAID_EVERY:
            self.say(self.line())

    def say(self, line: str) -> None:
        self.said = time.monotonic()
        self.console.print(Text(printable(line)), soft_wrap=True)

    def read_jobs(self) -> None:
        """Takes up the jobs that the sweep's list has new."""
        written = written_at(self.folder / sweep_folder.SWEEP)
        if written == self.listed:
            return
        self.listed = written
        with suppress(UserError):
            jobs = sweep_folder.read(self.folder).jobs
            self.names = dict(
                zip((job.folder for job in jobs), job_names([job.overrides for job in jobs]), strict=True)
            )
            for job in jobs:
                if job.folder not in self.jobs:
                    self.jobs[job.folder] = Watched(self.folder / job.folder)
                    self.jobs[job.folder].begin()

    def line(self) -> str:
        """How many jobs are done, and how long the others may take."""
        jobs = list(self.jobs.values())
        done = sum(job.ended in FINISHED for job in jobs)
        running = sum(job.is_running for job in jobs)
        failed = sum(job.ended is not None for job in jobs) - done
        counts = [f"{done} of {len(jobs)} done", f"{running} running" if running else ""]
        counts += [f"{failed} failed" if failed else "", left(self.seconds_left())]
        return ", ".join(count for count in counts if count)

    def seconds_left(self) -> float | None:
        """By how much the jobs have done since the sweep was begun, of all that there is to do; None at first."""
        made = sum(job.share - job.began_at for job in self.jobs.values())
        missing = sum(1 - job.share for job in self.jobs.values() if job.ended is None)
        return (time.monotonic() - self.started) * missing / made if made > 0 and missing else None


def left(seconds: float | None) -> str:
    """A time for a line; nothing for None."""
    if seconds is None:
        return ""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit} left"
    return f"{seconds:.0f} s left"
