"""What is checked of a sweep before its first job starts."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from gan_lightning.commands.engines import ENGINES, BasicSweeper, engine, require_one_process
from gan_lightning.commands.jobs import within
from gan_lightning.commands.launcher import ProcessLauncher
from gan_lightning.commands.random_search import MOST_JOBS, RandomSearch
from gan_lightning.commands.studies import (
    RANDOM,
    SWEEPER,
    composed_first,
    random_search,
    with_parameters,
    with_seeds,
)
from gan_lightning.commands.sweep_resume import note, require_same, resumed
from gan_lightning.config.annotations import show
from gan_lightning.config.check import check
from gan_lightning.config.compose import compose, parse
from gan_lightning.config.containers import without_hydra
from gan_lightning.config.mistakes import first_line
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError, reason
from gan_lightning.paths import override_value
from gan_lightning.processes import was_requeued
from gan_lightning.runs.folders import folder_named, require_writable, reserve
from gan_lightning.runs.ownership import own
from gan_lightning.studies.sweep_folder import SWEEP, SweepJob

LAUNCHER = f"{ProcessLauncher.__module__}.{ProcessLauncher.__name__}"
# Interpolations whose values depend on a job's number and overrides alone, as those in this project's own folder names.
BY_OVERRIDES = {"folder_name", "hydra_override_dirname"} | {
    f"hydra.job.{key}" for key in ("id", "num", "override_dirname")
}
OPTUNA = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
OPTIMIZING = ("direction", "optim", "ax_config")  # keys of sweepers that are told a number: Optuna's, Nevergrad's, Ax's
DIRECTION = "hydra.sweeper.direction"
EXCLUDED = "hydra.job.config.override_dirname.exclude_keys"
INTERPOLATION = re.compile(r"\$\{\s*([\w.]+)")


class PlannedSweep(NamedTuple):
    """What Hydra is to compose, the sweep's folder, and whether its jobs leave the terminal alone."""

    overrides: list[str]
    folder: Path
    is_quiet: bool


def plan_sweep(sources: Sources, parsed: Sequence[Override]) -> PlannedSweep:
    """Checks a sweep's jobs, and fixes its folder, which belongs to this process. Raises UserError for a mistake."""
    resuming, asked = resumed(sources, parsed)
    with sources.open() as loader:
        parsed = parse(asked, loader)
    alone, first = composed_first(sources, parsed)
    typed = with_seeds(sources, alone, parsed)
    are_seeds_right = len(typed) > len(parsed)  # being those that study.seeds stands for
    parsed = with_parameters(sources, alone, typed)
    jobs, checked = known_jobs(sources, alone, typed, parsed)
    if are_seeds_right:
        checked = [job for job in checked if "seed=1" in job] or checked
    # What all jobs share, such as the sweep's folder, is read off the first, since without what differs there may be
    # no run.
    config = job_of(sources, jobs[0], 0) if jobs else compose(sources, list(map(tried, parsed)), TRAINING)
    if config.sweep.resume is not None:
        raise UserError(f"sweep.resume is {config.sweep.resume} in a file, but it belongs on the command line.")
    require_launchable(config)
    check_jobs(sources, checked)
    added = [*without_shared(config, parsed), *directions(config, parsed)]
    added += [*engine(config, [override.key_or_group for override in parsed]), *search(config)]
    places = require_own_folders(sources, config, jobs)
    is_named = any(o.key_or_group == "hydra.sweep.dir" for o in parsed)
    folder = place_of_sweep(config, resuming, is_named)
    noted = [SweepJob(within(folder / at, folder), own_of(job)) for at, job in zip(places, jobs, strict=True)]
    if (folder / SWEEP).exists():
        noted = require_same(sources, folder, asked, noted, may_grow=resuming is not None)
    note(folder, sources, asked, noted)
    overrides = [str(o.input_line) if o.input_line in first else as_sweep(o) for o in typed]
    added += [] if is_named else [f"hydra.sweep.dir={override_value(folder)}"]
    return PlannedSweep([*overrides, *added], folder, config.hydra.launcher._target_ == LAUNCHER)


def own_of(job: Sequence[str]) -> list[str]:
    """A job's overrides but for Hydra's, as launchers hand them on."""
    return [text for text in job if not text.lstrip("+~").startswith(("hydra.", "hydra/"))]


def place_of_sweep(config: DictConfig, resuming: Path | None, is_named: bool) -> Path:
    """The folder for a sweep, made if it isn't there, and owned by this process from now on."""
    folder = resuming or Path(folder_named(config, "hydra.sweep.dir"))
    if is_named or resuming:
        require_writable(folder, "hydra.sweep.dir")
    elif not (was_requeued() and folder.is_dir()):  # else the jobs there are gone on with
        folder = reserve(str(folder), "hydra.sweep.dir")
    own(folder, "hydra.sweep.dir")
    return folder


