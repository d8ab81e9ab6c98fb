"""The image cache: decoded pictures in files that are mapped into memory, checked, bounded in size, and listed.

A file is an .npy array, which NumPy reads as it is, of uint8 or float32 rows (C, H, W); behind it the notes on it as
JSON; and last the CRC-32 of all that, 8 hexadecimal digits, by which damage shows.
"""

import contextlib
import errno
import fcntl
import io
import json
import logging
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from gan_lightning.errors import printable
from gan_lightning.files import replacing

_log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8] | NDArray[np.float32]

FINISHED = re.compile(r"[0-9a-f]{64}\.npy")
UNFINISHED = re.compile(r"[0-9a-f]{64}\.npy-[0-9a-f]{32}\.tmp")
HEX = 8  # digits of the CRC-32, which reads a file three times as fast as a SHA-256
CHUNK = 1 << 22  # bytes
YOUNG = 60.0  # seconds for which an unfinished file may still wait for its lock


@dataclass(frozen=True)
class Corrupt:
    """A picture that cannot be decoded: its path below the root, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.name} ({self.reason})")


@dataclass(frozen=True)
class Notes:
    """What a cache file tells beside pixels: of which folder they are, and which pictures could not be decoded.

    `digests` are those of the pictures' files, without the corrupt ones; `found` are the lowest and the highest level
    in them, `levels` those that have become -1 and 1 where they are not in 8 bits, and `deep` counts those that had
    more.
    """

    root: str = ""
    corrupt: Sequence[Corrupt] = ()
    digests: Sequence[str] = ()
    found: tuple[float, float] = (0.0, 255.0)
    levels: tuple[float, float] | None = None
    deep: int = 0


@dataclass(frozen=True)
class Rows:
    """The array in a file: its shape (N, C, H, W) and its type."""

    shape: tuple[int, ...]
    dtype: type[np.uint8] | type[np.float32] = np.uint8

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    @property
    def row_nbytes(self) -> int:
        return self.nbytes // self.shape[0]

    def header(self) -> bytes:
        """What an .npy file begins with."""
        stream = io.BytesIO()
        description = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(self.dtype)),
            "fortran_order": False,
            "shape": self.shape,
        }
        np.lib.format.write_array_header_1_0(stream, description)
        return stream.getvalue()


def write_cache(file: Path, rows: Rows, produce: Callable[[Callable[[Pixels], object]], Notes]) -> None:
    """Writes the rows that `produce` passes on, zeros for those of corrupt pictures, and the notes that it returns.

    The file appears whole or not at all, whoever else writes it at the same time. Written through a stream, because a
    full disk kills a process that writes through a map. Where the notes have `levels`, the rows are spread over them
    at the end, since only then may these be known. Raises OSError.
    """
    with replacing(file, shared=True) as temporary, open(temporary, "x+b") as stream:
        _lock(stream)
        stream.write(rows.header())
        notes = produce(lambda picture: stream.write(picture.data))
        for _ in notes.corrupt:
            stream.write(bytes(rows.row_nbytes))
        if notes.levels is not None:
            _spread_all(stream, len(rows.header()), *notes.levels)
        stream.write(json.dumps(asdict(notes)).encode())
        stream.write(_checksum(stream, stream.tell()).encode())


def spread(levels: NDArray[Any], low: float, high: float) -> None:
    """Makes float32 levels, in place, numbers in [-1, 1]: -1 of `low` and 1 of `high`, and of what lies beyond."""
    levels -= low
    levels *= 2 / ((high - low) or 1)
    levels -= 1
    np.clip(levels, -1, 1, out=levels)


def _spread_all(stream: BinaryIO, start: int, low: float, high: float) -> None:
    stream.seek(start)
    while chunk := stream.read(CHUNK):
        levels = np.frombuffer(chunk, np.float32).copy()
        spread(levels, low, high)
        stream.seek(-len(chunk), os.SEEK_CUR)
        stream.write(levels.tobytes())


def read_cache(file: Path, rows: Rows, is_new: bool = False) -> tuple[Pixels, Notes] | None:
    """Maps what `write_cache` wrote; None if the file is not there, or, after a warning, if it is damaged.

    The pixels of one that `is_new` are not read to find that out.
    """
    header = rows.header()
    try:
        with open(file, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size - HEX
            if stream.read(len(header)) != header or size <= len(header) + rows.nbytes:
                raise ValueError("another size")
            stream.seek(size)
            if not is_new and stream.read() != _checksum(stream, size).encode():
                raise ValueError("another checksum")
            notes = _notes(stream, len(header) + rows.nbytes, size)
        with contextlib.suppress(OSError):  # the time of use, by which the oldest are found
            os.utime(file)
        return mapped(lambda mode: np.memmap(file, rows.dtype, mode, len(header), rows.shape)), notes
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        _log.warning("%s", printable(f"The image cache {file} is damaged; its pictures are decoded again."))
        return None


def mapped(open_as: Callable[[Literal["c", "r"]], NDArray[Any]]) -> Any:
    """An array mapped from a file, which stays as it is: copy on write, since torch wants what can be written.

    Where the system promises no memory for a copy of it all, which is more than the process may have, it can only be
    read.
    """
    try:
        return open_as("c")
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        return open_as("r")


def _notes(stream: BinaryIO, start: int, end: int) -> Notes:
    stream.seek(start)
    content: dict[str, Any] = json.loads(stream.read(end - start))
    corrupt = [Corrupt(**each) for each in content.pop("corrupt")]
    (low, high), levels = content.pop("found"), content.pop("levels")
    levels = None if levels is None else (levels[0], levels[1])
    return Notes(corrupt=corrupt, found=(low, high), levels=levels, **content)


def _checksum(stream: BinaryIO, size: int) -> str:
    """That of the first `size` bytes."""
    stream.seek(0)
    checksum = 0
    while size > 0 and (chunk := stream.read(min(CHUNK, size))):
        checksum = zlib.crc32(chunk, checksum)
        size -= len(chunk)
    stream.seek(0, os.SEEK_END)
    return f"{checksum:0{HEX}x}"


def _lock(stream: BinaryIO) -> bool:
    """Whether this process has the file's lock now, which the system takes back when the process ends, however."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has it, or this file system has no locks
        return False
    return True


