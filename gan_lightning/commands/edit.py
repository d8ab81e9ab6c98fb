"""`edit`: samples of a run's generator, changed by a means that conf/means/ has, as a picture, a film and a table.

python -m gan_lightning edit run=DIR means.attribute=7
python -m gan_lightning edit run=DIR attributes=statistics means.attribute=thickness out=thicker.gif
python -m gan_lightning edit run=DIR means=inversion means.picture=FILE
"""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf

from gan_lightning.commands.help import described
from gan_lightning.commands.out import wanted, writing
from gan_lightning.commands.run_data import require_fitting, told_where, with_data
from gan_lightning.commands.sample import FILMS, JPEG, film, kind_of, picture, save_array, save_picture
from gan_lightning.config.check import check, require_made
from gan_lightning.config.compose import compose, with_plugins
from gan_lightning.config.containers import without_hydra
from gan_lightning.config.places import CONF
from gan_lightning.config.schema import Builds, Node
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError, printable, reason, require_memory
from gan_lightning.files import replacing
from gan_lightning.paths import with_paths
from gan_lightning.run_folder import CONFIG, find_generator
from gan_lightning.types import Count, FilePath, PositiveFloat, Seed

if TYPE_CHECKING:
    from torch import Tensor

    from gan_lightning.editing.scene import Edited, Table
    from gan_lightning.samples import SampleSet
    from gan_lightning.sampling.sampler import Sampler

WRITTEN = (".png", *JPEG, *FILMS, ".npy", ".csv")  # endings of `out`


@dataclass(frozen=True)
class Editing:
    """The keys of conf/edit.yaml."""

    run: FilePath
    plugins: list[str]
    n: Count
    seed: Seed
    label: int | str | dict[str, float] | None
    truncation: PositiveFloat | None
    out: FilePath
    weights: Literal["ema", "raw", "best"]
    device: Literal["cpu", "cuda", "mps"]
    root: FilePath | None
    means: Annotated[Node, Builds("gan_lightning.editing.Means")]
    attributes: dict[
        str,
        Annotated[Node, Builds("gan_lightning.editing.Attributes")]
        | Annotated[Node, Builds("torch.nn.Module", "torch.nn", "torchvision.ops", "torchvision.models")],
    ]


@dataclass(frozen=True)
class Learnt:
    """What attributes are learnt from, out of a run's folder."""

    data: Annotated[Node, Builds("gan_lightning.data.GANDataModule")]


def main(arguments: list[str]) -> int:
    """Edits samples as the arguments say, prints what can be said of it in numbers, and tells where the picture is."""
    if {"-h", "--help"} & set(arguments):
        print(help_text())
        return 0
    sources, overrides = with_plugins(Sources("edit"), with_paths(arguments))
    config = without_hydra(compose(sources, overrides, f"{__name__}.{Editing.__name__}"))
    require_made(config, "means")
    require_made(config.attributes, *map(str, config.attributes))
    config.out, config.run = str(config.out), str(config.run)
    if (kind := kind_of(config.out)) not in WRITTEN:
        raise UserError(
            f"out is {config.out}, but an edit is written as one of {', '.join(WRITTEN)}; name such a file."
        )
    generator = find_generator(config.run)  # before torch, whose import takes seconds, is imported

    from gan_lightning.sampling.sampler import load_generator

    sampler = load_generator(config.run, config.weights, config.device, config.plugins)
    edited = edit(config, sampler, generator.parent)
    out = wanted(config.out, arguments)
    if edited.table is not None:
        show(edited.table)
    save(edited, sampler, out, kind)
    print(printable(out))
    return 0


def help_text() -> str:
    """The file of defaults, and the options of its groups."""
    lines = [(CONF / "edit.yaml").read_text()]
    for group in ("means", "attributes"):
        lines += described(group, {file.stem: file for file in (CONF / group).glob("*.yaml")})
    return "\n".join(lines)


def edit(config: DictConfig, sampler: "Sampler", run: Path) -> "Edited":
    """What the configuration asks for. Raises UserError for what the generator, or its data set, isn't fit for."""
    from gan_lightning.config.build import build_all
    from gan_lightning.editing.scene import Scene

    built = build_all(config, ("means", "attributes"), config.plugins)
    label: Any = OmegaConf.to_container(config.label) if isinstance(config.label, DictConfig) else config.label
    scene = Scene(
        sampler,
        config.n,
        config.seed,
        str(label) if str(label) in sampler.classes else label,  # a name goes before the number
        config.truncation,
        built["attributes"],
        partial(data_of, config, sampler, run),
        partial(read_pictures, sampler),
    )
    means, sample = built["means"], sampler.sample(1, config.seed, scene.label).nbytes
    held = means.held(scene)
    require_memory(
        f"n is {config.n}, and all that means makes of it, {held.samples} samples and {held.latents} latents,",
        held.latents * 4 * sampler.network.latent_dim + held.samples * 3 * sample,
        "edit fewer at a time, by other seeds, or in fewer steps or frames",
    )
    edited: Edited = means.edit(scene)
    if not edited.samples.isfinite().all():
        raise UserError(
            "The edit has left all that the generator knows: its samples are not finite. Make its steps smaller."
        )
    return edited


