"""What ends a run, said in one paragraph where it is known what to do about it: a full disk, and divergence."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gan_lightning.errors import Diverged, RunFailed, UserError, reason
from gan_lightning.files import write_failure
from gan_lightning.paths import typed
from gan_lightning.run_folder import last_saved

log = logging.getLogger(__name__)

WRITER = "_AsyncWriterThread"  # TensorBoard's, which tells of its error wherever something is written next


@contextmanager
def told_in_a_paragraph(folder: Path) -> Iterator[None]:
    """Raises RunFailed for what ends the run in `folder` and isn't the program's fault; other errors are raised as is.

    Threads that write for the run, and its log, say nothing of their own about the disk.
    """
    hook, logged = threading.excepthook, logging.raiseExceptions

    def quiet(thrown: threading.ExceptHookArgs) -> None:
        if not (isinstance(thrown.exc_value, OSError) and type(thrown.thread).__name__ == WRITER):
            hook(thrown)

    threading.excepthook, logging.raiseExceptions = quiet, False
    try:
        yield
    except UserError:
        raise
    except RunFailed:
        log.info("the run has failed", exc_info=True)
        raise
    except Exception as error:
        failure = failure_of(error, folder)
        if failure is None:
            raise
        log.info("the run has failed", exc_info=True)
        raise failure from error
    finally:
        threading.excepthook, logging.raiseExceptions = hook, logged


def failure_of(error: Exception, folder: Path) -> RunFailed | None:
    """The error that says in a paragraph what has ended a run; None where that isn't known."""
    if failure := write_failure(error, folder):
        told = f"; {typed('resume', folder)} goes on from its last checkpoint, once there is room"
        kept = told if last_saved(folder) else ""
        return type(failure)(f"{str(failure).rstrip('.')}{kept}.")
    if isinstance(error, FloatingPointError):  # of an evaluation, whose samples weren't finite
        return Diverged(f"{reason(error)}. A lower learning rate or a stronger regularizer may help.")
    return None
