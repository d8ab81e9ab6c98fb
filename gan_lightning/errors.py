"""The exceptions for what a user can mend, a wrong key, value, path or file, and for what ends a run; text to show."""

from collections.abc import Iterator
from contextlib import contextmanager

from gan_lightning.memory import free_memory, size

# torch says so in a RuntimeError, NumPy in a kind of MemoryError, and Hydra repeats either in an error of its own.
NO_MEMORY = ("not enough memory", "can't allocate memory", "Unable to allocate", "out of memory", "size calculation")
MOST_SHOWN = 2000  # characters of a message


class UserError(Exception):
    """What the user gave is wrong. The message is one paragraph that names the key, the value and what was expected.

    The command line prints it without a traceback and exits with status 2; from Python it is raised as it is.
    """


class RunFailed(Exception):
    """What went wrong while running, and not by a mistake in what the user gave. The message is one paragraph.

    The command line prints it, has its traceback in train.log alone, and exits with status 1; from Python it is raised
    as it is.
    """


class Diverged(RunFailed, FloatingPointError):
    """Numbers of a training aren't finite any more."""


class WriteFailed(RunFailed, OSError):
    """A file can't be written, as on a full disk."""


def printable(text: object) -> str:
    r"""Text for a terminal: what doesn't print as itself is written as Python would (`\x1b`), so that nothing obeys it.

    That goes for control characters, line ends among them, and for those that turn the direction of what follows.
    """
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(text))


def paragraph(error: UserError | RunFailed) -> str:
    """What the command line prints: as printable text, and without the middle of what a file may have made endless."""
    text = printable(error)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN // 2]} ... {text[-MOST_SHOWN // 2 :]}"


def reason(error: BaseException, most: int = 300) -> str:
    """An error's message for a sentence: in one line, not too long, without its full stop."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= most else f"{text[: most - 1]}…"


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Raises UserError, beginning with `what`, where the block asks for more memory than there is."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in NO_MEMORY):
            raise
        raise UserError(f"{what} takes more memory than there is ({reason(error)}){_there_is()}.") from error


def require_memory(what: str, nbytes: float, way_out: str) -> None:
    """Raises UserError, beginning with `what`, for more bytes than there are; it ends with the way out."""
    free = free_memory()
    if free is not None and nbytes > free:
        raise UserError(f"{what} takes {size(nbytes)} of memory{_there_is()}; {way_out}.")


def _there_is() -> str:
    free = free_memory()
    return "" if free is None else f", but there are {size(free)}"
