"""Archives of pictures, .zip and .tar, told by their contents and read as the folders that were packed.

Nothing is ever unpacked to the disk, so names such as ../a.png or /etc/passwd are but names. A compressed .tar has no
directory, and can't be read but from its beginning: it is taken into memory whole, in one pass.
"""

import bz2
import errno
import gzip
import io
import lzma
import os
import tarfile
import threading
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gan_lightning.data.packed_entries import BLOCK, PackedEntry, as_folder, entries_of_tar, entry_of_zip
from gan_lightning.data.places import Found, PictureFile
from gan_lightning.errors import UserError, reason
from gan_lightning.files import read_text

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")  # the second begins an empty one
Decompress = Callable[[Path], gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile]
COMPRESSED: dict[bytes, tuple[str, Decompress]] = {
    b"\x1f\x8b": ("gunzip", gzip.GzipFile),
    b"BZh": ("bunzip2", bz2.BZ2File),
    b"\xfd7zXZ\0": ("unxz", lzma.LZMAFile),
}
# Archives that aren't read.
OTHERS = {b"7z\xbc\xaf'\x1c": "a 7z", b"Rar!\x1a\x07": "a RAR", b"\x28\xb5\x2f\xfd": "a Zstandard"}
# Files that are zip archives and no folders of pictures, by an entry that each of them has.
DOCUMENTS = {
    "[Content_Types].xml": "an Office document",
    "META-INF/MANIFEST.MF": "a program of Java or Android",
    "META-INF/container.xml": "an electronic book",
    "META-INF/manifest.xml": "an OpenDocument file",
}
OF_TORCH = "/data.pkl"  # an entry of every archive that torch.save writes
EXPECTED = "expected a folder of pictures, or a .zip or .tar of one"
PIECE = 1 << 20  # bytes
MOST_IN_MEMORY = 2 << 30  # bytes of a compressed .tar when unpacked
# What unpacks to more than so many bytes, and to more than so many times its packed size, is a bomb and no picture.
# Deflate makes zeros 1032 times as small; pictures as large as this are some tens of times larger than packed.
LARGE, SWOLLEN = 256 << 20, 100


@dataclass(frozen=True)
class PackedFile:
    """A file in an archive, as pathlib has those of folders."""

    archive: "Archive"
    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def read_bytes(self) -> bytes:
        return self.archive.read(self.path)

    def with_name(self, name: str) -> "PackedFile":
        return PackedFile(self.archive, self.path[: len(self.path) - len(self.name)] + name)


class Archive(ABC):
    """An archive as a place of pictures (see `Place`), until it is closed. Several threads may read files at once."""

    identity: str

    def __init__(self, path: Path, entries: Sequence[PackedEntry]) -> None:
        self._path, self._lock = path, threading.Lock()
        self._entries, self._found = as_folder(entries)

    def __str__(self) -> str:
        return str(self._path)

    def files(self) -> Iterator[Found]:
        yield from self._found

    def file(self, name: str) -> PictureFile:
        return PackedFile(self, name)

    def mark(self, name: str) -> tuple[int, int]:
        return self._entries[name].mark if name in self._entries else (-1, -1)

    def beside(self, name: str) -> Path:
        path = Path(name).expanduser()
        is_beside = os.fspath(path) not in self._entries and (self._path.parent / path).exists()
        return (self._path.parent if is_beside else self._path) / path

    def text(self, path: Path, most: int) -> str:
        if not path.is_relative_to(self._path):
            return read_text(path, most)
        name = path.relative_to(self._path).as_posix()
        if self._sound(name).size > most:
            raise ValueError(f"it has more than {most >> 20} MiB")
        with _one_kind_of_errors():
            content = self.read(name)
        return content.decode()

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        with _one_kind_of_errors():
            stream = self._open(self._sound(name))
        with stream:
            yield stream

    def _sound(self, name: str) -> PackedEntry:
        """An entry. Raises OSError if it isn't there, and ValueError if it would unpack to far more than it is."""
        if (entry := self._entries.get(name)) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if entry.size > max(LARGE, SWOLLEN * entry.packed):
            raise ValueError(f"it unpacks to {entry.size >> 20} MiB, more than {SWOLLEN} times its packed size")
        return entry

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A file's content. Raises almost anything where it is damaged."""

    @abstractmethod
    def _open(self, entry: PackedEntry) -> IO[bytes]: ...

    @abstractmethod
    def close(self) -> None: ...


