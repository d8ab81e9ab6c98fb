"""Runs as a study sees them: what each was told, how it ended, and which are the same but for their seeds."""

import csv
import glob
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import nan
from pathlib import Path
from typing import Any

import yaml

from gan_lightning.config.trust import read_settings
from gan_lightning.errors import UserError
from gan_lightning.run_folder import CONFIG, METRICS, OVERRIDES
from gan_lightning.runs.results import Results
from gan_lightning.studies import endings, sweep_folder
from gan_lightning.suggest import did_you_mean

NOT_STARTED = endings.NOT_STARTED
LEVELS = 6  # of folders that runs are looked for in: multirun/DATE/TIME/JOB, and two for names with slashes
SEEDS = ("seed", "model.seed", "data.seed", "study.seeds")
# What doesn't make a configuration another one: how long, where and by what it is run.
CIRCUMSTANCES = (
    *("trainer", "threads", "plugins", "checkpoint", "samples", "dashboard", "logger", "callbacks"),
    *("resume", "sweep", "optimize"),
)


@dataclass(frozen=True)
class StudiedRun:
    """A run in its folder, or a sweep's job that never came to be one.

    `overrides` are what its command said. `status` is finished, max_time, alarm or no_progress; running; failed,
    refused, stopped or interrupted, which is killed, each with its `cause` where that is known; or not started.
    """

    folder: Path
    overrides: tuple[str, ...]
    status: str
    results: Results | None = None
    cause: str | None = None

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The values of its configuration by dotted key; empty where there is none that can be read."""
        with suppress(UserError):
            return flat(read_settings(self.folder / CONFIG))
        return {}

    @property
    def seed(self) -> int | None:
        return self.results.seed if self.results else None

    @cached_property
    def configuration(self) -> str:
        """Equal for runs that differ in their seeds alone."""
        kept = {
            key: value
            for key, value in self.config.items()
            if key not in SEEDS and key.partition(".")[0] not in (*CIRCUMSTANCES, "study")
        }
        return json.dumps(kept or list(self.overrides), sort_keys=True, default=str)

    def curves(self) -> dict[str, list[float]]:
        """The columns of its metrics.csv by name, of one length, NaN where a row has no number."""
        return read_curves(self.folder / METRICS)


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of a configuration in plain containers by dotted key; lists and empty containers are leaves."""
    if not isinstance(config, dict) or not config:
        return {prefix: config}
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= flat(value, f"{prefix}.{name}" if prefix else str(name))
    return found


def read_curves(path: Path, prefixes: Sequence[str] = ("",)) -> dict[str, list[float]]:
    """The columns of a metrics.csv, which may be written meanwhile, whose names begin with one of the prefixes.

    Empty where there is none.
    """
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.reader(file)
        names = next(rows, [])
        columns: dict[int, list[float]] = {
            place: [] for place, name in enumerate(names) if name.startswith(tuple(prefixes))
        }
        for row in rows:
            if len(row) == len(names):  # the last may be half written
                for place, column in columns.items():
                    column.append(_number(row[place]))
    return {names[place]: column for place, column in columns.items()}


def _number(text: str) -> float:
    with suppress(ValueError):
        return float(text)
    return nan


def find_runs(patterns: Sequence[str]) -> list[StudiedRun]:
    """The runs that folders or patterns name: a run's folder, a sweep's, or one that such folders lie in.

    In a sweep's folder those of its jobs that never started are among them. Raises UserError where there is none.
    """
    found: dict[Path, StudiedRun] = {}
    for pattern in patterns:
        # As it stands, before it is a pattern: a sweep's folders may be named regularizer=[r1].
        names = [pattern] if os.path.isdir(pattern) else sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
        runs = [run for name in names if os.path.isdir(name) for run in runs_in(Path(name))]
        if not runs:
            parent = Path(pattern).parent
            siblings = [str(path) for path in parent.glob("*")] if parent.is_dir() else []
            raise UserError(f"runs is {pattern}, in which there is no run.{did_you_mean(pattern, siblings)}")
        found |= {run.folder.resolve(): run for run in runs}
    return list(found.values())


def runs_in(folder: Path, levels: int = LEVELS) -> list[StudiedRun]:
    """The run that a folder holds, or those that lie in it, no more than so many levels down."""
    if (folder / CONFIG).is_file():
        return [studied(folder)]
    if (folder / sweep_folder.SWEEP).is_file():
        jobs = sweep_folder.read(folder).jobs
        return [studied(folder / job.folder, tuple(job.overrides)) for job in jobs]
    inner: list[Path] = []
    with suppress(PermissionError):  # what can't be read has no run that could be
        inner = sorted(Path(each.path) for each in os.scandir(folder) if each.is_dir(follow_symlinks=False))
    return [run for each in inner if levels and each.name[0] != "." for run in runs_in(each, levels - 1)]


