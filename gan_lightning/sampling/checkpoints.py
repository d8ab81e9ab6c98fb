"""Checkpoints read back: a run's last one, or the one before it where the last is damaged."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from gan_lightning import formats
from gan_lightning.archives import load_archive
from gan_lightning.errors import UserError, reason
from gan_lightning.files import parse_json
from gan_lightning.run_folder import BEST, LAST, PREVIOUS

ITERATIONS = 1 << 48  # more than any run has, and few enough for every counter
KEPT: dict[str, type] = {
    "global_step": int,
    "state_dict": dict,
    "config": dict,
    "loops": dict,
    "callbacks": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "pytorch-lightning_version": str,
}  # of a checkpoint


class Damaged(UserError):
    """A checkpoint isn't there, or isn't what was written."""


class Checkpoint(NamedTuple):
    """A run's checkpoint to go on from: its file, its content, and why it isn't the last one, if it isn't."""

    path: Path
    content: dict[str, Any]
    instead: str = ""

    @property
    def iteration(self) -> int:
        return int(self.content["global_step"])


def read_last(run: Path) -> Checkpoint:
    """A run's last checkpoint; where that is missing or damaged, the one before it.

    Raises UserError, of the last one, if neither can be read.
    """
    try:
        return Checkpoint(run / LAST, read_checkpoint(run / LAST))
    except Damaged as error:
        try:
            before = Checkpoint(run / PREVIOUS, read_checkpoint(run / PREVIOUS))
        except UserError:
            kept = sorted((run / LAST).parent.glob("iteration=*.ckpt"))
            hint = f" {kept[-1]} is there too; copied to its place, it can be resumed." if kept else ""
            raise Damaged(f"{error}{hint}") from error
        told = f"{error} The one before it, {before.path} of iteration {before.iteration}, takes its place."
        return before._replace(instead=told)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU, its config with the names of today.

    Raises Damaged if the file is absent, changed, truncated or another program's, or holds pickled code; UserError if
    another version of this program has written it.
    """
    if not path.is_file():
        stopped = "the run may have stopped before its first one"
        why = "no evaluation has ranked one" if path.name == BEST.name else stopped
        raise Damaged(f"There is no checkpoint {path}; {why}.")
    try:
        checkpoint: dict[str, Any] = load_archive(path, mmap=True)
    except MemoryError:
        raise
    except Exception as error:  # torch raises half a dozen types for a damaged file
        told = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise Damaged(f"The checkpoint {path} is damaged and can't be loaded ({told}).") from error
    if not isinstance(checkpoint, dict) or not KEPT.keys() <= checkpoint.keys():
        raise Damaged(f"{path} is not a checkpoint of this program.")
    formats.require(
        checkpoint.get("format", formats.FIRST_CHECKPOINT), formats.CHECKPOINT, f"{path} can't be gone on with"
    )
    if wrong := [name for name, kind in KEPT.items() if not isinstance(checkpoint[name], kind)]:
        raise Damaged(f"{path} is damaged: its {wrong[0]} is no {KEPT[wrong[0]].__name__}.")
    try:
        as_iteration(checkpoint["global_step"])
        require_weights(checkpoint["state_dict"])
    except ValueError as error:
        raise Damaged(f"{path} is damaged: {reason(error)}.") from error
    return {**checkpoint, "config": formats.upgrade(checkpoint["config"])}


def as_iteration(value: Any) -> int:
    """The number of an iteration. Raises ValueError for anything else."""
    if type(value) is not int or not 0 <= value < ITERATIONS:
        raise ValueError("an iteration's number is missing")
    return value


def as_origin(value: Any) -> dict[str, Any]:
    """Where weights began, plain values by name. Raises ValueError for anything else."""
    if not isinstance(value, dict):
        raise ValueError("the origin is no facts by name")
    try:
        parsed: dict[str, Any] = parse_json(json.dumps(value, allow_nan=False))
    except (TypeError, RecursionError) as error:
        raise ValueError("the origin is no plain values") from error
    return parsed


def origin_in(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Where a checkpoint's weights began; {} for what isn't plain, as in a file that somebody else has made."""
    try:
        return as_origin(checkpoint.get("origin", {}))
    except ValueError:
        return {}


def require_weights(value: Mapping[Any, Any]) -> None:
    """Raises ValueError for anything but weights by name."""
    if not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()):
        raise ValueError("its state_dict has something else than weights by name")
