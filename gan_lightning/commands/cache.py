"""`cache`: what the image cache holds, and how much of the disk; or clears it.

python -m gan_lightning cache
python -m gan_lightning cache clear=true
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gan_lightning.config.options import read_options
from gan_lightning.config.places import CONF
from gan_lightning.errors import UserError, printable
from gan_lightning.files import cache_folder
from gan_lightning.paths import whole
from gan_lightning.types import FilePath

if TYPE_CHECKING:
    from gan_lightning.data.picture_cache import Entry


@dataclass(frozen=True)
class Listing:
    """The keys of conf/cache.yaml."""

    clear: bool
    folder: FilePath | None


def main(arguments: list[str]) -> int:
    """Lists the cache's files, the least recently used first, or removes them."""
    if {"-h", "--help"} & set(arguments):
        print((CONF / "cache.yaml").read_text(), end="")
        return 0
    schema = f"{__name__}.{Listing.__name__}"
    options = Listing(**read_options(CONF / "cache.yaml", arguments, schema))
    folder = whole(options.folder) if options.folder else cache_folder("images")
    if options.folder and not folder.is_dir():
        raise UserError(f"folder is {options.folder}, but there is no such folder.")

    from gan_lightning.data.picture_cache import described, entries, leftovers, remove  # NumPy takes a while to import

    finished, left = entries(folder), list(leftovers(folder))
    if not finished and not left:
        print(printable(f"The image cache {folder} is empty."))
        return 0
    if options.clear:
        removed = [entry for entry in (*finished, *left) if remove(entry)]
        print(printable(f"Removed {told(removed)} from the image cache {folder}."))
        if len(removed) < len(finished) + len(left):
            raise UserError(f"folder is {folder}, where some files of the image cache can't be removed.")
        return 0
    for entry in finished:
        print(printable(line(described(entry))))
    for entry in left:
        print(printable(f"{size(entry.nbytes)}  {day(entry)}  left by a decoding that was stopped"))
    print(printable(f"The image cache {folder} has {told([*finished, *left])}; clear=true removes them."))
    return 0


def line(entry: "Entry") -> str:
    """A finished file: its size, when it was last used, and what it holds."""
    shape = f"{entry.shape[0]} pictures {'x'.join(map(str, entry.shape[1:]))} of " if entry.shape else ""
    return f"{size(entry.nbytes)}  {day(entry)}  {shape}{entry.notes.root or 'not of this version, or damaged'}"


def told(found: "list[Entry]") -> str:
    """How many files, and how large they are together."""
    return f"{len(found)} file{'' if len(found) == 1 else 's'} of {size(sum(entry.nbytes for entry in found)).strip()}"


def size(nbytes: int) -> str:
    """Bytes in MiB, ten characters wide."""
    return f"{nbytes / 2**20:6.1f} MiB"


def day(entry: "Entry") -> str:
    """When a file was last used."""
    return f"{datetime.fromtimestamp(entry.used):%Y-%m-%d %H:%M}"
