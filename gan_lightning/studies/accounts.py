"""What runs have cost, how they ended, what the health check said of them, and by which commands they come again."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from statistics import fmean

from gan_lightning.paths import shell_word
from gan_lightning.studies.endings import FINISHED, RUNNING
from gan_lightning.studies.sections import by_seed, progress, seed_of
from gan_lightning.studies.studied import Configuration, StudiedRun

ENDED_WELL = (*FINISHED, RUNNING)
SPENT = ("iterations", "images", "updates")
TOLD_OF = 3  # seeds whose sentences a row of verdicts has

Value = str | float | None


@dataclass(frozen=True)
class Table:
    """Facts in rows: texts and numbers. `best` is the number of the row to mark; `long` are the heads of long texts."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Value]]
    best: int | None = None
    long: Sequence[str] = ()


def command_of(run: StudiedRun) -> str:
    """What to type for a run."""
    return " ".join(["python -m gan_lightning", *map(shell_word, run.overrides)])


def command_of_all(configuration: Configuration) -> str:
    """What to type for all seeds of a configuration."""
    seeds = list(by_seed(configuration.runs))
    first = configuration.runs[0]
    if len(seeds) < 2:
        return command_of(first)
    kept = [text for text in first.overrides if not text.startswith("seed=")]
    return " ".join(["python -m gan_lightning -m", *map(shell_word, kept), f"seed={','.join(map(str, seeds))}"])


def costs(configurations: Sequence[Configuration], spent: Mapping[Path, Mapping[str, float]]) -> Table:
    """What a run of each configuration has cost on average, and its command. `spent` is by a run's folder."""
    heads = ["configuration", "runs", *SPENT, "seconds a run", "seconds in all", "peak MiB", "device", "command"]
    return Table(heads, [_cost(each, spent) for each in configurations], long=("command",))


def _cost(configuration: Configuration, spent: Mapping[Path, Mapping[str, float]]) -> list[Value]:
    of_runs = [spent[run.folder] for run in configuration.runs if run.folder in spent]
    known = [run.results for run in configuration.runs if run.results is not None]
    return [
        configuration.name,
        float(len(configuration.runs)),
        *(mean(each.get(axis, nan) for each in of_runs) for axis in SPENT),
        mean(each.seconds for each in known),
        sum(each.seconds for each in known),
        max((max(each.memory.values()) / 2**20 for each in known if each.memory), default=nan),
        ", ".join(dict.fromkeys(each.device for each in known if each.device)),
        command_of_all(configuration),
    ]


def mean(numbers: Iterable[float]) -> float:
    """The mean of those that are finite; NaN without any."""
    finite = [number for number in numbers if isfinite(number)]
    return fmean(finite) if finite else nan


def verdicts(configurations: Sequence[Configuration]) -> Table:
    """What the health check has found, a row a configuration and kind."""
    rows: list[list[Value]] = []
    for each in configurations:
        kinds: dict[str, dict[int, str]] = {}
        for run in each.runs:
            for verdict in run.results.health.verdicts if run.results else ():
                of_kind = kinds.setdefault(str(verdict.get("kind", "?")), {})
                of_kind.setdefault(seed_of(run), str(verdict.get("sentence", "")))
        for kind, sentences in kinds.items():
            seeds = ", ".join(map(str, sorted(sentences)))
            told = " ".join(list(sentences.values())[:TOLD_OF])
            rows.append([each.name, kind, f"{len(sentences)} of {len(each.runs)}", seeds, told])
    return Table(["configuration", "verdict", "runs", "seeds", "what it said"], rows, long=("what it said",))


def failures(configurations: Sequence[Configuration]) -> Table:
    """The jobs that have not come to their end, with what is known of why."""
    rows: list[list[Value]] = []
    for each in configurations:
        for run in each.runs:
            if run.status not in ENDED_WELL:
                at = float(progress(run)) if run.results else None
                rows.append([each.name, float(seed_of(run)), run.status, at, cause_of(run), command_of(run)])
    heads = ["configuration", "seed", "status", "iteration", "cause", "command"]
    return Table(heads, rows, long=("cause", "command"))


def cause_of(run: StudiedRun) -> str:
    """Why a run has not finished, in one line; empty where that isn't known."""
    return " ".join((run.cause or "").split())


def jobs(configurations: Sequence[Configuration], out: Path) -> Table:
    """Every run."""
    rows: list[list[Value]] = []
    for each in configurations:
        for run in sorted(each.runs, key=seed_of):
            found = [str(verdict.get("kind", "?")) for verdict in run.results.health.verdicts] if run.results else []
            at = float(progress(run)) if run.results else None
            seconds = run.results.seconds if run.results else None
            said = ", ".join(dict.fromkeys(found))
            place = relative(run.folder, out)
            rows.append([each.name, float(seed_of(run)), run.status, at, seconds, said, place, command_of(run)])
    heads = ["configuration", "seed", "status", "iteration", "seconds", "verdicts", "folder", "command"]
    return Table(heads, rows, long=("command",))


def relative(folder: Path, out: Path) -> str:
    """A folder's path from the report's on, where there is one."""
    try:
        return os.path.relpath(folder, out)
    except ValueError:  # on another drive
        return str(folder)


def states(runs: Sequence[StudiedRun]) -> dict[str, int]:
    """How many runs have each status, the most frequent first."""
    counts = {status: sum(run.status == status for run in runs) for status in dict.fromkeys(r.status for r in runs)}
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))
