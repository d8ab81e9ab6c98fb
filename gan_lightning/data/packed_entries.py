"""What archives tell of their entries, and which of these are files of the folder that was packed."""

import stat
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from gan_lightning.data.places import HIDDEN, NO_FILES, REPLACED, Found

RESOURCES = "__MACOSX"  # where macOS packs what its file system keeps beside a file
BLOCK = tarfile.BLOCKSIZE
UTF_8 = 0x800  # a bit of the flags of an entry


@dataclass(frozen=True)
class PackedEntry:
    """What an archive tells of one of its entries. `mark`s differ when contents do; `info` is what opens it."""

    name: str
    is_folder: bool
    is_plain: bool
    size: int
    packed: int
    mark: tuple[int, int]
    info: Any


def entries_of_tar(tar: tarfile.TarFile, stream: IO[bytes], packed: int | None) -> list[PackedEntry]:
    """All entries of an archive in `stream`, which came out of `packed` bytes if it was compressed.

    A hard link, which is how tar packs a file's second name, is the earlier entry that it names. Raises ValueError for
    damage, and whatever tarfile does.
    """
    entries = []
    plain: dict[str, tarfile.TarInfo] = {}
    for info in _members(tar, stream):
        content = plain.get(info.linkname, info) if info.islnk() else info
        is_plain = content.isreg() and not content.issparse()
        if is_plain:
            plain[info.name] = content
        size, mark = content.size, (content.size, content.offset_data)
        entries.append(PackedEntry(info.name, info.isdir(), is_plain, size, packed or size, mark, content))
    return entries


def _members(tar: tarfile.TarFile, stream: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """All members, also where tarfile would stop, or never stop, without a word: there it raises ValueError."""
    offset = -1
    while (info := tar.next()) is not None:
        if info.size < 0 or tar.offset <= offset:
            raise ValueError(f"{info.name} has no size")
        offset = tar.offset
        yield info
    stream.seek(tar.offset)
    if stream.read(BLOCK) != bytes(BLOCK):
        raise ValueError("its end is missing")


def entry_of_zip(info: zipfile.ZipInfo) -> PackedEntry:
    name, mode = info.filename, info.external_attr >> 16
    if not info.flag_bits & UTF_8:  # a name in CP437, says the standard; that of UTF-8 is set by few
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    if info.create_system == 0 and "/" not in name:  # of DOS, some programs of which write their own separators
        name = name.replace("\\", "/")
    is_plain = info.create_system != 3 or stat.S_IFMT(mode) in (0, stat.S_IFREG)
    mark = (info.file_size, info.CRC)
    return PackedEntry(
        name, info.is_dir() or name.endswith("/"), is_plain, info.file_size, info.compress_size, mark, info
    )


def as_folder(entries: Sequence[PackedEntry], inner: tuple[str, ...]) -> tuple[dict[str, PackedEntry], list[Found]]:
    """The plain files by their paths below the folder that was packed, and all that `files` tells.

    With `inner`, by those below that folder in it, whose path may begin with the one that was packed. Of entries with
    one name, the last counts, as when they are unpacked.
    """
    split = [tuple(part for part in entry.name.split("/") if part not in ("", ".", "..")) for entry in entries]
    wrapper = _wrapper(entries, split)
    top = (wrapper, *inner) if wrapper is not None else inner
    if not any(parts[: len(top)] == top for parts in split):
        top = inner
    latest: dict[str, PackedEntry] = {}
    found = []
    for entry, parts in zip(entries, split, strict=True):
        is_below = parts[: len(top)] == top
        if inner and not is_below:
            continue
        below = parts[len(top) :] if is_below else parts
        if not below or entry.is_folder or any(part.startswith(".") for part in below[:-1]):
            continue
        name = "/".join(below)
        if name in latest:
            found.append(Found(name, REPLACED))
        latest[name] = entry
    objections = {name: _objection(name, entry) for name, entry in latest.items()}
    found += [Found(name, objection) for name, objection in objections.items()]
    return {name: entry for name, entry in latest.items() if objections[name] is None}, found


def _wrapper(entries: Sequence[PackedEntry], split: Sequence[tuple[str, ...]]) -> str | None:
    """The folder that was packed: the only one of the first level, if all that is visible lies in it."""
    if any(entry.is_folder and not parts for entry, parts in zip(entries, split, strict=True)):
        return None  # `tar -C FOLDER .` says that it is what is in a folder
    tops = set()
    for entry, parts in zip(entries, split, strict=True):
        if parts and parts[0] != RESOURCES and not any(part.startswith(".") for part in parts):
            tops.add(parts[0] if len(parts) > 1 or entry.is_folder else None)
    return tops.pop() if len(tops) == 1 else None


def _objection(name: str, entry: PackedEntry) -> str | None:
    if name.rpartition("/")[2].startswith(".") or name.startswith(f"{RESOURCES}/"):
        return HIDDEN
    return None if entry.is_plain else NO_FILES
