"""A run's folder has one owner: the process that trains in it, for as long as it lives."""

import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from gan_lightning.errors import UserError
from gan_lightning.processes import is_first_process

LOCK = Path(".lock")
log = logging.getLogger(__name__)

held: dict[Path, int] = {}  # the open lock files of this process, by their run's folder


def own(folder: Path) -> None:
    """Makes this process the owner of an existing folder until `disown`, or until it ends, in whichever way.

    The lock is the kernel's (flock), so that a dead owner has none; what stands in the file is for the message. Of
    processes that train together the first owns the folder. Raises UserError if another process owns it.
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
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(file, 1000, 0).decode(errors="replace")
            os.close(file)
            raise UserError(
                f"{folder} belongs to {described(owner)}, which trains there; wait until it has ended, or name another"
                " folder by hydra.run.dir=DIR."
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
