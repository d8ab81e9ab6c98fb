"""Samples as tables, under the names of the columns that they were learnt from."""

import csv
import operator
import re
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from gan_lightning.extras import extra
from gan_lightning.files import replacing
from gan_lightning.samples import Units

NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")  # of 64 bits, and written in one way alone
EXACT = 2**53  # below it, each whole number is one in double precision too


def save_table(vectors: Tensor, path: Path, units: Units | None = None, classes: Sequence[str] = ()) -> None:
    """Writes vectors (N, d), in the numbers of the `units` already, one a row: as Parquet or CSV, by the path's ending.

    `classes`, the names of their classes, are a column more. Raises UserError where the package for Parquet is missing.
    """
    units = units or Units()
    names = (*units.names, *([units.label] if classes else []))
    if path.suffix.lower() == ".parquet":
        whole = units.whole if len(units.whole) > 1 else (*units.whole, False)[:1] * vectors.shape[1]
        _save_parquet(vectors, path, names or [str(place) for place in range(vectors.shape[1])], whole, classes)
    else:
        _save_csv(vectors, path, names, classes)


def _save_csv(vectors: Tensor, path: Path, names: Sequence[str], classes: Sequence[str]) -> None:
    """Numbers have the digits that float32 has, and whole ones all of theirs; names stand in the first line."""
    with replacing(path, lasting=False) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if names:
            writer.writerow(names)
        rows = ([_digits(number) for number in row] for row in vectors.tolist())
        writer.writerows(map(operator.add, rows, ([name] for name in classes)) if classes else rows)


def _digits(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < EXACT else f"{number:.9g}"


def _save_parquet(
    vectors: Tensor, path: Path, names: Sequence[str], whole: Sequence[bool], classes: Sequence[str]
) -> None:
    """Columns of float64, and of int64 where they are `whole`, as classes are if all of them are such numbers."""
    with extra("table", "pyarrow", "A file in Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    are_exact = (vectors.abs() < EXACT).all(0).tolist()
    kinds = [pa.int64() if all(each) else pa.float64() for each in zip(whole, are_exact, strict=True)]
    columns = [pa.array(column.double().numpy()).cast(kind) for column, kind in zip(vectors.T, kinds, strict=True)]
    if classes:
        are_numbers = all(map(NUMBER.fullmatch, classes))
        columns.append(pa.array([int(name) for name in classes] if are_numbers else list(classes)))
    with replacing(path, lasting=False) as temporary:
        pq.write_table(pa.table(columns, names=list(names)), temporary)