def studied(folder: Path, overrides: tuple[str, ...] | None = None) -> StudiedRun:
    """What is known of a run in its folder; `overrides` are those that its sweep has noted, if one has."""
    status, cause, known = endings.state_of(folder)
    return StudiedRun(folder, _typed(folder) if overrides is None else overrides, status, known, cause)


def _typed(folder: Path) -> tuple[str, ...]:
    with suppress(OSError, yaml.YAMLError, UnicodeDecodeError):
        content = yaml.safe_load((folder / OVERRIDES).read_text(encoding="utf-8"))
        if isinstance(content, list):
            return tuple(map(str, content))
    return ()


@dataclass(frozen=True)
class Configuration:
    """Runs that differ in their seeds alone, and a name by what tells them from the others of a study."""

    name: str
    runs: tuple[StudiedRun, ...]
    varied: Mapping[str, str] = field(default_factory=dict)  # what it is named by: key -> value


def configurations(runs: Sequence[StudiedRun]) -> list[Configuration]:
    """The configurations of a study, in the order of their first runs, named by the overrides in which they differ.

    A job that never started is with the runs that were told the same. Where each run was told a number of iterations,
    say, and not the same, that makes configurations of its own.
    """
    apart = _circumstances_apart(runs)
    known = {_key(_told(run.overrides, apart)): run.configuration for run in runs if run.config}
    groups: dict[tuple[str, ...], list[StudiedRun]] = {}
    for run in runs:
        told = _told(run.overrides, apart)
        same = run.configuration if run.config else known.get(_key(told), _key(told))
        groups.setdefault((same, *(told.get(key, "") for key in apart)), []).append(run)
    all_told = [_told(min((run.overrides for run in group), key=len), apart) for group in groups.values()]
    varied = _apart(all_told)
    names = _names(varied, list(groups.values()))
    return [
        Configuration(name, tuple(group), each)
        for name, group, each in zip(names, groups.values(), varied, strict=True)
    ]


def among(some: Sequence[Configuration]) -> list[Configuration]:
    """Some of a study's configurations, named by what tells them from one another, and not from all the others."""
    varied = _apart([each.varied for each in some])
    names = _names(varied, [each.runs for each in some])
    return [replace(each, name=name, varied=told) for each, name, told in zip(some, names, varied, strict=True)]


def _apart(told: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """What was told less what all were told, if there are several."""
    shared = set(told[0].items()).intersection(*(each.items() for each in told)) if len(told) > 1 else set()
    return [{key: value for key, value in each.items() if (key, value) not in shared} for each in told]


def _circumstances_apart(runs: Sequence[StudiedRun]) -> list[str]:
    """The circumstances that all runs were told, and not the same: those that a sweep tries."""
    told = [_pairs(run.overrides) for run in runs]
    shared = [key for key in (told[0] if told else ()) if all(key in each for each in told)]
    return [key for key in shared if _is_circumstance(key) and len({each[key] for each in told}) > 1]


def _pairs(overrides: Sequence[str]) -> dict[str, str]:
    """Overrides by key."""
    return {key: value for key, _, value in (text.lstrip("+~").partition("=") for text in overrides)}


def _is_circumstance(key: str) -> bool:
    return key.partition(".")[0] in CIRCUMSTANCES


def _told(overrides: Sequence[str], apart: Sequence[str] = ()) -> dict[str, str]:
    """Overrides by key, less those of seeds, of Hydra's own and of circumstances, but for those that stand `apart`."""
    kept = {key: value for key, value in _pairs(overrides).items() if key not in SEEDS and not key.startswith("hydra")}
    return {key: value for key, value in kept.items() if key in apart or not _is_circumstance(key)}


def _key(told: Mapping[str, str]) -> str:
    return json.dumps(told, sort_keys=True)


def _names(varied: Sequence[Mapping[str, str]], groups: Sequence[Sequence[StudiedRun]]) -> list[str]:
    """A name for each configuration; values alone where one key tells them apart."""
    keys = {key for each in varied for key in each}
    names = []
    for each, group in zip(varied, groups, strict=True):
        if len(keys) == 1 and each:
            names.append(next(iter(each.values())))
        else:
            fallback = "_".join(str(group[0].config.get(key)) for key in ("loss.name", "dataset.name"))
            names.append(" ".join(f"{key}={value}" for key, value in each.items()) or fallback)
    counts = Counter(names)
    return [f"{name} #{number}" if counts[name] > 1 else name for number, name in enumerate(names)]
