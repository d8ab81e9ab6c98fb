"""The numbers of a study's runs, apart by how they were measured: what stands in one table has one protocol."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite, nan
from typing import Any

from gan_lightning.errors import UserError
from gan_lightning.runs.results import Record
from gan_lightning.studies.endings import FINISHED, RUNNING
from gan_lightning.studies.studied import Configuration, StudiedRun, among
from gan_lightning.suggest import did_you_mean

TRAINING, AFTERWARDS = "while training", "by evaluate"
COUNTED = (*FINISHED, RUNNING)  # what a run that stands in a leaderboard by its last evaluation while training may be
BETTER = ("lower", "higher")


@dataclass(frozen=True)
class Entry:
    """A configuration's runs by seed, each with its record of a section's protocol, or None where it has none."""

    configuration: Configuration
    records: Mapping[int, tuple[StudiedRun, Record | None]]

    @property
    def name(self) -> str:
        return self.configuration.name

    def values(self, metric: str) -> dict[int, float]:
        """A metric by seed, in their order; NaN where a run has no such number."""
        return {seed: value_of(record, metric) for seed, (_, record) in self.records.items()}

    def lacking(self, metric: str) -> dict[int, str]:
        """What has become of the seeds without such a number: the runs' status."""
        return {seed: run.status for seed, (run, _) in self.records.items() if not isfinite(self.values(metric)[seed])}


@dataclass(frozen=True)
class Section:
    """Configurations that can be compared: of one data set, measured in one way.

    `protocol` is empty where nothing was measured. `better` says which way a metric is better; None: it isn't known.
    """

    dataset: str
    how: str
    protocol: Mapping[str, Any]
    entries: Sequence[Entry]
    metrics: Sequence[str]
    better: Mapping[str, str | None] = field(default_factory=dict)

    @cached_property
    def title(self) -> str:
        if not self.protocol:
            return f"{self.dataset}, not measured"
        facts = self.protocol
        split = "" if facts.get("split") == "train" else f", against {facts.get('split')} samples"
        by = f", {facts['weights']} weights" if facts.get("weights") not in (None, "ema") else ""
        return (
            f"{self.dataset}, measured {self.how}: {facts.get('samples')} samples, {facts.get('extractor')}{split}{by}"
        )


def value_of(record: Record | None, metric: str) -> float:
    """A number of a record; NaN where it has none, or none that is finite."""
    values = record.get("values") if record else None
    value = values.get(metric) if isinstance(values, Mapping) else None
    return float(value) if isinstance(value, int | float) else nan


def by_seed(runs: Iterable[StudiedRun]) -> dict[int, StudiedRun]:
    """The run of each seed, in their order; of several, the one that is furthest, and of those the last."""
    found: dict[int, StudiedRun] = {}
    for run in runs:
        seed = seed_of(run)
        if seed not in found or progress(run) >= progress(found[seed]):
            found[seed] = run
    return dict(sorted(found.items()))


def progress(run: StudiedRun) -> int:
    """The iteration that a run is known to have reached; -1 for one without results."""
    return run.results.iteration if run.results else -1


def seed_of(run: StudiedRun) -> int:
    """A run's seed, if only by what its command said; 0, the default, where nothing tells."""
    if run.seed is not None:
        return run.seed
    said = [text.removeprefix("seed=") for text in run.overrides if text.startswith("seed=")]
    return int(said[-1]) if said and said[-1].isdecimal() else 0


def dataset_of(configuration: Configuration) -> str:
    """The name of a configuration's data set, by whichever of its runs tells."""
    for run in configuration.runs:
        if (name := run.config.get("dataset.name")) is not None:
            return str(name)
    said = [text for run in configuration.runs for text in run.overrides if text.startswith("dataset=")]
    return said[0].partition("=")[2] if said else "data"


