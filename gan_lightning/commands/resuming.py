"""Going on with a run: what may be changed then, and which configuration is its own. Imports no torch."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_lightning.config.compose import compose, parse
from gan_lightning.config.containers import keys, without_hydra
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.config.trust import require_inside
from gan_lightning.errors import UserError
from gan_lightning.paths import override_value
from gan_lightning.run_folder import saved_config
from gan_lightning.runs.folders import (
    brought_up_to_date,
    find_resumable,
    folder_named,
    read_saved,
    require_resumable,
)
from gan_lightning.runs.ownership import own

# What may differ when a run goes on; everything else would make it another run.
RESUMABLE = (
    *("compatibility_warnings", "optimize", "threads"),
    *("trainer", "checkpoint", "samples", "dashboard", "health", "evaluation"),
    *("dataset.root", "dataset.labels", "extractor.weights"),  # which lie elsewhere on another machine
    *("dataset.cache_dir", "dataset.cache_gib", "dataset.changed", "dataset.memory_gib", "extractor.cache_dir"),
    *("callbacks", "logger", "plugins", "hydra"),
)
# The saved config has no hydra node; this is what conf/train.yaml says there, and one thing more.
RESUMED_HYDRA = (
    "hydra.output_subdir=null",  # a refused resume leaves the saved config as it is
    "hydra.job.name=train",
    "++hydra.job_logging.handlers.console.level=WARNING",
)


def resume(sources: Sources, config: DictConfig, which: str, overrides: list[str]) -> tuple[Sources, list[str]] | None:
    """Plans to go on in a run's folder, with the config saved there; None for `auto` without such a run."""
    granted: list[str] = []
    if which == "auto":
        place = Path(folder_named(config, "hydra.run.dir"))
        found = find_resumable(config, place if names_folder(overrides) else folder_of_runs(config))
        if found is None:
            return None
        folder = found
        # The command says how to go on, be it by a group such as hardware; the rest is in the folder already.
        overrides = changes(config, read_saved(folder))
        granted = [key for key in keys(config) if is_resumable(key)]  # whose values are the user's own now
    else:
        folder = Path(which)
        require_resumable(folder)
        for text in overrides:
            if not is_resumable(parse([text])[0].key_or_group):
                raise UserError(
                    f"{text} can't be changed when {which} is resumed: it would be another run. A resumed run takes"
                    f" overrides of {', '.join(RESUMABLE[:-1])}; leave out resume to start a new one."
                )
    file = saved_config(folder).absolute()
    saved = Sources(file.stem, file.parent, plugins=sources.plugins)
    # What the user doesn't trust here stays untrusted, whatever the run's config says.
    overrides = [text for text in overrides if not text.startswith(("plugins=", "++plugins="))]
    overrides.append(f"plugins={json.dumps(sources.plugins)}")
    granted += [override.key_or_group for override in parse(overrides)]
    own(folder)  # before anything is written
    with brought_up_to_date(folder):
        composed = compose(saved, overrides, TRAINING)
        from gan_lightning.runs.restoring import require_networks

        require_networks(without_hydra(composed), folder)
        require_inside(without_hydra(composed), folder, granted)
    where = [f"resume={override_value(folder)}", f"hydra.run.dir={override_value(folder)}", *RESUMED_HYDRA]
    return saved, [*overrides, *where]


def names_folder(overrides: Sequence[str]) -> bool:
    """Whether the user has said where the run is to be."""
    return any(override.key_or_group == "hydra.run.dir" for override in parse(overrides))


def folder_of_runs(config: DictConfig) -> Path:
    """Where all runs of a configuration are, whenever they were started: outputs, of outputs/${start:}… by default."""
    unresolved: Any = OmegaConf.to_container(config.hydra.run, resolve=False)
    fixed, interpolation, _ = unresolved["dir"].partition("${")
    if not fixed:
        return Path(config.hydra.run.dir).parent
    return Path(os.path.expanduser(os.path.dirname(fixed) if interpolation else fixed))


def changes(config: DictConfig, saved: Any) -> list[str]:
    """What `config` has different from a saved one among the keys that a resumed run may change, as overrides."""
    found = []
    for key in filter(is_resumable, keys(config)):
        value = OmegaConf.select(config, key)
        try:
            before = OmegaConf.select(saved, key)
        except OmegaConfBaseException:  # where something else than a group is saved
            before = None
        if value != before and not isinstance(value, DictConfig):
            value = list(value) if isinstance(value, ListConfig) else value
            found.append(f"++{key}={override_value(value) if isinstance(value, str) else json.dumps(value)}")
    return found


def is_resumable(key: str) -> bool:
    """Whether a resumed run may change a key."""
    return any(key == root or key.startswith(f"{root}.") for root in RESUMABLE)
