"""Arrays in files as data sets: images, signals or vectors, with labels out of a second array."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_lightning.data.array_files import Stored, arrays_in
from gan_lightning.data.conditions import require_names, scaled_conditions, units_of
from gan_lightning.data.scaling import Levels, arranged, require_levels, scaled
from gan_lightning.data.seen import Changed, as_text, compare, from_text, known_classes
from gan_lightning.errors import UserError
from gan_lightning.files import in_natural_order
from gan_lightning.paths import whole
from gan_lightning.samples import SampleSet, Units, as_units
from gan_lightning.suggest import did_you_mean
from gan_lightning.types import FilePath, PositiveInt, check_ranges

MOST_NAMED = 10
MOST_NOTED = 300_000  # characters of units, which a saved configuration has three times, and 1 MiB in all
MOST_CLASSES = 10_000  # more are no classes, but numbers that somebody has taken for such


@dataclass(frozen=True)
class Array:
    """An array in a .npy, .npz or .pt file, mapped from it where that can be: images, signals, or vectors.

    Arguments:
        root: the file.
        sample_shape: [C, H, W] of images, [C, L] of signals, [d] of vectors; see `arranged` for what becomes such.
        key: which array of the file, if it has several.
        labels: the array of labels, whole numbers or texts: an array of the same file, or else a file beside it.
        conditions: names for the columns of labels (N, K) that are numbers, attributes (on or off) and real ones, that
            networks are conditioned on together; without them, labels are classes.
        range: the numbers [LOW, HIGH] that become -1 and 1; with `data` the lowest and the highest there are, of images
            altogether, of signals in each channel and of vectors in each column; with `standard` channels and columns
            get the mean 0 and the standard deviation 1; None leaves both as they are. Images of uint8 have their
            levels, unless it is [LOW, HIGH].
        changed: whether another array than that of `seen` is refused, or said and accepted.
        seen: the facts that `load_with_facts` has given a run, to go on with the same.
    """

    root: FilePath
    sample_shape: Sequence[PositiveInt]
    key: str | None = None
    labels: FilePath | None = None
    range: Levels = "data"
    changed: Changed = "refuse"
    seen: Mapping[str, Any] | None = None
    conditions: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_ranges(self)
        require_levels(self.range)
        require_names(self.conditions, self.labels)
        units_seen(self.seen)

    def load(self) -> SampleSet:
        """Returns images, uint8 or float32 in [-1, 1], (N, c, h, w), signals, float32 (N, C, L), or vectors, float32
        (N, d), with their units.

        Raises UserError for what can't be had, or isn't numbers all of one shape.
        """
        return self.load_with_facts()[0]

    def load_with_facts(self) -> tuple[SampleSet, dict[str, Any]]:
        """The same, and what a run is to remember of it: how many, a digest, the classes and the units."""
        root = Path(os.path.abspath(os.path.expanduser(self.root)))
        stored = arrays_in(root)
        name, files = self._chosen(root, stored), [root]
        values = arranged(stored[name].read(f"dataset.root is {root}"), self.sample_shape, root)
        labels: Tensor | None = None
        classes: tuple[str, ...] = ()
        conditions: Units | None = None
        if self.labels is not None:
            entry, file = self._labels(root, stored)
            files += [file] if file != root else []
            which = f"dataset.labels is {self.labels}"
            if self.conditions is None:
                labels, classes = numbered(entry.read(which), len(values), which, self.seen)
            else:
                numbers = columns_of(entry.read(which), len(values), self.conditions, which)
                labels, conditions = scaled_conditions(numbers, self.conditions, which, units_of(self.seen))
        samples, units = scaled(values, self.range, units_seen(self.seen), root)
        facts = facts_of(samples, files, units, classes)
        facts |= {"conditions": conditions.plain()} if conditions else {}
        compare(root, "samples", self.seen or {}, facts, self.changed)
        return SampleSet(samples, labels, classes, units, conditions), facts

    def _chosen(self, root: Path, stored: Mapping[str, Stored]) -> str:
        """The name of the array of samples."""
        names = [name for name in stored if name != self.labels]
        if self.key is None and len(names) == 1:
            return names[0]
        has = ", ".join(f"{name or 'one array'} {stored[name]}" for name in list(stored)[:MOST_NAMED]) or "no arrays"
        if self.key is None:
            raise UserError(f"dataset.root is {root}, which has {has}; dataset.key=NAME chooses one.")
        if self.key not in stored:
            raise UserError(f"dataset.key is {self.key}, but {root} has {has}.{did_you_mean(self.key, stored)}")
        return self.key

    def _labels(self, root: Path, stored: Mapping[str, Stored]) -> tuple[Stored, Path]:
        """The array of labels, and the file that it is in."""
        assert self.labels is not None
        if self.labels in stored:
            return stored[self.labels], root
        file = whole(self.labels, root.parent)
        if not file.exists() and len(stored) > 1:
            raise UserError(
                f"dataset.labels is {self.labels}, which is neither an array of {root} ({', '.join(stored)}) nor a file"
                f" beside it.{did_you_mean(self.labels, stored)}"
            )
        found = arrays_in(file, "dataset.labels")
        if len(found) != 1:
            raise UserError(f"dataset.labels is {file}, which has {len(found)} arrays; expected one.")
        return next(iter(found.values())), file


def units_seen(seen: Mapping[str, Any] | None) -> Units | None:
    """The units of what a run has seen. Raises ValueError if it isn't what a run writes."""
    if not seen:
        return None
    try:
        known_classes(seen)
        units_of(seen)
        return as_units(from_text(seen.get("units")))  # a mapping until they became a text
    except ValueError as error:
        raise ValueError("seen is not what a run has found; it is written by the run") from error


