"""Safetensors files that are equal where their content is, and that tell a flipped bit: in one order, with a digest.

The library's own writer puts the metadata into another order in each process, and nothing in the format tells whether
the content is what was written.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from gan_lightning.files import replacing

LENGTH = struct.Struct("<Q")  # of the header, in bytes, which stands before it
ALIGNED = 8  # tensors begin at a multiple of so many bytes
METADATA, DIGEST = "__metadata__", "sha256"
AT_ONCE = 1 << 20


def save_whole(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Replaces a file by one of these tensors, which has the digest of all else in its metadata."""
    made = memoryview(save(dict(tensors)))
    (length,) = LENGTH.unpack_from(made)
    header, content = json.loads(bytes(made[LENGTH.size :][:length])), made[LENGTH.size + length :]
    header[METADATA] = dict(metadata)
    digest = hashlib.sha256(canonical(header))
    digest.update(content)
    header[METADATA][DIGEST] = digest.hexdigest()
    text = canonical(header)
    text += b" " * (-len(text) % ALIGNED)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(LENGTH.pack(len(text)) + text)
        file.write(content)


def is_whole(path: Path) -> bool:
    """Whether a file's content is what its digest says. One without a digest isn't whole."""
    with path.open("rb") as file:
        (length,) = LENGTH.unpack(file.read(LENGTH.size))
        header: dict[str, Any] = json.loads(file.read(length))
        told = header[METADATA].pop(DIGEST, None)
        digest = hashlib.sha256(canonical(header))
        while some := file.read(AT_ONCE):
            digest.update(some)
    return bool(digest.hexdigest() == told)


def canonical(header: Mapping[str, Any]) -> bytes:
    """A header as JSON, in the one order that it is written in."""
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
