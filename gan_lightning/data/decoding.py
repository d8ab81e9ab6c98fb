"""From a picture's file to pixels of one shape: cut, padded or stretched to it, in any number of channels."""

import contextlib
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from gan_lightning.data.picture_cache import Pixels
from gan_lightning.data.picture_files import NPY, readers
from gan_lightning.data.places import PictureFile

MODES: dict[int, str] = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
BITS_PER_SAMPLE = 258  # TIFF's number for it
FULL = 65535  # the highest of 16-bit levels
Fit = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class Form:
    """What every picture is turned into: `channels` of `height` by `width`.

    Its levels are in 8 bits; where it is `deep`, they are kept as they are, in float32. `fit` says what becomes of
    other proportions: the middle is cut out (crop), the whole is put on black (pad) or distorted (stretch). Where there
    is a `stack`, a picture is so many files, of a channel each, whose names go on with these endings.
    """

    channels: int
    height: int
    width: int
    fit: Fit = "crop"
    deep: bool = False
    stack: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


class Decoded(NamedTuple):
    """A picture in its form, (C, H, W), the digest of its file, its own lowest and highest level, and whether these are
    of more than 8 bits."""

    pixels: Pixels
    digest: str
    low: float
    high: float
    is_deep: bool


def decode(file: PictureFile, form: Form) -> Decoded:
    """A picture's first frame, upright, or its pages or array as channels. Raises almost anything for a broken one.

    Transparent parts of pictures are on white, unless their transparency is the last of 2 or 4 channels. 16-bit grey
    levels that are to have 8 bits are divided by 257.
    """
    if form.stack:
        return _joined([_channel(file, ending, form) for ending in form.stack])
    content = file.read_bytes()
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    read = _read(content, form)
    if isinstance(read, Image.Image):
        plain, has_more = _with_channels(read, form.channels), _has_deep_colour(content)
        if not form.deep:
            return Decoded(_as_array(_placed(plain, form), form), digest, 0, 255, has_more)
        if has_more:
            raise ValueError("16-bit colour, of which 8 bits would be read; an .npy file keeps them")
        read = _planes(np.asarray(plain))
    planes, is_deep = read, read.dtype != np.uint8
    low, high = float(planes.min()), float(planes.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("levels that are no finite numbers")
    planes = _matched(planes, form.channels)
    if not form.deep and is_deep:
        if not np.issubdtype(planes.dtype, np.integer) or low < 0 or high > FULL:
            raise ValueError("levels of unknown range: dataset.range=[LOW,HIGH] tells it")
        planes = ((planes.astype(np.int64) + 128) // 257).astype(np.uint8)
    dtype = np.float32 if form.deep else np.uint8
    placed = [np.asarray(_placed(Image.fromarray(plane.astype(dtype)), form)) for plane in planes]
    return Decoded(np.stack(placed), digest, low, high, is_deep)


def _channel(file: PictureFile, ending: str, form: Form) -> Decoded:
    try:
        return decode(file.with_name(file.name + ending), replace(form, channels=1, stack=()))
    except Exception as error:  # whichever, it is to tell the file
        raise ValueError(f"{file.name}{ending}: {fault(error)}") from error


def fault(error: Exception) -> str:
    """What is wrong with a picture, by the error that reading it has raised."""
    if isinstance(error, UnidentifiedImageError):  # which names an object of ours
        return "not a picture"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _joined(parts: Sequence[Decoded]) -> Decoded:
    """Pictures of a channel each as one."""
    return Decoded(
        np.concatenate([part.pixels for part in parts]),
        hashlib.blake2b("".join(part.digest for part in parts).encode(), digest_size=8).hexdigest(),
        min(part.low for part in parts),
        max(part.high for part in parts),
        all(part.is_deep for part in parts),
    )


def is_deep(file: PictureFile) -> bool | None:
    """Whether a picture has levels of more than 8 bits; None if its file can't be read."""
    try:
        read = _read(file.read_bytes(), Form(1, 1, 1))
    except Exception:  # whatever is wrong with it is said when all are decoded
        return None
    return not isinstance(read, Image.Image) and read.dtype != np.uint8


def _read(content: bytes, form: Form) -> "Image.Image | NDArray[np.generic]":
    """A picture of 8 bits; or else planes (c, h, w), of an array, of the pages of a TIFF, or of a deep grey picture."""
    if content.startswith(NPY):
        return _array(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False), form.channels)
    with Image.open(io.BytesIO(content), formats=readers()) as picture:
        if picture.format == "TIFF" and form.channels > 1 and getattr(picture, "n_frames", 1) == form.channels:
            return _pages(picture, form.channels)
        side = 2 * max(form.height, form.width)
        if min(picture.size) >= 2 * side:
            picture.draft(None, (side, side))  # lets a large JPEG be decoded at a half, a quarter or an eighth
        picture.load()
        upright: Image.Image = picture
        with contextlib.suppress(Exception):  # broken EXIF data must not condemn sound pixels
            if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
                upright = ImageOps.exif_transpose(picture)
    is_grey = upright.mode in ("I", "F") or upright.mode.startswith("I;16")
    return _planes(np.asarray(upright)) if is_grey else upright


def _has_deep_colour(content: bytes) -> bool:
    """Whether a PNG or TIFF file has more bits a channel than the 8 that Pillow has read."""
    if content.startswith(b"\x89PNG"):
        return content[24:25] == b"\x10"
    if content[:4] in (b"II*\0", b"MM\0*"):
        with Image.open(io.BytesIO(content), formats=("TIFF",)) as picture:
            return bool(max(getattr(picture, "tag_v2", {}).get(BITS_PER_SAMPLE, (8,))) > 8)
    return False


def _array(array: NDArray[np.generic], channels: int) -> NDArray[np.generic]:
    """Planes (c, h, w) of an array (h, w), (c, h, w) or (h, w, c)."""
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise ValueError(f"an array of {array.dtype}, which are no levels")
    if array.ndim == 2:
        return array[None]
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape}; (height, width) or (channels, height, width) is wanted")
    if array.shape[0] != channels and array.shape[2] == channels:
        return array.transpose(2, 0, 1)
    return array


