"""The bundled digits and torchvision's sets: pixels, labels, and what is said when files are missing or damaged."""

import gzip
import hashlib
import pickle
import re
import socket
import struct
import tarfile
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torchvision import datasets

from gan_lightning.data.sources import DOWNLOAD_TIMEOUT, Digits, TorchvisionSource
from gan_lightning.errors import UserError

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """No test may reach the network; the list records the socket timeout of each attempt."""
    attempts: list[float | None] = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        attempts.append(socket.getdefaulttimeout())
        raise URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return attempts


def idx(array: np.ndarray) -> bytes:
    """The bytes of an idx file of unsigned bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


TRAIN_IMAGES = np.arange(5 * 4 * 3).reshape(5, 4, 3)
TEST_IMAGES = 255 - np.arange(2 * 4 * 3).reshape(2, 4, 3)
CONTENTS = (idx(TRAIN_IMAGES), idx(np.array([3, 1, 4, 1, 9])), idx(TEST_IMAGES), idx(np.array([2, 6])))


def write_idx(root: Path, name: str = "MNIST", leave_out: tuple[str, ...] = ()) -> Path:
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    for file, content in zip(IDX_FILES, CONTENTS, strict=True):
        if file not in leave_out:
            (folder / file).write_bytes(content)
    return folder


def message(source: TorchvisionSource) -> str:
    with pytest.raises(UserError) as caught:
        source.load()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_digits_spread_sixteen_levels_over_a_byte() -> None:
    image_set, original = Digits().load(), load_digits()
    assert image_set.images.shape == (1797, 1, 8, 8)
    assert image_set.images.dtype == torch.uint8
    for level, expected in [(0, 0), (1, 16), (5, 80), (15, 239), (16, 255)]:  # round(level * 15.9375)
        pixels = image_set.images[:, 0][torch.from_numpy(original.images == level)]
        assert len(pixels) > 0
        assert set(pixels.tolist()) == {expected}
    assert image_set.labels is not None
    assert image_set.labels.dtype == torch.int64
    assert image_set.labels.tolist() == original.target.tolist()
    assert image_set.classes == tuple("0123456789")


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_idx_files_on_disk_are_read_and_nothing_else(tmp_path: Path, calls: list[float | None], name: str) -> None:
    write_idx(tmp_path, name)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    image_set = TorchvisionSource(name, str(tmp_path)).load()
    assert image_set.images.dtype == torch.uint8
    assert image_set.images.shape == (5, 1, 4, 3)
    assert image_set.images[:, 0].tolist() == TRAIN_IMAGES.tolist()
    assert image_set.labels is not None
    assert image_set.labels.dtype == torch.int64
    assert image_set.labels.tolist() == [3, 1, 4, 1, 9]
    assert image_set.classes == tuple(getattr(datasets, name).classes)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before
    assert calls == []


def test_the_other_split(tmp_path: Path) -> None:
    write_idx(tmp_path)
    image_set = TorchvisionSource("MNIST", str(tmp_path), train=False).load()
    assert image_set.images[:, 0].tolist() == TEST_IMAGES.tolist()
    assert image_set.labels is not None
    assert image_set.labels.tolist() == [2, 6]


def test_a_relative_root_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "sets")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(TorchvisionSource("MNIST", "~/sets").load().images) == 5
    monkeypatch.chdir(tmp_path)
    assert len(TorchvisionSource("MNIST", "sets").load().images) == 5


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch, name: str, key: str) -> np.ndarray:
    """Small CIFAR batches whose sums replace the real ones; returns the training images, (6, 3, 32, 32)."""
    kind = getattr(datasets, name)
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    sums = {}

    def dump(file: str, content: dict[str, Any]) -> list[str]:
        data = pickle.dumps(content)
        (folder / file).write_bytes(data)
        sums[file] = hashlib.md5(data).hexdigest()
        return [file, sums[file]]

    batches = [dump(f"b{i}", {"data": images[3 * i : 3 * i + 3].reshape(3, -1), key: [i, 1, 2]}) for i in range(2)]
    monkeypatch.setattr(kind, "train_list", batches)
    monkeypatch.setattr(kind, "test_list", [dump("t", {"data": images[:1].reshape(1, -1), key: [2]})])
    meta = dump("m", {kind.meta["key"]: ["ant", "bee", "cat"]})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "filename": "m", "md5": meta[1]})
    return images


@pytest.mark.parametrize(("name", "key"), [("CIFAR10", "labels"), ("CIFAR100", "fine_labels")])
def test_cifar_through_the_same_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, key: str) -> None:
    images = write_cifar(tmp_path, monkeypatch, name, key)
    image_set = TorchvisionSource(name, str(tmp_path)).load()
    assert image_set.images.is_contiguous()
    assert np.array_equal(image_set.images.numpy(), images)
    assert image_set.labels is not None
    assert image_set.labels.tolist() == [0, 1, 2, 1, 1, 2]
    assert image_set.classes == ("ant", "bee", "cat")
    assert len(TorchvisionSource(name, str(tmp_path), train=False).load().images) == 1


def test_a_damaged_cifar_batch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch, "CIFAR10", "labels")
    folder = tmp_path / datasets.CIFAR10.base_folder
    (folder / "b1").write_bytes((folder / "b1").read_bytes()[:-1])
    text = message(TorchvisionSource("CIFAR10", str(tmp_path)))
    assert f"but b1 in {folder} cannot be read" in text


def test_offline_and_absent(tmp_path: Path, calls: list[float | None]) -> None:
    root = tmp_path / "new"
    text = message(TorchvisionSource("MNIST", str(root)))
    assert text == (
        f"dataset.root is {root}, where MNIST is not there ({', '.join(IDX_FILES)} missing) and could not be downloaded"
        f" (Name or service not known): copy the files to {root}/MNIST/raw, or connect to the network once,"
        " or use dataset=digits, which needs no download."
    )
    assert calls
    assert set(calls) == {DOWNLOAD_TIMEOUT}
    assert socket.getdefaulttimeout() is None
    assert not root.exists()  # nothing half-done stays behind


def test_offline_and_absent_cifar_names_its_own_folder(tmp_path: Path) -> None:
    text = message(TorchvisionSource("CIFAR10", str(tmp_path)))
    assert f"copy the files to {tmp_path}/cifar-10-batches-py, or connect" in text
    assert "(Name or service not known)" in text


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path, leave_out=IDX_FILES[2:])
    text = message(TorchvisionSource("MNIST", str(tmp_path)))
    assert "(t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte missing)" in text


def test_a_refusing_server_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*args: Any, **kwargs: Any) -> None:
        raise HTTPError("http://example.org/x", 403, "Forbidden", None, None)  # type: ignore[arg-type]

    monkeypatch.setattr(urllib.request, "urlopen", forbid)
    assert "could not be downloaded (HTTP Error 403: Forbidden)" in message(TorchvisionSource("KMNIST", str(tmp_path)))
    assert "could not be downloaded (HTTP Error 403: Forbidden)" in message(TorchvisionSource("CIFAR10", str(tmp_path)))


def test_a_root_that_cannot_be_written(tmp_path: Path, calls: list[float | None]) -> None:
    (tmp_path / "file").write_text("in the way")
    root = tmp_path / "file" / "data"
    text = message(TorchvisionSource("MNIST", str(root)))
    assert text.startswith(f"dataset.root is {root}, where MNIST is not there")
    assert "that folder cannot be written (Not a directory): set dataset.root to a folder you can write to" in text
    assert text.endswith(f"copy the files to {root}/MNIST/raw, or use dataset=digits, which needs no download.")
    assert calls == []


def use_archives(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Makes torchvision expect small archives; returns them by name."""
    archives = {
        f"{file}.gz": gzip.compress(content, mtime=0) for file, content in zip(IDX_FILES, CONTENTS, strict=True)
    }
    sums = [(name, hashlib.md5(data).hexdigest()) for name, data in archives.items()]
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    return archives


