"""Tables in files as data sets: their columns as vectors, images or signals, with labels out of another column."""

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gan_lightning.data.arrays import MOST_CLASSES, MOST_NAMED, facts_of, numbered, units_seen
from gan_lightning.data.conditions import require_different, scaled_conditions, units_of
from gan_lightning.data.picture_files import some
from gan_lightning.data.scaling import Levels, are_bytes, arranged, require_levels, scaled
from gan_lightning.data.seen import Changed, compare
from gan_lightning.data.table_files import Columns, as_labels, as_numbers, is_numeral, is_text, table_in
from gan_lightning.errors import UserError, printable
from gan_lightning.samples import SampleSet, Units
from gan_lightning.suggest import did_you_mean
from gan_lightning.types import FilePath, PositiveInt, check_ranges

_log = logging.getLogger(__name__)

TEXT = "text"
ROW_NUMBERS = ("", "Unnamed: 0", "__index_level_0__")  # what pandas calls the column of them; also of trailing commas


@dataclass(frozen=True)
class Table:
    """The columns of a table in a CSV or Parquet file: vectors, or images that lie flattened in its rows.

    Arguments:
        root: the file; CSV may be packed by gzip, bzip2 or xz, or alone in a zip archive.
        sample_shape: [d] of vectors, a number for each column; [C, H, W] of images, whose C * H * W numbers lie in the
            order of the columns.
        columns: the columns by name, or by patterns such as pixel*; None: all but that of the labels, and but one of
            row numbers without a name.
        labels: the column of labels, whole numbers or texts.
        conditions: columns of numbers, attributes (on or off) and real ones, that networks are conditioned on together,
            in place of labels.
        header: whether the first line of CSV names the columns, which are 0, 1 and so on otherwise; None: it does, and
            numbers in it are refused.
        range: the numbers [LOW, HIGH] that become -1 and 1; with `data` the lowest and the highest there are, of images
            altogether and of vectors in each column; with `standard` columns get the mean 0 and the standard deviation
            1; None leaves vectors as they are. Images of whole numbers that go from 0 to 255 are kept as uint8.
        changed: whether another table than that of `seen` is refused, or said and accepted.
        seen: the facts that `load_with_facts` has given a run, to go on with the same columns, scale and classes.
    """

    root: FilePath
    sample_shape: Sequence[PositiveInt]
    columns: Sequence[str] | None = None
    labels: FilePath | None = None
    header: bool | None = None
    range: Levels = "data"
    changed: Changed = "refuse"
    seen: Mapping[str, Any] | None = None
    conditions: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_ranges(self)
        require_levels(self.range)
        if self.conditions is not None:
            require_different(self.conditions)
            if self.labels is not None:
                raise ValueError("conditions are columns of the table, in place of dataset.labels, which is given too")
        units_seen(self.seen)

    def load(self) -> SampleSet:
        """Returns images, uint8 or float32 in [-1, 1], (N, c, h, w), or vectors, float32 (N, d), with their units.

        Raises UserError for what can't be had, or isn't numbers in all chosen columns of all rows.
        """
        return self.load_with_facts()[0]

    def load_with_facts(self) -> tuple[SampleSet, dict[str, Any]]:
        """The same, and what a run is to remember of it: how many, a digest, the classes and the units."""
        root = Path(os.path.abspath(os.path.expanduser(self.root)))
        known = units_seen(self.seen)
        stored = table_in(root, self.header)
        label = None if self.labels is None else place_of(str(self.labels), stored.names, "dataset.labels is", root)
        told = [place_of(str(name), stored.names, "dataset.conditions has", root) for name in self.conditions or ()]
        told += [] if label is None else [label]
        places = self._chosen(root, stored, told, known)
        names = tuple(stored.names[place] for place in places)
        columns = stored.read([*places, *told])
        told_columns = [columns.pop() for _ in told][::-1]
        labels: Tensor | None = None
        classes: tuple[str, ...] = ()
        conditions: Units | None = None
        if label is not None:
            labels, classes = self._labels(told_columns[0])
        elif self.conditions is not None:
            labels, conditions = self._conditions(told_columns, root)
        values = matrix(columns, names, root, self.labels is None and self.conditions is None)
        whole = are_whole(values)
        samples, units = scaled(self._arranged(values, whole, known, root, names), self.range, known, root, names)
        if known is None:
            flags = whole if len(self.sample_shape) == 1 else (all(whole),)
            units = units._replace(whole=flags, label="" if label is None else stored.names[label])
        units = known or units
        low, high = units.shift[0] - units.scale[0], units.shift[0] + units.scale[0]
        levels = f"; {low:g} and {high:g} become -1 and 1" if samples.ndim > 2 else ""
        summary = f"{root}: {len(values)} rows of {len(names)} columns ({some(list(names))}){levels}."
        _log.info("%s", printable(summary))
        facts = facts_of(samples, [root], units, classes)
        facts |= {"conditions": conditions.plain()} if conditions else {}
        compare(root, "samples", self.seen or {}, facts, self.changed)
        return SampleSet(samples, labels, classes, units, conditions), facts

    def _chosen(self, root: Path, stored: Columns, told: Sequence[int], known: Units | None) -> list[int]:
        """The places of the columns of samples, in the order in which they are asked for."""
        names = stored.names
        if self.columns is not None:
            places = list(dict.fromkeys(place for name in self.columns for place in matching(str(name), names, root)))
        elif known is not None:
            places = [place_of(name, names, "the run was trained on", root) for name in known.names]
        else:
            places = _all_but(told, names, root)
        if not places:
            raise UserError(f"dataset.root is {root}, which has no other columns than {some(list(names))}.")
        require_single([names[place] for place in places], names, root)
        chosen = tuple(names[place] for place in places)
        if known is not None and known.names != chosen:
            raise UserError(
                f"dataset.columns chooses {some(list(chosen))}, while the run was trained on {some(list(known.names))};"
                " leave dataset.columns as it was."
            )
        return places

    def _labels(self, column: Any) -> tuple[Tensor, tuple[str, ...]]:
        """The labels and the names of their classes."""
        which = f"dataset.labels is {self.labels}"
        if column.null_count:
            raise UserError(
                f"{which}, which is missing in {column.null_count} of {len(column)} rows; leave these rows out, or"
                " give them a class."
            )
        if is_text(column) and (count := len(column.unique())) > MOST_CLASSES:
            raise UserError(f"{which}, which has {count} different labels; expected at most {MOST_CLASSES} classes.")
        return numbered(as_labels(column), len(column), which, self.seen)

    def _conditions(self, columns: Sequence[Any], root: Path) -> tuple[Tensor, Units]:
        """The conditions (N, K) and their units. Raises UserError for columns that aren't numbers."""
        which = f"dataset.root is {root}"
        names, numbers = list(self.conditions or ()), []
        for name, column in zip(names, columns, strict=True):
            found = as_numbers(column)
            if found is None:
                raise UserError(
                    f"{which}, whose column {name} of dataset.conditions is not of numbers ({_described(column)});"
                    " expected real numbers, or 0 and 1 of an attribute. A column of texts is classes:"
                    f" dataset.labels={name} dataset.conditions=null."
                )
            numbers.append(np.asarray(found, np.float64))
        return scaled_conditions(np.stack(numbers, 1), names, which, units_of(self.seen))

    def _arranged(
        self, values: NDArray[Any], whole: Sequence[bool], known: Units | None, root: Path, names: Sequence[str]
    ) -> NDArray[Any]:
        """Columns (N, d) in the samples' shape; whole numbers that are levels of bytes as such."""
        shape, count = list(self.sample_shape), values.shape[1]
        if prod(shape) != count:
            raise UserError(
                f"dataset.sample_shape is {shape}, which is {prod(shape)} numbers, but {count} columns of {root} are"
                f" chosen ({some(list(names))}); set dataset.sample_shape=[{count}], or [C,H,W] for images whose"
                " numbers are in so many columns."
            )
        ends = (values.min(), values.max())
        are_levels = ends == (0, 255) if known is None else are_bytes(known) and ends[0] >= 0 and ends[1] <= 255
        if len(shape) == 3 and self.range == "data" and all(whole) and are_levels:
            values = values.astype(np.uint8)
        return arranged(values, shape, root)


