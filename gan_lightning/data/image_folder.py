"""Any folder of pictures as a data set: decoded once, in parallel threads, and kept in a memory-mapped cache."""

import contextlib
import hashlib
import io
import json
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import Progress

from gan_lightning.errors import UserError, printable
from gan_lightning.files import cache_folder, replacing
from gan_lightning.samples import SampleSet
from gan_lightning.suggest import nearest
from gan_lightning.types import Range, check_ranges

log = logging.getLogger(__name__)

EXTENSIONS = ("png", "jpg", "jpeg", "bmp", "webp", "gif", "tif", "tiff", "ppm", "pgm")
# The contents decide, not the extension; Pillow's other readers (one starts Ghostscript) stay out of it.
PICTURE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
Side = Annotated[int, Range(low=1, high=8192)]
MODES: dict[int, str] = {1: "L", 3: "RGB"}
VERSION = 1  # of the pixels `decode` makes and of the cache file: a change retires all caches
AHEAD = 64  # pictures the threads may be ahead of the writer, so that few wait in memory
BAR_DELAY = 1.5  # seconds

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Corrupt:
    """A picture that cannot be decoded: its path below the root, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.name} ({self.reason})")


@dataclass(frozen=True)
class ImageFolder:
    """All pictures below `root`, each with its shorter side resized to `image_size` and the middle square cut out.

    They become grey (`channels` 1) or colour (3), on white where transparent. Pictures that cannot be read are an
    error, or left out with `skip_corrupt`. Decoded pictures are kept in the folder `cache_dir`, by default
    gan_lightning/images in $XDG_CACHE_HOME or ~/.cache.
    """

    root: str
    image_size: Side
    channels: Literal[1, 3]
    skip_corrupt: bool = False
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.channels not in MODES:
            raise ValueError(f"channels must be 1 or 3, got {self.channels}")

    def load(self) -> SampleSet:
        """Returns uint8 (N, channels, image_size, image_size) in order of path, mapped from the cache file.

        When all pictures lie in subfolders, those of the first level are the classes; otherwise there are no labels.
        """
        root = Path(os.path.abspath(os.path.expanduser(self.root)))
        names = find_pictures(root)
        pixels, corrupt = self._pixels(root, names)
        if corrupt:
            log.warning("Left out %d of %d pictures of %s: %s.", len(corrupt), len(names), root, _some(corrupt))
        images = torch.from_numpy(pixels)[: len(names) - len(corrupt)]
        if not all("/" in name for name in names):
            return SampleSet(images, None, ())
        classes = tuple(sorted({name.split("/")[0] for name in names}))
        index = {folder: number for number, folder in enumerate(classes)}
        left_out = {picture.name for picture in corrupt}
        return SampleSet(
            images, torch.tensor([index[name.split("/")[0]] for name in names if name not in left_out]), classes
        )

    def _pixels(self, root: Path, names: list[str]) -> tuple[Pixels, list[Corrupt]]:
        """The decoded pictures, (len(names), C, S, S), and those left out; as many rows at the end mean nothing."""
        shape = (len(names), self.channels, self.image_size, self.image_size)
        folder = Path(self.cache_dir).expanduser().absolute() if self.cache_dir else cache_folder("images")
        file = folder / f"{self._key(root, names)}.npy"
        cached = read_cache(file, shape)
        if cached is None or (cached[1] and not self.skip_corrupt):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_cache(file, shape, lambda keep: self._decode_all(root, names, keep))
                cached = read_cache(file, shape)
            except OSError as error:
                log.warning("Cannot write the cache folder %s (%s): decoding to memory.", folder, error.strerror)
        if cached is None:
            pixels = np.zeros(shape, np.uint8)
            rows = iter(pixels)
            cached = pixels, self._decode_all(root, names, lambda picture: np.copyto(next(rows), picture))
        return cached

    def _key(self, root: Path, names: list[str]) -> str:
        """A name for this folder's present contents, decoded this way."""
        # With the root: unpacked archives may agree in all names, sizes and times, and still hold different pictures.
        digest = hashlib.sha256(json.dumps([VERSION, self.image_size, self.channels, os.path.realpath(root)]).encode())
        for name in names:
            size = mtime = -1
            with contextlib.suppress(OSError):  # a dangling link is found corrupt later
                status = os.stat(root / name)
                size, mtime = status.st_size, status.st_mtime_ns
            digest.update(json.dumps([name, size, mtime]).encode())
        return digest.hexdigest()

    def _decode_all(self, root: Path, names: list[str], keep: Callable[[Pixels], object]) -> list[Corrupt]:
        """Passes each picture to `keep`, in order, and returns the corrupt ones, or raises UserError for them."""
        corrupt = []
        for result in _with_bar(decode_in_threads(root, names, self.image_size, self.channels), len(names)):
            if isinstance(result, Corrupt):
                corrupt.append(result)
            else:
                keep(result)
        if corrupt and not self.skip_corrupt:
            raise UserError(
                f"dataset.root is {root}, where {len(corrupt)} of {len(names)} pictures cannot be read:"
                f" {_some(corrupt)}. Remove them, or leave them out with dataset.skip_corrupt=true."
            )
        if len(corrupt) == len(names):
            raise UserError(
                f"dataset.root is {root}, where none of {len(names)} pictures can be read: {_some(corrupt)}."
            )
        return corrupt


