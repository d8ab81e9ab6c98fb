"""`report`: what several runs show together, as one HTML page, as Markdown and as a table in CSV.

python -m gan_lightning report runs=multirun/2026-01-31/12-00-00
python -m gan_lightning report 'runs=[multirun/2026-01-31/*, outputs/2026-01-31/*]' budget=updates out=report
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gan_lightning.config.options import read_options
from gan_lightning.config.places import CONF
from gan_lightning.errors import UserError, printable
from gan_lightning.files import replacing, write_failure
from gan_lightning.paths import shell_word
from gan_lightning.types import FilePath, PositiveFloat

if TYPE_CHECKING:
    from gan_lightning.studies.studied import StudiedRun


@dataclass(frozen=True)
class Reporting:
    """The keys of conf/report.yaml."""

    runs: list[str]
    out: FilePath | None
    metrics: list[str] | None
    budget: Literal["iterations", "images", "seconds", "updates"] | None
    watch: bool
    every: PositiveFloat


def main(arguments: list[str]) -> int:
    """Writes the report, and renews it while runs go on if that is asked for."""
    if {"-h", "--help"} & set(arguments):
        print((CONF / "report.yaml").read_text(), end="")
        return 0
    options = Reporting(**read_options(CONF / "report.yaml", arguments, f"{__name__}.{Reporting.__name__}"))
    command = " ".join(shell_word(word) for word in ("python", "-m", "gan_lightning", "report", *arguments))
    while goes_on := report(options, command):
        print(printable(f"{goes_on} still going; renewed in {options.every:g} s, Ctrl-C ends it."), flush=True)
        time.sleep(options.every)
    return 0


def report(options: Reporting, command: str) -> str:
    """Writes the report once. Says which runs go on, if it is to be renewed; else nothing."""
    from gan_lightning.studies.endings import RUNNING
    from gan_lightning.studies.html import as_html
    from gan_lightning.studies.markdown import as_csv, as_markdown
    from gan_lightning.studies.report import collect
    from gan_lightning.studies.studied import find_runs

    patterns = [str(each) for each in options.runs]  # of which some may look like numbers
    if not patterns:
        raise UserError("runs is [], but it takes a run's folder at least, or a sweep's.")
    runs = find_runs(patterns)
    out = Path(options.out) if options.out else folder_of(patterns, runs)
    going = [run for run in runs if run.status == RUNNING] if options.watch else []
    collected = collect(runs, out, command, options.metrics, options.budget)
    contents = {
        "report.html": as_html(collected, options.every if going else None),
        "report.md": as_markdown(collected),
        "report.csv": as_csv(collected),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            with replacing(out / name, lasting=False) as temporary:
                temporary.write_text(content, encoding="utf-8", newline="")
    except OSError as error:
        raise write_failure(error, out) or UserError(
            f"out is {out}, where no report can be written ({error.strerror}); out=DIR names another folder."
        ) from error
    size = len(contents["report.html"].encode()) / 2**20
    print(printable(f"{collected.title}: {out / 'report.html'} ({size:.1f} MiB), report.md and report.csv"))
    return f"{len(going)} run{' is' if len(going) == 1 else 's are'}" if going else ""


def folder_of(patterns: list[str], runs: "list[StudiedRun]") -> Path:
    """The folder that is named, or the one that all runs lie in."""
    if len(patterns) == 1 and os.path.isdir(named := os.path.expanduser(patterns[0])):
        return Path(named)
    return Path(os.path.commonpath([run.folder.absolute() for run in runs]))
