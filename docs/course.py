"""What the labs of the course make of the bundled digits, in minutes on a CPU.

    python docs/course.py                                   # all labs
    python docs/course.py course_w2                         # one of them
    python docs/course.py course_w2 dataset=mnist           # likewise, with other overrides than SHORT

Trains each lab's experiment on scikit-learn's digits in place of MNIST, enlarged to the 28x28 pixels that its networks
are for, with minibatches of 16 in place of 128 and for so many iterations as LABS says. Draws docs/images/LAB.png: the
run's own pictures of the same latents at three times, the last of them beside real images.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from gan_lightning import train
from gan_lightning.data.datamodule import conform
from gan_lightning.data.sources import Digits
from gan_lightning.pictures import grid
from gan_lightning.run_folder import SAMPLES
from gan_lightning.samples import as_floats

IMAGES = Path(__file__).parent / "images"
SHORT = ("dataset=digits", "dataset.image_size=28", "dataset.batch_size=16")
UNWATCHED = ("evaluation.every=null", "health.every=null", "dashboard.every=null")
SHOWN = 36  # images of a picture


@dataclass(frozen=True)
class Lab:
    """How long a lab's run is, in iterations, in how many parts its pictures come, and what it has different."""

    iterations: int
    overrides: tuple[str, ...] = ()
    parts: int = 9


def learning_rates(value: float) -> tuple[str, ...]:
    """The overrides for both networks."""
    return tuple(f"loss.optimizer.{network}.lr={value}" for network in ("generator", "discriminator"))


# The labs' own rates, 1e-5 and 2e-4, would take 20 times and 5 times as many iterations.
LABS = {
    "course_w1": Lab(3000, learning_rates(2e-4)),
    "course_w2": Lab(450, learning_rates(1e-3)),
    "course_w3": Lab(90, learning_rates(1e-3)),
    "course_w3_sn": Lab(450, learning_rates(1e-3)),
    # With a beta1 of 0.9, 1e-3 makes all samples alike.
    "course_w4a": Lab(1400, (*learning_rates(4e-4), "samples.count=60"), parts=7),
}


def pictures(lab: str, folder: Path, iterations: int, *overrides: str, parts: int = 9) -> dict[str, Image.Image]:
    """Trains a lab in a folder: its pictures after a part of the run, after three, and at its end, by titles."""
    every = max(1, iterations // parts)
    run = train(
        f"experiment={lab}",
        *(f"samples.every={every}", f"samples.count={SHOWN}"),
        *UNWATCHED,
        *overrides,
        f"trainer.max_steps={iterations}",
        *("trainer.max_epochs=null", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "threads=1"),
        f"hydra.run.dir={folder}",
    )
    times = [every, 3 * every, iterations]
    found = {time: run.folder / SAMPLES / f"{time:08d}.png" for time in times}
    return {f"iteration {time:,}": Image.open(path).copy() for time, path in found.items()}


def real_images() -> Image.Image:
    """As many of the digits, as the networks see them."""
    images = as_floats(conform(Digits().load().samples[:SHOWN], (1, 28, 28)))
    return Image.fromarray(grid(images)[0].numpy())


def draw(shown: dict[str, Image.Image], path: Path) -> None:
    """Pictures side by side, each below its title, as a PNG."""
    figure = Figure(figsize=(2.4 * len(shown), 2.7), dpi=80, layout="constrained")
    for axes, (title, picture) in zip(figure.subplots(1, len(shown)), shown.items(), strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    figure.savefig(path)
    with Image.open(path) as drawn:
        drawn.convert("L").quantize(32).save(path, optimize=True)


def main(arguments: Sequence[str]) -> None:
    overrides = [argument for argument in arguments if "=" in argument] or SHORT
    labs = [argument for argument in arguments if "=" not in argument] or list(LABS)
    if unknown := [lab for lab in labs if lab not in LABS]:
        sys.exit(f"There is no lab {unknown[0]}; there are {', '.join(LABS)}.")
    for lab in labs:
        with tempfile.TemporaryDirectory() as folder:
            told = (*overrides, *LABS[lab].overrides)
            made = pictures(lab, Path(folder) / "run", LABS[lab].iterations, *told, parts=LABS[lab].parts)
        draw(made | ({"real": real_images()} if overrides is SHORT else {}), IMAGES / f"{lab}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