class Zip(Archive):
    """A zip archive. Its directory has checksums of the contents, so that it is the same wherever it lies."""

    identity = "zip"

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        try:
            super().__init__(path, [entry_of_zip(info) for info in self._zip.infolist()])
            self._refuse_others()
        except BaseException:
            self.close()
            raise

    def read(self, name: str) -> bytes:
        entry = self._sound(name)
        with self._lock:  # zipfile counts its streams without one
            stream = self._zip.open(entry.info)
        try:
            return stream.read()
        finally:
            with self._lock:
                stream.close()

    def _open(self, entry: PackedEntry) -> IO[bytes]:
        stream = self._zip.open(entry.info)
        stream.read(1)  # raises now what reading would
        stream.seek(0)
        return stream

    def close(self) -> None:
        self._zip.close()

    def _refuse_others(self) -> None:
        names = set(self._zip.namelist())
        what = next((what for name, what in DOCUMENTS.items() if name in names), None)
        if what is not None:
            raise UserError(f"dataset.root is {self}, which is {what}; {EXPECTED}.")
        tops = (name.removesuffix(OF_TORCH) for name in names if name.endswith(OF_TORCH))
        is_of_torch = any(f"{top}/version" in names for top in tops)
        if is_of_torch or self._path.suffix.lower() == ".npz":
            raise UserError(f"dataset.root is {self}, which holds arrays; dataset=array trains on them.")
        locked = [name for name, entry in self._entries.items() if entry.info.flag_bits & 1]
        if locked:
            raise UserError(
                f"dataset.root is {self}, where {len(locked)} of {len(self._entries)} files are encrypted, {locked[0]}"
                " for one; pack them again without a password."
            )


class Tar(Archive):
    """A tar archive, compressed or not."""

    def __init__(self, path: Path, stream: IO[bytes], packed: int | None = None) -> None:
        """`stream` has the archive, and `packed` bytes it came out of, if it was compressed."""
        self._stream = stream
        self._tar = tarfile.TarFile(fileobj=stream, encoding="utf-8", errors="surrogateescape")
        status = os.stat(path)
        # Its directory has no checksums.
        self.identity = f"{os.path.realpath(path)} {status.st_size} {status.st_mtime_ns}"
        super().__init__(path, entries_of_tar(self._tar, stream, packed))

    def read(self, name: str) -> bytes:
        entry = self._sound(name)
        with self._lock:
            self._stream.seek(entry.info.offset_data)
            content = self._stream.read(entry.size)
        if len(content) < entry.size:
            raise ValueError("the archive is cut off")
        return content

    def _open(self, entry: PackedEntry) -> IO[bytes]:
        stream = self._tar.extractfile(entry.info)
        assert stream is not None, "a plain file"
        return stream

    def close(self) -> None:
        self._tar.close()
        self._stream.close()


def opened_archive(path: Path) -> Archive | None:
    """The archive in a plain file, to be closed; None if there is none by its content. Raises UserError if it can't be
    read."""
    try:
        with path.open("rb") as file:
            start = file.read(BLOCK)
        if start.startswith(ZIP_STARTS):
            return Zip(path)
        for magic, (command, decompress) in COMPRESSED.items():
            if start.startswith(magic):
                return _decompressed(path, command, decompress)
        if _begins_tar(start):
            return _opened_tar(path, path.open("rb"))
        return Zip(path) if zipfile.is_zipfile(path) else None  # one behind a program that unpacks it
    except UserError:
        raise
    except Exception as error:  # of half a dozen kinds, on bytes that only begin like archives
        told = getattr(error, "strerror", None) or reason(error)
        raise UserError(
            f"dataset.root is {path}, which can't be read ({told}); it may be damaged or cut off."
        ) from error


def is_packed(start: bytes) -> bool:
    """Whether a file that begins so is an archive, or compressed."""
    return start.startswith((*ZIP_STARTS, *COMPRESSED, *OTHERS)) or (any(start) and _begins_tar(start))


def _begins_tar(start: bytes) -> bool:
    """Whether this is a tar archive's first block, or the end of one, which is all that there is of an empty one."""
    if len(start) < BLOCK or not any(start):
        return len(start) == BLOCK
    try:
        tarfile.TarInfo.frombuf(start[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _decompressed(path: Path, command: str, decompress: Decompress) -> Archive:
    """A compressed .tar, in memory. Raises UserError if it is none, or larger than that is to be."""
    memory = io.BytesIO()
    with decompress(path) as stream:
        while chunk := stream.read(PIECE):
            if not memory.tell() and not _begins_tar(chunk[:BLOCK]):
                raise UserError(f"dataset.root is {path}, which is compressed, but no .tar; {EXPECTED}.")
            memory.write(chunk)
            if memory.tell() > MOST_IN_MEMORY:
                raise UserError(
                    f"dataset.root is {path}, which has more than {MOST_IN_MEMORY >> 20} MiB unpacked, and has to be"
                    f" read into memory whole, as all is compressed in one; {command} makes a .tar of it, of any size."
                )
    memory.seek(0)
    return _opened_tar(path, memory, os.path.getsize(path))


def _opened_tar(path: Path, stream: IO[bytes], packed: int | None = None) -> Archive:
    try:
        return Tar(path, stream, packed)
    except BaseException:
        stream.close()
        raise


@contextmanager
def _one_kind_of_errors() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # zipfile's, of half a dozen kinds, on damage and unknown methods
        raise OSError(errno.EIO, reason(error)) from error
