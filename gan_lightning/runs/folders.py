"""Runs' folders: made unique, found again, and never written over."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gan_lightning import formats
from gan_lightning.config.compose import plain, without_hydra
from gan_lightning.config.trust import read_data
from gan_lightning.errors import UserError
from gan_lightning.files import replacing
from gan_lightning.run_folder import CONFIG, LAST, SAVED
from gan_lightning.suggest import did_you_mean

# What makes a run the run it is; how long, where and how often it saves may differ.
IDENTITY = ("dataset", "network", "conditioning", "loss", "regularizer", "heads", "latents", "ema", "seed")
CIRCUMSTANCES = ("memory_gib", "iterations", "cache_dir")  # of a data set


def is_first_process() -> bool:
    """Whether this process was started by the user, rather than by Lightning as a further rank of a run."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def reserve(path: str, key: str = "hydra.run.dir") -> Path:
    """Makes a new folder of that name, or of that name with _2, _3, … where it is taken, also by a simultaneous run."""
    if not is_first_process():
        return Path(path)
    wanted = Path(path)
    number = 1
    while True:
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return folder
        except FileExistsError:
            if not wanted.parent.is_dir():
                raise UserError(f"{key} is {wanted}, but {wanted.parent} is a file, not a folder.") from None
            number += 1
        except OSError as error:
            raise unwritable(folder, key, error) from error


def refuse_used(folder: Path) -> None:
    """Raises UserError if a folder named by the user already holds a run, or can't be written to."""
    if not is_first_process():
        return
    if (folder / CONFIG).exists():
        raise UserError(
            f"hydra.run.dir is {folder}, which already holds a run. Go on with it by resume={folder}, or name another"
            " folder."
        )
    require_writable(folder, "hydra.run.dir")


def require_writable(folder: Path, key: str) -> None:
    """Makes a folder and tries to write to it. Raises UserError, naming the key it comes from, if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise unwritable(folder, key, error) from error


def unwritable(folder: Path, key: str, error: OSError) -> UserError:
    return UserError(
        f"{key} is {folder}, where no run can be written ({error.strerror}); name a folder that you may write to."
    )


def require_resumable(folder: Path) -> None:
    """Raises UserError unless the folder holds a run with a config."""
    if os.path.isfile(folder / SAVED):
        return
    if os.path.exists(folder):
        raise UserError(f"resume is {folder}, which holds no run: {folder / SAVED} is missing.")
    siblings = [str(path) for path in folder.parent.glob("*/")] if folder.parent.is_dir() else []
    raise UserError(f"resume is {folder}, which does not exist.{did_you_mean(str(folder), siblings)}")


def read_saved(run: Path) -> Any:
    """The config that a run was composed to, with the names of today and its interpolations as they were.

    Raises UserError for one that would do more than name parts (config/trust.py).
    """
    return OmegaConf.create(read_data(run / SAVED))


@contextmanager
def brought_up_to_date(run: Path) -> Iterator[None]:
    """Rewrites the saved config of a run that an earlier format has written, so that Hydra can compose from it.

    It is as it was before if the block raises an error.
    """
    today = OmegaConf.to_yaml(read_saved(run))
    before = (run / SAVED).read_bytes()
    is_old = is_first_process() and today != OmegaConf.to_yaml(OmegaConf.load(run / SAVED))
    if is_old:
        with replacing(run / SAVED) as temporary:
            temporary.write_text(today)
    try:
        yield
    except Exception:  # whichever: what was refused stays as it was
        if is_old:
            with replacing(run / SAVED) as temporary:
                temporary.write_bytes(before)
        raise


def find_resumable(config: DictConfig, root: Path) -> Path | None:
    """The newest run below `root` with the same config, circumstances apart, that has a checkpoint."""
    wanted = identity(config)
    runs = [saved.parent.parent for saved in root.glob(f"**/{SAVED}")]
    runs = [run for run in runs if (run / LAST).is_file()]
    for run in sorted(runs, key=lambda run: (run / LAST).stat().st_mtime, reverse=True):
        try:
            saved = read_saved(run)
            if isinstance(saved, DictConfig) and identity(saved) == wanted:
                return run
        except Exception:  # damaged in whatever way, or some other program's: it is none to go on with
            continue
    return None


def identity(config: DictConfig) -> dict[str, Any]:
    """What makes a run the run it is, as plain containers."""
    # Resolved as a whole, since what makes a run takes values from elsewhere.
    resolved = plain(without_hydra(config))
    kept: dict[str, Any] = formats.upgrade({name: resolved[name] for name in IDENTITY if name in resolved})
    data: dict[str, Any] = kept.get("dataset") or {}
    for node in (data, data.get("source"), data.get("held_out")):
        if not isinstance(node, dict):
            continue
        for name in CIRCUMSTANCES:
            node.pop(name, None)
        if "root" in node:
            node["root"] = str(Path(node["root"]).absolute())
    return kept
