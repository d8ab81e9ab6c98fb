"""Where pictures lie: what a folder and an archive, which is read as if it were one, have in common; and folders."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from gan_lightning.errors import UserError
from gan_lightning.files import read_text
from gan_lightning.paths import whole

HIDDEN, NO_PICTURES, NO_FILES, UNREADABLE = "hidden", "of other kinds", "that are no plain files", "unreadable"
NESTED, REPLACED = "that are packed themselves", "replaced by later ones of their names"


class PictureFile(Protocol):
    """A file in a place. A path is one."""

    @property
    def name(self) -> str: ...

    def read_bytes(self) -> bytes: ...

    def with_name(self, name: str) -> "PictureFile":
        """The file of that name in the same folder."""
        ...


class Found(NamedTuple):
    """What lies in a place and is no folder: its path below it, with slashes, and why it isn't even to be opened."""

    name: str
    objection: str | None = None


class Place(Protocol):
    """A folder, or an archive. Its text is its path, for messages."""

    @property
    def identity(self) -> str:
        """What tells it from another place whose files have the same names and marks."""
        ...

    def files(self) -> Iterator[Found]:
        """All files but those in hidden folders. Raises UserError where they can't be had."""
        ...

    def file(self, name: str) -> PictureFile: ...

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file's bytes as a seekable stream. Raises OSError with a number if it can't be read."""
        ...

    def mark(self, name: str) -> tuple[int, int]:
        """Two numbers that are others when the file's content is."""
        ...

    def beside(self, name: str) -> Path:
        """Where a file is that belongs to the pictures: in the place, beside an archive, or by an absolute path."""
        ...

    def text(self, path: Path, most: int) -> str:
        """The text in a file that `beside` has found. Raises OSError or ValueError as `read_text` does."""
        ...


class OnDisk(NamedTuple):
    """A file of a folder, for which a Path would take as long as to read it, if it is small."""

    path: str

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def read_bytes(self) -> bytes:
        with open(self.path, "rb", buffering=0) as file:
            return file.read()

    def with_name(self, name: str) -> "OnDisk":
        return OnDisk(os.path.join(os.path.dirname(self.path), name))


class Folder:
    """A folder on the disk. Links to folders are followed, but no folder is visited twice."""

    def __init__(self, path: Path) -> None:
        self._path, self._text = path, str(path)

    def __str__(self) -> str:
        return self._text

    @property
    def identity(self) -> str:
        # With the path: unpacked archives may agree in all names, sizes and times, and still hold different pictures.
        return os.path.realpath(self._path)

    def files(self) -> Iterator[Found]:
        above = len(os.path.join(self._path, ""))
        pending, visited = [self._path], set()
        while pending:
            folder = pending.pop()
            if (real := os.path.realpath(folder)) in visited:
                continue
            visited.add(real)
            try:
                inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                raise UserError(f"dataset.root is {self}, but {folder} cannot be read: {error.strerror}.") from error
            folders = []
            for entry in inside:
                if _is_folder(entry):
                    folders += [] if entry.name.startswith(".") else [Path(entry.path)]
                else:
                    yield Found(entry.path[above:].replace(os.sep, "/"), _objection(entry))
            pending += reversed(folders)

    def file(self, name: str) -> PictureFile:
        return OnDisk(os.path.join(self._text, name))

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")

    def mark(self, name: str) -> tuple[int, int]:
        try:
            status = os.stat(os.path.join(self._text, name))
        except OSError:  # a dangling link is found corrupt later
            return -1, -1
        return status.st_size, status.st_mtime_ns

    def beside(self, name: str) -> Path:
        return whole(name, self._path)

    def text(self, path: Path, most: int) -> str:
        return read_text(path, most)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _objection(entry: "os.DirEntry[str]") -> str | None:
    if entry.name.startswith("."):
        return HIDDEN
    if entry.is_symlink() and not os.path.exists(entry.path):  # what opens it will say so
        return None
    return None if entry.is_file() else NO_FILES
