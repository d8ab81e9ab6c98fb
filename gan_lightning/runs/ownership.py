"""A run's folder has one owner: the process that trains in it, for as long as it lives."""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from gan_lightning.errors import UserError
from gan_lightning.processes import is_first_process

LOCK = Path(".lock")
TRIES, PAUSE = 5, 0.02  # while somebody may be looking whether there is an owner; in seconds
USES = {"hydra.run.dir": "which trains there", "hydra.sweep.dir": "whose sweep is there"}
log = logging.getLogger(__name__)

held: dict[Path, int] = {}  # the open lock files of this process, by their run's folder


def own(folder: Path, key: str = "hydra.run.dir") -> None:
    """Makes this process the owner of an existing folder until `disown`, or until it ends, in whichever way.

    `key` is the one of USES that names such folders. The lock is the kernel's (flock), so that a dead owner has none;
    what stands in the file is for the message. Of processes that train together the first owns the folder. Raises
    UserError if another process owns it.
    """
    place = folder.resolve()
    if place in held or not is_first_process():
        return
    path = place / LOCK
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise UserError(f"{folder} can't be trained in: {path} can't be written ({error.strerror}).") from error
        try:
            _lock(file)
        except BlockingIOError:
            owner = os.pread(file, 1000, 0).decode(errors="replace")
            os.close(file)
            raise UserError(
                f"{folder} belongs to {described(owner)}, {USES[key]}; wait until it has ended, or name another"
                f" folder by {key}=DIR."
            ) from None
        except OSError as error:
            log.warning("%s can't be locked (%s): see to it that no other process trains there.", folder, error)
        if is_at(file, path):
            break
        os.close(file)  # the owner before has ended, and taken its file away, since it was opened
    told = {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now().isoformat(" ", "seconds")}
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(told).encode(), 0)
    held[place] = file


def _lock(file: int) -> None:
    """Locks an open file for this process. Raises BlockingIOError if another process has it, and keeps it."""
    for attempt in range(TRIES):
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt == TRIES - 1:
                raise
        time.sleep(PAUSE)


def is_owned(folder: Path) -> bool:
    """Whether a living process owns a folder; False where locks can't be seen."""
    if folder.resolve() in held:
        return True
    try:
        file = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back at once, by closing it
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False


def disown(folder: Path) -> None:
    """Ends the ownership, if this process has it."""
    place = folder.resolve()
    file = held.pop(place, None)
    if file is not None:
        with suppress(OSError):  # the folder itself may be gone
            (place / LOCK).unlink()
        os.close(file)


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Owns a folder while the block runs."""
    own(folder)
    try:
        yield
    finally:
        disown(folder)


def is_at(file: int, path: Path) -> bool:
    """Whether an open file is what lies at a path."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def described(owner: str) -> str:
    """The owner that a lock file names."""
    try:
        told = json.loads(owner)
        return f"process {told['pid']} on {told['host']} (since {told['since']})"
    except (ValueError, TypeError, KeyError):
        return "another process"
