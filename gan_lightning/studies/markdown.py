"""A report as Markdown, for a repository or a notebook, and as CSV, for a spreadsheet or a script."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite

from gan_lightning.errors import printable
from gan_lightning.studies.accounts import Table, Value, cause_of, command_of, relative
from gan_lightning.studies.courses import BUDGETS, spent
from gan_lightning.studies.figures import shown
from gan_lightning.studies.measured import Measured, interval
from gan_lightning.studies.report import Part, Report
from gan_lightning.studies.sections import value_of

SPECIAL = re.compile(r"([\\`*_\[\]<>|~$&#])")  # what Markdown or HTML in it would take for more than text
LEADING = re.compile(r"^(\s*)([-+](?=\s|$)|[-=](?=[-=]*$)|\d+[.)](?=\s|$))")  # and what begins a list or a heading
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would take for a formula


def literal(content: object) -> str:
    """Text of whatever origin that Markdown shows as it is."""
    escaped = SPECIAL.sub(r"\\\1", printable(content))
    return LEADING.sub(lambda found: f"{found[1]}{found[2][:-1]}\\{found[2][-1]}", escaped)


def as_table(table: Table) -> str:
    """A table in Markdown; the best row is bold."""
    lines = [_row(map(literal, table.heads)), _row("---" for _ in table.heads)]
    for place, row in enumerate(table.rows):
        cells = [_cell(value) for value in row]
        lines.append(_row([f"**{cells[0]}**", *cells[1:]] if place == table.best else cells))
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Value) -> str:
    return literal(value) if isinstance(value, str) else shown(value)


def listed(sentences: Sequence[str]) -> str:
    """Sentences as a list."""
    return "\n".join(f"- {literal(sentence)}" for sentence in sentences)


def csv_text(heads: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """CSV with one line of names. Text that a spreadsheet would compute has a ' before it; no number, an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_plain(head) for head in heads])
    writer.writerows([_plain(value) for value in row] for row in rows)
    return file.getvalue()


def _plain(value: Value) -> str:
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.startswith(FORMULA) else text
    if value is None or not isfinite(value):
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def as_markdown(report: Report) -> str:
    """The report without its charts and pictures."""
    counts = ", ".join(f"{count} {status}" for status, count in report.states.items())
    blocks = [f"# {literal(report.title)}", f"{report.made}: {literal(counts)}.", listed(report.notes)]
    for part in report.parts:
        blocks += _part(part)
    for title, table in report.tables.items():
        if table.rows:
            blocks += [f"## {literal(title)}", as_table(table)]
    if report.settings:
        blocks += ["## Configuration", as_table(Table(["key", "value"], list(report.settings.items())))]
    blocks.append(f"Made by {literal(report.command)}, gan\\_lightning {report.version}.")
    return "\n\n".join(block for block in blocks if block) + "\n"


def _part(part: Part) -> Iterator[str]:
    yield f"## {literal(part.section.title)}"
    yield listed(part.notes)
    for each in part.measures:
        direction = f" ({each.better} is better)" if each.better else ""
        yield f"### {literal(each.metric)}{direction}"
        yield as_table(leaderboard(each))
        yield listed([*each.sentences, *each.notes, *(found.sentence for found in each.dependences)])
    if part.protocol:
        yield "Protocol:"
        yield as_table(Table(["", "value"], list(part.protocol.items())))


def leaderboard(measured: Measured) -> Table:
    """The configurations, the best first."""
    rows: list[list[Value]] = []
    for each in measured.standings:
        known = len(each.values) - len(each.lacking)
        seeds = ", ".join(f"{seed}: {shown(value)}" for seed, value in each.values.items())
        iqm = (each.iqm, interval(each.iqm_ends))
        rows.append([each.name, f"{known} of {len(each.values)}", each.mean, interval(each.ends), *iqm, seeds])
    heads = ["configuration", "runs", "mean", "95 % interval", "IQM", "95 % interval of IQM", "by seed"]
    return Table(heads, rows, measured.best)


FACTS = ("configuration", "seed", "status", "data set", "measured", "samples", "extractor")
ENDS = ("verdicts", "cause", "folder", "command")


def as_csv(report: Report) -> str:
    """A row a run and protocol: what it was, its numbers at its end, what it has cost, and how it is made again."""
    metrics = list(dict.fromkeys(each.metric for part in report.parts for each in part.measures))
    rows: list[list[Value]] = []
    for part in report.parts:
        protocol = part.section.protocol
        for entry in part.section.entries:
            for seed, (run, record) in entry.records.items():
                used = spent(run)
                said = [str(verdict.get("kind", "?")) for verdict in run.results.health.verdicts] if run.results else []
                rows.append(
                    [
                        *(entry.name, float(seed), run.status, part.section.dataset, part.section.how),
                        *(str(protocol.get(name, "")) for name in ("samples", "extractor")),
                        *(used.get(axis) for axis in BUDGETS),
                        *(value_of(record, metric) for metric in metrics),
                        *(", ".join(dict.fromkeys(said)), cause_of(run), relative(run.folder, report.out)),
                        command_of(run),
                    ]
                )
    return csv_text([*FACTS, *BUDGETS, *metrics, *ENDS], rows)
