"""The labels of pictures: from the folders that they lie in, or from a table beside them."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_lightning.data.conditions import numbers_of
from gan_lightning.data.picture_files import legible, some
from gan_lightning.data.places import Place
from gan_lightning.errors import UserError, printable, reason
from gan_lightning.suggest import did_you_mean

_log = logging.getLogger(__name__)

MOST_BYTES = 1 << 28  # of a table; one with a million pictures has some 50 MB


def of_folders(names: Sequence[str]) -> list[str] | None:
    """The folder of the first level that each picture lies in; None where some lie in none."""
    if not all("/" in name for name in names):
        return None
    return [legible(name.split("/")[0]) for name in names]


def of_table(root: Place, table: str, column: str | None, names: Sequence[str]) -> list[str]:
    """The label of each picture from a table in CSV, whose first line names the columns.

    `table` is a path below `root`, or an absolute one. Its first column has the pictures' paths below `root`, or their
    names alone; `column` says which of the others has the labels, if there are several. Raises UserError for a table
    that can't be read, and for pictures that are not in it.
    """
    file = root.beside(table)
    header, rows = _read(root, file)
    if column is None and len(header) != 2:
        others = ", ".join(header[1:])
        several = f"has several columns of labels ({others}); dataset.label_column=NAME chooses one"
        raise UserError(f"dataset.labels is {file}, which {several if others else 'has no column of labels'}.")
    if column is not None and column not in header[1:]:
        hint = did_you_mean(column, header[1:])
        raise UserError(f"dataset.label_column is {column}, but {file} has {', '.join(header[1:])}.{hint}")
    place = 1 if column is None else header.index(column)
    return [label for (label,) in _of_each(root, file, rows, [place], names)]


def of_columns(root: Place, table: str, columns: Sequence[str], names: Sequence[str]) -> NDArray[np.float64]:
    """The numbers of each picture, (N, K), from some columns of a table such as `of_table` reads.

    Raises UserError where `of_table` does, and for columns that aren't there, or have others than numbers.
    """
    file = root.beside(table)
    header, rows = _read(root, file)
    if unknown := [column for column in columns if column not in header[1:]]:
        hint = did_you_mean(unknown[0], header[1:])
        raise UserError(f"dataset.conditions has {unknown[0]}, but {file} has {', '.join(header[1:])}.{hint}")
    cells = _of_each(root, file, rows, [header.index(column) for column in columns], names)
    return numbers_of(cells, columns, f"dataset.labels is {file}")


def _of_each(
    root: Place, file: Path, rows: Sequence[Sequence[str]], places: Sequence[int], names: Sequence[str]
) -> list[list[str]]:
    """The cells of each picture, at some places of a table's rows. Raises UserError for pictures without any."""
    labels = {row[0].strip(): [row[place].strip() for place in places] for row in rows}
    keys = [name if name in labels else name.rpartition("/")[2] for name in map(legible, names)]
    if lacking := [name for name, key in zip(names, keys, strict=True) if not all(labels.get(key, [""]))]:
        raise UserError(
            f"dataset.labels is {file}, which has no label for {len(lacking)} of {len(names)} pictures"
            f" ({some(lacking)}); its first column has their paths below {root}."
        )
    if unknown := sorted(labels.keys() - set(keys)):
        _log.warning("%s", printable(f"{file} labels {len(unknown)} pictures that are not there ({some(unknown)})."))
    return [labels[key] for key in keys]


def _rows(lines: Sequence[str]) -> list[list[str]]:
    """The cells of a table's lines, the names of the columns first. Raises csv.Error for what is no CSV."""
    if len(lines) > 1 and lines[0].strip().isdigit():  # CelebA's own: how many pictures, then names of attributes alone
        return [["name", *lines[1].split()], *(line.split() for line in lines[2:] if line.strip())]
    delimiter = max(",;\t", key=(lines or [""])[0].count)
    return [row for row in csv.reader(lines, delimiter=delimiter, strict=True) if row]


def _read(root: Place, file: Path) -> tuple[list[str], list[list[str]]]:
    """The names of a table's columns, and its rows. Raises UserError."""
    try:
        lines = root.text(file, MOST_BYTES).removeprefix("\ufeff").splitlines()
        rows = _rows(lines)
        header = [name.strip() for name in rows[0]] if rows else []
        if uneven := [number for number, row in enumerate(rows, start=1) if len(row) != len(header)]:
            raise ValueError(f"row {uneven[0]} has another number of columns than the first")
        names = [row[0].strip() for row in rows[1:]]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{twice} is there twice")
    except (OSError, ValueError, csv.Error) as error:
        told = getattr(error, "strerror", None) or reason(error)
        raise UserError(
            f"dataset.labels is {file}, which can't be read ({told}); it is to be a table in CSV, by its path below"
            " dataset.root or an absolute one."
        ) from error
    return header, rows[1:]
