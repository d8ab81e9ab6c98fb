"""Files that appear whole or not at all, how those of others are read and sorted, and where kept ones are."""

import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gan_lightning.errors import WriteFailed

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
DEEPEST = 32  # levels of lists and mappings in what is read; what is saved here has a dozen
MOST_ITEMS = 1_000_000


@contextmanager
def replacing(path: Path, shared: bool = False, before: Path | None = None, lasting: bool = True) -> Iterator[Path]:
    """Gives the path of a temporary file to write, which takes the place of `path` once the block has ended.

    It is on the disk by then: neither a crash of the process nor of the machine leaves half a file. What stood there
    gets the name `before`, if one is given; at no moment is `path` missing, where files can be linked.

    If the block raises, `path` stays as it was and the temporary file goes. What a killed process leaves is overwritten
    by the next one, but for `shared` files, which several processes may write at the same time: these have a temporary
    file each. Those, and what isn't to be `lasting`, are not waited for until they are on the disk.
    """
    lasting = lasting and not shared
    name = f"{path.name}-{uuid.uuid4().hex}.tmp" if shared else f"{path.name}.tmp"
    temporary = path.with_name(name)
    temporary.unlink(missing_ok=True)  # a link to another file, which would be written instead
    try:
        with naming(path):
            yield temporary
            if lasting:
                flush(temporary)
            if before is not None and path.exists():
                rename_linked(path, before)
            os.replace(temporary, path)
            if lasting:
                flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def rename_linked(path: Path, name: Path) -> None:
    """Gives a file that is about to be replaced another name, in the place of what has that, and leaves it its own."""
    link = name.with_name(f"{name.name}.tmp")
    link.unlink(missing_ok=True)
    if name.is_dir():  # whoever put it there
        os.replace(name, unused(name.with_stem(f"{name.stem}.damaged")))
    if name.exists() and name.samefile(path):  # by a process that was killed here; to rename links of one file is void
        return
    try:
        os.link(path, link)
    except OSError:  # a file system without links
        os.replace(path, name)
    else:
        os.replace(link, name)


def unused(path: Path) -> Path:
    """A path of that name, or of that name with _2, _3, … where there is something already."""
    number = 1
    while os.path.lexists(name := path if number == 1 else path.with_stem(f"{path.stem}_{number}")):
        number += 1
    return name


def flush(path: Path) -> None:
    """Waits until a file's content is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """The same for the names in a folder, where the system can open one."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Names the file in an error of the system that doesn't: that of a write has no name."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def cache_folder(name: str) -> Path:
    """The folder gan_lightning/NAME in $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "gan_lightning", name).expanduser().absolute()


def read_text(path: Path, most: int) -> str:
    """The text in a file. Raises OSError or ValueError for what is no file, has above `most` bytes, or isn't UTF-8."""
    if path.exists() and not path.is_file():
        raise ValueError("it is not a plain file")  # to open a pipe may take forever
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most >> 20} MiB")
    return content.decode()


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Names as people sort them: 2 before 10."""
    return sorted(names, key=lambda name: (_natural(name), name))


def _natural(name: str) -> list[tuple[int, str]]:
    pieces = re.split(r"([0-9]+)", name)
    return [(int(piece), "") if index % 2 else (-1, piece) for index, piece in enumerate(pieces)]


def parse_json(text: str) -> Any:
    """What JSON says. Raises ValueError for anything else, and for what is nested too deeply or has too many items."""
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    require_plain(content)
    return content


def require_plain(content: Any) -> None:
    """Raises ValueError for containers nested too deeply, or with too many items where shared ones count each time."""
    pending, count = [(content, 0)], 0
    while pending:
        each, depth = pending.pop()
        is_sequence = isinstance(each, list | tuple | Set)
        items = list(each.values()) if isinstance(each, Mapping) else list(each) if is_sequence else []
        count += len(items)
        if depth > DEEPEST or count > MOST_ITEMS:
            raise ValueError("it is nested too deeply" if depth > DEEPEST else f"it has more than {MOST_ITEMS:,} items")
        pending += [(item, depth + 1) for item in items]


def write_failure(error: BaseException, place: Path) -> WriteFailed | None:
    """What to tell of an error that came of a full disk, or one that can't be written to; None for any other error.

    `place` is where the file was to be, if the error doesn't name one. Of errors that follow from each other, such as
    that of closing a file that couldn't be written, the first is told.
    """
    first: OSError | None = None
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            first = error
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # any kind may come before
    if first is None:
        return None
    path = Path(os.fsdecode(first.filename)) if isinstance(first.filename, str | bytes) else place
    path = path.with_name(path.name.removesuffix(".tmp").removesuffix(".tmp"))
    return WriteFailed(f"{path} can't be written: {first.strerror} ({free_space(path)}).")


def free_space(path: Path) -> str:
    """How much room there is for a file, for a sentence."""
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    return f"{shutil.disk_usage(folder).free / (1 << 20):,.1f} MiB are free there"
