"""What a sweep is by its configuration: the sweeper, and its parameters, such as those of a study. Imports no torch."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hydra import compose as hydra_compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_lightning.commands.random_search import RandomSearch, Search
from gan_lightning.config.annotations import show
from gan_lightning.config.check import check
from gan_lightning.config.compose import parse
from gan_lightning.config.mistakes import NOT_COMPOSED, first_line
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError, reason
from gan_lightning.suggest import did_you_mean

SWEEPER = f"{BasicSweeper.__module__}.{BasicSweeper.__name__}"
RANDOM = f"{RandomSearch.__module__}.{RandomSearch.__name__}"
GROUPS = ("study", "experiment", "hydra")  # whose options may have a say in how a sweep is made


def composed_first(sources: Sources, typed: Sequence[Override]) -> tuple[DictConfig, list[str]]:
    """The config that Hydra is to compose before it knows the jobs, and the overrides that it is composed from.

    Those are all that the jobs share. Without what differs there may be no such config; then they are those alone that
    have a say in how a sweep is made.
    """
    if several := next((o.input_line for o in typed if o.key_or_group == "study" and o.is_sweep_override()), None):
        raise UserError(f"{several} names several studies; each is a sweep of its own.")
    single = [override for override in typed if not override.is_sweep_override()]
    settings = [o for o in single if o.key_or_group.replace("/", ".").partition(".")[0] in GROUPS]
    for chosen in (single, settings):
        lines = [override.input_line or "" for override in chosen]
        with sources.open(), suppress(*NOT_COMPOSED):
            config = hydra_compose(sources.name, lines, return_hydra_config=True)
            for key in ("hydra.mode", "hydra.sweeper", "hydra.sweeper.params", "study.seeds", "optimize"):
                OmegaConf.select(config, key)  # raises what can't be resolved, and is said of the first job
            return config, lines
    return OmegaConf.create({"hydra": {"sweeper": {"_target_": SWEEPER}}}), []  # what is wrong is said of the first job


def asks_for_sweep(sources: Sources, typed: Sequence[Override]) -> bool:
    """Whether the command line asks for several runs without -m: by hydra.mode, by a study, or by seeds for one."""
    if any(o.key_or_group == "hydra.mode" and o.value() == RunMode.MULTIRUN.name for o in typed):
        return True
    has_study = any(override.key_or_group.partition(".")[0] == "study" for override in typed)
    return has_study and is_sweep(composed_first(sources, typed)[0])


def is_sweep(config: DictConfig) -> bool:
    """Whether a config asks for several runs."""
    mode = config.hydra.get("mode")
    return bool(mode == RunMode.MULTIRUN or (mode is None and OmegaConf.select(config, "study.seeds")))


def with_seeds(sources: Sources, config: DictConfig, typed: Sequence[Override]) -> list[Override]:
    """What was typed, and the seeds that study.seeds stands for, unless seeds have been named."""
    count = OmegaConf.select(config, "study.seeds")
    params = OmegaConf.select(config, "hydra.sweeper.params")
    named = any(override.key_or_group == "seed" for override in typed) or "seed" in (params or ())
    if type(count) is not int or count < 1 or named:
        return list(typed)  # whatever else it is, is refused with the first job
    with sources.open() as loader:
        return [*typed, *parse([f"seed=range(1,{count + 1})" if count > 1 else "seed=1"], loader)]


def with_parameters(sources: Sources, config: DictConfig, typed: Sequence[Override]) -> list[Override]:
    """What was typed, and what hydra.sweeper.params has beside it, in the order in which Hydra makes jobs of them.

    Raises UserError for what can't be read.
    """
    params = OmegaConf.select(config, "hydra.sweeper.params")
    lines = []
    for key in map(str, params) if isinstance(params, DictConfig) else ():
        try:
            lines.append(f"{key}={params[key]}")
        except OmegaConfBaseException as error:
            raise UserError(f"hydra.sweeper.params.{key} can't be resolved: {first_line(error)}.") from error
    with sources.open() as loader:
        merged = {override.key_or_group: override for override in parse(lines, loader)}
    return list((merged | {override.key_or_group: override for override in typed}).values())


def random_search(sources: Sources, sweeper: DictConfig, optimize: Any, typed: Sequence[Override]) -> Search:
    """What a random search will run. Raises UserError for a mistake in its settings."""
    if optimize is not None and not isinstance(optimize, str):
        raise UserError(
            f"optimize is {show(optimize)}, but a random search looks for the best by one number; name one."
        )
    check(sweeper, RANDOM, "hydra.sweeper")
    settings: Any = OmegaConf.to_container(sweeper, resolve=True)
    settings.pop("_target_")
    task = [override.input_line or "" for override in typed if not override.is_hydra_override()]
    with sources.open() as loader:
        for value in settings["only"]:
            known = loader.get_group_options(settings["each"])
            if known and value not in known:
                hint = did_you_mean(value, known)
                raise UserError(f"hydra.sweeper.only has {value}, but there is no such {settings['each']}.{hint}")
        try:
            return RandomSearch(**settings).search(OverridesParser.create(loader), task)
        except UserError:
            raise
        except Exception as error:  # of whatever kind: Hydra's parser takes what is written as it is
            raise UserError(f"The random search can't draw ({reason(error)}).") from error
