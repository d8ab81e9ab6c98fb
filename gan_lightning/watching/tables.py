"""metrics.csv read again, whatever has happened to it."""

import csv
import math
import re
from pathlib import Path
from typing import NamedTuple

ITERATION = "iteration"
WHOLE = re.compile(r"\d{1,15}")


class Table(NamedTuple):
    """What can be read of a table: its columns, its rows by iteration, and how many lines could not be read."""

    columns: list[str]
    rows: dict[int, dict[str, str]]
    dropped: int


def read_table(path: Path) -> Table:
    """A table of numbers with a column `iteration`, without the lines that are none of it.

    Lines are dropped that have another number of cells than the header, or something else than a number, as a torn
    write leaves them or a block of zeros; the last one too if it doesn't end. A header may come again, as where tables
    were put together. Of several rows of an iteration, the last counts.
    """
    text = path.read_bytes().decode(errors="replace")
    lines = text.splitlines()
    torn = bool(lines) and not text.endswith("\n")
    columns: dict[str, None] = {}
    header: list[str] = []
    rows: dict[int, dict[str, str]] = {}
    dropped = int(torn)
    for line in lines[:-1] if torn else lines:
        cells = cells_of(line)
        if ITERATION in cells and all(name.isprintable() and "\ufffd" not in name for name in cells):
            header = cells
            columns |= dict.fromkeys(cells)
        elif header and len(cells) == len(header) and (row := as_row(header, cells)):
            rows[int(row[ITERATION])] = row
        else:
            dropped += bool(line)
    return Table(list(columns), dict(sorted(rows.items())), dropped)


def cells_of(line: str) -> list[str]:
    """A line's cells; none of one that is no line of a table."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []


def as_row(header: list[str], cells: list[str]) -> dict[str, str] | None:
    """The cells by column, if they are numbers or empty, and that of the iteration a whole one; else None."""
    row = dict(zip(header, cells, strict=True))
    if not WHOLE.fullmatch(row[ITERATION]):
        return None
    return row if all(cell == "" or is_number(cell) for cell in cells) else None


def is_number(cell: str) -> bool:
    try:
        return not math.isnan(float(cell)) or cell.strip().lower() == "nan"
    except ValueError:
        return False
