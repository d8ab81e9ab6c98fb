"""A sweep from its first job to its table and its exit status, whatever launches its jobs."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from gan_lightning.commands.sweep_resume import how_to_go_on
from gan_lightning.errors import RunFailed, UserError, paragraph, printable
from gan_lightning.processes import Stopped
from gan_lightning.studies import table
from gan_lightning.studies.endings import FINISHED, NOT_STARTED, REFUSED
from gan_lightning.studies.progress import Progress
from gan_lightning.studies.studied import StudiedRun, runs_in


def conduct(folder: Path, is_quiet: bool, launch: Callable[[], int]) -> int:
    """Runs a sweep that is planned in `folder` by `launch`, which returns an exit status, and returns the sweep's.

    `is_quiet` says that its jobs don't write to the terminal. Whatever ends it, the table is printed and written.
    """
    console = Console(stderr=True, highlight=False)
    console.print(Text(printable(f"Sweep in {folder}")), soft_wrap=True)
    error: UserError | RunFailed | None = None
    try:
        with Progress(folder, console, is_quiet):
            status = launch()
    except (UserError, RunFailed) as raised:
        error, status = raised, 2 if isinstance(raised, UserError) else 1
    except Stopped:
        conclude(folder, console)
        raise
    runs = conclude(folder, console)
    if error is not None and all(run.cause != paragraph(error) for run in runs):
        print(paragraph(error), file=sys.stderr)
    return exit_status(runs, status)


def conclude(folder: Path, console: Console) -> list[StudiedRun]:
    """Prints a sweep's table and writes it into its folder; says how to do what is missing. Returns the runs."""
    runs = runs_in(folder)
    if not runs:  # it has ended before its first job
        return runs
    tables, left = table.compare(runs), table.unfinished(runs)
    table.show(Console(highlight=False), tables, left)
    table.save(folder, tables, left)
    counts = {status: sum(run.status == status for run in runs) for status in dict.fromkeys(run.status for run in runs)}
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    lines = [f"{told}; {folder / table.CSV} and {folder / table.MARKDOWN} have the table."]
    lines += [how_to_go_on(folder)] if left else []
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=True)
    return runs


def exit_status(runs: Sequence[StudiedRun], status: int) -> int:
    """0 if all jobs have finished, 2 if all were refused, otherwise 1.

    `status` is what the launcher has ended with: it counts if it is a signal's, or if no job is to blame.
    """
    if status >= 128 or all(run.status in FINISHED for run in runs):
        return status
    if status and all(run.status in (*FINISHED, NOT_STARTED) for run in runs):
        return status
    return 2 if all(run.status == REFUSED for run in runs) else 1
