"""Where commands write what they make: the name `out`, and what is said where that is no place."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gan_lightning.errors import UserError
from gan_lightning.files import unused, write_failure


def wanted(out: str, arguments: Sequence[str], is_file: bool = False) -> Path:
    """The place to write to: `out` if the arguments name it, and else one of that name that nothing has.

    Nobody has asked for what has the name that is taken without one. Raises UserError for a folder where `is_file`.
    """
    if is_file and (os.path.isdir(out) or Path(out).name in ("", "..")):
        raise UserError(f"out is {out}, which is a folder; expected is the name of a file, as in out={out}/NAME.")
    return Path(out) if any(text.startswith("out=") for text in arguments) else unused(Path(out))


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Makes the folder that `out` lies in for the block, which writes it. Raises UserError where that can't be."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if (failure := write_failure(error, out)) and error.errno != errno.EROFS:
            raise failure from error
        raise UserError(f"out is {out}, which can't be written ({error.strerror}).") from error
