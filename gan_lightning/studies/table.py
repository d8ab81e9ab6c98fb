"""A sweep's table: a row a configuration, the mean over its seeds of each number, and below it what hasn't finished."""

import csv
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gan_lightning.errors import printable
from gan_lightning.files import replacing
from gan_lightning.runs.results import Numbers, Record, Results
from gan_lightning.studies.endings import FINISHED
from gan_lightning.studies.studied import Configuration, StudiedRun, configurations

CSV, MARKDOWN = Path("table.csv"), Path("table.md")
LOSSES = ("loss/discriminator", "loss/generator")
BETWEEN = 2  # characters between columns
WIDEST = 32  # characters of a configuration's name in one line, beside numbers
MOST_LISTED = 20
NOTE = "Means over seeds ± half the 95 % interval; * is the best mean."
BEST = "* is the best."


@dataclass(frozen=True)
class Summary:
    """The mean of a number over `count` runs, and half the 95 % interval of that mean; None of a single run."""

    mean: float
    half: float | None
    count: int


@dataclass(frozen=True)
class Row:
    """A configuration: how many of its runs have finished, and its numbers."""

    name: str
    finished: int
    asked: int
    numbers: Mapping[str, Summary] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """Configurations whose numbers were measured in one way, which `measured` tells; `better` as in records."""

    measured: str
    names: Sequence[str]
    better: Mapping[str, str]
    rows: Sequence[Row]
    is_over_seeds: bool = True  # or a row is a single run

    def is_best(self, row: Row, name: str) -> bool:
        """Whether a row has the best mean of a number, of several that differ."""
        return name in row.numbers and row.numbers[name].mean == self.best.get(name)

    @cached_property
    def best(self) -> Mapping[str, float]:
        """The best mean of each number of which there are several."""
        found = {}
        for name, better in self.better.items():
            means = {each.numbers[name].mean for each in self.rows if name in each.numbers}
            if len(means) > 1:
                found[name] = max(means) if better == "higher" else min(means)
        return found

    def cell(self, row: Row, name: str) -> str:
        """A number as text."""
        if name not in row.numbers:
            return "-"
        found = row.numbers[name]
        text = f"{found.mean:.4g}" if found.half is None else f"{found.mean:.4g} ± {found.half:.2g}"
        text += "" if found.count == row.finished else f" (of {found.count})"
        return f"{text} *" if self.is_best(row, name) else text


def summary(values: Sequence[float]) -> Summary:
    """The mean of numbers, and half its 95 % interval by Student's t."""
    if len(values) < 2:
        return Summary(values[0], None, 1)
    from scipy.special import stdtrit  # which takes half a second to import

    error = statistics.stdev(values) / math.sqrt(len(values))
    return Summary(statistics.fmean(values), float(stdtrit(len(values) - 1, 0.975)) * error, len(values))


def compare(runs: Sequence[StudiedRun]) -> list[Compared]:
    """A table for each way of measuring, in the order of their first runs.

    Runs without evaluations are compared by their losses, which say nothing of which is better. A configuration of
    which nothing has been measured is in the first table.
    """
    found: dict[str, list[tuple[Configuration, list[StudiedRun]]]] = {}
    unmeasured = []
    for configuration in configurations(runs):
        ways: dict[str, list[StudiedRun]] = {}
        for run in configuration.runs:
            if run.status in FINISHED:
                ways.setdefault(json.dumps(record_of(run).get("protocol"), sort_keys=True), []).append(run)
        for way, some in ways.items():
            found.setdefault(way, []).append((configuration, some))
        unmeasured += [] if ways else [Row(configuration.name, 0, len(configuration.runs))]
    tables = [compared(rows) for rows in found.values()] or [Compared("", (), {}, ())]
    first = tables[0]
    rows = in_order([*first.rows, *unmeasured], runs)
    return [Compared(first.measured, first.names, first.better, rows), *tables[1:]]


def by_run(runs: Sequence[StudiedRun], records: Sequence[Record]) -> Compared:
    """A row a run, with the numbers of a record of one way of measuring, and half the interval of each."""
    told = [run.overrides for run in runs]
    names = job_names(told) if len(set(told)) == len(runs) > 1 else [run.folder.name for run in runs]
    rows = []
    for name, record in zip(names, records, strict=True):
        values = {name: value for name, value in record["values"].items() if value is not None}
        numbers = {each: Summary(value, half_of(record, each), 1) for each, value in values.items()}
        rows.append(Row(f"{name} ({record['iteration']})", 1, 1, numbers))
    columns = list(dict.fromkeys(name for record in records for name in record["values"]))
    better = {name: way for record in records for name, way in record.get("better", {}).items()}
    return Compared("", columns, better, rows, is_over_seeds=False)


