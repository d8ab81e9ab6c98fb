"""A folder or an archive of pictures as a data set: decoded once, on all cores, and kept in a memory-mapped cache."""

import contextlib
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from gan_lightning.data.conditions import require_names, scaled_conditions, units_of
from gan_lightning.data.decoding import Decoded, Fit, Form, is_deep
from gan_lightning.data.decoding_cores import decode_all
from gan_lightning.data.labels import of_columns, of_folders, of_table
from gan_lightning.data.opening import opened
from gan_lightning.data.picture_cache import Corrupt, Notes, Pixels, Rows, read_cache, spread, tidy, write_cache
from gan_lightning.data.picture_files import Pictures, find_pictures, some, stacked
from gan_lightning.data.places import HIDDEN, Place
from gan_lightning.data.scaling import shared
from gan_lightning.data.seen import Changed, compare, known_classes
from gan_lightning.errors import UserError, printable
from gan_lightning.files import cache_folder, in_natural_order
from gan_lightning.paths import whole
from gan_lightning.samples import SampleSet
from gan_lightning.types import FilePath, NonNegativeFloat, Range, check_ranges

log = logging.getLogger(__name__)

Side = Annotated[int, Range(low=1, high=8192)]
Channels = Annotated[int, Range(low=1, high=1024)]
VERSION = 2  # of the pixels `decode` makes and of the cache file: a change retires all caches
BAR_DELAY = 1.5  # seconds


