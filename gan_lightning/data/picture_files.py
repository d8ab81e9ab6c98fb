"""Which files below a folder are pictures, and what of the others is said; names are put in the order people expect."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from gan_lightning.errors import UserError, printable
from gan_lightning.suggest import nearest

# What ends so is taken for a picture, and an error if it isn't one; of other files the contents decide.
EXTENSIONS = ("png", "jpg", "jpeg", "jfif", "bmp", "webp", "gif", "tif", "tiff", "ppm", "pgm", "avif", "jp2", "npy")
# Pillow's readers that know their files by the contents, the most usual first. Those that start other programs (of EPS,
# Ghostscript) or take almost anything for theirs (TGA, for one) stay out of it.
READERS = (
    *("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000", "ICO", "ICNS", "PCX", "DCX", "SGI"),
    *("DDS", "QOI", "PSD", "SUN", "FITS", "FLI", "IM", "MSP", "XBM", "XPM", "BLP", "FTEX"),
)
ENDINGS = tuple(f".{extension}" for extension in EXTENSIONS)
NPY = b"\x93NUMPY"


class Pictures(NamedTuple):
    """The paths below the root, with slashes, of all pictures, and by reason those of the files that are none."""

    names: list[str]
    passed_over: dict[str, list[str]]

    def told(self) -> str:
        """What was passed over, as a list for people: how many for each reason, and the first of them."""
        return printable(", ".join(f"{len(names)} {why} ({some(names)})" for why, names in self.passed_over.items()))


HIDDEN, NO_PICTURES, NO_FILES, UNREADABLE = "hidden", "of other kinds", "that are no plain files", "unreadable"


@cache
def readers() -> tuple[str, ...]:
    """Those of READERS that this Pillow has."""
    Image.init()
    return tuple(name for name in READERS if name in Image.OPEN)


def find_pictures(root: Path, table: str | None = None) -> Pictures:
    """All pictures below `root` that are not hidden, sorted folder by folder, and what else is there but the `table`.

    Links to folders are followed, but no folder is visited twice. No pipe or device is opened. Raises UserError when
    there is nothing to be found.
    """
    if not root.is_dir():
        raise UserError(_no_folder(root))
    found: list[tuple[str, ...]] = []
    passed_over: dict[str, list[str]] = {}
    above = len(os.path.join(root, ""))
    for entry in _files(root):
        if entry.path[above:] == table:
            continue
        parts = tuple(entry.path[above:].split(os.sep))
        if (reason := _objection(entry)) is None:
            found.append(parts)
        else:
            passed_over.setdefault(reason, []).append("/".join(parts))
    pictures = Pictures(["/".join(parts) for parts in sorted(found)], {k: sorted(v) for k, v in passed_over.items()})
    if not found:
        others = f" There are other files: {pictures.told()}." if passed_over else ""
        raise UserError(
            f"dataset.root is {root}, but there are no pictures in it or below it; looked for PNG, JPEG and whatever"
            f" else Pillow knows by its contents, and for .npy files.{others}"
        )
    return pictures


def stacked(pictures: Pictures, endings: Sequence[str]) -> Pictures:
    """Names without their endings, one for the files of each picture; files with no such ending are passed over."""
    stems, others = set(), []
    for name in pictures.names:
        ending = next((each for each in endings if name.endswith(each)), None)
        if ending is None:
            others.append(name)
        else:
            stems.add(name.removesuffix(ending))
    names = ["/".join(parts) for parts in sorted(tuple(stem.split("/")) for stem in stems)]
    return Pictures(names, pictures.passed_over | ({"without an ending of dataset.stack": others} if others else {}))


def _files(root: Path) -> Iterator["os.DirEntry[str]"]:
    """All below a folder that is no folder, hidden folders left out. Raises UserError for one that can't be read."""
    pending, visited = [root], set()
    while pending:
        folder = pending.pop()
        if (real := os.path.realpath(folder)) in visited:
            continue
        visited.add(real)
        try:
            inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(f"dataset.root is {root}, but {folder} cannot be read: {error.strerror}.") from error
        folders = []
        for entry in inside:
            if _is_folder(entry):
                folders += [] if entry.name.startswith(".") else [Path(entry.path)]
            else:
                yield entry
        pending += reversed(folders)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _objection(entry: "os.DirEntry[str]") -> str | None:
    """Why a file is no picture; None for one that is, or that is to be one by its name."""
    if entry.name.startswith("."):
        return HIDDEN
    is_named = entry.name.lower().endswith(ENDINGS)
    if entry.is_symlink() and not os.path.exists(entry.path):
        return None if is_named else UNREADABLE
    if not entry.is_file():
        return NO_FILES
    if is_named:
        return None
    try:
        with open(entry.path, "rb") as stream:
            if stream.read(len(NPY)) == NPY:
                return None
            stream.seek(0)
            Image.open(stream, formats=readers())
    except OSError as error:  # UnidentifiedImageError is one
        return UNREADABLE if error.errno is not None else NO_PICTURES
    except Exception:  # Pillow's readers raise almost anything on bytes that only begin like theirs
        return NO_PICTURES
    return None


def _no_folder(root: Path) -> str:
    if root.exists():
        return f"dataset.root is {root}, which is a file; expected a folder of pictures."
    missing = root  # becomes the first part of the path that is not there
    while not missing.parent.is_dir():
        missing = missing.parent
    siblings: list[str] = []
    with contextlib.suppress(OSError):
        siblings = [entry.name for entry in os.scandir(missing.parent) if entry.is_dir()]
    hint = ""
    if (name := nearest(missing.name, siblings)) is not None:
        whole = missing.with_name(name) / root.relative_to(missing)
        hint = f" Did you mean {whole if whole.is_dir() else missing.with_name(name)}?"
    return f"dataset.root is {root}, but there is no such folder.{hint}"


def in_natural_order(names: set[str]) -> list[str]:
    """Names as people sort them: 2 before 10."""
    return sorted(names, key=lambda name: (_natural(name), name))


def _natural(name: str) -> list[tuple[int, str]]:
    pieces = re.split(r"([0-9]+)", name)
    return [(int(piece), "") if index % 2 else (-1, piece) for index, piece in enumerate(pieces)]


def legible(name: str) -> str:
    r"""A file's name as text that can be written anywhere, bytes that are no UTF-8 as `\xe9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def some(names: list[str], most: int = 3) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