def without_shared(config: DictConfig, parsed: Sequence[Override]) -> list[str]:
    """Leaves what all jobs share out of their folders' names, in the config and by the overrides that it returns."""
    swept = any(override.is_sweep_override() for override in parsed)
    if not swept or any(override.key_or_group == EXCLUDED for override in parsed):
        return []
    differing = ("seed",) if config.hydra.sweeper._target_ == RANDOM else ()  # in its second batch
    single = [override for override in parsed if not override.is_sweep_override()]
    keys = dict.fromkeys(o.key_or_group for o in single if o.key_or_group not in differing)
    names = [*config.hydra.job.config.override_dirname.exclude_keys, *(key for key in keys if key[:6] != "hydra.")]
    with flag_override(config.hydra, ["struct", "readonly"], [False, False]):
        config.hydra.job.config.override_dirname.exclude_keys = names
    return [f"{EXCLUDED}={json.dumps(names)}"]


def directions(config: DictConfig, parsed: Sequence[Override]) -> list[str]:
    """Tells a sweeper that optimizes which way each number is better, as its metric says, unless the user does.

    What is logged, such as a loss, is minimised. Raises UserError if it is not told a number of each job.
    """
    if not any(key in config.hydra.sweeper for key in OPTIMIZING):
        return []
    if config.optimize is None:
        raise UserError(
            "This sweeper optimizes a number that each job gives, but optimize is null; name one, such as"
            " optimize=frechet_distance."
        )
    if "direction" not in config.hydra.sweeper or any(o.key_or_group == DIRECTION for o in parsed):
        return []
    from gan_lightning.config.build import build_all  # which imports torch
    from gan_lightning.metrics.observed import numbers

    higher = numbers(build_all(without_hydra(config), ("metric",), config.plugins)["metric"])
    names = [config.optimize] if isinstance(config.optimize, str) else list(config.optimize)
    found = ["maximize" if higher.get(name) else "minimize" for name in names]
    return [f"{DIRECTION}={found[0] if isinstance(config.optimize, str) else json.dumps(found)}"]


def search(config: DictConfig) -> list[str]:
    """What has Hydra take the sweeper of this project's in the place of its own or of Optuna's, as overrides."""
    if config.hydra.sweeper._target_ == SWEEPER:
        return [f"hydra.sweeper._target_={BasicSweeper.__module__}.{BasicSweeper.__name__}"]
    if config.hydra.sweeper._target_ != OPTUNA:
        return []
    from gan_lightning.commands.search import OptunaSweeper  # which imports Optuna

    Plugins.instance().register(OptunaSweeper)
    return [f"hydra.sweeper._target_={OptunaSweeper.__module__}.{OptunaSweeper.__name__}"]


def require_launchable(config: DictConfig) -> None:
    """Raises UserError for a launcher or sweeper that Hydra can't make, and for jobs that the launcher can't."""
    for name, kind in (("launcher", Launcher), ("sweeper", Sweeper)):
        node = config.hydra[name]
        target = node.get("_target_") if isinstance(node, DictConfig) else None
        kinds: list[type] = [ProcessLauncher, RandomSearch, *ENGINES.values(), *Plugins.instance().discover(kind)]
        known = [f"{each.__module__}.{each.__name__}" for each in kinds]
        if target not in known:
            shown = node if target is None else target
            where = f"hydra.{name}" if target is None else f"hydra.{name}._target_"
            raise UserError(
                f"{where} is {show(shown)}, but it must be a {name} of Hydra's; hydra/{name}=NAME picks one."
            )
    require_one_process(config)
    if config.hydra.launcher._target_ == LAUNCHER:
        check(config.hydra.launcher, LAUNCHER, "hydra.launcher")
    size = config.hydra.sweeper.get("max_batch_size")
    if config.hydra.sweeper._target_ == SWEEPER and size is not None and size < 1:
        raise UserError(f"hydra.sweeper.max_batch_size is {size}, but it must be at least 1, or null.")


def known_jobs(
    sources: Sources, config: DictConfig, typed: Sequence[Override], parsed: Sequence[Override]
) -> tuple[list[list[str]], list[list[str]]]:
    """The jobs of a sweep that are known before it runs, and those of them that are worth checking. Raises UserError.

    Those of a sweeper that finds its jobs while it runs are checked as they come. A random search's first tell enough.
    """
    sweeper = config.hydra.sweeper
    target = sweeper.get("_target_") if isinstance(sweeper, DictConfig) else None
    if target == RANDOM:
        for override in parsed:
            if override.is_discrete_sweep():
                count_of(override)
        search = random_search(sources, sweeper, config.get("optimize"), typed)
        settings = [o.input_line or "" for o in typed if o.is_hydra_override()]
        jobs, first = ([[*settings, *job] for job in batch] for batch in (search.jobs, search.first))
        return jobs, first
    if target != SWEEPER:
        return [], []
    refuse_distributions(parsed)
    jobs = jobs_of(parsed)
    return jobs, jobs


