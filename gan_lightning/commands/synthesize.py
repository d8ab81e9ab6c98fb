"""`synthesize`: labelled samples of a conditional generator, laid out as what a classifier is trained on.

python -m gan_lightning synthesize run=DIR n=10000 out=synthetic
python -m gan_lightning synthesize run=DIR n=10000 out=points.csv
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gan_lightning.commands.out import wanted, writing
from gan_lightning.commands.sample import TABLES, by_step, kind_of
from gan_lightning.config.options import read_options
from gan_lightning.config.places import CONF
from gan_lightning.errors import UserError, printable, require_memory
from gan_lightning.files import replacing
from gan_lightning.run_folder import find_generator
from gan_lightning.types import FilePath, PositiveInt, Seed

if TYPE_CHECKING:
    from torch import Tensor

    from gan_lightning.samples import Units
    from gan_lightning.sampling.sampler import Sampler

ARRAYS = ".npz"
LABEL = "label"  # the column of tables that have no name for it
PLAIN = re.compile(r"\w[\w .+-]{0,98}\w|\w")  # a class's name that can be a folder's anywhere


@dataclass(frozen=True)
class Synthesizing:
    """The keys of conf/synthesize.yaml."""

    run: FilePath
    plugins: list[str]
    n: PositiveInt
    seed: Seed
    out: FilePath
    weights: Literal["ema", "raw", "best"]
    device: Literal["cpu", "cuda", "mps"]


def main(arguments: list[str]) -> int:
    """Draws what the arguments say and tells where it is."""
    if {"-h", "--help"} & set(arguments):
        print((CONF / "synthesize.yaml").read_text(), end="")
        return 0
    options = Synthesizing(**read_options(CONF / "synthesize.yaml", arguments, f"{__name__}.{Synthesizing.__name__}"))
    out = wanted(options.out, arguments)
    kind = kind_of(options.out, (*TABLES, ARRAYS))
    if kind not in (*TABLES, ARRAYS) and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"out is {out}, which is there already; name a new folder, so that nothing is mixed with it.")
    find_generator(options.run)  # before torch, whose import takes seconds, is imported

    from gan_lightning.sampling.sampler import load_generator

    sampler = load_generator(options.run, options.weights, options.device, options.plugins)
    require_fitting(options, sampler, kind)
    by_class = draw(options, sampler)
    with writing(out):
        if kind in TABLES:
            save_rows(by_class, out, sampler)
        elif kind == ARRAYS:
            save_arrays(by_class, out, sampler)
        else:
            save_folders(by_class, out, sampler)
    print(printable(out))
    return 0


def require_fitting(options: Synthesizing, sampler: "Sampler", kind: str) -> None:
    """Raises UserError for a generator without classes, and for samples that `out` is no place for."""
    if sampler.conditions is not None or not sampler.network.classes:
        told = "conditions that are numbers" if sampler.conditions is not None else "no labels (conditioning=none)"
        raise UserError(
            f"run is {options.run}, whose generator was told {told}; labelled data take one that was told classes."
            f" `sample` draws without."
        )
    images = sampler.sample(1).ndim == 4
    if images and kind in TABLES:
        raise UserError(f"out is {options.out}, but images don't fit in a table; name a folder or a .npz.")
    if not images and kind not in (*TABLES, ARRAYS):
        raise UserError(f"out is {options.out}, but these samples are no images; name a .csv, a .parquet or a .npz.")


def draw(options: Synthesizing, sampler: "Sampler") -> "list[Tensor]":
    """The samples of each class, as networks see them."""
    from gan_lightning.seeds import mix

    one = 4 * sampler.network.latent_dim + 3 * sampler.sample(1).nbytes
    require_memory(f"n is {options.n}, whose samples together", options.n * one, "draw fewer at a time, by other seeds")
    classes = sampler.network.classes
    counts = [options.n // classes + (number < options.n % classes) for number in range(classes)]
    drawn = [(sampler.sample(max(1, n), mix(options.seed, c), label=c), n) for c, n in enumerate(counts)]
    return [samples[:n] for samples, n in drawn]


def folder_names(sampler: "Sampler") -> list[str]:
    """A name for the folder of each class: its own if all can be a folder's, and differ where case doesn't count.

    Otherwise their numbers. Numbers have as many digits each, so that ImageFolder, which sorts texts, keeps the order.
    """
    names = list(sampler.classes)
    if all(name.isascii() and name.isdigit() for name in names):
        names = [name.zfill(max(map(len, names))) for name in names]
    if names and all(map(PLAIN.fullmatch, names)) and len({name.casefold() for name in names}) == len(names):
        return names
    digits = len(str(sampler.network.classes - 1))
    return [f"{number:0{digits}d}" for number in range(sampler.network.classes)]


def class_names(sampler: "Sampler") -> Sequence[str]:
    """The names of the classes, or their numbers."""
    return sampler.classes or [str(number) for number in range(sampler.network.classes)]


def save_folders(by_class: "list[Tensor]", out: Path, sampler: "Sampler") -> None:
    """Writes images as out/CLASS/00000.png and so on."""
    from gan_lightning.pictures import save_pngs

    for name, samples in zip(folder_names(sampler), by_class, strict=True):
        save_pngs(samples, out / name)


def save_rows(by_class: "list[Tensor]", out: Path, sampler: "Sampler") -> None:
    """Writes vectors or signals as the rows of a table, with a column of the names of their classes."""
    import torch

    from gan_lightning.tables import save_table

    samples = torch.cat(by_class)
    units = by_step(samples, sampler.units) if samples.ndim == 3 else with_names(sampler.units, samples.shape[1])
    numbers = sampler.units.restore(samples) if sampler.units else samples
    classes = [name for name, each in zip(class_names(sampler), by_class, strict=True) for _ in each]
    save_table(numbers.flatten(1), out, units._replace(label=units.label or LABEL), classes)


def with_names(units: "Units | None", count: int) -> "Units":
    """Units with a name for each of `count` columns."""
    from gan_lightning.samples import Units

    units = units or Units()
    return units if units.names else units._replace(names=tuple(f"x{place}" for place in range(count)))


def save_arrays(by_class: "list[Tensor]", out: Path, sampler: "Sampler") -> None:
    """Writes the arrays `samples`, `labels` (int64) and `classes` (texts) into one file."""
    import numpy as np
    import torch

    from gan_lightning.pictures import to_pixels

    samples = torch.cat(by_class)
    numbers = sampler.units.restore(samples).float() if sampler.units else samples
    labels = torch.repeat_interleave(torch.arange(len(by_class)), torch.tensor([len(each) for each in by_class]))
    arrays = {
        "samples": (to_pixels(samples) if samples.ndim == 4 and not sampler.units else numbers).numpy(),
        "labels": labels.numpy(),
        "classes": np.array(class_names(sampler), dtype=np.str_),
    }
    with replacing(out, lasting=False) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
