"""How a sweep's jobs have ended: by their results, and by job.json for what leaves no results or no reason in them."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gan_lightning import formats
from gan_lightning.errors import UserError
from gan_lightning.files import parse_json, read_text, replacing
from gan_lightning.processes import STOPPED
from gan_lightning.runs import results
from gan_lightning.runs.ownership import is_owned
from gan_lightning.runs.results import Results

JOB = Path("job.json")
MOST_BYTES = 1 << 20  # of job.json
FINISHED = ("finished", "max_time", "alarm", "no_progress", "pruned")  # with nothing left to do
NOT_STARTED, RUNNING, STOPPED_BY_SIGNAL = "not started", "running", "stopped"
REFUSED, FAILED, INTERRUPTED = "refused", "failed", "interrupted"
NO_WORD = "its process has ended without a word: it was killed, or its machine has failed"


@dataclass(frozen=True)
class Ending:
    """What a job that has not finished ended with: refused, failed or stopped, and why, in one line."""

    status: str
    cause: str
    format: str = field(default=formats.JOB)


def write(folder: Path, ending: Ending) -> None:
    """Replaces a job's job.json; the folder is made if it isn't there."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / JOB) as temporary:
        temporary.write_text(json.dumps(asdict(ending)) + "\n", encoding="utf-8")


def forget(folder: Path) -> None:
    """Takes away what an earlier attempt has ended with."""
    (folder / JOB).unlink(missing_ok=True)


def find(folder: Path) -> Ending | None:
    """What is in a job's job.json; None where there is none, or none that can be read."""
    try:
        content = parse_json(read_text(folder / JOB, MOST_BYTES))
        formats.require(content["format"], formats.JOB, f"{folder / JOB} can't be read")
        ending = Ending(content["status"], content["cause"])
    except (OSError, ValueError, LookupError, TypeError, UserError):
        return None
    is_whole = ending.status in (REFUSED, FAILED, STOPPED_BY_SIGNAL) and isinstance(ending.cause, str)
    return ending if is_whole else None


def state_of(folder: Path) -> tuple[str, str | None, Results | None]:
    """A run's status, the cause if it has not finished, and its results.

    The status is one of those named above; of results alone that of results.json.
    """
    is_running = is_owned(folder)  # before its results are read, which it may be about to complete
    known = results.find(folder)
    if is_running:
        return RUNNING, None, known
    if known is not None and known.status in FINISHED:
        return known.status, None, known
    ending = find(folder)
    if ending is not None:
        return ending.status, ending.cause, known
    if known is None:
        return NOT_STARTED, None, known
    if known.status in STOPPED:
        return STOPPED_BY_SIGNAL, f"stopped by {known.status}", known
    return (INTERRUPTED, NO_WORD, known) if known.status == RUNNING else (known.status, None, known)
