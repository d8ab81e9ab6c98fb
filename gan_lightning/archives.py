"""What torch.save wrote, of whoever's hand: loaded as data alone, and only where it is as small as its file."""

import os
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_lightning.errors import reason
from gan_lightning.files import require_plain

MOST_PICKLED = 16 << 20  # bytes of what stands beside the tensors; a checkpoint has some 20 KiB
SHARED = 4  # times that a storage may count: tensors of tied layers share one
# What a state dict is made of, among the more that weights_only=True allows: a bytearray of any length, for one.
PLAIN = re.compile(
    r"collections (OrderedDict|defaultdict)|torch (\w+Storage|Size|device|[a-z]+\d+)"
    r"|torch\._utils (_rebuild_tensor_v2|_rebuild_parameter)|torch\.nn\.parameter Parameter"
)


def load_archive(path: Path, mmap: bool = False) -> Any:
    """The content of an archive, on the CPU, nothing but plain containers, numbers, texts and tensors.

    With `mmap`, tensors are mapped from the file. Raises ValueError for compressed content, which may be larger than
    its file without end, and for tensors that claim to be larger than it; whatever torch raises if it is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    size = os.path.getsize(path)
    require_whole(path)
    if is_zip := zipfile.is_zipfile(path):
        _require_stored(path, size)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap and is_zip)
    except Exception as error:  # of half a dozen kinds
        if "weights_only" in str(error):  # it advises to let the file run what it likes
            raise ValueError("it holds something else than tensors and plain data") from error
        raise
    require_plain(content)
    claimed = 0
    for tensor in _tensors(content):
        needed = tensor.numel() * tensor.element_size()
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or needed > tensor.untyped_storage().nbytes():
            raise ValueError("it has a tensor that is larger than what is stored of it")
        claimed += needed
    if claimed > SHARED * size:
        raise ValueError("its tensors are larger than the file")
    return content


def require_whole(path: Path) -> None:
    """Raises ValueError for a zip archive, which torch.save writes, whose content isn't what was written.

    Every entry has a checksum, of which torch makes no use. It takes some 0.3 s for 100 MiB. Of the files that torch
    wrote before version 1.6, nothing is known.
    """
    with path.open("rb") as file:
        begins = file.read(4) == b"PK\x03\x04"
    if not begins and not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
    # All that zipfile raises for bytes that are damaged, in its directory or in an entry.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, struct.error, EOFError) as error:
        raise ValueError(f"it is no whole archive: {reason(error)}") from error
    if wrong is not None:
        raise ValueError(f"the checksum of its entry {wrong} is wrong")


def _require_stored(path: Path, size: int) -> None:
    """Raises ValueError for a zip archive with compressed entries, or whose pickle asks for more than plain content."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size:
                raise ValueError(f"its entry {entry.filename} is compressed, which torch.save does not do")
            if not entry.filename.endswith(".pkl"):
                continue
            if entry.file_size > MOST_PICKLED:
                raise ValueError(f"its entry {entry.filename} has more than {MOST_PICKLED >> 20} MiB")
            for opcode, argument, _ in pickletools.genops(archive.read(entry)):
                if "GLOBAL" in opcode.name and not PLAIN.fullmatch(str(argument)):
                    raise ValueError(f"it asks for {argument}, which no weights need")


def _tensors(content: Any) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping | list | tuple | set):
        for item in content.values() if isinstance(content, Mapping) else content:
            yield from _tensors(item)
