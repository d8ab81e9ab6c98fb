"""Arrays in .npy, .npz and .pt files: told by their contents, and read as data alone."""

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gan_lightning.archives import load_archive
from gan_lightning.data.picture_cache import mapped
from gan_lightning.data.picture_files import NPY
from gan_lightning.errors import UserError, reason

ZIP = b"PK\x03\x04"
PICKLED = "data.pkl"  # an entry of every archive that torch.save writes
TABLES = (".csv", ".tsv", ".parquet")
WHOLE = ""  # the name of the only array of a file that names none


class Stored(NamedTuple):
    """An array in a file: its shape and type, and how it is opened."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    open: Callable[[], NDArray[Any]]

    def read(self, which: str) -> NDArray[Any]:
        """The array. Raises UserError, beginning with `which`, for objects, which would have to be run to be had."""
        if self.dtype.hasobject:
            raise UserError(
                f"{which}, which has an array of shape {self.shape} and type {self.dtype}: of objects, such as rows of"
                " different lengths; all must have one shape, and texts the type str."
            )
        return self.open()

    def __str__(self) -> str:
        return f"{self.shape} of {self.dtype}"


def arrays_in(path: Path, key: str = "dataset.root") -> dict[str, Stored]:
    """The arrays of a file by their names, not read yet; those of a list of tensors are named by their places.

    Raises UserError, which names `key`, for what can't be read.
    """
    if not path.is_file():
        kind = "which is no file" if path.exists() else "but there is no such file"
        raise UserError(f"{key} is {path}, {kind}; expected a .npy, .npz or .pt file.")
    try:
        with path.open("rb") as file:
            start = file.read(len(NPY))
        if start == NPY:
            return {WHOLE: _npy(path)}
        if start.startswith(ZIP) and not _is_of_torch(path):
            return _npz(path)
        if start.startswith(ZIP) or path.suffix in (".pt", ".pth"):
            return _tensors(load_archive(path, mmap=True))
    except Exception as error:  # of half a dozen kinds, on bytes that only begin like such files
        told = getattr(error, "strerror", None) or reason(error)
        raise UserError(f"{key} is {path}, which can't be read ({told}); it may be damaged.") from error
    tables = "; dataset=table reads CSV and Parquet" if path.suffix.lower() in TABLES else ""
    raise UserError(f"{key} is {path}, which is neither .npy nor .npz nor .pt by its content{tables}.")


def _npy(path: Path) -> Stored:
    with path.open("rb") as file:
        shape, _, dtype = _header(file)
        has, needed = os.path.getsize(path) - file.tell(), math.prod(shape) * dtype.itemsize
    if dtype.kind != "O" and has < needed:
        raise ValueError(f"it is cut off: {needed} bytes are announced, and {has} are there")
    return Stored(shape, dtype, lambda: mapped(lambda mode: np.lib.format.open_memmap(path, mode)))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(file)
    return found


def _is_of_torch(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.rpartition("/")[2] == PICKLED for name in archive.namelist())


def _npz(path: Path) -> dict[str, Stored]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.filename.endswith(".npy"):
                continue
            with archive.open(entry) as file:
                shape, _, dtype = _header(file)
            if dtype.kind != "O" and math.prod(shape) * dtype.itemsize > entry.file_size:
                raise ValueError(f"its array {entry.filename} announces more than is stored of it")
            found[entry.filename.removesuffix(".npy")] = Stored(shape, dtype, _reader(path, entry.filename))
    return found


def _reader(path: Path, entry: str) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(entry) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, struct.error) as error:
            raise UserError(f"{entry} in {path} can't be read ({reason(error)}); it may be damaged.") from error

    return read


def _tensors(content: Any) -> dict[str, Stored]:
    if isinstance(content, Tensor):
        return {WHOLE: _of_tensor(content)}
    is_list = isinstance(content, list | tuple)
    named = content if isinstance(content, Mapping) else dict(enumerate(content)) if is_list else {}
    return {str(name): _of_tensor(value) for name, value in named.items() if isinstance(value, Tensor)}


def _of_tensor(tensor: Tensor) -> Stored:
    array = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).detach().numpy()
    return Stored(array.shape, array.dtype, lambda: array)