def facts_of(samples: Tensor, files: Sequence[Path], units: Units, classes: Sequence[str]) -> dict[str, Any]:
    """What a run remembers of samples that are in these files."""
    digests = []
    for each in files:
        with each.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    facts = {"samples": len(samples), "digest": digest[:32], "units": noted(units, files[0])}
    return facts | ({"classes": list(classes)} if classes else {})


def noted(units: Units, root: Path) -> str:
    """Units as one text, since each entry of a list would count among those that a configuration may have.

    No name in it reads as an interpolation. Raises UserError for more than a run can keep.
    """
    text = as_text(units.plain())
    if len(text) > MOST_NOTED:
        raise UserError(
            f"dataset.root is {root}, which has too many columns to keep the scale and the name of each in a run"
            f" ({len(text)} characters; at most {MOST_NOTED}); dataset.range=[LOW,HIGH] or null is one scale for all."
        )
    return text


def columns_of(values: NDArray[Any], count: int, names: Sequence[str], which: str) -> NDArray[Any]:
    """Labels that are numbers, (N, K), or (N,) of one column. Raises UserError, beginning with `which`, for others."""
    found = f"{which}, which has an array of shape {values.shape} and type {values.dtype}"
    columns = values[:, None] if values.ndim == 1 else values
    if columns.ndim != 2 or len(columns) != count:
        raise UserError(f"{found}; expected a row for each of {count} samples.")
    if columns.dtype.kind not in "biuf":
        raise UserError(
            f"{found}; expected real numbers, or 0 and 1 of attributes, in {len(names)} columns. Texts are classes:"
            " dataset.conditions=null."
        )
    if columns.shape[1] != len(names):
        raise UserError(
            f"{found}, while dataset.conditions names {len(names)} columns, {list(names)}; name each of"
            f" {columns.shape[1]}."
        )
    return columns


def numbered(
    labels: NDArray[Any], count: int, which: str, seen: Mapping[str, Any] | None
) -> tuple[Tensor, tuple[str, ...]]:
    """Labels, whole numbers or texts (N,) or (N, 1), as int64 (N,), and the names of their classes in natural order.

    Classes that a run has seen keep their numbers. Raises UserError, beginning with `which`, for anything else.
    """
    found = f"{which}, which has an array of shape {labels.shape} and type {labels.dtype}"
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise UserError(
            f"{found}; expected one label for each of {count} samples. Columns of numbers are named by"
            " dataset.conditions=[NAME,NAME]."
        )
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuU":
        raise UserError(
            f"{found}; expected whole numbers or texts. Real numbers to condition on are named by"
            " dataset.conditions=[NAME]."
        )
    values, inverse = np.unique(labels, return_inverse=True)
    if len(values) > MOST_CLASSES:
        raise UserError(f"{found} with {len(values)} different labels; expected at most {MOST_CLASSES} classes.")
    names = [str(value) for value in values.tolist()]
    known = known_classes(seen)
    new = set(names) - set(known)
    order = sorted(new, key=int) if labels.dtype.kind in "iu" else in_natural_order(new)
    classes = (*known, *order)
    place = {name: number for number, name in enumerate(classes)}
    return torch.tensor([place[name] for name in names])[torch.from_numpy(inverse)], classes
