"""`sample`: images from a run's generator. Needs neither the data set nor anything pickled, nor Lightning or Hydra.

python -m gan_lightning sample run=DIR n=64 seed=0 out=grid.png
python -m gan_lightning sample run=DIR n=10 label=3 out=threes.png
python -m gan_lightning sample run=DIR 'interpolate=[0,1,2,0]' frames=10 out=walk.png
"""

import errno
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gan_lightning.config.options import read_options
from gan_lightning.config.places import CONF
from gan_lightning.errors import UserError, printable
from gan_lightning.files import unused, write_failure
from gan_lightning.run_folder import find_generator
from gan_lightning.types import FilePath, PositiveInt, Seed

if TYPE_CHECKING:
    from torch import Tensor

    from gan_lightning.sampling.sampler import Sampler


PICTURE = re.compile(r"\d{5,}\.png")  # as pictures.save_pngs names them


@dataclass(frozen=True)
class Sampling:
    """The keys of conf/sample.yaml."""

    run: FilePath
    plugins: list[str]
    n: PositiveInt
    seed: Seed
    out: FilePath
    label: int | str | None
    interpolate: list[int] | None
    frames: PositiveInt
    weights: Literal["ema", "raw", "best"]
    device: Literal["cpu", "cuda", "mps"]


def main(arguments: list[str]) -> int:
    """Draws what the arguments say and tells where it is."""
    if {"-h", "--help"} & set(arguments):
        print((CONF / "sample.yaml").read_text(), end="")
        return 0
    schema = f"{__name__}.{Sampling.__name__}"
    options = Sampling(**read_options(CONF / "sample.yaml", arguments, schema, paths=("run", "out")))
    if options.interpolate is not None and len(options.interpolate) < 2:
        raise UserError(f"interpolate is {options.interpolate}, but a walk needs at least two seeds.")
    require_free(options.out)
    find_generator(options.run)  # before torch, whose import takes seconds, is imported

    from gan_lightning.sampling.sampler import load_generator

    samples = draw(options, load_generator(options.run, options.weights, options.device, options.plugins))
    # Nobody has asked for what has the name that is taken without one.
    out = Path(options.out) if any(text.startswith("out=") for text in arguments) else unused(Path(options.out))
    print(printable(save(samples, out, options.frames if options.interpolate else None)))
    return 0


def require_free(out: str) -> None:
    """Raises UserError for a folder that has pictures of the names that would be written: they are somebody's.

    A file that is named, a .png or a .csv, is replaced.
    """
    if Path(out).suffix.lower() in (".png", ".csv"):
        return
    try:
        there = min((path.name for path in Path(out).glob("*.png") if PICTURE.fullmatch(path.name)), default=None)
    except OSError:  # which is told when it is written to
        return
    if there:
        raise UserError(
            f"out is {out}, which has pictures already ({there}); name another folder, or a new one, so that none is"
            " overwritten or mixed with them."
        )


def draw(options: Sampling, generator: "Sampler") -> "Tensor":
    """The samples that the options ask for: (N, C, H, W) in [-1, 1], or vectors (N, d)."""
    label = options.label
    if str(label) in generator.classes:  # a name such as 2 goes before the number
        label = str(label)
    if options.interpolate is None:
        return generator.sample(options.n, options.seed, label)
    return generator.interpolate(options.interpolate, options.frames, label)


def save(samples: "Tensor", out: Path, columns: int | None) -> Path:
    """Writes samples as a picture, a table or single pictures, by the name of `out`, and returns it.

    Raises UserError where that is no place for them.
    """
    from gan_lightning.pictures import grid, save_png, save_pngs, save_table, scatter

    as_picture, as_table = (out.suffix.lower() == suffix for suffix in (".png", ".csv"))
    are_images = samples.ndim == 4
    if are_images and as_table:
        raise UserError(f"out is {out}, but images don't fit in a table; name a .png, or a folder.")
    if not are_images and not (as_table or as_picture):
        raise UserError(f"out is {out}, but these samples are vectors; name a .csv, or a .png to see them drawn.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if as_table:
            save_table(samples, out)
        elif as_picture:
            save_png(grid(samples, columns) if are_images else scatter(None, samples), out)
        else:
            save_pngs(samples, out)
    except OSError as error:
        if (failure := write_failure(error, out)) and error.errno != errno.EROFS:
            raise failure from error
        raise UserError(f"out is {out}, which can't be written ({error.strerror}).") from error
    return out
