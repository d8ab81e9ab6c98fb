"""What a report tells, whichever its format: the numbers of each protocol, compared, and what is known of the runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gan_lightning import __version__
from gan_lightning.studies import accounts
from gan_lightning.studies.accounts import Table
from gan_lightning.studies.courses import BUDGETS, course, spent
from gan_lightning.studies.endings import RUNNING
from gan_lightning.studies.figures import Series, shown
from gan_lightning.studies.grids import last_grid, pictures_of
from gan_lightning.studies.measured import Measured, Ran
from gan_lightning.studies.measuring import courses_of_one, measure
from gan_lightning.studies.sections import TRAINING, Section, by_seed, sections, seed_of
from gan_lightning.studies.studied import Configuration, StudiedRun, configurations, flat

# Budgets that differ by less are alike. Seconds always do.
SAME = {"iterations": 0.01, "images": 0.01, "updates": 0.01, "seconds": 0.5}
MOST_ROWS_OF_GRIDS = 12


@dataclass(frozen=True)
class Part:
    """A section of a report: what was measured in one way, metric by metric, and how."""

    section: Section
    measures: Sequence[Measured]
    notes: Sequence[str]
    protocol: Mapping[str, str]


@dataclass(frozen=True)
class GridRow:
    """Pictures of a configuration's samples, each with what stands below it."""

    name: str
    pictures: Sequence[tuple[str, Path]]


@dataclass(frozen=True)
class Report:
    """All that is told. `tables` are facts of runs by their titles; `courses` and `settings` are those of one run."""

    title: str
    out: Path
    command: str
    runs: Sequence[StudiedRun]
    configurations: Sequence[Configuration]
    parts: Sequence[Part]
    states: Mapping[str, int]
    notes: Sequence[str]
    tables: Mapping[str, Table]
    grids: Sequence[GridRow]
    courses: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    made: str = ""
    version: str = __version__


def collect(
    runs: Sequence[StudiedRun],
    out: Path,
    command: str,
    metrics: Sequence[str] | None = None,
    budget: str | None = None,
) -> Report:
    """Reads what the runs have left, and compares it. Raises UserError for a metric that none of them has."""
    found = configurations(runs)
    used = {run.folder: spent(run) for run in runs}
    ran = Ran({run.folder: course(run) for run in runs}, used, budget)
    parts = [_part(section, ran) for section in sections(found, metrics)]
    tables = {
        "Verdicts of the health check": accounts.verdicts(found),
        "Jobs that have not finished": accounts.failures(found),
        "Cost, and the command of each": accounts.costs(found, used),
        "Every run": accounts.jobs(found, out),
    }
    is_one = len(found) == 1
    title = f"{len(runs)} runs of {len(found)} configuration{'' if is_one else 's'}"
    return Report(
        title if len(runs) > 1 else f"Run {runs[0].folder.absolute().name}",
        out,
        command,
        runs,
        found,
        parts,
        accounts.states(runs),
        _notes(found),
        tables,
        _grids(found, parts),
        courses_of_one(found[0]) if is_one else {},
        {key: str(value) for key, value in runs[0].config.items()} if is_one else {},
        f"{datetime.now():%Y-%m-%d %H:%M}",
    )


def _part(section: Section, ran: Ran) -> Part:
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest there are, as of a run gone astray
        measures = [measure(section, metric, ran) for metric in section.metrics]
    protocol = {key: str(value) for key, value in flat(dict(section.protocol)).items()} if section.protocol else {}
    return Part(section, measures, _budgets(section, ran), protocol)


def _budgets(section: Section, ran: Ran) -> list[str]:
    """How alike the budgets are, or what was done about it."""
    if len(section.entries) < 2 or not section.metrics:
        return []
    if ran.budget is not None and section.how != TRAINING:
        return [f"Measured once, at the end: budget={ran.budget} changes nothing here."]
    told = []
    for axis in BUDGETS:
        ends = [
            ran.spent[run.folder][axis]
            for entry in section.entries
            for run, record in entry.records.values()
            if record is not None and axis in ran.spent[run.folder]
        ]
        if ends and max(ends) > min(ends) * (1 + SAME[axis]):
            told.append(f"{axis} {shown(min(ends))} to {shown(max(ends))}")
    if not told or ran.budget is not None:
        return []
    return [
        f"What the runs have spent differs: {', '.join(told)}. budget=updates, for one, compares them at the least."
    ]


def _notes(found: Sequence[Configuration]) -> list[str]:
    """What a reader has to know of the runs before any number."""
    notes = []
    for each in found:
        left_out = len(each.runs) - len(by_seed(each.runs))
        if left_out:
            notes.append(f"{each.name} has {left_out} more runs than seeds; of each seed, the furthest counts.")
    going = sum(run.status == RUNNING for each in found for run in each.runs)
    if going:
        notes.append(f"{going} of the runs go on: their numbers are those of their last evaluations.")
    return notes


def _grids(found: Sequence[Configuration], parts: Sequence[Part]) -> list[GridRow]:
    """The best, the median and the worst seed's samples by the first metric; of one run, its first, middle and last."""
    if len(found) == 1 and len(found[0].runs) == 1:
        pictures = pictures_of(found[0].runs[0].folder)
        chosen = dict.fromkeys(pictures[place] for place in (0, len(pictures) // 2, -1)) if pictures else {}
        return [GridRow("over time", [(f"iteration {int(path.stem)}", path) for path in chosen])] if chosen else []
    first = next((part.measures[0] for part in parts if part.measures), None)
    if first is None:
        return [GridRow(each.name, _some(each.runs)) for each in found[:MOST_ROWS_OF_GRIDS]]
    rows = []
    for standing in first.standings[:MOST_ROWS_OF_GRIDS]:
        rows.append(GridRow(standing.name, _ranked(standing.by_rank(first.better), standing.runs, first)))
    return [row for row in rows if row.pictures]


def _some(runs: Sequence[StudiedRun]) -> list[tuple[str, Path]]:
    pairs = [(f"seed {seed_of(run)}", last_grid(run.folder)) for run in runs[:3]]
    return [(caption, path) for caption, path in pairs if path is not None]


def _ranked(seeds: Sequence[int], runs: Mapping[int, StudiedRun], measured: Any) -> list[tuple[str, Path]]:
    """The pictures of the best, the median and the worst seed, or of as many as there are."""
    places = (
        {0: "best", len(seeds) // 2: "median", len(seeds) - 1: "worst"}
        if len(seeds) > 2
        else dict.fromkeys(range(len(seeds)), "")
    )
    found = []
    for place, word in places.items():
        seed = seeds[place]
        picture = last_grid(runs[seed].folder)
        if picture is not None:
            rank = f"{word}: " if word and measured.better else ""
            value = shown(next(s.values[seed] for s in measured.standings if s.runs is runs))
            found.append((f"{rank}seed {seed}, {measured.metric} {value}", picture))
    return found