def place_of(name: str, names: Sequence[str], which: str, root: Path) -> int:
    """The place of the only column of that name. Raises UserError, beginning with `which`, if there is none."""
    if name not in names:
        raise UserError(f"{which} {name}, but {root} has {some(list(names), MOST_NAMED)}.{did_you_mean(name, names)}")
    require_single([name], names, root)
    return names.index(name)


def matching(wanted: str, names: Sequence[str], root: Path) -> list[int]:
    """The places of the columns that a name, or else a pattern, is of."""
    if wanted not in names and (places := [place for place, name in enumerate(names) if fnmatchcase(name, wanted)]):
        return places
    return [place_of(wanted, names, "dataset.columns has", root)]


def require_single(chosen: Sequence[str], names: Sequence[str], root: Path) -> None:
    """Raises UserError for names that several columns have."""
    counts = Counter(names)
    if several := sorted({name for name in chosen if counts[name] > 1}):
        raise UserError(
            f"dataset.root is {root}, where several columns have one name: {some(several)}; give each its own."
        )


def _all_but(told: Sequence[int], names: Sequence[str], root: Path) -> list[int]:
    """The places of all columns but those of labels or conditions, and those of row numbers, which is said."""
    passed = [place for place, name in enumerate(names) if place not in told and name in ROW_NUMBERS]
    if passed:
        named = some([names[place] or f"number {place + 1}, which has no name" for place in passed])
        _log.warning("%s", printable(f"Left out columns of {root} as those of row numbers: {named}."))
    return [place for place in range(len(names)) if place not in told and place not in passed]


