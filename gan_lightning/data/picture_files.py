"""Which files below a folder are pictures, and what of the others is said; names are put in the order people expect."""

import os
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from PIL import Image

from gan_lightning.data.packed import is_packed
from gan_lightning.data.places import NESTED, NO_PICTURES, UNREADABLE, Place
from gan_lightning.errors import UserError, printable

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
START = 512  # bytes by which archives and arrays are known


class Pictures(NamedTuple):
    """The paths below the root, with slashes, of all pictures, and by reason those of the files that are none."""

    names: list[str]
    passed_over: dict[str, list[str]]

    def told(self) -> str:
        """What was passed over, as a list for people: how many for each reason, and the first of them."""
        return printable(", ".join(f"{len(names)} {why} ({some(names)})" for why, names in self.passed_over.items()))


@cache
def readers() -> tuple[str, ...]:
    """Those of READERS that this Pillow has."""
    Image.init()
    return tuple(name for name in READERS if name in Image.OPEN)


def find_pictures(place: Place, table: str | None = None) -> Pictures:
    """All pictures in a place that are not hidden, sorted folder by folder, and what else is there but the `table`.

    No pipe or device is opened. Raises UserError when there is nothing to be found.
    """
    found: list[tuple[str, ...]] = []
    passed_over: dict[str, list[str]] = {}
    for name, objection in place.files():
        if name == table:
            continue
        if (reason := objection or _objection(place, name)) is None:
            found.append(tuple(name.split("/")))
        else:
            passed_over.setdefault(reason, []).append(name)
    pictures = Pictures(["/".join(parts) for parts in sorted(found)], {k: sorted(v) for k, v in passed_over.items()})
    if not found:
        others = f" There are other files: {pictures.told()}." if passed_over else ""
        raise UserError(
            f"dataset.root is {place}, but there are no pictures in it or below it; looked for PNG, JPEG and whatever"
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


def _objection(place: Place, name: str) -> str | None:
    """Why a file is no picture; None for one that is, or that is to be one by its name."""
    if name.lower().endswith(ENDINGS):
        return None
    try:
        with place.open(name) as stream:
            start = stream.read(START)
            if start.startswith(NPY):
                return None
            if is_packed(start):
                return NESTED
            stream.seek(0)
            Image.open(stream, formats=readers())
    except OSError as error:  # UnidentifiedImageError is one
        return UNREADABLE if error.errno is not None else NO_PICTURES
    except Exception:  # Pillow's readers raise almost anything on bytes that only begin like theirs
        return NO_PICTURES
    return None


def legible(name: str) -> str:
    r"""A file's name as text that can be written anywhere, bytes that are no UTF-8 as `\xe9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def some(names: list[str], most: int = 3) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