def test_an_absent_set_is_downloaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archives, fetched = use_archives(monkeypatch), []

    def fetch(url: str, root: str, filename: str, md5: str) -> None:
        print("Downloading", url)
        fetched.append(filename)
        Path(root).mkdir(parents=True, exist_ok=True)
        Path(root, filename).write_bytes(archives[filename])

    monkeypatch.setattr("torchvision.datasets.utils.download_url", fetch)
    source = TorchvisionSource("MNIST", str(tmp_path / "new" / "data"))
    for _ in range(2):
        assert source.load().images[:, 0].tolist() == TRAIN_IMAGES.tolist()
    assert fetched == list(archives)
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in (tmp_path / "new" / "data").rglob("*") if path.is_file()) == sorted(IDX_FILES)
    assert [path.name for path in (tmp_path / "new" / "data").iterdir()] == ["MNIST"]


def test_archives_fetched_by_hand_need_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[float | None]
) -> None:
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, data in use_archives(monkeypatch).items():
        (folder / name).write_bytes(data)
    assert TorchvisionSource("MNIST", str(tmp_path)).load().images[:, 0].tolist() == TRAIN_IMAGES.tolist()
    assert calls == []


def test_a_cifar_archive_fetched_by_hand_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[float | None]
) -> None:
    images = write_cifar(tmp_path / "made", monkeypatch, "CIFAR10", "labels")
    archive = tmp_path / datasets.CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "made" / datasets.CIFAR10.base_folder, datasets.CIFAR10.base_folder)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert np.array_equal(TorchvisionSource("CIFAR10", str(tmp_path)).load().images.numpy(), images)
    assert calls == []