def matrix(columns: list[Any], names: Sequence[str], root: Path, may_be_labels: bool) -> NDArray[Any]:
    """Columns of N numbers each as one array (N, d); the list is emptied. Raises UserError for others, by their names.

    `may_be_labels` tells whether one of these might be meant as the labels.
    """
    arrays: list[NDArray[Any]] = []
    wrong: dict[str, str] = {}
    for place, name in enumerate(names):
        column, columns[place] = columns[place], None  # so that no table is held twice
        found = as_numbers(column)
        if found is None:
            wrong[name] = _described(column)
        else:
            arrays.append(_narrow(found))
    if wrong:
        raise UserError(_no_numbers(wrong, names, root, may_be_labels))
    if not len(arrays[0]):
        raise UserError(f"dataset.root is {root}, which has columns ({some(list(names))}), but no rows.")
    values = np.empty((len(arrays), len(arrays[0])), np.result_type(*{array.dtype for array in arrays}))
    for row, array in zip(values, arrays, strict=True):
        row[:] = array
    return values.T


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers of 64 bits, as in CSV, in fewer where these do; not in bytes, which would be levels."""
    if array.dtype != np.int64 or not len(array):
        return array
    kinds = [np.iinfo(kind) for kind in (np.int16, np.int32)]
    low, high = array.min(), array.max()
    return array.astype(next((each.dtype for each in kinds if each.min <= low <= high <= each.max), array.dtype))


def _described(column: Any) -> str:
    if not is_text(column):
        return str(column.type)
    texts = [value for value in column.to_pylist() if value is not None and not is_numeral(value)] or [""]
    return f"{TEXT} in {len(texts)} of {len(column)} rows, such as {texts[0][:20]!r}"


def _no_numbers(wrong: Mapping[str, str], names: Sequence[str], root: Path, may_be_labels: bool) -> str:
    """What is told of columns that aren't numbers."""
    told = some([f"{name}: {kind}" for name, kind in wrong.items()], MOST_NAMED)
    if len(names) == 1 and wrong[names[0]].startswith(TEXT):
        return (
            f"dataset.root is {root}, where the only column is not of numbers ({told}); expected columns that commas,"
            " semicolons, tabs or | separate, and not blanks."
        )
    count = f"{len(wrong)} of {len(names)} columns are" if len(wrong) > 1 else "a column is"
    others = [name for name in names if name not in wrong]
    which = f"[{','.join(others)}]" if len(others) <= MOST_NAMED else "[NAME,...], or a pattern such as [pixel*],"
    ways = [f"dataset.columns={which} leaves {'them' if len(wrong) > 1 else 'it'} out"] if others else []
    if may_be_labels and (texts := [name for name, kind in wrong.items() if kind.startswith(TEXT)]):
        ways.append(f"dataset.labels={texts[0]} takes it for the labels")
    ways.append("or put numbers in their place" if ways else "put numbers in their place")
    return f"dataset.root is {root}, where {count} not of numbers ({told}); {', '.join(ways)}."


def are_whole(values: NDArray[Any]) -> tuple[bool, ...]:
    """Whether each column of (N, d) has whole numbers alone."""
    if values.dtype.kind != "f":
        return (True,) * len(values.T)
    return tuple(bool(each) for each in (values == np.rint(values)).all(0))
