"""How the labelled sets that torchvision knows lie on disk, and how images and labels come out of their files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from gan_lightning.samples import SampleSet

DIGITS = tuple("0123456789")

SourceSplit = Literal["train", "test", "unlabeled"]
Files = dict[Path, str | None]  # paths below the root, each with its MD5 sum if torchvision knows it


@dataclass(frozen=True)
class Format:
    """How a set lies on disk and in torchvision's class of that name; a subclass says what is different."""

    name: str

    @property
    def kind(self) -> Any:
        """torchvision's class."""
        from torchvision import datasets  # slow to import

        return getattr(datasets, self.name)

    @property
    def splits(self) -> tuple[str, ...]:
        return ("train", "test")

    def options(self, split: SourceSplit) -> dict[str, Any]:
        """The arguments that choose a split of torchvision's class."""
        return {"split": split}

    def files(self, split: SourceSplit) -> Files:
        """What is read for a split."""
        raise NotImplementedError

    def archives(self) -> Files:
        """What is downloaded and unpacked, where that is not the files themselves."""
        return {}

    def read(self, root: Path, split: SourceSplit) -> SampleSet:
        """The split, from files that are there; raises almost anything on bytes that are not expected."""
        return self.arrange(self.kind(root, **self.options(split), download=False))

    def arrange(self, dataset: Any) -> SampleSet:
        """Takes images, labels and names out of torchvision's data set."""
        raise NotImplementedError


@dataclass(frozen=True)
class Idx(Format):
    """MNIST's format, and that of the sets made in its image: raw bytes behind a header, in NAME/raw."""

    def options(self, split: SourceSplit) -> dict[str, Any]:
        return {"train": split == "train"}

    def files(self, split: SourceSplit) -> Files:
        return {path.with_suffix(""): None for path in self.archives()}  # torchvision wants both splits

    def archives(self) -> Files:
        return {Path(self.name, "raw", name): md5 for name, md5 in self.kind.resources}

    def arrange(self, dataset: Any) -> SampleSet:
        return labelled(dataset.data.unsqueeze(1), dataset.targets, dataset.classes)


@dataclass(frozen=True)
class Letters(Format):
    """EMNIST's letters, upper and lower case together: Cohen et al. 2017, arXiv:1702.05373.

    Their files have each image transposed, and count the letters from 1; torchvision leaves both as they are and calls
    class 0 'N/A'. Here letters are upright, and a is class 0.
    """

    def options(self, split: SourceSplit) -> dict[str, Any]:
        return {"split": "letters", "train": split == "train"}

    def files(self, split: SourceSplit) -> Files:
        files = ("images-idx3", "labels-idx1")
        return {Path(self.name, "raw", f"emnist-letters-{split}-{file}-ubyte"): None for file in files}

    def archives(self) -> Files:
        return {Path(self.name, "raw", Path(self.kind.url).name): self.kind.md5}

    def arrange(self, dataset: Any) -> SampleSet:
        upright = dataset.data.transpose(1, 2).unsqueeze(1).contiguous()
        return labelled(upright, dataset.targets - 1, dataset.classes[1:])


@dataclass(frozen=True)
class Cifar(Format):
    """CIFAR's format: pickled batches of rows, and a pickle with the names."""

    def options(self, split: SourceSplit) -> dict[str, Any]:
        return {"train": split == "train"}

    def files(self, split: SourceSplit) -> Files:
        kind = self.kind  # torchvision wants both splits
        listed = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
        return {Path(kind.base_folder, name): md5 for name, md5 in listed}

    def archives(self) -> Files:
        return {Path(self.kind.filename): self.kind.tgz_md5}

    def arrange(self, dataset: Any) -> SampleSet:
        images = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()
        return labelled(images, dataset.targets, dataset.classes)


@dataclass(frozen=True)
class SVHN(Format):
    """Street View House Numbers, cropped digits ("format 2"), as a MATLAB file: Netzer et al. 2011."""

    def files(self, split: SourceSplit) -> Files:
        _, name, md5 = self.kind.split_list[split]
        return {Path(name): md5}

    def arrange(self, dataset: Any) -> SampleSet:
        return labelled(torch.from_numpy(np.ascontiguousarray(dataset.data)), dataset.labels, DIGITS)


@dataclass(frozen=True)
class USPS(Format):
    """Digits off the envelopes of the US Postal Service, as LIBSVM's compressed text: Hull 1994."""

    def options(self, split: SourceSplit) -> dict[str, Any]:
        return {"train": split == "train"}

    def files(self, split: SourceSplit) -> Files:
        _, name, md5 = self.kind.split_list[split]
        return {Path(name): md5}

    def arrange(self, dataset: Any) -> SampleSet:
        return labelled(torch.from_numpy(dataset.data).unsqueeze(1), dataset.targets, DIGITS)


@dataclass(frozen=True)
class STL10(Format):
    """STL-10, Coates et al. 2011: raw bytes, each channel of an image column by column; labels count from 1.

    Read here rather than by torchvision, which reads and checks 3 GB for any split. The images are mapped, not copied.
    """

    NAMES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")

    @property
    def splits(self) -> tuple[str, ...]:
        return ("train", "test", "unlabeled")

    def files(self, split: SourceSplit) -> Files:
        listed = [*self.kind.train_list, *self.kind.test_list]
        return {Path(self.kind.base_folder, name): md5 for name, md5 in listed if name.startswith(f"{split}_")}

    def archives(self) -> Files:
        return {Path(self.kind.filename): self.kind.tgz_md5}

    def read(self, root: Path, split: SourceSplit) -> SampleSet:
        folder = root / self.kind.base_folder
        # Copy on write: PyTorch wants writable memory, and the file stays as it is.
        pixels = np.memmap(folder / f"{split}_X.bin", np.uint8, mode="c")
        images = torch.from_numpy(pixels.reshape(-1, 3, 96, 96)).transpose(2, 3)
        if split == "unlabeled":
            return SampleSet(images, None, ())
        return labelled(images, np.fromfile(folder / f"{split}_y.bin", np.uint8).astype(np.int64) - 1, self.NAMES)


FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
        *(Idx(name) for name in ("MNIST", "FashionMNIST", "KMNIST")),
        Letters("EMNIST"),
        *(Cifar(name) for name in ("CIFAR10", "CIFAR100")),
        SVHN("SVHN"),
        STL10("STL10"),
        USPS("USPS"),
    )
}


def labelled(images: torch.Tensor, labels: Any, names: Any) -> SampleSet:
    """Images with their labels and the classes' names; raises ValueError if they do not fit together."""
    labels, names = torch.as_tensor(labels).long(), tuple(str(name) for name in names)
    if labels.shape != (len(images),) or int(labels.min()) < 0 or int(labels.max()) >= len(names):
        raise ValueError("labels do not fit the images")
    return SampleSet(images, labels, names)