def sections(configurations: Sequence[Configuration], asked: Sequence[str] | None = None) -> list[Section]:
    """A study's numbers, a section a data set and protocol; the most samples first, since they tell the most.

    A configuration without any stands in the sections of its data set all the same: that it fails is a result.
    Raises UserError where none of the runs has a metric that is `asked` for.
    """
    runs = {id(each): by_seed(each.runs) for each in configurations}
    found: dict[tuple[str, str, str], dict[int, dict[int, Record]]] = {}
    for each in configurations:
        dataset = dataset_of(each)
        for seed, run in runs[id(each)].items():
            for how, record in records_of(run):
                key = (dataset, how, json.dumps(record["protocol"], sort_keys=True, default=str))
                found.setdefault(key, {}).setdefault(id(each), {})[seed] = record
    for dataset in dict.fromkeys(map(dataset_of, configurations)):
        if not any(key[0] == dataset for key in found):
            found[dataset, TRAINING, "{}"] = {}
    require_known(asked, found)
    made = [_section(key, records, configurations, runs, asked) for key, records in found.items()]
    return sorted((each for each in made if each.metrics or not each.protocol), key=_importance)


def counts(run: StudiedRun, how: str) -> bool:
    """Whether a record stands for its run: not the last of a run that was killed on its way, but one of `evaluate`."""
    return how != TRAINING or run.status in COUNTED


def records_of(run: StudiedRun) -> list[tuple[str, Record]]:
    """The records that a run stands for: the last while training, and the newest of each protocol of `evaluate`."""
    if run.results is None:
        return []
    last = run.results.evaluation.get("last")
    while_training = [(TRAINING, last)] if last else []
    return [*while_training, *((AFTERWARDS, record) for record in run.results.evaluations)]


def require_known(asked: Sequence[str] | None, found: Mapping[Any, Mapping[int, Mapping[int, Record]]]) -> None:
    """Raises UserError for a metric that no run has."""
    known = _names(record for groups in found.values() for records in groups.values() for record in records.values())
    for name in asked or ():
        if name not in known:
            there = f"they have {', '.join(known)}" if known else "they were trained without evaluations"
            raise UserError(
                f"metrics has {name}, which none of the runs was measured by; {there}.{did_you_mean(name, known)}"
            )


def _section(
    key: tuple[str, str, str],
    records: Mapping[int, Mapping[int, Record]],
    configurations: Sequence[Configuration],
    runs: Mapping[int, Mapping[int, StudiedRun]],
    asked: Sequence[str] | None,
) -> Section:
    dataset, how, protocol = key
    is_single = len(runs) == sum(map(len, runs.values())) == 1  # of which all is told, however it has ended
    members = [
        each
        for each in configurations
        if id(each) in records or (dataset_of(each) == dataset and not any(map(records_of, each.runs)))
    ]
    entries = []
    for each, named in zip(members, among(members), strict=True):
        known = records.get(id(each), {})
        of_seeds = {
            seed: (run, known.get(seed) if is_single or counts(run, how) else None)
            for seed, run in runs[id(each)].items()
        }
        entries.append(Entry(named, of_seeds))
    all_records = [record for each in records.values() for record in each.values()]
    metrics = [name for name in _names(all_records) if asked is None or name in asked]
    return Section(dataset, how, json.loads(protocol), entries, metrics, {m: _better(all_records, m) for m in metrics})


def _names(records: Iterable[Record]) -> list[str]:
    """The metrics of some records, in their order."""
    return list(dict.fromkeys(name for each in records for name in each.get("values") or ()))


def _better(records: Sequence[Record], metric: str) -> str | None:
    """Which way a metric is better, as the records say; those of earlier versions don't."""
    told = (each["better"].get(metric) for each in records if isinstance(each.get("better"), Mapping))
    return next((each for each in told if each in BETTER), None)


def _importance(section: Section) -> tuple[str, bool, int]:
    samples = section.protocol.get("samples")
    return section.dataset, section.how == TRAINING, -samples if isinstance(samples, int) else 0
