"""The pictures of docs/editing.md, and its table: what each means makes of generators of the bundled digits.

    python docs/editing.py                         # trains two generators first; 80 seconds of CPU time
    python docs/editing.py plain=RUN told=RUN      # of runs that it has trained before

Draws docs/images/edit_*, by the commands that the page shows, and prints the table of means=bias.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from gan_lightning import train
from gan_lightning.__main__ import main as command
from gan_lightning.data.datamodule import conform
from gan_lightning.data.sources import Digits
from gan_lightning.pictures import save_pngs
from gan_lightning.samples import as_floats

IMAGES = Path(__file__).parent / "images"
SIDE = 16
SHORT = (
    "dataset=digits",
    *("evaluation.every=null", "health.every=null", "dashboard.every=null"),
    *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "threads=1"),
)
WIDTHS = ("network.generator.width=16", "network.discriminator.width=16")
RUNS = {  # and how each is trained
    "plain": (f"dataset.image_size={SIDE}", "network=dcgan", *WIDTHS, "trainer.max_steps=1750"),
    "told": ("conditioning=concat", "trainer.max_steps=1321"),
}
BIAS = ("means=bias", "means.attribute=7")
# By the name of the picture: the command, the run, and what it is told.
FIGURES = {
    "edit_attribute.png": ("edit", "plain", ("means.attribute=7", "n=5")),
    "edit_thickness.png": (
        "edit",
        "plain",
        ("attributes=statistics", "means.attribute=thickness", "means.steps=8", "n=5"),
    ),
    "edit_directions.png": ("edit", "plain", ("means=directions", "n=1")),
    "edit_inversion.png": ("edit", "plain", ("means=inversion", "means.picture={pictures}", "n=4")),
    "edit_labels.png": ("edit", "told", ("means=labels", "means.labels=[3,8]", "n=4")),
    "edit_whole.png": ("sample", "plain", ("n=25",)),
    "edit_truncated.png": ("sample", "plain", ("n=25", "truncation=0.7")),
    "edit_walk.gif": ("sample", "plain", ("interpolate=[0,1,2,0]", "frames=12")),
}


def trained(name: str, folder: Path) -> Path:
    """A run of that name, trained in a folder."""
    return train(*SHORT, *RUNS[name], f"hydra.run.dir={folder / name}").folder


def real_digits(folder: Path) -> Path:
    """A folder with some of the digits, as large as the generators make them."""
    save_pngs(as_floats(conform(Digits().load().samples[:4], (1, SIDE, SIDE))), folder)
    return folder


def draw(figure: str, runs: dict[str, Path], pictures: Path, folder: Path) -> Path:
    """Draws a figure in a folder by its command."""
    name, run, arguments = FIGURES[figure]
    out = folder / figure
    told = [argument.format(pictures=pictures) for argument in arguments]
    if command([name, f"run={runs[run]}", *told, f"out={out}"]) != 0:
        sys.exit(f"{figure} could not be drawn.")
    if out.suffix == ".png":
        with Image.open(out) as drawn:
            drawn.convert("L").quantize(32).save(out, optimize=True)
    return out


def main(arguments: Sequence[str]) -> None:
    given = dict(argument.split("=", 1) for argument in arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        runs = {name: Path(given[name]) if name in given else trained(name, folder) for name in RUNS}
        pictures = real_digits(folder / "pictures")
        for figure in FIGURES:
            draw(figure, runs, pictures, IMAGES)
        command(["edit", f"run={runs['plain']}", *BIAS, f"out={folder / 'bias.csv'}"])


if __name__ == "__main__":
    main(sys.argv[1:])
