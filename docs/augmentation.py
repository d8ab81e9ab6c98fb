"""Whether generated digits can stand in for real ones, in minutes on a CPU.

    python docs/augmentation.py                # trains a conditional generator first
    python docs/augmentation.py RUN            # of a conditional run that is there

The two commands that docs/course.md shows. Draws docs/images/augmentation.png, the picture that `evaluate` leaves in
the run's folder: the accuracy of classifiers on held-out digits along mixtures of real and generated ones.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from gan_lightning.__main__ import main as command
from gan_lightning.commands.mixture import PNG

PICTURE = Path(__file__).parent / "images" / PNG
TRAINED = ("conditioning=concat",)
MEASURED = ("shares=[0,0.25,0.5,0.75,1]", "classifiers=10", "metric=[classes]")
QUIET = ("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "threads=1", "evaluation.every=null")


def run(*arguments: str) -> None:
    """Runs a command, which is to succeed."""
    if command(arguments) != 0:
        sys.exit(f"{' '.join(arguments)} has failed.")


def draw(folder: Path, picture: Path, *overrides: str) -> None:
    """Evaluates a run, and keeps its picture with few colours."""
    run("evaluate", f"run={folder}", *MEASURED, *overrides)
    with Image.open(folder / PNG) as drawn:
        drawn.convert("RGB").quantize(32).save(picture, optimize=True)


def main(arguments: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments[0]) if arguments else Path(temporary) / "run"
        if not arguments:
            run(*TRAINED, *QUIET, f"hydra.run.dir={folder}")
        draw(folder, PICTURE)


if __name__ == "__main__":
    main(sys.argv[1:])