@dataclass(frozen=True)
class ImageFolder:
    """All pictures below `root`, each made `image_size` large: N pixels a side, or [HEIGHT, WIDTH].

    `root` is a folder, or a .zip or .tar, which is read as the folder that was packed.

    Arguments:
        channels: 1 for grey, 3 for colour, on white where transparent; 4 and 2 are these and the transparency. Any
            other number wants TIFF files of so many pages, .npy files (channels, height, width), or a `stack`.
        skip_corrupt: pictures that cannot be read are left out with a warning, instead of being an error.
        cache_dir: where decoded pictures are kept; by default gan_lightning/images in $XDG_CACHE_HOME or ~/.cache.
        fit: what becomes of other proportions: the middle is cut out (crop), the whole is put on black (pad) or
            distorted (stretch).
        range: the levels [LOW, HIGH] that become -1 and 1 as float32, so that none are lost. With `data` they are the
            lowest and the highest there are, if pictures have more than 8 bits. None: all are brought to 8 bits, as
            runs were that are older than this argument; 16-bit ones are divided by 257.
        stack: endings of the names of files that are the channels of one picture, such as _red.tif and _green.tif.
        labels: a table of labels in CSV (see gan_lightning/data/labels.py); without it, the folders of the first level
            are the classes, if all pictures lie in some.
        label_column: which column of the table has the labels, if there are several.
        conditions: the columns of the table that networks are conditioned on together, in place of one of classes:
            attributes, on or off, and real numbers.
        class_order: classes are numbered as people sort their names (`natural`: 2 before 10), or letter by letter
            (`text`), as in runs that are older than this argument.
        cache_gib: the size in GiB that the least recently used files in `cache_dir` are removed for.
        changed: whether pictures other than those of `seen` are refused, or said and accepted.
        seen: the facts that `load_with_facts` has given a run, to go on with the same.
    """

    root: FilePath
    image_size: Side | tuple[Side, Side]
    channels: Channels
    skip_corrupt: bool = False
    cache_dir: FilePath | None = None
    fit: Fit = "crop"
    range: Literal["data"] | tuple[float, float] | None = None
    class_order: Literal["natural", "text"] = "text"
    cache_gib: NonNegativeFloat = 100.0
    changed: Changed = "refuse"
    seen: Mapping[str, Any] | None = None
    labels: FilePath | None = None
    label_column: str | None = None
    stack: Sequence[str] | None = None
    conditions: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_ranges(self)
        if isinstance(self.range, list | tuple) and not self.range[0] < self.range[1]:
            raise ValueError(f"range must be [LOW,HIGH] with LOW below HIGH, got {list(self.range)}")
        if self.stack is not None and len(set(self.stack)) != self.channels:
            raise ValueError(f"stack must be channels={self.channels} different endings, got {list(self.stack)}")
        require_names(self.conditions, self.labels)
        if self.conditions is not None and self.label_column is not None:
            raise ValueError("label_column is a column of classes, and conditions are columns of numbers; give one")
        if self.seen is not None and not _are_facts(self.seen):
            raise ValueError("seen is not what a run has found; it is written by the run")

    def load(self) -> SampleSet:
        """Returns (N, channels, height, width) in order of path, mapped from the cache file: uint8, or with `range`
        float32 in [-1, 1].

        Without labels in a table or by folders there are none. Raises UserError for pictures that cannot be had.
        """
        return self.load_with_facts()[0]

    def load_with_facts(self) -> tuple[SampleSet, dict[str, Any]]:
        """The same, and what a run is to remember of it: how many, their digest, their classes, their levels' range."""
        with opened(Path(os.path.abspath(os.path.expanduser(self.root)))) as root:
            return self._load(root)

    def _load(self, root: Place) -> tuple[SampleSet, dict[str, Any]]:
        pictures = self._find(root)
        form = self._form(root, pictures.names)
        pixels, notes = self._pixels(root, pictures.names, form)
        self._say(root, pictures, notes)
        left_out = {picture.name for picture in notes.corrupt}
        names = [name for name in pictures.names if name not in left_out]
        images = shared(pixels)[: len(names)]
        if self.conditions is not None:
            return self._conditioned(root, names, images, notes)
        label_of = self._labels(root, pictures.names, names)
        facts = self._facts(names, label_of, notes)
        compare(root, "pictures", self.seen or {}, facts, self.changed)
        if label_of is None:
            return SampleSet(images, None, ()), facts
        index = {name: number for number, name in enumerate(facts["classes"])}
        return SampleSet(images, torch.tensor([index[label_of[name]] for name in names]), tuple(index)), facts

    def _conditioned(
        self, root: Place, names: list[str], images: Tensor, notes: Notes
    ) -> tuple[SampleSet, dict[str, Any]]:
        """Pictures with numbers of the table, and what a run is to remember of them."""
        assert self.labels is not None
        assert self.conditions is not None
        values = of_columns(root, self.labels, self.conditions, names)
        facts = self._facts(names, dict(zip(names, values.tolist(), strict=True)), notes)
        known = units_of(self.seen)
        conditions, units = scaled_conditions(values, self.conditions, f"dataset.labels is {self.labels}", known)
        facts |= {"conditions": units.plain()}
        compare(root, "pictures", self.seen or {}, facts, self.changed)
        return SampleSet(images, conditions, conditions=units), facts

    def _find(self, root: Place) -> Pictures:
        pictures = find_pictures(root, self.labels)
        if self.stack is None:
            return pictures
        stacks = stacked(pictures, self.stack)
        if not stacks.names:
            raise UserError(
                f"dataset.root is {root}, where no picture's name ends in one of dataset.stack={list(self.stack)};"
                f" there are {some(pictures.names)}."
            )
        return stacks

    def _labels(self, root: Place, found: list[str], readable: list[str]) -> dict[str, str] | None:
        """The label of each picture; a folder whose pictures are all corrupt counts as a class too. None: no labels."""
        if self.labels is not None:
            return dict(zip(readable, of_table(root, self.labels, self.label_column, readable), strict=True))
        folders = of_folders(found)
        return None if folders is None else dict(zip(found, folders, strict=True))

    def _form(self, root: Place, names: list[str]) -> Form:
        height, width = (self.image_size,) * 2 if isinstance(self.image_size, int) else self.image_size
        stack = tuple(self.stack or ())
        return Form(self.channels, height, width, self.fit, self._are_deep(root, names, stack), stack)

    def _are_deep(self, root: Place, names: list[str], stack: tuple[str, ...]) -> bool:
        """Whether all levels are kept: as a run has it, or as the first picture that can be read wants it."""
        if self.range != "data":
            return self.range is not None
        if self.seen:
            return "range" in self.seen
        found = (is_deep(root.file(name + "".join(stack[:1]))) for name in names)
        return next((each for each in found if each is not None), False)

    def _given_levels(self) -> tuple[float, float] | None:
        """What becomes -1 and 1, where that is known before the pictures are."""
        levels = (self.seen or {}).get("range") if self.range == "data" else self.range
        return None if levels is None else (float(levels[0]), float(levels[1]))

    def _pixels(self, root: Place, names: list[str], form: Form) -> tuple[Pixels, Notes]:
        """The decoded pictures, (len(names), C, H, W), and the notes; as many rows as are corrupt mean nothing."""
        rows = Rows((len(names), *form.shape), np.float32 if form.deep else np.uint8)
        folder = whole(self.cache_dir) if self.cache_dir else cache_folder("images")
        key, given = self._key(root, names, form), self._given_levels()
        file = folder / f"{key}.npy"
        cached = read_cache(file, rows)
        if cached is not None and given not in (None, cached[1].levels):  # the data's range was once another
            file = folder / f"{hashlib.sha256(f'{key}{given}'.encode()).hexdigest()}.npy"
            cached = read_cache(file, rows)
        if cached is None or (cached[1].corrupt and not self.skip_corrupt):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_cache(file, rows, lambda keep: self._decode_all(root, names, form, keep))
                cached = read_cache(file, rows, is_new=True)
                tidy(folder, self.cache_gib * 2**30, kept=file)
            except OSError as error:
                told = f"Cannot write the cache folder {folder} ({error.strerror}): decoding to memory."
                log.warning("%s", printable(told))
        if cached is not None:
            return cached
        pixels: Any = np.zeros(rows.shape, rows.dtype)
        each = iter(pixels)
        notes = self._decode_all(root, names, form, lambda picture: np.copyto(next(each), picture))
        if notes.levels is not None:
            spread(pixels, *notes.levels)
        return pixels, notes

    def _key(self, root: Place, names: list[str], form: Form) -> str:
        """A name for this folder's present contents, decoded this way."""
        how = [VERSION, form.shape, form.fit, form.deep, form.stack, self.range, root.identity]
        digest = hashlib.sha256(json.dumps(how).encode())
        for name in (name + ending for name in names for ending in form.stack or ("",)):
            digest.update(json.dumps([name, *root.mark(name)]).encode())
        return digest.hexdigest()

    def _decode_all(self, root: Place, names: list[str], form: Form, keep: Callable[[Pixels], object]) -> Notes:
        """Passes each picture to `keep`, in order, and returns the notes, or raises UserError for corrupt ones."""
        corrupt, digests, count_deep = [], [], 0
        low, high = float("inf"), float("-inf")
        for result in _with_bar(decode_all(root, names, form), len(names)):
            if isinstance(result, Corrupt):
                corrupt.append(result)
                continue
            keep(result.pixels)
            digests.append(result.digest)
            count_deep += result.is_deep
            low, high = min(low, result.low), max(high, result.high)
        self._refuse_corrupt(root, len(names), corrupt)
        if self.range == "data" and form.deep and count_deep < len(digests):
            raise UserError(
                f"dataset.root is {root}, where {len(digests) - count_deep} of {len(names)} pictures have 8 bits and"
                " the others more; dataset.range=[LOW,HIGH] tells which levels are black and white in all of them."
            )
        levels = (self._given_levels() or (low, high)) if form.deep else None
        return Notes(str(root), corrupt, digests, (low, high), levels, count_deep)

    def _refuse_corrupt(self, root: Place, count: int, corrupt: Sequence[Corrupt]) -> None:
        if corrupt and not self.skip_corrupt:
            raise UserError(
                f"dataset.root is {root}, where {len(corrupt)} of {count} pictures cannot be read:"
                f" {_some(corrupt)}. Remove them, or leave them out with dataset.skip_corrupt=true."
            )
        if len(corrupt) == count:
            raise UserError(f"dataset.root is {root}, where none of {count} pictures can be read: {_some(corrupt)}.")

    def _say(self, root: Place, pictures: Pictures, notes: Notes) -> None:
        """Logs what of the folder's contents is not in the samples, or not as it is there."""
        count, (low, high) = len(pictures.names), notes.found
        told = []
        if notes.corrupt:
            told.append(f"Left out {len(notes.corrupt)} of {count} pictures of {root}: {_some(notes.corrupt)}.")
        if notes.levels is not None and self.range == "data":
            least, most = notes.levels
            told.append(
                f"The levels of the pictures of {root} go from {low:g} to {high:g}; {least:g} and {most:g} become -1"
                " and 1, and dataset.range=[LOW,HIGH] names others."
            )
        elif notes.levels is not None and not notes.levels[0] <= low <= high <= notes.levels[1]:
            told.append(
                f"The levels of the pictures of {root} go from {low:g} to {high:g}; those beyond"
                f" dataset.range=[{notes.levels[0]:g},{notes.levels[1]:g}] are cut off."
            )
        elif notes.levels is None and notes.deep:
            told.append(
                f"{notes.deep} of {count} pictures of {root} have more than 8 bits; their levels of 0 to 65535 become"
                " 0 to 255. dataset.range=[LOW,HIGH] keeps those of grey pictures and of arrays."
            )
        for sentence in told:
            log.warning("%s", printable(sentence))
        if pictures.passed_over:
            level = logging.INFO if pictures.passed_over.keys() == {HIDDEN} else logging.WARNING
            log.log(level, "%s", printable(f"Passed over files in {root}: {pictures.told()}."))

    def _facts(self, names: list[str], label_of: Mapping[str, Any] | None, notes: Notes) -> dict[str, Any]:
        content = json.dumps([names, notes.digests, label_of and [label_of[name] for name in names]])
        facts: dict[str, Any] = {
            "pictures": len(names),
            "digest": hashlib.sha256(content.encode()).hexdigest()[:32],
        }
        if label_of is not None and self.conditions is None:
            known = known_classes(self.seen)
            new = set(label_of.values()) - set(known)
            facts["classes"] = known + (in_natural_order(new) if self.class_order == "natural" else sorted(new))
        return facts | ({"range": list(notes.levels)} if notes.levels is not None else {})


def _are_facts(seen: Mapping[str, Any]) -> bool:
    """Whether values out of a file are such as `load_with_facts` gives."""
    levels = seen.get("range", [0, 1])
    try:
        units_of(seen)
        known_classes(seen)
    except ValueError:
        return False
    return (
        isinstance(seen.get("digest", ""), str)
        and isinstance(levels, list)
        and len(levels) == 2
        and all(type(level) in (int, float) for level in levels)
    )


def _with_bar(results: Iterator[Decoded | Corrupt], total: int) -> Iterator[Decoded | Corrupt]:
    """Passes the results on; a progress bar appears on stderr when that is a terminal and they take their time."""
    start, bar = time.monotonic(), None
    with contextlib.ExitStack() as stack:
        for done, result in enumerate(results, start=1):
            if bar is None and time.monotonic() - start > BAR_DELAY and sys.stderr.isatty():
                bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
                task = bar.add_task("Decoding pictures", total=total)
            if bar is not None:
                bar.update(task, completed=done)
            yield result


def _some(corrupt: Sequence[Corrupt]) -> str:
    return some([str(picture) for picture in corrupt])
