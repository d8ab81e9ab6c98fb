"""The names of what a run's folder holds: the contract between training, other commands and the users' scripts."""

import os
from pathlib import Path

from gan_lightning.errors import UserError
from gan_lightning.suggest import did_you_mean

CONFIG = Path("config.yaml")  # the resolved config
SAVED = Path("composed.yaml")  # the same with its interpolations, which a resumed run is composed from
# For who looks where every program of Hydra's has them. Runs of before format 2 have the config nowhere else.
HYDRAS = Path(".hydra") / "config.yaml"
OVERRIDES = Path(".hydra") / "overrides.yaml"  # what the command that began the run has said
LAST = Path("checkpoints") / "last.ckpt"
PREVIOUS = Path("checkpoints") / "previous.ckpt"  # the one before, for when the last is damaged
BEST = Path("checkpoints") / "best.ckpt"  # by the numbers of conf/train.yaml's evaluation
GENERATOR = Path("generator.safetensors")  # the average generator, with its config in the metadata
SAMPLES = Path("samples")
SUMMARY = Path("summary.png")  # curves and last samples, for whoever opens the folder and nothing else
METRICS = Path("metrics.csv")
RESULTS = Path("results.json")
LOG = Path("train.log")


def saved_config(run: Path) -> Path:
    """The file that a run in this folder is composed from when it goes on; where that would be, if there is none."""
    return next((file for file in (run / SAVED, run / HYDRAS) if os.path.isfile(file)), run / SAVED)


def last_saved(run: Path) -> float | None:
    """The time of a run's newest checkpoint, in seconds since 1970; None if it has none to go on from."""
    files = [file for file in (run / LAST, run / PREVIOUS) if file.is_file()]
    return max((file.stat().st_mtime for file in files), default=None)


def require_places(run: Path) -> None:
    """Raises UserError if something of another kind is where a run that is gone on with writes its files."""
    for file in (CONFIG, METRICS, RESULTS, GENERATOR, LOG):
        if (run / file).is_dir():
            raise UserError(f"{run / file} is a folder, where a run has a file; the run's folder is damaged.")
    if os.path.lexists(run / SAMPLES) and not (run / SAMPLES).is_dir():
        raise UserError(f"{run / SAMPLES} is not a folder, which pictures need; the run's folder is damaged.")


def find_generator(run: str, key: str = "run") -> Path:
    """The generator.safetensors of a run's folder, or the file itself. Raises UserError if there is none.

    `key` is where the user has named it.
    """
    path = Path(run)
    if not os.path.exists(path):  # which is false of a name that is too long, too
        siblings = [str(sibling) for sibling in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(f"{key} is {run}, which does not exist.{did_you_mean(str(path), siblings)}")
    file = path / GENERATOR if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{key} is {run}, which holds no {GENERATOR}; it may have stopped before its first checkpoint.")
    return file


def find_beginning(init_from: str) -> Path:
    """The file that a run begins with the weights of: a checkpoint, if there is one. Raises UserError for none."""
    run = Path(init_from)
    return run / LAST if last_saved(run) is not None else find_generator(init_from, "init_from")