def tried(override: Override) -> str:
    """An override with the first of the values that a sweeper may try, which tells whether there is such a key."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        start = str(value.start).removesuffix(".0")  # a float, which a key of whole numbers wouldn't take
        return f"{override.get_key_element()}={start}"
    if override.is_discrete_sweep():
        count_of(override)
        return f"{override.get_key_element()}={next(override.sweep_string_iterator())}"
    return override.input_line or ""


def refuse_distributions(parsed: Sequence[Override]) -> None:
    """Raises UserError for what Hydra's own sweeper can't list the values of."""
    for override in parsed:
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(
                f"{override.input_line} has no end of values, which this sweeper can't try one by one; list some, as"
                f" in {override.get_key_element()}=1,2,3 or =range(1,4), or choose a sweeper that draws them by"
                " hydra/sweeper."
            )


def jobs_of(overrides: Sequence[Override]) -> list[list[str]]:
    """The jobs' overrides. Raises UserError for values that can't be listed, and where there are none or too many."""
    total = 1
    for override in overrides:
        if override.is_sweep_override():
            total *= count_of(override)
            if total > MOST_JOBS:
                raise UserError(f"{override.input_line} makes more than {MOST_JOBS} jobs; try fewer values at a time.")
    return [job for batch in BasicSweeper.split_arguments(list(overrides), None) for job in batch]


def count_of(override: Override) -> int:
    """How many values an override has, counted no further than a sweep may go."""
    told = f"{override.input_line} can't be swept over"
    if override.is_hydra_override():
        raise UserError(f"{told}: Hydra's own settings are the same for all jobs of a sweep.")
    try:
        count = sum(1 for _ in islice(override.sweep_string_iterator(), MOST_JOBS + 1))
    except Exception as error:  # of whatever kind: Hydra takes what is written as it is
        raise UserError(f"{told} ({reason(error)}); list the values, as in KEY=1,2,3 or KEY=range(1,4).") from error
    if count == 0:
        raise UserError(f"{told}: there is no value in it; range(1,4) is 1, 2 and 3.")
    return count


def job_of(sources: Sources, job: list[str], number: int) -> DictConfig:
    """The config of a job, checked. Raises UserError, which names the job, for a mistake."""
    try:
        return compose(sources, job, TRAINING)
    except UserError as error:
        raise UserError(
            f"{str(error).rstrip('.')} (job #{number} of the sweep: {' '.join(job) or 'defaults'})."
        ) from error


def check_jobs(sources: Sources, jobs: Sequence[list[str]]) -> None:
    """Composes the jobs, whose first is known to be right: each combination and each seed once, not all of both.

    To compose a job takes a tenth of a second or two, and nothing depends on which number a seed is.
    """
    seen: set[tuple[str, ...]] = set()
    for number, job in enumerate(jobs):
        seed, others = (tuple(text for text in job if text.startswith("seed=") == is_seed) for is_seed in (True, False))
        if number and not seen.issuperset({seed, others}):
            require_one_process(job_of(sources, job, number))
        seen.update({seed, others})


def as_sweep(override: Override) -> str:
    """An override as one of a single value, which Hydra leaves to the jobs; unless it is for the sweep itself."""
    line = override.input_line or ""
    if override.is_sweep_override() or override.is_delete() or override.is_hydra_override():
        return line
    return f"{override.get_key_element()}=choice({override.get_value_element_as_str()})"


def require_own_folders(sources: Sources, config: DictConfig, jobs: Sequence[list[str]]) -> list[str]:
    """The jobs' folders within the sweep's. Raises UserError if two would have the same."""
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
    return list(found)


def folders(loader: ConfigLoader, config: DictConfig, jobs: Sequence[list[str]]) -> Iterator[str]:
    """The jobs' folders within the sweep's."""
    subdir = OmegaConf.to_yaml(config.hydra.sweep, resolve=False)
    by_overrides = BY_OVERRIDES.issuperset(INTERPOLATION.findall(subdir.partition("subdir:")[2]))
    for number, job in enumerate(jobs):
        # To compose each job takes a tenth of a second.
        composed = config if by_overrides else loader.load_sweep_config(config, job)
        with flag_override(composed.hydra, ["struct", "readonly"], [False, False]):
            composed.hydra.job.num, composed.hydra.job.id = number, str(number)
            composed.hydra.overrides.task = own_of(job)
            try:
                yield str(composed.hydra.sweep.subdir)
            except OmegaConfBaseException as error:
                raise UserError(f"hydra.sweep.subdir can't be resolved: {first_line(error)}.") from error
