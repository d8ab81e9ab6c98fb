"""Archives of pictures, .zip and .tar, told by their contents and read as the folders that were packed.

Nothing is ever unpacked to the disk, so names such as ../a.png or /etc/passwd are but names. A compressed .tar has no
directory, and can't be read but from its beginning: it is taken into memory whole, in one pass.
"""

import errno
import os
import tarfile
import threading
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gan_lightning.data.packed_entries import BLOCK, PackedEntry, as_folder, entries_of_tar, entry_of_zip
from gan_lightning.data.places import Found, PictureFile
from gan_lightning.errors import UserError, reason
from gan_lightning.files import read_text
from gan_lightning.suggest import did_you_mean

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")  # the second begins an empty one
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")  # by gzip, bzip2 and xz
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

    def __init__(self, file: Path, root: Path, entries: Sequence[PackedEntry]) -> None:
        """`root` is the file, or a folder in it. Raises UserError if there is none."""
        self._file, self._root, self._lock = file, root, threading.Lock()
        inner = root.relative_to(file).parts
        self._entries, self._found = as_folder(entries, inner)
        if inner and not self._found:
            folders = {name.partition("/")[0] for name in as_folder(entries, ())[0] if "/" in name}
            raise UserError(
                f"dataset.root is {root}, but {file} has no files in such a folder.{did_you_mean(inner[0], folders)}"
            )

    def __str__(self) -> str:
        return str(self._root)

    def files(self) -> Iterator[Found]:
        yield from self._found

    def file(self, name: str) -> PictureFile:
        return PackedFile(self, name)

    def mark(self, name: str) -> tuple[int, int]:
        return self._entries[name].mark if name in self._entries else (-1, -1)

    def beside(self, name: str) -> Path:
        path = Path(name).expanduser()
        is_beside = os.fspath(path) not in self._entries and (self._file.parent / path).exists()
        return (self._file.parent if is_beside else self._root) / path

    def text(self, path: Path, most: int) -> str:
        if not path.is_relative_to(self._root):
            return read_text(path, most)
        name = path.relative_to(self._root).as_posix()
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

    def __init__(self, file: Path, root: Path) -> None:
        self._zip = zipfile.ZipFile(file)
        try:
            super().__init__(file, root, [entry_of_zip(info) for info in self._zip.infolist()])
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
        if is_of_torch or self._file.suffix.lower() == ".npz":
            raise UserError(f"dataset.root is {self}, which holds arrays; dataset=array trains on them.")
        if any(info.volume for info in self._zip.infolist()):
            raise UserError(
                f"dataset.root is {self}, which is the last part of an archive; `zip -s 0 FILE --out WHOLE` joins all."
            )
        locked = [name for name, entry in self._entries.items() if entry.info.flag_bits & 1]
        if locked:
            raise UserError(
                f"dataset.root is {self}, where {len(locked)} of {len(self._entries)} files are encrypted, {locked[0]}"
                " for one; pack them again without a password."
            )


class Tar(Archive):
    """A tar archive, compressed or not."""

    def __init__(self, file: Path, root: Path, stream: IO[bytes], packed: int | None = None) -> None:
        """`stream` has the archive, and `packed` bytes it came out of, if it was compressed."""
        self._stream = stream
        self._tar = tarfile.TarFile(fileobj=stream, encoding="utf-8", errors="surrogateescape")
        status = os.stat(file)
        # Its directory has no checksums.
        self.identity = f"{os.path.realpath(file)} {status.st_size} {status.st_mtime_ns}"
        super().__init__(file, root, entries_of_tar(self._tar, stream, packed))

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


def is_packed(start: bytes) -> bool:
    """Whether a file that begins so is an archive, or compressed."""
    return start.startswith((*ZIP_STARTS, *COMPRESSED, *OTHERS)) or (any(start) and begins_tar(start))


def begins_tar(start: bytes) -> bool:
    """Whether this is a tar archive's first block, or the end of one, which is all that there is of an empty one."""
    if len(start) < BLOCK or not any(start):
        return len(start) == BLOCK
    try:
        tarfile.TarInfo.frombuf(start[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


@contextmanager
def _one_kind_of_errors() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # zipfile's, of half a dozen kinds, on damage and unknown methods
        raise OSError(errno.EIO, reason(error)) from error
