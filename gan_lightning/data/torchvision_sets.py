"""The labelled sets that torchvision knows, read from their files, and downloaded once where they are missing.

CelebA, which is to be fetched by hand, is a folder of pictures and goes through the cache of image_folder.
"""

import contextlib
import http.client
import io
import os
import re
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from gan_lightning.data.conditions import require_names
from gan_lightning.data.decoding import Fit
from gan_lightning.data.image_folder import ImageFolder, Side
from gan_lightning.data.torchvision_formats import FORMATS, Files, Format, SourceSplit
from gan_lightning.errors import UserError
from gan_lightning.samples import SampleSet
from gan_lightning.types import FilePath, NonNegativeFloat, check_ranges

ATTRIBUTES = "list_attr_celeba.txt"
DOWNLOAD_TIMEOUT = 30.0  # seconds a server may stay silent


@dataclass(frozen=True)
class TorchvisionSource:
    """One of torchvision's labelled sets, named as there (see FORMATS), in `root`; EMNIST means its letters.

    Files that are there are only read; otherwise the set is downloaded once. Only STL10 has the split `unlabeled`.
    """

    name: str
    root: FilePath
    split: SourceSplit = "train"

    def __post_init__(self) -> None:
        check_ranges(self)

    def load(self) -> SampleSet:
        """Returns the split at its native size: (N, 1, 28, 28), or (N, 3, 32, 32) for CIFAR and SVHN, (N, 3, 96, 96)
        for STL10 and (N, 1, 16, 16) for USPS. Raises UserError if it cannot be had, or read.
        """
        if self.name not in FORMATS:
            raise UserError(f"dataset.source.name is {self.name!r}, expected one of {', '.join(FORMATS)}.")
        format_ = FORMATS[self.name]
        if self.split not in format_.splits:
            known = ", ".join(format_.splits)
            raise UserError(f"dataset.source.split is {self.split!r}, but {self.name} has {known}.")
        root = Path(os.path.abspath(os.path.expanduser(self.root)))
        files = format_.files(self.split)
        missing = [file for file in files if not (root / file).is_file()]
        if missing:
            _download(format_, self.split, root, missing)
        try:
            return format_.read(root, self.split)
        except Exception as error:  # the readers of all formats raise almost anything on bytes they do not expect
            if isinstance(error, OSError) and error.errno is not None:  # bz2 raises one without on such bytes
                file = error.filename or (root / next(iter(files))).parent
                raise UserError(f"dataset.root is {root}, but {file} cannot be read: {error.strerror}.") from error
            raise UserError(_damage(root, files)) from error


@dataclass(frozen=True)
class CelebA:
    """The 202,599 aligned and cropped faces of CelebA, Liu et al. 2015, arXiv:1411.7766.

    Pictures of 178x218 pixels, which ImageFolder fits to `image_size`; what it decodes is kept in `cache_dir`.
    They are read from `root`/celeba/img_align_celeba, where torchvision has them too. All are used, the paper's
    validation and test splits included. Nothing is downloaded. `conditions` are names of its 40 attributes, such as
    Smiling, which are read from `root`/celeba/list_attr_celeba.txt.
    """

    root: FilePath
    image_size: Side | tuple[Side, Side]
    skip_corrupt: bool = False
    cache_dir: FilePath | None = None
    fit: Fit = "crop"
    cache_gib: NonNegativeFloat = 100.0
    conditions: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_ranges(self)
        require_names(self.conditions, ATTRIBUTES)

    def load(self) -> SampleSet:
        """Returns uint8 (N, 3, height, width), with the attributes that are asked for, -1 or 1, as labels (N, K).

        Raises UserError if they are not there.
        """
        root = Path(os.path.abspath(os.path.expanduser(self.root)))
        folder = root / "celeba" / "img_align_celeba"
        if not folder.is_dir():
            raise UserError(
                f"dataset.root is {root}, where CelebA is not there: get img_align_celeba.zip (1.4 GB) by hand from"
                f" https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and unpack it so that its pictures are"
                f" {folder}/000001.jpg and so on, or use dataset=digits, which needs no download."
            )
        table = folder.parent / ATTRIBUTES
        if self.conditions is not None and not table.is_file():
            raise UserError(
                f"dataset.conditions is {list(self.conditions)}, but {table} is not there: get it by hand from"
                " https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, or use dataset.conditions=null."
            )
        faces = ImageFolder(
            str(folder),
            self.image_size,
            3,
            self.skip_corrupt,
            self.cache_dir,
            self.fit,
            cache_gib=self.cache_gib,
            labels=str(table) if self.conditions else None,
            conditions=self.conditions,
        ).load()
        return faces if self.conditions else SampleSet(faces.samples)


def _download(format_: Format, split: SourceSplit, root: Path, missing: list[Path]) -> None:
    """Adds the missing files to `root`; raises UserError when they cannot be had.

    They arrive in a temporary folder and are renamed one by one: runs that start together on an empty `root`, or a run
    that is stopped half way, never leave or see part of a file.
    """
    lacking = f"dataset.root is {root}, where {format_.name} is not there ({_names(missing)} missing)"
    copy = f"copy the files to {(root / missing[0]).parent}"
    digits = "or use dataset=digits, which needs no download."
    was_there = root.is_dir()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as folder, _quiet_and_impatient():
            _link_archives(format_, root, Path(folder))
            format_.kind(folder, **format_.options(split), download=True)
            for file in missing:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(folder, file), root / file)
    except (RuntimeError, OSError, EOFError, http.client.HTTPException) as error:
        if not was_there:
            with contextlib.suppress(OSError):  # another run that began here has put something into it
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


def _link_archives(format_: Format, root: Path, folder: Path) -> None:
    """Links sound archives from `root` into `folder`, so that files fetched by hand are unpacked, not fetched again."""
    from torchvision.datasets.utils import check_integrity

    for archive, md5 in format_.archives().items():
        if check_integrity(root / archive, md5):
            (folder / archive).parent.mkdir(parents=True, exist_ok=True)
            (folder / archive).symlink_to(root / archive)


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


def _damage(root: Path, files: Files) -> str:
    """The message for files that are there but cannot be used; names those that are broken by themselves."""
    folder = (root / next(iter(files))).parent
    broken = [file for file, md5 in files.items() if _is_broken(root / file, md5)]
    what = "cannot be read: truncated or damaged" if broken else "do not fit together"
    return (
        f"dataset.root is {root}, but {_names(broken or list(files))} in {folder} {what}."
        " Delete the named files and fetch the set again (a run downloads what is not there)."
    )


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
