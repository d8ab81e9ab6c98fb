"""Going on with a sweep in its folder: the same one, perhaps with further jobs, and never another one."""

import os
import time
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from gan_lightning.config.compose import compose
from gan_lightning.config.containers import plain, without_hydra
from gan_lightning.config.places import CONF
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError
from gan_lightning.paths import shell_word, typed
from gan_lightning.runs.folders import difference, first_difference, holds_run, read_saved, shown
from gan_lightning.runs.ownership import is_owned
from gan_lightning.studies import sweep_folder
from gan_lightning.studies.studied import CIRCUMSTANCES
from gan_lightning.studies.sweep_folder import STOP, SWEEP, Sweep, SweepJob
from gan_lightning.suggest import did_you_mean

RESUME, FOLDER = "sweep.resume", "hydra.sweep.dir"
COMPARED = ("metric", "evaluation")  # beside what makes a run the run it is: by what its numbers were measured
PATIENCE, LOOK_SECONDS = 20.0, 0.2  # for jobs that save, since what has started them was killed


def resumed(sources: Sources, parsed: Sequence[Override]) -> tuple[Path | None, list[str]]:
    """The folder that sweep.resume names, None without it, and the overrides of the sweep to run.

    Where nothing else is asked for, these are those that its sweep.json has. Settings of Hydra's, plug-ins and folders
    of configs are never taken from there: raises UserError, with what to type, if there are any and they are not typed.
    """
    named = [override.value() for override in parsed if override.key_or_group == RESUME]
    own = [override.input_line or "" for override in parsed if override.key_or_group != RESUME]
    if not named or named[-1] is None:
        return None, own
    folder = Path(os.path.expanduser(str(named[-1])))
    require_sweep(folder)
    places = [Path(str(override.value())) for override in parsed if override.key_or_group == FOLDER]
    if places and places[-1].resolve() != folder.resolve():
        raise UserError(f"{RESUME} is {folder}, but {FOLDER} is {places[-1]}; leave out one of them.")
    if any(is_of_jobs(override.key_or_group) for override in parsed):
        return folder, own
    noted = sweep_folder.read(folder)
    settings = settings_of(noted)
    if not set(settings) <= set(own) or list(noted.flags) != flags_of(sources):
        raise UserError(
            f"{RESUME} is {folder}, whose sweep had settings that are not taken from a folder; type them again, if they"
            f" are to be trusted: {command_to_go_on(folder, noted)}"
        )
    return folder, [*own, *(text for text in noted.overrides if text not in settings)]


def require_sweep(folder: Path) -> None:
    """Raises UserError unless a folder is that of a sweep."""
    if (folder / SWEEP).is_file():
        return
    if folder.is_dir():
        raise UserError(
            f"{RESUME} is {folder}, which holds no sweep: {SWEEP} is missing. One of an earlier version is gone on with"
            f" by the same command and {typed(FOLDER, folder)}."
        )
    siblings = [str(path) for path in folder.parent.glob("*/")] if folder.parent.is_dir() else []
    raise UserError(f"{RESUME} is {folder}, which does not exist.{did_you_mean(str(folder), siblings)}")


def is_of_jobs(key: str) -> bool:
    """Whether an override is for the jobs of a sweep, not for the sweep or the process itself."""
    return key.split(".")[0].split("/")[0] not in ("hydra", "sweep", "plugins")


def key_of(text: str) -> str:
    """The key of an override that is written KEY=VALUE, +KEY=VALUE or ~KEY."""
    return text.lstrip("+~").partition("=")[0].partition("@")[0]


def settings_of(noted: Sweep) -> list[str]:
    """The noted overrides that are no jobs'."""
    return [text for text in noted.overrides if not is_of_jobs(key_of(text)) and key_of(text) != "sweep.fail_fast"]


def flags_of(sources: Sources) -> list[str]:
    """The flags by which configs of the user's own were named."""
    flags = [f"--config-dir={path}" for path in sources.extra]
    flags += [f"--config-path={sources.folder}"] if sources.folder != CONF else []
    return flags + ([f"--config-name={sources.name}"] if sources.name != "train" else [])


def command_to_go_on(folder: Path, noted: Sweep) -> str:
    """What to type to go on with a sweep."""
    words = [*noted.flags, *settings_of(noted)]
    return " ".join(["python -m gan_lightning -m", typed(RESUME, folder), *map(shell_word, words)])


def how_to_go_on(folder: Path) -> str:
    """A sentence on what to type where jobs of a sweep have not finished."""
    return f"What is missing is done by {command_to_go_on(folder, sweep_folder.read(folder))}"


def note(folder: Path, sources: Sources, overrides: Sequence[str], jobs: Sequence[SweepJob]) -> None:
    """Writes down what a sweep is asked for, before its first job."""
    own = [text for text in overrides if key_of(text) != FOLDER]
    (folder / STOP).unlink(missing_ok=True)
    sweep_folder.write(folder, Sweep(own, jobs, flags_of(sources)))


