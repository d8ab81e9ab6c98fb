"""A sweep's folder: sweep.json says which jobs were asked for, so that one that never started is known too."""

import json
import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from gan_lightning import formats
from gan_lightning.errors import UserError, reason
from gan_lightning.files import parse_json, read_text, replacing
from gan_lightning.runs.results import alone

SWEEP = Path("sweep.json")
STOP = Path(".stop")  # in a sweep's folder: no further job is to begin, and those that run are to save and stop
MOST_BYTES = 64 << 20  # of sweep.json: 10,000 jobs take some 3 MB


@dataclass(frozen=True)
class SweepJob:
    """A job: its folder, relative to the sweep's, and the overrides that it has been given."""

    folder: str
    overrides: Sequence[str]


@dataclass(frozen=True)
class Sweep:
    """What a sweep was asked for: the command's overrides, its jobs in their order, the flags that name its configs.

    Of a sweeper that finds its jobs while it runs, each is added as it begins.
    """

    overrides: Sequence[str]
    jobs: Sequence[SweepJob] = ()
    flags: Sequence[str] = ()
    format: str = field(default=formats.SWEEP)


def write(folder: Path, sweep: Sweep) -> None:
    """Replaces a sweep's sweep.json."""
    with replacing(folder / SWEEP) as temporary:
        temporary.write_text(json.dumps(asdict(sweep), indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Sweep:
    """What is in a sweep's sweep.json. Raises UserError if it can't be read."""
    path = folder / SWEEP
    try:
        content = parse_json(read_text(path, MOST_BYTES))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read ({reason(error)}); the sweep's folder is damaged.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} can't be read: it holds no sweep; the sweep's folder is damaged.")
    formats.require(content.get("format"), formats.SWEEP, f"{path} can't be read")
    jobs = content.get("jobs")
    if not _are_texts(content.get("overrides")) or not isinstance(jobs, list) or not all(map(_is_job, jobs)):
        raise UserError(f"{path} can't be read: it is not what a sweep writes; the sweep's folder is damaged.")
    if not _are_texts(content.get("flags", [])):
        raise UserError(f"{path} can't be read: its flags are not what a sweep writes; the sweep's folder is damaged.")
    known = {each.name: content[each.name] for each in fields(Sweep) if each.name in content}
    return Sweep(**known | {"jobs": [SweepJob(job["folder"], job["overrides"]) for job in jobs]})


def stop(folder: Path) -> None:
    """Has a sweep's jobs save and stop, and no further one begin, until the sweep is planned again."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STOP).touch()


def add(folder: Path, job: SweepJob) -> None:
    """Adds a job to a sweep's sweep.json, unless one in its folder is there; several may do so at once."""
    if job.folder in _listed(folder):
        return
    with alone(folder):
        sweep = read(folder)
        if all(each.folder != job.folder for each in sweep.jobs):
            write(folder, replace(sweep, jobs=[*sweep.jobs, job]))


def _listed(folder: Path) -> Set[str]:
    """The folders of the jobs in a sweep.json, which is read anew only where it is another file by now.

    It is replaced as a whole, and each of a sweep's jobs asks, of which there may be thousands.
    """
    found = os.stat(folder / SWEEP)
    stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
    known = _read.get(folder)
    if known is None or known[0] != stamp:
        _read[folder] = known = stamp, {job.folder for job in read(folder).jobs}
    return known[1]


_read: dict[Path, tuple[tuple[int, int, int], Set[str]]] = {}  # when a sweep.json was read, and what _listed found


def _is_job(job: Any) -> bool:
    is_whole = isinstance(job, Mapping) and isinstance(job.get("folder"), str) and _are_texts(job.get("overrides"))
    return is_whole and not Path(job["folder"]).is_absolute() and ".." not in Path(job["folder"]).parts


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