def half_of(record: Record, name: str) -> float | None:
    """Half the width of a number's interval in an evaluation's record."""
    ends = record["intervals"].get(name)
    return None if ends is None or None in ends else float(ends[1] - ends[0]) / 2


def over_seeds(runs: Sequence[StudiedRun], records: Sequence[Record]) -> list[Compared]:
    """The means of such records over seeds; nothing where no configuration has several."""
    found = {run.folder: record for run, record in zip(runs, records, strict=True)}
    measured = [replace(run, results=_with(run, found[run.folder]), status=FINISHED[0]) for run in runs]
    return compare(measured) if len(configurations(measured)) < len(measured) else []


def _with(run: StudiedRun, record: Record) -> Results | None:
    return replace(run.results, evaluation={"last": record}) if run.results else None


def in_order(rows: Sequence[Row], runs: Sequence[StudiedRun]) -> list[Row]:
    """Rows in the order of their configurations."""
    places = {each.name: place for place, each in enumerate(configurations(runs))}
    return sorted(rows, key=lambda row: places[row.name])


def compared(found: Sequence[tuple[Configuration, Sequence[StudiedRun]]]) -> Compared:
    """The table of configurations that were measured in one way, each with its finished runs."""
    records = [record_of(run) for _, runs in found for run in runs]
    numbers = [numbers_of(run) for _, runs in found for run in runs]
    names = list(dict.fromkeys(name for each in numbers for name in each))
    rows = [
        Row(each.name, len(runs), len(each.runs), summaries([numbers_of(run) for run in runs])) for each, runs in found
    ]
    better = {name: way for record in records for name, way in record.get("better", {}).items()}
    return Compared(measured(found[0][1][0]), names, better, rows)


def record_of(run: StudiedRun) -> Record:
    """A run's last evaluation; empty if there is none."""
    return run.results.evaluation.get("last", {}) if run.results else {}


def numbers_of(run: StudiedRun) -> Numbers:
    """The numbers that a run is compared by."""
    record = record_of(run)
    if record:
        values: Numbers = record.get("values", {})
        return values
    metrics = run.results.metrics if run.results else {}
    return {name: metrics[name] for name in LOSSES if name in metrics}


def summaries(numbers: Sequence[Numbers]) -> dict[str, Summary]:
    """Those of each number that some runs have; one that was not finite is left out."""
    names = dict.fromkeys(name for each in numbers for name in each)
    values = {name: [float(value) for each in numbers if (value := each.get(name)) is not None] for name in names}
    return {name: summary(each) for name, each in values.items() if each}


def measured(run: StudiedRun) -> str:
    """How a run's numbers came about, as a sentence."""
    record = record_of(run)
    data = run.config.get("dataset.name", "")
    if not record:
        return f"{data}: losses, which tell nothing of samples and can't be compared between objectives."
    protocol = record["protocol"]
    return (
        f"{data}: {protocol.get('samples')} samples against {protocol.get('reference')} real ones"
        f" ({protocol.get('split')}), features: {protocol.get('extractor')}."
    )


def unfinished(runs: Sequence[StudiedRun]) -> list[str]:
    """A line for each run that has not finished, with the cause."""
    names = job_names([run.overrides for run in runs])
    pairs = zip(names, runs, strict=True)
    return [
        printable(f"{name}: {run.status}" + (f" ({run.cause.rstrip('.')})" if run.cause else ""))
        for name, run in pairs
        if run.status not in FINISHED
    ]


def job_names(overrides: Sequence[Sequence[str]]) -> list[str]:
    """Jobs named by the overrides in which they differ."""
    shared = set(overrides[0]).intersection(*overrides) if len(overrides) > 1 else set[str]()
    return [" ".join(text for text in each if text not in shared) or "defaults" for each in overrides]


def show(console: Console, tables: Sequence[Compared], left: Sequence[str]) -> None:
    """Prints the tables, none wider than the console, and below them what has not finished."""
    for each in tables:
        for part in fitting(each, console.width):
            console.print(part)
            console.print()
        if each.measured:
            note = f" {NOTE}" if each.better else ""
            console.print(Text(printable(f"{each.measured}{note}")))
    for line in left[:MOST_LISTED]:
        console.print(Text(line), soft_wrap=True)
    if len(left) > MOST_LISTED:
        console.print(f"… and {len(left) - MOST_LISTED} more, which {MARKDOWN} lists.")


