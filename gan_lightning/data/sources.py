"""Where pictures come from: a source is a frozen dataclass of plain values whose `load()` returns an `ImageSet`."""

import contextlib
import http.client
import io
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.error import URLError

import numpy as np
import torch

from gan_lightning.errors import UserError

TORCHVISION_SETS = ("MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100")
DOWNLOAD_TIMEOUT = 30.0  # seconds a server may stay silent


@dataclass(frozen=True)
class ImageSet:
    """Pictures of one size: `images` uint8 (N, C, H, W) in 0 to 255, perhaps backed by a memory map.

    `labels` are int64 (N,) indices into `classes`, the class names in index order; without labels they are None and ().
    """

    images: torch.Tensor
    labels: torch.Tensor | None
    classes: tuple[str, ...]


class Source(Protocol):
    """What a data module needs of a source."""

    def load(self) -> ImageSet: ...


@dataclass(frozen=True)
class Digits:
    """The 1,797 handwritten digits that scikit-learn brings along: (1797, 1, 8, 8), ten classes, no download."""

    def load(self) -> ImageSet:
        """Returns all pictures, their grey levels 0 to 16 spread over 0 to 255."""
        from sklearn.datasets import load_digits  # slow to import, like torchvision below

        digits = load_digits()
        levels = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))
        labels = torch.from_numpy(digits.target.astype(np.int64))
        return ImageSet(levels.unsqueeze(1), labels, tuple(str(name) for name in digits.target_names))


@dataclass(frozen=True)
class TorchvisionSource:
    """One of torchvision's small labelled sets, named as there (see TORCHVISION_SETS), in `root`.

    Files that are there are only read; otherwise the set is downloaded once. `train` chooses the split.
    """

    name: str
    root: str
    train: bool = True

    def load(self) -> ImageSet:
        """Returns the split at its native size: (N, 1, 28, 28), or (N, 3, 32, 32) for CIFAR."""
        if self.name not in TORCHVISION_SETS:
            raise UserError(f"dataset.source.name is {self.name!r}, expected one of {', '.join(TORCHVISION_SETS)}.")
        from torchvision import datasets

        kind = getattr(datasets, self.name)
        root = Path(os.path.abspath(os.path.expanduser(self.root)))
        files = _files(kind, root)
        missing = [file for file in files if not file.is_file()]
        if missing:
            _download(kind, root, missing)
        try:
            return _image_set(kind(root, train=self.train, download=False))
        except OSError as error:
            file = error.filename or next(iter(files)).parent
            raise UserError(f"dataset.root is {root}, but {file} cannot be read: {error.strerror or error}.") from error
        except Exception as error:  # the readers of both formats raise almost anything on bytes they do not expect
            raise UserError(_damage(root, files)) from error


def _image_set(dataset: Any) -> ImageSet:
    """Takes images and labels out of a torchvision dataset; raises ValueError if they do not fit together."""
    images = torch.as_tensor(dataset.data)
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
    labels = torch.as_tensor(dataset.targets).long()
    classes = tuple(str(name) for name in dataset.classes)
    if len(images) != len(labels) or int(labels.min()) < 0 or int(labels.max()) >= len(classes):
        raise ValueError("labels do not fit the images")
    return ImageSet(images, labels, classes)


def _files(kind: Any, root: Path) -> dict[Path, str | None]:
    """The files that torchvision's class `kind` reads under `root`, each with its MD5 sum if torchvision knows it."""
    if hasattr(kind, "mirrors"):
        return {root / kind.__name__ / "raw" / Path(name).stem: None for name, _ in kind.resources}
    listed = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    return {root / kind.base_folder / name: md5 for name, md5 in listed}


def _download(kind: Any, root: Path, missing: list[Path]) -> None:
    """Adds the missing files to `root`; raises UserError when they cannot be had.

    They arrive in a temporary folder and are renamed one by one: runs that start together on an empty `root`, or a run
    that is stopped half way, never leave or see part of a file.
    """
    lacking = f"dataset.root is {root}, where {kind.__name__} is not there ({_names(missing)} missing)"
    copy = f"copy the files to {missing[0].parent}"
    digits = "or use dataset=digits, which needs no download."
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as folder, _quiet_and_impatient():
            _link_archives(kind, root, Path(folder))
            kind(folder, download=True)
            for file in missing:
                file.parent.mkdir(parents=True, exist_ok=True)
                os.replace(folder / file.relative_to(root), file)
    except (RuntimeError, OSError, EOFError, http.client.HTTPException) as error:
        with contextlib.suppress(OSError):  # it was there before, with something in it
            root.rmdir()
        # An HTTPError is an OSError with a filename too: the address.
        if isinstance(error, OSError) and error.filename and not isinstance(error, URLError):
            raise UserError(
                f"{lacking} and cannot be downloaded, as that folder cannot be written ({error.strerror}):"
                f" set dataset.root to a folder you can write to, or {copy}, {digits}"
            ) from error
        raise UserError(
            f"{lacking} and could not be downloaded ({_reason(error)}):"
            f" {copy}, or connect to the network once, {digits}"
        ) from error


def _link_archives(kind: Any, root: Path, folder: Path) -> None:
    """Links sound archives from `root` into `folder`, so that files fetched by hand are unpacked, not fetched again."""
    from torchvision.datasets.utils import check_integrity

    raw = Path(kind.__name__, "raw") if hasattr(kind, "mirrors") else Path()
    for name, md5 in kind.resources if hasattr(kind, "mirrors") else [(kind.filename, kind.tgz_md5)]:
        if check_integrity(root / raw / name, md5):
            (folder / raw).mkdir(parents=True, exist_ok=True)
            (folder / raw / name).symlink_to(root / raw / name)


@contextlib.contextmanager
def _quiet_and_impatient() -> Iterator[None]:
    """Keeps torchvision's messages off stdout (its bar goes to stderr) and silent servers from blocking for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Exception) -> str:
    """One short line: torchvision reports one failure per mirror, over several lines; the first one is enough."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith(("Error downloading", "Tried "))]
    line = re.sub(r"^<urlopen error (.*)>$", r"\1", lines[0].strip()) if lines else type(error).__name__
    return re.sub(r"^\[Errno -?\d+\] ", "", line)


def _damage(root: Path, files: dict[Path, str | None]) -> str:
    """The message for files that are there but cannot be used; names those that are broken by themselves."""
    folder = next(iter(files)).parent
    broken = [file for file, md5 in files.items() if _is_broken(file, md5)]
    if broken:
        what, mend = f"{_names(broken)} in {folder} cannot be read: truncated or damaged", "Delete the named files"
    else:
        what, mend = f"images and labels in {folder} do not fit together", "Delete that folder"
    return f"dataset.root is {root}, but {what}. {mend} and fetch the set again (a run downloads what is not there)."


def _is_broken(file: Path, md5: str | None) -> bool:
    from torchvision.datasets.mnist import check_integrity, read_sn3_pascalvincent_tensor

    if md5 is not None:
        return not check_integrity(file, md5)
    try:
        read_sn3_pascalvincent_tensor(str(file))
    except (AssertionError, KeyError, OSError, RuntimeError, TypeError, ValueError):
        return True
    return False


def _names(files: list[Path]) -> str:
    return ", ".join(file.name for file in files)
