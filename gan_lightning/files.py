"""Files that appear whole or not at all, and where those are that are kept for later."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, shared: bool = False) -> Iterator[Path]:
    """Gives the path of a temporary file to write, which takes the place of `path` once the block has ended.

    If the block raises, `path` stays as it was and the temporary file goes. What a killed process leaves is overwritten
    by the next one, but for `shared` files, which several processes may write at the same time: these have a temporary
    file each.
    """
    name = f"{path.name}-{uuid.uuid4().hex}.tmp" if shared else f"{path.name}.tmp"
    temporary = path.with_name(name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def cache_folder(name: str) -> Path:
    """The folder gan_lightning/NAME in $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "gan_lightning", name).expanduser().absolute()