def fitting(each: Compared, width: int) -> Iterator[Table]:
    """A table as several with some of the columns each, where it has too many for the console's width."""
    longest = min(WIDEST, max((len(row.name) for row in each.rows), default=0))
    asked = max((len(runs_of(row)) for row in each.rows), default=0) if each.is_over_seeds else 0
    room = width - longest - asked - BETWEEN
    columns: list[str] = []
    used = 0
    for name in each.names:
        wide = BETWEEN + max(len(name), *(len(each.cell(row, name)) for row in each.rows))
        if columns and used + wide > room:
            yield part(each, columns)
            columns, used = [], 0
        columns.append(name)
        used += wide
    yield part(each, columns)


def part(each: Compared, names: Sequence[str]) -> Table:
    """A table with some of the columns."""
    table = Table(box=None, padding=(0, BETWEEN, 0, 0), pad_edge=False)
    table.add_column("", overflow="fold")
    if each.is_over_seeds:
        table.add_column("runs", no_wrap=True)
    for name in names:
        table.add_column(Text(printable(name)), no_wrap=True)
    for row in each.rows:
        told = [runs_of(row)] if each.is_over_seeds else []
        table.add_row(Text(printable(row.name)), *told, *(styled(each, row, name) for name in names))
    return table


def turned(each: Compared, width: int) -> Iterator[Table]:
    """The same with a row a number, and as many configurations beside each other as fit."""
    titles = {row.name: f"{row.name}: {runs_of(row)}" if each.is_over_seeds else row.name for row in each.rows}
    room = width - max(map(len, each.names), default=0) - BETWEEN
    rows: list[Row] = []
    used = 0
    for row in each.rows:
        wide = BETWEEN + max(len(titles[row.name]), *(len(each.cell(row, name)) for name in each.names), 0)
        if rows and used + wide > room:
            yield turned_part(each, rows, titles)
            rows, used = [], 0
        rows.append(row)
        used += wide
    yield turned_part(each, rows, titles)


def turned_part(each: Compared, rows: Sequence[Row], titles: Mapping[str, str]) -> Table:
    """A turned table with some of the configurations."""
    table = Table(box=None, padding=(0, BETWEEN, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(Text(printable(titles[row.name])), overflow="fold")
    for name in each.names:
        table.add_row(Text(printable(name)), *(styled(each, row, name) for row in rows))
    return table


def fewest(each: Compared, width: int) -> list[Table]:
    """A table either way, whichever takes fewer parts; a single row is turned."""
    straight, across = list(fitting(each, width)), list(turned(each, width))
    return across if len(each.rows) == 1 or len(across) < len(straight) else straight


def styled(each: Compared, row: Row, name: str) -> Text:
    return Text(each.cell(row, name), style="bold" if each.is_best(row, name) else "")


def runs_of(row: Row) -> str:
    return f"{row.finished} of {row.asked}"


def save(folder: Path, tables: Sequence[Compared], left: Sequence[str]) -> None:
    """Writes table.csv and table.md into a sweep's folder."""
    with (
        replacing(folder / CSV, lasting=False) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows(lines_of(tables))
    with replacing(folder / MARKDOWN, lasting=False) as temporary:
        temporary.write_text(as_markdown(tables, left), encoding="utf-8")


def lines_of(tables: Sequence[Compared]) -> Iterator[list[str | int | float]]:
    """All tables as one: a row a configuration, with the mean and half the interval of each number, empty if none."""
    names = list(dict.fromkeys(name for each in tables for name in each.names))
    ends = [title for name in names for title in (name, f"{name} ±")]
    yield ["configuration", "finished", "jobs", *ends, "measured"]
    for each in tables:
        for row in each.rows:
            numbers: list[str | int | float] = []
            for name in names:
                found = row.numbers.get(name)
                numbers += ["" if found is None else found.mean]
                numbers += ["" if found is None or found.half is None else found.half]
            yield [row.name, row.finished, row.asked, *numbers, each.measured]


def as_markdown(tables: Sequence[Compared], left: Sequence[str]) -> str:
    """The same as Markdown."""
    blocks = []
    for each in tables:
        header = ["configuration", "runs", *each.names]
        rows = [[row.name, runs_of(row), *(in_bold(each, row, name) for name in each.names)] for row in each.rows]
        lines = [header, ["---"] * len(header), *rows]
        blocks.append("\n".join("| " + " | ".join(escaped(cell) for cell in line) + " |" for line in lines))
        blocks.append(f"{each.measured} {NOTE.replace('*', 'bold')}" if each.better else each.measured)
    if left:
        blocks.append("\n".join(f"- {escaped(line)}" for line in left))
    return "\n\n".join(block for block in blocks if block) + "\n"


def in_bold(each: Compared, row: Row, name: str) -> str:
    cell = each.cell(row, name)
    return f"**{cell.removesuffix(' *')}**" if each.is_best(row, name) else cell


def escaped(text: str) -> str:
    """Text for a cell of Markdown's; what is bold stays so."""
    return printable(text).replace("|", "\\|").replace("<", "&lt;")
