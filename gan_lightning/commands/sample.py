"""`sample`: images from a run's generator. Needs neither the data set nor anything pickled, nor Lightning or Hydra.

python -m gan_lightning sample run=DIR n=64 seed=0 out=grid.png
python -m gan_lightning sample run=DIR n=10 label=3 out=threes.png
python -m gan_lightning sample run=DIR 'label={smiling: 1, age: 30}'
python -m gan_lightning sample run=DIR n=1000 out=table.csv      # or table.parquet
python -m gan_lightning sample run=DIR 'interpolate=[0,1,2,0]' frames=10 out=walk.png      # or walk.gif
"""

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gan_lightning.commands.out import wanted, writing
from gan_lightning.config.options import read_options
from gan_lightning.config.places import CONF
from gan_lightning.errors import UserError, printable, require_memory
from gan_lightning.files import replacing
from gan_lightning.paths import typed
from gan_lightning.run_folder import find_generator
from gan_lightning.suggest import did_you_mean
from gan_lightning.types import FilePath, PositiveFloat, PositiveInt, Seed

if TYPE_CHECKING:
    from torch import Tensor

    from gan_lightning import samples as data
    from gan_lightning.sampling.sampler import Sampler


log = logging.getLogger(__name__)

MOST_CURVES = 64  # in one picture
SKETCH = (240, 480)  # height and width of a signal's own picture
JPEG = (".jpg", ".jpeg")
TABLES = (".csv", ".parquet")
FILMS = (".gif", ".apng")
SINGLE = (".png", *JPEG, *FILMS, ".npy", *TABLES)  # endings of the names of files that all samples go into
ENDING = re.compile(r"\.[a-z][a-z0-9]{1,4}")  # by which a name looks like a file's, as .0 at the end of run_1.0 doesn't
PICTURE = re.compile(r"\d{5,}\.png")  # as pictures.save_pngs names them


@dataclass(frozen=True)
class Sampling:
    """The keys of conf/sample.yaml."""

    run: FilePath
    plugins: list[str]
    n: PositiveInt
    seed: Seed
    out: FilePath
    label: int | str | dict[str, float] | None
    interpolate: list[Seed] | None
    frames: PositiveInt
    truncation: PositiveFloat | None
    weights: Literal["ema", "raw", "best"]
    device: Literal["cpu", "cuda", "mps"]


def main(arguments: list[str]) -> int:
    """Draws what the arguments say and tells where it is."""
    if {"-h", "--help"} & set(arguments):
        print((CONF / "sample.yaml").read_text(), end="")
        return 0
    schema = f"{__name__}.{Sampling.__name__}"
    options = Sampling(**read_options(CONF / "sample.yaml", arguments, schema))
    if options.interpolate is not None and len(options.interpolate) < 2:
        raise UserError(f"interpolate is {options.interpolate}, but a walk needs at least two seeds.")
    require_free(options.out, kind := kind_of(options.out))
    if kind in FILMS and options.interpolate is None:
        raise UserError(f"out is {options.out}, a film, but nothing moves; 'interpolate=[0,1,2,0]' is a walk.")
    find_generator(options.run)  # before torch, whose import takes seconds, is imported

    from gan_lightning.sampling.sampler import load_generator

    generator = load_generator(options.run, options.weights, options.device, options.plugins)
    samples = draw(options, generator)
    out = wanted(options.out, arguments)
    columns = options.frames if options.interpolate else None
    classes = classes_of(options, generator, len(samples))
    print(printable(save(samples, out, kind, columns, generator.units, classes)))
    return 0


def kind_of(out: str, endings: Sequence[str] = SINGLE) -> str:
    """The ending of a name by which samples are written, one of `endings`, or "" for a folder.

    Raises UserError for another file's ending, unless there is such a folder or a / says that it is to be one.
    """
    ending = Path(out).suffix.lower()
    if ending in endings and not out.endswith("/"):
        return ending
    if ENDING.fullmatch(ending) and not out.endswith("/") and not os.path.isdir(out):
        raise UserError(
            f"out is {out}, but no {ending} is written; there are {', '.join(endings)}, and a folder of that name is"
            f" {typed('out', f'{out}/')}.{did_you_mean(ending, endings)}"
        )
    return ""


def require_free(out: str, kind: str) -> None:
    """Raises UserError for a folder that has pictures of the names that would be written: they are somebody's.

    A file that is named is replaced.
    """
    if kind in SINGLE:
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
    """The samples that the options ask for: (N, C, H, W) in [-1, 1], signals (N, C, L) or vectors (N, d)."""
    label = label_in(options, generator)
    count = options.n if options.interpolate is None else (len(options.interpolate) - 1) * options.frames
    one = 4 * generator.network.latent_dim + 3 * generator.sample(1, options.seed, label).nbytes
    asked = f"n is {options.n}" if options.interpolate is None else f"frames is {options.frames}"
    require_memory(f"{asked}, whose samples together", count * one, "draw fewer at a time, by other seeds")
    if options.interpolate is None:
        return generator.sample(options.n, options.seed, label, options.truncation)
    return generator.interpolate(options.interpolate, options.frames, label, options.truncation)


def label_in(options: Sampling, generator: "Sampler") -> int | str | dict[str, float] | None:
    """The label that the options ask for: a name such as 2 goes before the number."""
    return str(options.label) if str(options.label) in generator.classes else options.label