def require_same(
    sources: Sources, folder: Path, overrides: Sequence[str], jobs: Sequence[SweepJob], may_grow: bool
) -> list[SweepJob]:
    """The jobs of a sweep that is gone on with in a folder: all that were there, and with `may_grow` others.

    The folder of a job that is called otherwise by now, since more differs between the jobs, gets its new name. Raises
    UserError for another sweep, with the first difference, and while jobs that it has had still run.
    """
    noted = sweep_folder.read(folder)
    wait_for_jobs(folder, noted.jobs)
    if not jobs:  # which are found while the sweep runs
        require_same_texts(folder, set(noted.overrides), [set(overrides)])
        return list(noted.jobs)
    free = free_keys(jobs, noted.jobs)
    before = {kept(job.overrides, free): job for job in noted.jobs}
    now = {kept(job.overrides, free): job for job in jobs}
    if before.keys() - now.keys():
        require_same_texts(folder, next(each for each in before if each not in now), list(now))
    if now.keys() - before.keys() and not may_grow and before:
        further = next(job for key, job in now.items() if key not in before)
        raise UserError(
            f"{FOLDER} is {folder}, which holds a sweep without the job {' '.join(further.overrides)}; with"
            f" {typed(RESUME, folder)} in place of {FOLDER} the same command does that, too."
        )
    require_same_configs(sources, folder, [(now[key], before[key]) for key in now if key in before])
    for key in before:
        rename(folder, before[key].folder, now[key].folder)
    return list(jobs)


def wait_for_jobs(folder: Path, jobs: Sequence[SweepJob]) -> None:
    """Waits until nobody trains in a job's folder. Raises UserError if that takes too long."""
    end = time.monotonic() + PATIENCE
    for job in jobs:
        while is_owned(folder / job.folder):
            if time.monotonic() > end:
                raise UserError(
                    f"{folder / job.folder} is still trained in, though its sweep's process is gone; wait until it has"
                    " ended, or end it."
                )
            time.sleep(LOOK_SECONDS)


def free_keys(*sweeps: Sequence[SweepJob]) -> set[str]:
    """The keys that may differ between sweeps without making them others: how and where they run, unless one tries it.

    So a sweep may be prolonged by another trainer.max_steps, and one of several trainer.max_steps keeps its jobs apart.
    """
    free: set[str] = set()
    tried: set[str] = set()
    for jobs in sweeps:
        values: dict[str, set[str]] = {}
        for text in (text for job in jobs for text in job.overrides):
            values.setdefault(key_of(text), set()).add(text)
        free |= {key for key in values if may_differ(key)}
        tried |= {key for key, texts in values.items() if len(texts) > 1}
    return free - tried


def kept(overrides: Sequence[str], free: set[str]) -> frozenset[str]:
    """A job's overrides without those that may differ."""
    return frozenset(text for text in overrides if key_of(text) not in free)


def require_same_texts(folder: Path, there: Set[str], here: Sequence[Set[str]]) -> None:
    """Raises UserError, with the first key, if overrides that a sweep has had differ from the nearest of those here."""
    nearest = max(here, key=lambda each: len(each & there))
    was, now = (
        {key_of(text): text.partition("=")[2] for text in sorted(each) if not may_differ(key_of(text))}
        for each in (there, nearest)
    )
    for key in (*was, *now):
        if was.get(key) != now.get(key):
            told = (f"it is {each[key]}" if key in each else "it is not said" for each in (was, now))
            raise UserError(
                f"{folder} holds another sweep: of {key}, {next(told)} there, and {next(told)} here. Go on with that"
                f" one by {typed(RESUME, folder)}, or name another folder."
            )


def may_differ(key: str) -> bool:
    """Whether a key is one of how and where a sweep is run."""
    return not is_of_jobs(key) or key.partition(".")[0] in CIRCUMSTANCES


def require_same_configs(sources: Sources, folder: Path, pairs: Sequence[tuple[SweepJob, SweepJob]]) -> None:
    """Raises UserError if a job's configuration is another one than the run that it has had; one of each combination.

    So it may be though the command is the same, by files of the user's own or by another version of the recipes.
    """
    seen: set[frozenset[str]] = set()
    for now, before in pairs:
        combination = frozenset(text for text in now.overrides if key_of(text) != "seed")
        place = folder / before.folder
        if combination in seen or not holds_run(place):
            continue
        seen.add(combination)
        config, saved = compose(sources, list(now.overrides), TRAINING), read_saved(place)
        if key := difference(config, saved) or otherwise_measured(config, saved):
            was, is_now = shown(saved, key), shown(config, key)
            raise UserError(
                f"{folder} holds another sweep: in {before.folder}, {key} is {was}, and {is_now} here; name another"
                " folder."
            )


def otherwise_measured(config: DictConfig, saved: Any) -> str | None:
    """The first key in which evaluations differ; None if they don't, and of runs that don't say it."""
    one, other = ({name: each.get(name) for name in COMPARED} for each in (plain(without_hydra(config)), plain(saved)))
    return first_difference(one, other, "")


def rename(folder: Path, before: str, now: str) -> None:
    """Gives a job's folder another name, if it is there."""
    if before != now and (folder / before).is_dir() and not (folder / now).exists():
        (folder / now).parent.mkdir(parents=True, exist_ok=True)
        (folder / before).rename(folder / now)
