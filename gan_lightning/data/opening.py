"""From what dataset.root says to the place that it means: a folder, an archive, or a folder in one."""

import bz2
import gzip
import io
import lzma
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from gan_lightning.data.packed import COMPRESSED, EXPECTED, OTHERS, ZIP_STARTS, Archive, Tar, Zip, begins_tar
from gan_lightning.data.picture_files import NPY, START
from gan_lightning.data.places import Folder, Place
from gan_lightning.errors import UserError, reason
from gan_lightning.suggest import nearest

Decompress = Callable[[Path], gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile]
DECOMPRESSORS: tuple[tuple[str, Decompress], ...] = (
    ("gunzip", gzip.GzipFile),
    ("bunzip2", bz2.BZ2File),
    ("unxz", lzma.LZMAFile),
)
PIECE = 1 << 20  # bytes
MOST_IN_MEMORY = 2 << 30  # bytes of a compressed .tar when unpacked
PACKED_ENDINGS = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")  # what a misspelt root may have meant


@contextmanager
def opened(root: Path) -> Iterator[Place]:
    """The folder, the archive or the folder in an archive at `root`, an absolute path. Raises UserError if there is
    none."""
    if root.is_dir():
        yield Folder(root)
        return
    file = next((each for each in (root, *root.parents) if each.is_file()), None)
    archive = None if file is None else _opened_archive(file, root)
    if archive is None:
        raise UserError(_no_place(root))
    with closing(archive):
        yield archive


def _opened_archive(file: Path, root: Path) -> Archive | None:
    """The archive in a plain file; None if there is none by its content. Raises UserError if it can't be read."""
    try:
        with file.open("rb") as stream:
            start = stream.read(START)
        if start.startswith(ZIP_STARTS):
            return Zip(file, root)
        for magic, (command, decompress) in zip(COMPRESSED, DECOMPRESSORS, strict=True):
            if start.startswith(magic):
                return _tar(file, root, _decompressed(file, command, decompress), os.path.getsize(file))
        if begins_tar(start):
            return _tar(file, root, file.open("rb"))
        return Zip(file, root) if zipfile.is_zipfile(file) else None  # one behind a program that unpacks it
    except UserError:
        raise
    except Exception as error:  # of half a dozen kinds, on bytes that only begin like archives
        told = getattr(error, "strerror", None) or reason(error)
        raise UserError(
            f"dataset.root is {root}, which can't be read ({told}); it may be damaged or cut off."
        ) from error


def _tar(file: Path, root: Path, stream: IO[bytes], packed: int | None = None) -> Archive:
    try:
        return Tar(file, root, stream, packed)
    except BaseException:
        stream.close()
        raise


def _decompressed(file: Path, command: str, decompress: Decompress) -> IO[bytes]:
    """A compressed .tar, in memory. Raises UserError if it is none, or larger than that is to be."""
    memory = io.BytesIO()
    with decompress(file) as stream:
        while chunk := stream.read(PIECE):
            if not memory.tell() and not begins_tar(chunk[:START]):
                raise UserError(f"dataset.root is {file}, which is compressed, but no .tar; {EXPECTED}.")
            memory.write(chunk)
            if memory.tell() > MOST_IN_MEMORY:
                raise UserError(
                    f"dataset.root is {file}, which has more than {MOST_IN_MEMORY >> 20} MiB unpacked, and has to be"
                    f" read into memory whole, as all is compressed in one; {command} makes a .tar of it, of any size."
                )
    memory.seek(0)
    return memory


def _no_place(root: Path) -> str:
    if root.exists():
        kind = _kind_of(root) if root.is_file() else "is no plain file"
        return f"dataset.root is {root}, which {kind}; {EXPECTED}."
    missing = root  # becomes the first part of the path that is not there
    while not missing.parent.is_dir():
        missing = missing.parent
    siblings: list[str] = []
    with suppress(OSError):
        siblings = [
            each.name for each in os.scandir(missing.parent) if each.is_dir() or each.name.endswith(PACKED_ENDINGS)
        ]
    hint = ""
    if (name := nearest(missing.name, siblings)) is not None:
        whole = missing.with_name(name) / root.relative_to(missing)
        hint = f" Did you mean {whole if whole.is_dir() else missing.with_name(name)}?"
    return f"dataset.root is {root}, but there is no such folder.{hint}"


def _kind_of(file: Path) -> str:
    with file.open("rb") as stream:
        start = stream.read(START)
    if start.startswith(NPY):
        return "holds an array, and dataset=array trains on it"
    other = next((name for magic, name in OTHERS.items() if start.startswith(magic)), None)
    return f"is {other} archive" if other else "is a file, and no archive by its content"