@pytest.mark.parametrize(
    "content",
    [CONTENTS[0][:-1], CONTENTS[0] + b"\0", CONTENTS[0][:10], b"", b"version https://git-lfs.github.com/spec/v1"],
    ids=["short", "long", "header", "empty", "pointer"],
)
def test_a_damaged_file_is_named(tmp_path: Path, calls: list[float | None], content: bytes) -> None:
    folder = write_idx(tmp_path)
    (folder / IDX_FILES[0]).write_bytes(content)
    text = message(TorchvisionSource("MNIST", str(tmp_path)))
    assert text == (
        f"dataset.root is {tmp_path}, but {IDX_FILES[0]} in {folder} cannot be read: truncated or damaged."
        " Delete the named files and fetch the set again (a run downloads what is not there)."
    )
    assert calls == []


@pytest.mark.parametrize("labels", [[1, 2, 3, 4], [1, 2, 3, 4, 10]], ids=["count", "class"])
def test_labels_that_do_not_fit(tmp_path: Path, labels: list[int]) -> None:
    folder = write_idx(tmp_path)
    (folder / IDX_FILES[1]).write_bytes(idx(np.array(labels)))
    text = message(TorchvisionSource("MNIST", str(tmp_path)))
    assert re.search(rf"images and labels in {re.escape(str(folder))} do not fit together\. Delete that folder", text)


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_idx(tmp_path)

    def deny(path: str, strict: bool = True) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("torchvision.datasets.mnist.read_sn3_pascalvincent_tensor", deny)
    text = message(TorchvisionSource("MNIST", str(tmp_path)))
    assert text == f"dataset.root is {tmp_path}, but {folder / IDX_FILES[0]} cannot be read: Permission denied."


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    text = message(TorchvisionSource("ImageNet", str(tmp_path)))
    assert text == "dataset.source.name is 'ImageNet', expected one of MNIST, FashionMNIST, KMNIST, CIFAR10, CIFAR100."
