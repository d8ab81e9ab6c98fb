"""Sample grids of runs for one HTML file: as data, small enough that a page of many loads."""

import base64
import io
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from gan_lightning.run_folder import SAMPLES

WIDEST = 400  # pixels a side of an embedded picture
MOST_PIXELS = 64_000_000  # of a picture that is opened at all
MOST_BYTES = 3 << 20  # of all pictures of a report
COLOURS = 64  # of a picture with a palette, which is what grids of few levels need


def last_grid(run: Path) -> Path | None:
    """The newest picture of a run's samples."""
    pictures = pictures_of(run)
    return pictures[-1] if pictures else None


def pictures_of(run: Path) -> list[Path]:
    """A run's pictures, in the order of their iterations."""
    return sorted(path for path in (run / SAMPLES).glob("*.png") if path.stem.isdecimal() and path.is_file())


def embedded(path: Path) -> str | None:
    """A picture as a data URI: at most WIDEST pixels a side, as the smaller of PNG and JPEG. None if it can't be read.

    It is drawn anew, whatever else its file may hold.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pictures that are large, which are measured here
            with Image.open(path, formats=["PNG"]) as opened:
                if opened.width * opened.height > MOST_PIXELS:
                    return None
                picture = opened.convert("L" if opened.mode in ("1", "L") else "RGB")
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    if max(picture.size) > WIDEST:
        picture.thumbnail((WIDEST, WIDEST), Image.Resampling.BOX)
    kind, content = min((_as_png(picture), _as_jpeg(picture)), key=lambda pair: len(pair[1]))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _as_png(picture: Image.Image) -> tuple[str, bytes]:
    file = io.BytesIO()
    (picture.quantize(COLOURS) if picture.mode == "L" else picture).save(file, "PNG", optimize=True)
    return "png", file.getvalue()


def _as_jpeg(picture: Image.Image) -> tuple[str, bytes]:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return "jpeg", file.getvalue()