@dataclass(frozen=True)
class Entry:
    """A file of the cache: a finished one, or what a decoding that was stopped has left."""

    file: Path
    nbytes: int
    used: float  # seconds since the epoch
    notes: Notes = field(default_factory=Notes)
    shape: tuple[int, ...] = ()  # () where that can't be told


def entries(folder: Path) -> list[Entry]:
    """All finished files of a cache folder, the least recently used first; files of others are none of them."""
    found = []
    with contextlib.suppress(OSError):
        for each in os.scandir(folder):
            if FINISHED.fullmatch(each.name) and each.is_file(follow_symlinks=False):
                status = each.stat()
                found.append(Entry(Path(each.path), status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def described(entry: Entry) -> Entry:
    """The same with what the file tells of itself, if it is one of today's format; its pixels are not read."""
    try:
        with open(entry.file, "rb") as stream:
            np.lib.format.read_magic(stream)
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            start = stream.tell() + int(np.prod(shape)) * dtype.itemsize
            notes = _notes(stream, start, entry.nbytes - HEX)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, AttributeError):
        return entry
    return Entry(entry.file, entry.nbytes, entry.used, notes, shape)


def leftovers(folder: Path) -> Iterator[Entry]:
    """What decodings that were killed have left: unfinished files that no process has locked any more."""
    with contextlib.suppress(OSError):
        for each in list(os.scandir(folder)):
            if not UNFINISHED.fullmatch(each.name) or not each.is_file(follow_symlinks=False):
                continue
            with contextlib.suppress(OSError):
                status = each.stat()
                with open(each.path, "rb") as stream:
                    if time.time() - status.st_mtime > YOUNG and _lock(stream):
                        yield Entry(Path(each.path), status.st_size, status.st_mtime)


def tidy(folder: Path, most: float, kept: Path) -> None:
    """Removes leftovers, and the least recently used files until all have `most` bytes together; never `kept`.

    A file that another process has mapped can be removed: its pixels stay until that process ends.
    """
    for left in leftovers(folder):
        remove(left)
    finished = entries(folder)
    total = sum(entry.nbytes for entry in finished)
    for entry in finished:
        if total > most and entry.file != kept and remove(entry):
            total -= entry.nbytes
            _log.info("Removed %s from the image cache, which is limited to %.3g GiB.", entry.file, most / 2**30)
    if total > most:
        told = f"The image cache {kept} has {total / 2**30:.3g} GiB, more than dataset.cache_gib={most / 2**30:g}"
        _log.warning("%s", printable(f"{told}; it is kept while it is used."))


def remove(entry: Entry) -> bool:
    """Whether a file could be removed."""
    try:
        entry.file.unlink()
    except OSError:
        return False
    return True
