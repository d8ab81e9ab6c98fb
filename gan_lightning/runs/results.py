"""What became of a run: for the caller, and in results.json, which has one typed record, one writer and one reader.

Imports no torch.
"""

import fcntl
import html
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any

from gan_lightning import formats
from gan_lightning.errors import UserError, reason
from gan_lightning.files import parse_json, read_text, replacing
from gan_lightning.run_folder import RESULTS
from gan_lightning.watching.verdicts import Verdict

Numbers = Mapping[str, float | None]
Record = dict[str, Any]  # of an evaluation: watching/evaluator.py
MOST_BYTES = 16 << 20  # of results.json: some ten thousand evaluations


@dataclass(frozen=True)
class Health:
    """What the health check has said, and the numbers that it has last measured."""

    verdicts: Sequence[Mapping[str, Any]] = ()
    numbers: Numbers = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """How far a run is, its last metrics by tag, and where they come from.

    `status` is running, failed, or that of runs.run.Run; `seconds` are of training. `evaluation` has the last and the
    best record of those made while training, `evaluations` those of the command `evaluate`. `memory` are the most bytes
    that the first process has held, and its tensors on a GPU; `matmul` is torch's setting of matrix products,
    `bfloat16` whether networks have computed in it by `speed=fast`, `compiled` whether in compiled graphs.
    `parameters` are how many weights each network has, `classes` the names of the data set's in the order of their
    numbers, `origin` where the weights began, {} at random. Numbers that are not finite are None.
    """

    status: str
    iteration: int
    seconds: float
    metrics: Numbers = field(default_factory=dict)
    health: Health = field(default_factory=Health)
    evaluation: Mapping[str, Record] = field(default_factory=dict)
    evaluations: Sequence[Record] = ()
    seed: int = 0
    protocol: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    git: str | None = None
    device: str = ""
    devices: int = 1
    memory: Mapping[str, int] = field(default_factory=dict)
    matmul: str = "highest"
    bfloat16: bool = False
    compiled: bool = False
    parameters: Mapping[str, int] = field(default_factory=dict)
    classes: Sequence[str] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    format: str = formats.RESULTS


class Metrics(dict[str, float]):
    """Numbers by name, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        shown = ((name, f"{value:.4g}" if isinstance(value, float | int) else "-") for name, value in self.items())
        rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{value}</td></tr>" for name, value in shown)
        return f"<table>{rows}</table>"


@dataclass(frozen=True)
class Run:
    """What became of a run. `status` is finished, max_time, alarm, no_progress, pruned or a signal's.

    `metrics` are the last. `verdicts` are those of the health check, in their order; `parameters` are how many weights
    each network has.
    """

    folder: Path
    status: str
    iteration: int
    seconds: float
    metrics: dict[str, float]
    verdicts: tuple[Verdict, ...] = ()
    parameters: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", Metrics(self.metrics))

    def __repr__(self) -> str:
        """One line for people: the numbers are in `metrics`."""
        said = "".join(f", {verdict.kind}" for verdict in self.verdicts)
        return f"Run({str(self.folder)!r}: {self.status} at iteration {self.iteration}, {self.seconds:.0f} s{said})"


def _is_number(value: Any) -> bool:
    return type(value) is float or _is_whole(value)


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 1 << 63  # JSON's may have a thousand digits, and be no float


def _are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(each is None or _is_number(each) for each in value.values())


def _is_health(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(verdicts := value.get("verdicts", []), list):
        return False
    return all(isinstance(verdict, dict) for verdict in verdicts) and _are_numbers(value.get("numbers", {}))


def _are_records(value: Any) -> bool:
    return all(isinstance(each, dict) and _is_record(each) for each in value)


def _is_record(value: Record) -> bool:
    is_told = "iteration" in value and isinstance(value.get("protocol"), dict)
    return is_told and _are_numbers(value.get("values", {}))


# What the fields of results.json hold that are read again, to print them or to keep them.
FITTING: dict[str, Callable[[Any], bool]] = {
    "status": lambda value: isinstance(value, str),
    "iteration": _is_whole,
    "seconds": _is_number,
    "metrics": _are_numbers,
    "health": _is_health,
    "evaluation": lambda value: isinstance(value, dict) and _are_records(value.values()),
    "evaluations": lambda value: isinstance(value, list) and _are_records(value),
    "seed": _is_whole,
    "device": lambda value: isinstance(value, str),
    "memory": lambda value: isinstance(value, dict) and all(map(_is_whole, value.values())),
    "classes": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
    "origin": lambda value: isinstance(value, dict),
}


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from changing a run's results.json while the block reads and replaces it.

    A run may be evaluated while it trains. The lock is on the folder itself; on file systems without, there is none.
    """
    place = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def write(folder: Path, results: Results) -> None:
    """Replaces a run's results.json."""
    with replacing(folder / RESULTS) as temporary:
        temporary.write_text(json.dumps(asdict(results), indent=2) + "\n")


def read(folder: Path) -> Results:
    """What is in a run's results.json, in this format or an earlier one. Raises UserError if it can't be read."""
    path = folder / RESULTS
    try:
        content = parse_json(read_text(path, MOST_BYTES))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read ({reason(error)}); the run's folder is damaged.") from error
    if not isinstance(content, dict) or not {"status", "iteration", "seconds"} <= content.keys():
        raise UserError(f"{path} can't be read: it holds no results; the run's folder is damaged.")
    formats.require(content.get("format", formats.FIRST_RESULTS), formats.RESULTS, f"{path} can't be read")
    if wrong := [name for name, fits in FITTING.items() if name in content and not fits(content[name])]:
        raise UserError(f"{path} can't be read: its {wrong[0]} is not what a run writes; the run's folder is damaged.")
    known = {each.name: content[each.name] for each in fields(Results) if each.name in content}
    records = {name: formats.upgrade_record(record) for name, record in content.get("evaluation", {}).items()}
    health: dict[str, Any] = content.get("health", {})
    return Results(
        **known
        | {
            "health": Health(health.get("verdicts", ()), health.get("numbers", {})),
            "evaluation": records,
            "evaluations": [formats.upgrade_record(record) for record in content.get("evaluations", [])],
            "classes": tuple(content.get("classes", ())),
            "format": formats.RESULTS,
        }
    )


def find(folder: Path) -> Results | None:
    """The same; None where there are no results, or none that can be read."""
    try:
        return read(folder)
    except UserError:
        return None


def add_evaluation(folder: Path, record: Record) -> None:
    """Adds a record of the command `evaluate`, in the place of one of the same iteration and protocol."""
    with alone(folder):
        results = read(folder)
        kept = [
            other
            for other in results.evaluations
            if any(other[key] != record[key] for key in ("iteration", "protocol"))
        ]
        write(folder, replace(results, evaluations=[*kept, record]))


def renew(folder: Path, results: Results) -> None:
    """Replaces results.json but for what the command `evaluate` has added to it."""
    with alone(folder):
        before = find(folder)
        write(folder, replace(results, evaluations=before.evaluations if before else ()))


def finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """The numbers for JSON, which has no NaN and no infinity: None in their place."""
    return {name: value if isfinite(value) else None for name, value in numbers.items()}
