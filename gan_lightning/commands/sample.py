"""`sample`: images from a run's generator. Needs neither the data set nor anything pickled.

python -m gan_lightning sample run=DIR n=64 seed=0 out=grid.png
python -m gan_lightning sample run=DIR n=10 label=3 out=threes.png
python -m gan_lightning sample run=DIR 'interpolate=[0,1,2,0]' steps=10 out=walk.png
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gan_lightning.commands.folders import find_generator
from gan_lightning.config.compose import CONF, Sources, compose, plain, with_paths, without_hydra
from gan_lightning.errors import UserError
from gan_lightning.types import NonNegativeInt, PositiveInt, Seed


@dataclass(frozen=True)
class Sampling:
    """The keys of conf/sample.yaml."""

    run: str
    n: PositiveInt
    seed: Seed
    out: str
    label: NonNegativeInt | None
    interpolate: list[int] | None
    steps: PositiveInt
    weights: Literal["ema", "raw", "best"]
    device: Literal["cpu", "cuda", "mps"]


def main(arguments: list[str]) -> int:
    """Draws what the arguments say and tells where it is."""
    if {"-h", "--help"} & set(arguments):
        print((CONF / "sample.yaml").read_text(), end="")
        return 0
    config = compose(Sources("sample"), with_paths(arguments, "run", "out"), f"{__name__}.{Sampling.__name__}")
    print(draw(Sampling(**plain(without_hydra(config)))))
    return 0


def draw(sampling: Sampling) -> Path:
    """Writes the images and returns their file or folder."""
    out = Path(sampling.out)
    find_generator(sampling.run)  # before torch, whose import takes seconds, is imported
    if sampling.interpolate is not None and len(sampling.interpolate) < 2:
        raise UserError(f"interpolate is {sampling.interpolate}, but a walk needs at least two seeds.")

    from gan_lightning.api import load_generator
    from gan_lightning.pictures import grid, save_png, save_pngs, save_table, scatter

    generator = load_generator(sampling.run, sampling.weights, sampling.device)
    columns = None
    if sampling.interpolate is None:
        samples = generator.sample(sampling.n, sampling.seed, sampling.label)
    else:
        samples = generator.interpolate(sampling.interpolate, sampling.steps, sampling.label)
        columns = sampling.steps
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
        raise UserError(f"out is {out}, which can't be written ({error.strerror}).") from error
    return out
