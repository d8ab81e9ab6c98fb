"""Writes small data sets in the true formats of the real ones, for tests that read them."""

import bz2
import hashlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array: np.ndarray) -> bytes:
    """The bytes of an idx file of unsigned bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_pictures(folder: Path, count: int = 12, height: int = 20, width: int = 16) -> None:
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    for index in range(count):
        pixels = numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:06}.jpg")


Part = tuple[np.ndarray, np.ndarray]  # images (N, C, H, W) and labels (N,) from 0
Write = Callable[[Path, str, Part, Part, pytest.MonkeyPatch], None]


def put(path: Path, data: bytes) -> str:
    """Writes a file; returns its MD5 sum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.md5(data).hexdigest()


def write_mnist(root: Path, name: str, train: Part, test: Part, patch: pytest.MonkeyPatch) -> None:
    contents = [array for images, labels in (train, test) for array in (images[:, 0], labels)]
    for file, content in zip(IDX_FILES, contents, strict=True):
        put(root / name / "raw" / file, idx(content))


def write_letters(root: Path, name: str, train: Part, test: Part, patch: pytest.MonkeyPatch) -> None:
    for split, (images, labels) in (("train", train), ("test", test)):
        start = root / name / "raw" / f"emnist-letters-{split}"
        put(start.with_name(f"{start.name}-images-idx3-ubyte"), idx(images[:, 0].transpose(0, 2, 1)))
        put(start.with_name(f"{start.name}-labels-idx1-ubyte"), idx(labels + 1))


def write_cifar(root: Path, name: str, train: Part, test: Part, patch: pytest.MonkeyPatch) -> None:
    """Two training batches; the sums of these files take the place of the real ones."""
    kind: Any = getattr(datasets, name)
    key, classes = ("labels", 10) if name == "CIFAR10" else ("fine_labels", 100)

    def dump(file: str, content: dict[str, Any]) -> list[str]:
        return [file, put(root / kind.base_folder / file, pickle.dumps(content))]

    def batch(images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        return {"data": images.reshape(len(images), -1), key: labels.tolist()}

    images, labels = train
    halves = (slice(None, len(images) // 2), slice(len(images) // 2, None))
    patch.setattr(kind, "train_list", [dump(f"b{i}", batch(images[h], labels[h])) for i, h in enumerate(halves)])
    patch.setattr(kind, "test_list", [dump("t", batch(*test))])
    names = dump("m", {kind.meta["key"]: [f"class {number}" for number in range(classes)]})
    patch.setattr(kind, "meta", {**kind.meta, "filename": names[0], "md5": names[1]})


def write_svhn(root: Path, name: str, train: Part, test: Part, patch: pytest.MonkeyPatch) -> None:
    sums = {}
    for split, (images, labels) in (("train", train), ("test", test)):
        file = root / f"{split}_32x32.mat"
        root.mkdir(parents=True, exist_ok=True)
        ones_to_tens = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": ones_to_tens})
        sums[split] = ["http://localhost/none", file.name, hashlib.md5(file.read_bytes()).hexdigest()]
    patch.setattr(datasets.SVHN, "split_list", sums)


def write_stl10(root: Path, name: str, train: Part, test: Part, patch: pytest.MonkeyPatch) -> None:
    """The unlabelled part is the training images in reverse."""
    listed: dict[str, list[list[str]]] = {"train": [], "test": []}

    def write(file: str, data: bytes, where: str) -> None:
        listed[where].append([file, put(root / "stl10_binary" / file, data)])

    for split, (images, labels) in (("train", train), ("test", test)):
        write(f"{split}_X.bin", images.transpose(0, 1, 3, 2).tobytes(), split)
        write(f"{split}_y.bin", (labels + 1).astype(np.uint8).tobytes(), split)
    write("unlabeled_X.bin", train[0][::-1].transpose(0, 1, 3, 2).tobytes(), "train")
    patch.setattr(datasets.STL10, "train_list", listed["train"])
    patch.setattr(datasets.STL10, "test_list", listed["test"])


def write_usps(root: Path, name: str, train: Part, test: Part, patch: pytest.MonkeyPatch) -> None:
    """Levels are written a little high, as torchvision rounds down."""
    sums = {}
    for split, file, (images, labels) in (("train", "usps.bz2", train), ("test", "usps.t.bz2", test)):
        levels = np.minimum(images.reshape(len(images), -1) + 0.3, 255) / 127.5 - 1
        lines = [
            " ".join([str(label + 1), *(f"{place}:{level:.6f}" for place, level in enumerate(row, start=1))])
            for label, row in zip(labels, levels, strict=True)
        ]
        sums[split] = ["http://localhost/none", file, put(root / file, bz2.compress("\n".join(lines).encode()))]
    patch.setattr(datasets.USPS, "split_list", sums)


# Of each set: how it is written, its channels and size, and how many classes it has.
SETS: dict[str, tuple[Write, int, int, int]] = {
    "MNIST": (write_mnist, 1, 28, 10),
    "FashionMNIST": (write_mnist, 1, 28, 10),
    "KMNIST": (write_mnist, 1, 28, 10),
    "EMNIST": (write_letters, 1, 28, 26),
    "CIFAR10": (write_cifar, 3, 32, 10),
    "CIFAR100": (write_cifar, 3, 32, 100),
    "SVHN": (write_svhn, 3, 32, 10),
    "STL10": (write_stl10, 3, 96, 10),
    "USPS": (write_usps, 1, 16, 10),
}


def write_set(root: Path, name: str, patch: pytest.MonkeyPatch, count: int = 12) -> tuple[Part, Part]:
    """Random images where torchvision looks for its set of that name, whose sums become those of the new files.

    Returns the training and the test part as they are to be read. The first image of each has the last class, and the
    second the first.
    """
    write, channels, size, classes = SETS[name]
    numbers = np.random.default_rng(len(name))

    def part(count: int) -> Part:
        labels = numbers.integers(0, classes, count)
        labels[:2] = classes - 1, 0
        return numbers.integers(0, 256, (count, channels, size, size), dtype=np.uint8), labels

    train, test = part(count), part(3)
    write(root, name, train, test, patch)
    return train, test
