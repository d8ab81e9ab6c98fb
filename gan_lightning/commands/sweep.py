"""What is checked of a sweep before its first job starts."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, flag_override

from gan_lightning.commands.launcher import ProcessLauncher
from gan_lightning.config.check import check
from gan_lightning.config.compose import Sources, compose, override_value
from gan_lightning.config.schema import TRAINING
from gan_lightning.errors import UserError
from gan_lightning.processes import was_requeued
from gan_lightning.runs.folders import require_writable, reserve

LAUNCHER = f"{ProcessLauncher.__module__}.{ProcessLauncher.__name__}"
# Interpolations whose values depend on a job's number and overrides alone, as those in this project's own folder names.
BY_OVERRIDES = {"folder_name", "hydra_override_dirname"} | {
    f"hydra.job.{key}" for key in ("id", "num", "override_dirname")
}
EXCLUDED = "hydra.job.config.override_dirname.exclude_keys"
INTERPOLATION = re.compile(r"\$\{\s*([\w.]+)")


def plan_sweep(sources: Sources, overrides: list[str], config: DictConfig, parsed: Sequence[Override]) -> list[str]:
    """Checks a sweep's jobs, and fixes its folder. Raises UserError for a mistake."""
    if config.hydra.launcher._target_ == LAUNCHER:
        check(config.hydra.launcher, LAUNCHER, "hydra.launcher")
    jobs = jobs_of(parsed)
    check_jobs(sources, jobs)
    overrides = [*overrides, *without_shared(config, parsed)]
    require_own_folders(sources, config, jobs)
    if any(o.key_or_group == "hydra.sweep.dir" for o in parsed):
        require_writable(Path(config.hydra.sweep.dir), "hydra.sweep.dir")
        return overrides  # a job that has been there goes on
    folder = Path(config.hydra.sweep.dir)
    if not (was_requeued() and folder.is_dir()):  # else the jobs there are gone on with
        folder = reserve(config.hydra.sweep.dir, "hydra.sweep.dir")
    return [*overrides, f"hydra.sweep.dir={override_value(folder)}"]


def without_shared(config: DictConfig, parsed: Sequence[Override]) -> list[str]:
    """Leaves what all jobs share out of their folders' names, in the config and by the overrides that it returns."""
    swept = any(override.is_sweep_override() for override in parsed)
    if not swept or any(override.key_or_group == EXCLUDED for override in parsed):
        return []
    keys = dict.fromkeys(o.key_or_group for o in parsed if not o.is_sweep_override())
    names = [*config.hydra.job.config.override_dirname.exclude_keys, *(key for key in keys if key[:6] != "hydra.")]
    with flag_override(config.hydra, ["struct", "readonly"], [False, False]):
        config.hydra.job.config.override_dirname.exclude_keys = names
    return [f"{EXCLUDED}={json.dumps(names)}"]


def jobs_of(overrides: Sequence[Override]) -> list[list[str]]:
    """The jobs' overrides; none where a sweeper finds them while it runs, which are checked as they come."""
    try:
        batches = BasicSweeper.split_arguments(list(overrides), None)
    except HydraException:
        return []
    return [job for batch in batches for job in batch]


def check_jobs(sources: Sources, jobs: Sequence[list[str]]) -> None:
    """Composes as many jobs of a sweep as it takes to see every override once."""
    seen: set[str] = set()
    for job in jobs:
        if not seen.issuperset(job):
            compose(sources, job, TRAINING)
            seen.update(job)


def require_own_folders(sources: Sources, config: DictConfig, jobs: Sequence[list[str]]) -> None:
    """Raises UserError if two jobs would have the same folder."""
    with sources.open() as loader:
        found: dict[str, list[str]] = {}
        for job, folder in zip(jobs, folders(loader, config, jobs), strict=True):
            if folder not in found:
                found[folder] = job
                continue
            first, second = (" ".join(each) or "defaults" for each in (found[folder], job))
            problem = f"{first} is there twice" if first == second else f"{first} and {second} would be in one folder"
            raise UserError(
                f"Each job of a sweep has a folder of its own, but {problem} ({folder}); hydra.sweep.subdir names the"
                " folders, and hydra.sweep.subdir='${hydra.job.num}' numbers them."
            )


def folders(loader: ConfigLoader, config: DictConfig, jobs: Sequence[list[str]]) -> Iterator[str]:
    """The jobs' folders within the sweep's."""
    subdir = OmegaConf.to_yaml(config.hydra.sweep, resolve=False)
    by_overrides = BY_OVERRIDES.issuperset(INTERPOLATION.findall(subdir.partition("subdir:")[2]))
    for number, job in enumerate(jobs):
        # To compose each job takes a tenth of a second.
        composed = config if by_overrides else loader.load_sweep_config(config, job)
        with flag_override(composed.hydra, ["struct", "readonly"], [False, False]):
            composed.hydra.job.num, composed.hydra.job.id = number, str(number)
            composed.hydra.overrides.task = [text for text in job if not text.startswith("hydra.")]
            yield str(composed.hydra.sweep.subdir)