def find_pictures(root: Path) -> list[str]:
    """Paths below `root`, with slashes, of all pictures that are not hidden, sorted folder by folder.

    Links to folders are followed, but no folder is visited twice. Raises UserError when there is nothing to be found.
    """
    if not root.is_dir():
        raise UserError(_no_folder(root))

    def unreadable(error: OSError) -> None:
        raise UserError(f"dataset.root is {root}, but {error.filename} cannot be read: {error.strerror}.") from error

    found, visited = [], set()
    for folder, subfolders, files in os.walk(root, onerror=unreadable, followlinks=True):
        real = os.path.realpath(folder)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        pictures = (
            name for name in files if name[0] != "." and name.lower().endswith(tuple(f".{e}" for e in EXTENSIONS))
        )
        found += [Path(folder, name).relative_to(root).parts for name in pictures]
    if not found:
        raise UserError(
            f"dataset.root is {root}, but there are no pictures in it or below it;"
            f" looked for files ending in {', '.join(EXTENSIONS)}."
        )
    return ["/".join(parts) for parts in sorted(found)]


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


def decode_in_threads(root: Path, names: list[str], size: int, channels: int) -> Iterator[Pixels | Corrupt]:
    """Decodes the named pictures in parallel; yields one result for each, in order."""

    def attempt(name: str) -> Pixels | Corrupt:
        try:
            return decode(root / name, size, channels)
        except UnidentifiedImageError:
            return Corrupt(name, "not a picture")
        except Exception as error:  # Pillow's readers raise almost anything on a broken file
            return Corrupt(name, getattr(error, "strerror", None) or str(error) or type(error).__name__)

    pending: deque[Future[Pixels | Corrupt]] = deque()
    with ThreadPoolExecutor() as pool:
        for name in names:
            pending.append(pool.submit(attempt, name))
            if len(pending) == AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def decode(path: Path, size: int, channels: int) -> Pixels:
    """The middle square of a picture's first frame, upright, as uint8 (channels, size, size)."""
    with Image.open(path, formats=PICTURE_FORMATS) as picture:
        picture.draft(None, (2 * size, 2 * size))  # lets a large JPEG be decoded at a half, a quarter or an eighth
        picture.load()
        upright: Image.Image = picture
        with contextlib.suppress(Exception):  # broken EXIF data must not condemn sound pixels
            upright = ImageOps.exif_transpose(picture)
    plain = _flatten(upright).convert(MODES[channels])
    side = min(plain.size)
    left, top = (plain.width - side) // 2, (plain.height - side) // 2
    square = plain.crop((left, top, left + side, top + side))
    # Lanczos keeps detail in small copies, but rings visibly in enlarged ones.
    filter_ = Image.Resampling.LANCZOS if side > size else Image.Resampling.BICUBIC
    pixels = np.asarray(square.resize((size, size), filter_, reducing_gap=3.0))
    return np.ascontiguousarray(pixels.reshape(size, size, channels).transpose(2, 0, 1))


def _flatten(picture: Image.Image) -> Image.Image:
    """The picture in 8 bits (mode 1, L or RGB), transparent parts on white, 16-bit grey levels divided by 257."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        levels = np.asarray(picture)
        if picture.mode == "F" or levels.min() < 0 or levels.max() > 65535:
            raise ValueError("32-bit grey levels, of unknown range")
        return Image.fromarray(((levels.astype(np.int64) + 128) // 257).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture if picture.mode in ("1", "L") else picture.convert("RGB")


def _header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue()


def write_cache(
    file: Path, shape: tuple[int, ...], produce: Callable[[Callable[[Pixels], object]], list[Corrupt]]
) -> None:
    """Writes an .npy file of uint8 rows, those of corrupt pictures as zeros at the end, followed by their list as JSON.

    NumPy ignores what follows an array. The file appears whole or not at all, whoever else writes it at the same time.
    Written through a stream, because a full disk kills a process that writes through a map.
    """
    with replacing(file, shared=True) as temporary, open(temporary, "xb") as stream:
        stream.write(_header(shape))
        corrupt = produce(lambda picture: stream.write(picture.tobytes()))
        for _ in corrupt:
            stream.write(bytes(int(np.prod(shape[1:]))))
        stream.write(json.dumps([[picture.name, picture.reason] for picture in corrupt]).encode())


def read_cache(file: Path, shape: tuple[int, ...]) -> tuple[Pixels, list[Corrupt]] | None:
    """Maps what `write_cache` wrote; None if the file is not there, or not whole, or of another shape."""
    header = _header(shape)
    try:
        with open(file, "rb") as stream:
            if stream.read(len(header)) != header:
                return None
            stream.seek(len(header) + int(np.prod(shape)))
            corrupt = [Corrupt(name, reason) for name, reason in json.load(stream)]
        # Copy on write: PyTorch wants writable memory, and the file stays as it is.
        return np.memmap(file, np.uint8, mode="c", offset=len(header), shape=shape), corrupt
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _with_bar(results: Iterator[Pixels | Corrupt], total: int) -> Iterator[Pixels | Corrupt]:
    """Passes the results on; a progress bar appears on stderr when that is a terminal and they take their time."""
    start, bar = time.monotonic(), None
    with contextlib.ExitStack() as stack:
        for done, result in enumerate(results, start=1):
            if bar is None and sys.stderr.isatty() and time.monotonic() - start > BAR_DELAY:
                bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
                task = bar.add_task("Decoding pictures", total=total)
            if bar is not None:
                bar.update(task, completed=done)
            yield result


def _some(corrupt: list[Corrupt]) -> str:
    more = f" and {len(corrupt) - 3} more" if len(corrupt) > 3 else ""
    return ", ".join(str(picture) for picture in corrupt[:3]) + more
