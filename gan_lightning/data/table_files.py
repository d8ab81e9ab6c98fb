"""Tables in CSV and Parquet files: told by their contents, and read by the places of their columns.

They are read by pyarrow, which the extra `table` brings along.
"""

import bz2
import csv
import gzip
import io
import lzma
import re
import zipfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from gan_lightning.data.array_files import ZIP
from gan_lightning.errors import UserError, reason
from gan_lightning.extras import extra

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = b"PAR1"
PACKED: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
QUOTED = re.compile('"[^"]*"')
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
DELIMITERS = ";\t|,"  # the comma last, which numbers may have inside them
LOOKED_AT = 4096  # bytes, to tell text from others
LONGEST_LINE = 1 << 24  # bytes
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None")  # beside numbers


class Columns(NamedTuple):
    """The names of a table's columns, in their order, and how those at some places are read."""

    names: tuple[str, ...]
    read: Callable[[Sequence[int]], list["pa.ChunkedArray"]]


def table_in(path: Path, header: bool | None = None) -> Columns:
    """The table in a file, whose columns are not read yet.

    `header` tells whether the first line of CSV names the columns; without, they are named 0, 1 and so on. None: it
    does, and a line that may be numbers already is refused. Raises UserError for what is no table.
    """
    if not path.is_file():
        kind = "which is no file" if path.exists() else "but there is no such file"
        raise UserError(f"dataset.root is {path}, {kind}; expected a table in CSV or Parquet.")
    with extra("table", "pyarrow", "dataset=table"):
        import_module("pyarrow")  # not above, so that nobody waits for it who has no tables
    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(PARQUET)) == PARQUET
        if is_parquet:
            return _parquet(path, header)
        return _csv(path, header)
    except UserError:
        raise
    except Exception as error:  # of half a dozen kinds, on bytes that only begin like such files
        raise _damaged(path, error) from error


def as_numbers(column: "pa.ChunkedArray") -> NDArray[Any] | None:
    """A column of numbers, or of True and False, as an array (N,), with NaN for what is missing; None for any other."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if not (_is_number(kind) or pa.types.is_null(kind)):
        return None
    if pa.types.is_decimal(kind) or column.null_count:
        column = column.cast(pa.float64(), safe=False)
    return np.asarray(column.to_numpy())


def as_labels(column: "pa.ChunkedArray") -> NDArray[Any]:
    """A column of labels (N,), none of them missing, as an array: of texts, numbers or whatever they are."""
    import pyarrow as pa

    if (found := as_numbers(column)) is not None:
        return found
    if not is_text(column):
        return np.asarray(column.to_numpy())
    encoded = (column if pa.types.is_dictionary(column.type) else column.dictionary_encode()).combine_chunks()
    chunks = encoded.chunks if isinstance(encoded, pa.ChunkedArray) else [encoded]
    return np.concatenate([np.array(c.dictionary.to_pylist(), str)[c.indices.to_numpy()] for c in chunks])


def is_text(column: "pa.ChunkedArray") -> bool:
    """Whether a column is of texts, or of categories that are named by such."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return any(each(kind) for each in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _is_number(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    types = pa.types
    return any(each(kind) for each in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal))


def _damaged(path: Path, error: Exception) -> UserError:
    if isinstance(error, UnicodeError):
        return UserError(f"dataset.root is {path}, whose text is neither UTF-8 nor UTF-16; save it as UTF-8.")
    told = getattr(error, "strerror", None) or reason(error)
    return UserError(f"dataset.root is {path}, which can't be read ({told}); it may be damaged.")


# Parquet


def _parquet(path: Path, header: bool | None) -> Columns:
    import pyarrow.parquet as pq

    if header is not None:
        raise UserError(
            f"dataset.header is {str(header).lower()}, but dataset.root is {path}, which is Parquet and names its"
            " columns; leave dataset.header out."
        )
    with pq.ParquetFile(path) as file:
        names = tuple(file.schema_arrow.names)

    def read(places: Sequence[int]) -> list["pa.ChunkedArray"]:
        wanted = list(dict.fromkeys(names[place] for place in places))
        try:
            with pq.ParquetFile(path) as file:
                table = file.read(columns=wanted)
        except Exception as error:
            raise _damaged(path, error) from error
        return [table.column(names[place]) for place in places]

    return Columns(names, read)


# CSV


class _Form(NamedTuple):
    """How a file in CSV is written: its encoding, what separates its columns, and the lines above its rows."""

    encoding: str
    delimiter: str
    skipped: int


