"""The data of a finished run, for commands that look at them again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_lightning.config.trust import read_data, without_caches
from gan_lightning.errors import UserError, reason
from gan_lightning.run_folder import CONFIG, GENERATOR

if TYPE_CHECKING:
    from gan_lightning.sampling.sampler import Sampler


def with_data(run: Path, root: str | None) -> DictConfig:
    """A run's configuration, resolved, with its data in the folder `root`, if one is given. Raises UserError for one
    that can't be read.
    """
    saved: DictConfig = OmegaConf.create(read_data(run / CONFIG))
    try:
        OmegaConf.resolve(saved)
        name, rooted = OmegaConf.select(saved, "dataset.name"), with_root(saved)
    except (OmegaConfBaseException, RecursionError) as error:
        raise UserError(f"{run / CONFIG} can't be resolved ({reason(error)}); the run's folder is damaged.") from error
    if root is not None and not rooted:
        raise UserError(f"root is {root}, but the data set of {run}, {name}, has no folder.")
    for node in rooted:
        node.root = root if root is not None else node.root
        if "changed" in node:
            node.changed = "accept"  # the record says what it was measured by, and a warning that it is another
    without_caches(saved)
    return saved


def require_fitting(sampler: "Sampler", parts: DictConfig, run: Path) -> None:
    """Raises UserError for a generator whose samples or classes are not those of its run's data."""
    shape, classes = parts.data.sample_shape, parts.data.get("classes", 0)
    found = sampler.sample(1).shape[1:]
    if list(found) != list(shape) or sampler.network.classes not in (0, classes):
        raise UserError(
            f"{run / GENERATOR} makes samples of shape {list(found)} and of {sampler.network.classes} classes, but its"
            f" {CONFIG} says {list(shape)} and {classes}; the run's folder is damaged."
        )


def with_root(saved: DictConfig) -> list[DictConfig]:
    """The sources of a run's data that lie in a folder."""
    nodes = [OmegaConf.select(saved, key) for key in ("data.source", "data.held_out")]
    return [node for node in nodes if isinstance(node, DictConfig) and "root" in node]


@contextmanager
def told_where(parts: DictConfig) -> Iterator[None]:
    """For a block that opens a run's data: what goes wrong says how to name their place, if they have one."""
    try:
        yield
    except UserError as error:
        moved = " If the data set has moved, root=DIR says where it is." if with_root(parts) else ""
        raise UserError(f"{str(error).rstrip('.')}.{moved}") from error