def _planes(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Planes (c, h, w) of Pillow's (h, w) or (h, w, c)."""
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _pages(picture: Image.Image, count: int) -> NDArray[np.generic]:
    pages = []
    for page in range(count):
        picture.seek(page)
        pages.append(np.asarray(picture))
    if any(page.ndim != 2 or page.shape != pages[0].shape for page in pages):
        raise ValueError("pages that are not grey, or not of one size")
    return np.stack(pages)


def _matched(planes: NDArray[np.generic], channels: int) -> NDArray[np.generic]:
    """Planes as so many channels: those that there are, or one of them for each of three."""
    if len(planes) == 1 and channels == 3:
        return np.repeat(planes, 3, axis=0)
    if len(planes) != channels:
        raise ValueError(f"{len(planes)} channels where dataset.channels is {channels}")
    return planes


def _with_channels(picture: Image.Image, channels: int) -> Image.Image:
    """A picture of 8 bits with so many channels, in one of MODES."""
    if channels not in MODES:
        raise ValueError(f"{len(picture.getbands())} channels where dataset.channels is {channels}")
    if channels in (2, 4):
        return _in_mode(_in_mode(picture, "RGBA"), MODES[channels])
    if picture.has_transparency_data:
        picture = _in_mode(picture, "RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return _in_mode(picture if picture.mode in ("1", "L") else _in_mode(picture, "RGB"), MODES[channels])


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    """A picture in a mode: itself if it has that, of which Pillow would make a copy."""
    return picture if picture.mode == mode else picture.convert(mode)


def middle(height: int, width: int, size: Sequence[int]) -> tuple[int, int, int, int]:
    """The largest middle of an image that has the proportions of `size`, (H, W): its top, left, height and width."""
    high, wide = min(height, round(width * size[0] / size[1])), min(width, round(height * size[1] / size[0]))
    high, wide = max(1, high), max(1, wide)
    return (height - high) // 2, (width - wide) // 2, high, wide


def inscribed(height: int, width: int, size: Sequence[int]) -> list[int]:
    """The largest height and width that fit into `size`, (H, W), with an image's own proportions."""
    scale = min(size[0] / height, size[1] / width)
    return [max(1, round(height * scale)), max(1, round(width * scale))]


def _placed(picture: Image.Image, form: Form) -> Image.Image:
    """A picture of the form's height and width: itself if it has these."""
    size = [form.height, form.width]
    if picture.size == (form.width, form.height):
        return picture
    inner = size
    if form.fit == "crop":
        top, left, height, width = middle(picture.height, picture.width, size)
        picture = picture.crop((left, top, left + width, top + height))
    elif form.fit == "pad":
        inner = inscribed(picture.height, picture.width, size)
    # Lanczos keeps detail in small copies, but rings visibly in enlarged ones.
    is_smaller = picture.height > inner[0] or picture.width > inner[1]
    filter_ = Image.Resampling.LANCZOS if is_smaller else Image.Resampling.BICUBIC
    resized = picture.resize((inner[1], inner[0]), filter_, reducing_gap=3.0)
    if inner == size:
        return resized
    canvas = Image.new(picture.mode, (form.width, form.height), _black(picture))
    canvas.paste(resized, ((form.width - inner[1]) // 2, (form.height - inner[0]) // 2))
    return canvas


def _black(picture: Image.Image) -> float:
    """What padding is made of: nothing at all, or the lowest level of deep ones."""
    return float(np.asarray(picture).min()) if picture.mode == "F" else 0


def _as_array(picture: Image.Image, form: Form) -> NDArray[np.uint8]:
    pixels = np.asarray(picture).reshape(form.height, form.width, form.channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