def _csv(path: Path, header: bool | None) -> Columns:
    with _opened(path) as file:
        start = file.read(LOOKED_AT)
    encoding = "utf-16" if start.startswith(UTF_16) else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in start:
        arrays = "; dataset=array reads .npy, .npz and .pt" if path.suffix in (".npy", ".npz", ".pt") else ""
        raise UserError(f"dataset.root is {path}, which is neither CSV nor Parquet by its content{arrays}.")
    with _opened(path) as file:
        text = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline=None)
        line, skipped = "\n", 0
        while line and not line.strip():
            line, skipped = text.readline(LONGEST_LINE), skipped + 1
        rest = line if header is False else text.readline(LOOKED_AT)
        while rest and not rest.strip():
            rest = text.readline(LOOKED_AT)
    if not line:
        raise UserError(f"dataset.root is {path}, which is empty; expected a line of names and rows of numbers.")
    line.encode()  # raises UnicodeError for what is no text in its encoding
    delimiter = _delimiter(line, header)
    names = [name.strip() for name in _split(line, delimiter)]
    if header is None and (numbers := _may_be_numbers(names)):
        raise UserError(
            f"dataset.root is {path}, whose first line has numbers ({', '.join(numbers[:3])}) where names of columns"
            " are expected; dataset.header=false takes it for a row already, and dataset.header=true for names."
        )
    if header is False:
        names, skipped = [str(number) for number in range(len(names))], skipped - 1
    if not rest:
        raise UserError(f"dataset.root is {path}, which has names of {len(names)} columns and no rows below them.")
    form = _Form(encoding.removesuffix("-sig"), delimiter, skipped)
    return Columns(tuple(names), lambda places: _read_csv(path, form, names, places))


def _opened(path: Path) -> IO[bytes]:
    """A file, unpacked by what its content is packed with."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(ZIP):
        archive = zipfile.ZipFile(path)
        inside = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(inside) != 1:
            raise UserError(
                f"dataset.root is {path}, a zip archive of {len(inside)} files, as spreadsheets are too; expected a"
                " table in CSV or Parquet, or one such file in an archive."
            )
        return archive.open(inside[0])
    unpack = next((each for magic, each in PACKED.items() if start.startswith(magic)), None)
    return path.open("rb") if unpack is None else cast("IO[bytes]", unpack(path))


def _delimiter(line: str, header: bool | None) -> str:
    """What separates the columns: what there is most of in a line of names, and in one of numbers what can't be a part
    of them.
    """
    bare = QUOTED.sub("", line)
    counts = {each: bare.count(each) for each in DELIMITERS}
    if header is False:
        return next((each for each, count in counts.items() if count), ",")
    return max(counts, key=lambda each: counts[each])


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _may_be_numbers(names: Sequence[str]) -> list[str]:
    """Those of the names that are numbers, unless they count from 0, as pandas names columns without names."""
    found = [name for name in names if is_numeral(name)]
    return [] if found == [str(number) for number in range(len(found))] else found


def is_numeral(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_csv(path: Path, form: _Form, names: Sequence[str], places: Sequence[int]) -> list["pa.ChunkedArray"]:
    import pyarrow.csv as reader

    uneven: list[Any] = []

    def note(row: Any) -> str:
        uneven.append(row if not uneven else None)
        return "skip"

    try:
        with _opened(path) as file:
            table = reader.read_csv(
                file,
                # In one thread, since rows have no numbers otherwise.
                reader.ReadOptions(
                    use_threads=False,
                    block_size=LONGEST_LINE // 2,
                    column_names=[str(place) for place in range(len(names))],
                    skip_rows=form.skipped,
                    encoding=form.encoding,
                ),
                reader.ParseOptions(delimiter=form.delimiter, newlines_in_values=True, invalid_row_handler=note),
                reader.ConvertOptions(include_columns=list(dict.fromkeys(str(place) for place in places))),
            )
    except Exception as error:
        raise _damaged(path, error) from error
    if uneven:
        first = uneven[0]
        raise UserError(
            f"dataset.root is {path}, where {len(uneven)} rows have more or fewer columns than the {len(names)} of the"
            f" first line; the first such is line {first.number}, blank lines aside, which has"
            f" {first.actual_columns}: {first.text[:40]!r}."
        )
    return [_tidied(path, table.column(str(place)), form.delimiter) for place in places]


def _tidied(path: Path, column: "pa.ChunkedArray", delimiter: str) -> "pa.ChunkedArray":
    """A column of texts as numbers where they are such but for spaces, signs and decimal commas; trimmed elsewhere."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_binary(column.type):
        raise _damaged(path, UnicodeError())
    if not is_text(column):
        return column
    column = pc.utf8_trim_whitespace(column)
    plain = pc.if_else(pc.is_in(column, value_set=pa.array(MISSING)), None, column)
    if delimiter != ",":
        plain = pc.replace_substring(plain, ",", ".")
    try:
        return plain.cast(pa.float64())
    except pa.ArrowInvalid:
        return pc.if_else(pc.equal(column, ""), None, column)