def data_of(config: DictConfig, sampler: "Sampler", run: Path) -> "tuple[SampleSet, SampleSet]":
    """What a run was trained on, and what it held out, as `evaluate` has it. Raises UserError where it can't be had."""
    from gan_lightning.config.build import build
    from gan_lightning.watching.evaluator import in_8_bits

    if not (run / CONFIG).is_file():
        raise UserError(
            f"attributes is classes, which are learnt from the run's data set, but {run} has no {CONFIG} to tell of it;"
            " name the run's folder, or use attributes=statistics."
        )
    parts = OmegaConf.create({"data": with_data(run, config.root).get("data")})
    check(parts, f"{__name__}.{Learnt.__name__}", plugins=config.plugins)
    require_made(parts, "data")
    require_fitting(sampler, parts, run)
    with told_where(parts):
        data = build(parts, "data", config.plugins)
        return in_8_bits(data.subset("train")), in_8_bits(data.subset("held_out"))


def read_pictures(sampler: "Sampler", path: str, count: int) -> "Mapping[str, Tensor]":
    """At most so many pictures of a file or a folder, by their names, in the generator's shape and in [-1, 1].

    Raises UserError for what is no picture, and for a generator of other samples.
    """
    from torch import from_numpy

    from gan_lightning.data.decoding import Form, decode
    from gan_lightning.data.picture_files import find_pictures
    from gan_lightning.data.places import Folder
    from gan_lightning.samples import as_floats

    shape = sampler.sample(1).shape[1:]
    if len(shape) != 3:
        raise UserError("means is inversion, which is of pictures, but this generator makes none.")
    if not os.path.exists(path):
        raise UserError(f"means.picture is {path}, which does not exist.")
    folder = Path(path)
    if not folder.is_file() and not folder.is_dir():  # a pipe that nobody writes to would be waited for
        raise UserError(f"means.picture is {path}, which is neither a file nor a folder; name a picture or a folder.")
    try:
        files = [folder / name for name in find_pictures(Folder(folder)).names[:count]] if folder.is_dir() else [folder]
    except UserError as error:
        raise UserError(str(error).replace("dataset.root", "means.picture")) from error
    found = {}
    for file in files:
        try:
            found[file.name] = as_floats(from_numpy(decode(file, Form(*shape)).pixels.copy()))
        except Exception as error:  # Pillow's readers raise almost anything on a broken file
            raise UserError(f"means.picture is {file}, which can't be read as a picture: {reason(error)}.") from error
    return found


def show(table: "Table") -> None:
    """Prints a table."""
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn()
    for name in table.columns:
        drawn.add_column(Text(name))
    for row in table.rows:
        drawn.add_row(*(Text(printable(each) if isinstance(each, str) else f"{each:.4g}") for each in row))
    Console(highlight=False).print(drawn)


def save(edited: "Edited", sampler: "Sampler", out: Path, kind: str) -> None:
    """Writes what was edited as a picture, a film, an array or a table, by the `kind` of the name `out`.

    Raises UserError where that is no place for it.
    """
    from gan_lightning.pictures import save_film

    samples, columns = edited.samples, edited.samples.shape[1]
    if kind == ".csv" and edited.table is None:
        raise UserError(f"out is {out}, but this means has no table; name a .png to see what it makes.")
    if kind in FILMS and samples.ndim == 3:
        raise UserError(f"out is {out}, a film, but these samples are vectors; name a .png to see them drawn.")
    with writing(out):
        if edited.table is not None and kind == ".csv":
            save_table(edited.table, out)
        elif kind == ".npy":
            flat = samples.flatten(0, 1)
            numbers = sampler.units.restore(flat) if sampler.units else flat
            save_array(numbers.unflatten(0, samples.shape[:2]), out)
        elif kind in FILMS:
            save_film(film(samples.transpose(0, 1)), out)
        else:
            save_picture(picture(samples.flatten(0, 1), columns, sampler.units), out, kind)


def save_table(table: "Table", out: Path) -> None:
    """Writes a table as a .csv file."""
    with replacing(out, lasting=False) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        writer.writerows(table.rows)