def classes_of(options: Sampling, generator: "Sampler", count: int) -> list[str]:
    """The names of the samples' classes, for the column that labels have in the table of the data; [] without one."""
    if not (generator.units and generator.units.label and generator.classes):
        return []
    label = label_in(options, generator)
    numbers = generator.labels(count, 0 if label is None and options.interpolate else label)
    return [] if numbers is None else [generator.classes[number] for number in numbers.tolist()]


def save(
    samples: "Tensor",
    out: Path,
    kind: str,
    columns: int | None,
    units: "data.Units | None" = None,
    classes: Sequence[str] = (),
) -> Path:
    """Writes samples as a picture, a table, an array or single pictures, by the `kind` of the name `out`; returns it.

    Tables, arrays and curves are in the numbers of the data set's files, which `units` lead to; points are drawn as
    networks see them, since columns of different units share no scale. `classes`, if there are any, are a column of
    tables more. Raises UserError where that is no place for them.
    """
    require_place(samples, out, kind, units)
    with writing(out):
        write(samples, out, kind, columns, units, classes)
    return out


def require_place(samples: "Tensor", out: Path, kind: str, units: "data.Units | None") -> None:
    """Raises UserError where the name of `out` is none for such samples."""
    if samples.ndim == 4 and kind in TABLES and not (units and units.names):
        raise UserError(f"out is {out}, but images don't fit in a table; name a .png, a .npy, or a folder.")
    if samples.ndim == 2 and kind not in SINGLE:
        raise UserError(
            f"out is {out}, but these samples are vectors; name a .csv, a .parquet or a .npy, or a .png to see"
            " them drawn."
        )
    if samples.ndim == 2 and kind in FILMS:
        raise UserError(f"out is {out}, a film, but these samples are vectors; name a .png to see them drawn.")


def write(
    samples: "Tensor", out: Path, kind: str, columns: int | None, units: "data.Units | None", classes: Sequence[str]
) -> None:
    """The same for a name that is one for them."""
    from gan_lightning.pictures import save_each, save_film, save_pngs
    from gan_lightning.tables import save_table

    is_signal = samples.ndim == 3
    numbers = units.restore(samples) if units else samples
    if kind in TABLES:
        save_table(numbers.flatten(1), out, by_step(samples, units) if is_signal else units, classes)
    elif kind == ".npy":
        save_array(numbers, out)
    elif kind in FILMS:
        save_film(film(samples.unsqueeze(1)), out)
    elif kind in SINGLE:
        save_picture(picture(samples, columns, units), out, kind)
    elif is_signal:
        from gan_lightning.curves import sketched

        save_each(sketched(samples, samples, *SKETCH), out)
    else:
        save_pngs(samples, out)


def by_step(signals: "Tensor", units: "data.Units | None") -> "data.Units":
    """The units of signals (N, C, L) as the rows of a table, channel after channel: c0_t0, c0_t1, …"""
    from gan_lightning.samples import Units

    channels, length = signals.shape[1:]
    names = tuple(f"c{channel}_t{step}" for channel in range(channels) for step in range(length))
    whole = units.whole if units else ()
    if len(whole) > 1:
        whole = tuple(each for each in whole for _ in range(length))
    return (units or Units())._replace(names=names, whole=whole)


def picture(samples: "Tensor", columns: int | None, units: "data.Units | None") -> "Tensor":
    """All samples in one picture: a grid of images or, with `columns`, of sketched signals; curves, or points.

    Of more signals than can be told apart, the first are drawn, which is said.
    """
    from gan_lightning.curves import as_panels, curves, sketches
    from gan_lightning.pictures import grid, scatter

    if samples.ndim == 2:
        return scatter(None, samples)
    if samples.ndim == 4:
        return grid(samples, columns)
    if columns:
        return grid(sketches(samples, samples), columns)
    shown = samples[:MOST_CURVES]
    if len(shown) < len(samples):
        log.warning("The picture has the curves of the first %s of %s signals.", len(shown), len(samples))
    return curves(as_panels(shown), max(1, round(len(shown) ** 0.5)), samples, units)


def save_picture(drawn: "Tensor", out: Path, kind: str) -> None:
    """Writes a picture (C, H, W), uint8, as a .png or a .jpg. Raises UserError for one that no JPEG holds."""
    from gan_lightning.pictures import LARGEST_JPEG, save_jpeg, save_png

    if kind in JPEG and (side := max(drawn.shape)) > LARGEST_JPEG:
        raise UserError(f"out is {out}, but a JPEG has at most {LARGEST_JPEG} pixels a side, not {side}; name a .png.")
    (save_jpeg if kind in JPEG else save_png)(drawn, out)


def film(stages: "Tensor") -> "list[Tensor]":
    """The pictures of stages (T, N, ...) of N images or signals, T grids with a place for each of these."""
    from gan_lightning.curves import sketches
    from gan_lightning.pictures import grid

    if stages.ndim == 5:
        return [grid(stage) for stage in stages]
    drawn = sketches(stages.flatten(0, 1), stages.flatten(0, 1))
    return [grid(stage) for stage in drawn.unflatten(0, stages.shape[:2])]


def save_array(samples: "Tensor", path: Path) -> None:
    """Writes samples (N, ...) as a .npy file of float32."""
    import numpy as np  # which is slow to import for those who ask for help

    with replacing(path, lasting=False) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, samples.float().numpy(), allow_pickle=False)
