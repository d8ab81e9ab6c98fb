"""Torchvision's sets: pixels, labels, and what is said when files are missing or damaged."""

import dataclasses
import gzip
import hashlib
import socket
import tarfile
import urllib.request
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import torch
from set_files import IDX_FILES, SETS, idx, write_pictures, write_set
from torchvision import datasets

from gan_lightning.data.image_folder import ImageFolder
from gan_lightning.data.torchvision_formats import FORMATS
from gan_lightning.data.torchvision_sets import DOWNLOAD_TIMEOUT, CelebA, TorchvisionSource
from gan_lightning.errors import UserError
from gan_lightning.samples import Units


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """No test may reach the network; the list records the socket timeout of each attempt."""
    attempts: list[float | None] = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        attempts.append(socket.getdefaulttimeout())
        raise URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return attempts


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


def message(source: TorchvisionSource | CelebA) -> str:
    with pytest.raises(UserError) as caught:
        source.load()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_idx_files_on_disk_are_read_and_nothing_else(tmp_path: Path, calls: list[float | None], name: str) -> None:
    write_idx(tmp_path, name)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    sample_set = TorchvisionSource(name, str(tmp_path)).load()
    assert sample_set.samples.dtype == torch.uint8
    assert sample_set.samples.shape == (5, 1, 4, 3)
    assert sample_set.samples[:, 0].tolist() == TRAIN_IMAGES.tolist()
    assert sample_set.labels is not None
    assert sample_set.labels.dtype == torch.int64
    assert sample_set.labels.tolist() == [3, 1, 4, 1, 9]
    assert sample_set.classes == tuple(getattr(datasets, name).classes)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before
    assert calls == []


def test_the_other_split(tmp_path: Path) -> None:
    write_idx(tmp_path)
    sample_set = TorchvisionSource("MNIST", str(tmp_path), split="test").load()
    assert sample_set.samples[:, 0].tolist() == TEST_IMAGES.tolist()
    assert sample_set.labels is not None
    assert sample_set.labels.tolist() == [2, 6]


def test_a_relative_root_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "sets")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(TorchvisionSource("MNIST", "~/sets").load().samples) == 5
    monkeypatch.chdir(tmp_path)
    assert len(TorchvisionSource("MNIST", "sets").load().samples) == 5


def levels(samples: torch.Tensor) -> np.ndarray:
    assert samples.dtype == torch.uint8
    return samples.numpy()


@pytest.mark.parametrize("name", FORMATS)
def test_every_set_is_read_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[float | None], name: str
) -> None:
    """Including the quirks: STL10 and EMNIST transposed, labels from 1, SVHN's zeros as tens."""
    parts = dict(zip(("train", "test"), write_set(tmp_path, name, monkeypatch), strict=True))
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    for split, (images, labels) in parts.items():
        sample_set = TorchvisionSource(name, str(tmp_path), split).load()  # type: ignore[arg-type]  # split is text
        assert np.array_equal(levels(sample_set.samples), images)
        assert sample_set.labels is not None
        assert sample_set.labels.dtype == torch.int64
        assert sample_set.labels.tolist() == labels.tolist()
        assert len(sample_set.classes) == SETS[name][3]
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before
    assert calls == []


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("EMNIST", "a", "z"), ("SVHN", "0", "9"), ("USPS", "0", "9"), ("STL10", "airplane", "truck")],
)
def test_classes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, first: str, last: str) -> None:
    write_set(tmp_path, name, monkeypatch)
    classes = TorchvisionSource(name, str(tmp_path)).load().classes
    assert (classes[0], classes[-1]) == (first, last)


def test_stl10_without_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (images, _), _ = write_set(tmp_path, "STL10", monkeypatch)
    sample_set = TorchvisionSource("STL10", str(tmp_path), "unlabeled").load()
    assert np.array_equal(levels(sample_set.samples), images[::-1])
    assert (sample_set.labels, sample_set.classes) == (None, ())


def test_a_split_needs_its_own_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[float | None]
) -> None:
    for name, others in [("STL10", ["test_X.bin", "unlabeled_X.bin"]), ("SVHN", ["test_32x32.mat"])]:
        write_set(tmp_path, name, monkeypatch)
        for other in others:
            next(tmp_path.rglob(other)).unlink()
        assert len(TorchvisionSource(name, str(tmp_path)).load().samples) == 12
    assert calls == []


def test_a_split_that_a_set_does_not_have(tmp_path: Path) -> None:
    text = message(TorchvisionSource("MNIST", str(tmp_path), "unlabeled"))
    assert text == "dataset.source.split is 'unlabeled', but MNIST has train, test."


def test_mapped_images_leave_the_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (images, _), _ = write_set(tmp_path, "STL10", monkeypatch)
    TorchvisionSource("STL10", str(tmp_path)).load().samples.fill_(0)
    assert np.array_equal(levels(TorchvisionSource("STL10", str(tmp_path)).load().samples), images)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("EMNIST", "emnist-letters-train-images-idx3-ubyte"),
        ("SVHN", "train_32x32.mat"),
        ("STL10", "train_X.bin"),
        ("STL10", "train_y.bin"),
        ("USPS", "usps.bz2"),
    ],
)
@pytest.mark.parametrize("kept", [0, 10, -1], ids=["empty", "start", "short"])
def test_the_damaged_file_of_any_format_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[float | None], name: str, file: str, kept: int
) -> None:
    write_set(tmp_path, name, monkeypatch)
    path = next(tmp_path.rglob(file))
    path.write_bytes(path.read_bytes()[:kept])
    assert message(TorchvisionSource(name, str(tmp_path))) == (
        f"dataset.root is {tmp_path}, but {file} in {path.parent} cannot be read: truncated or damaged."
        " Delete the named files and fetch the set again (a run downloads what is not there)."
    )
    assert calls == []


def test_text_in_place_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bz2's error is an OSError, like those of the file system."""
    write_set(tmp_path, "USPS", monkeypatch)
    (tmp_path / "usps.bz2").write_text("version https://git-lfs.github.com/spec/v1")
    assert f"but usps.bz2 in {tmp_path} cannot be read: truncated" in message(TorchvisionSource("USPS", str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "missing", "folder"),
    [
        ("EMNIST", "emnist-letters-train-images-idx3-ubyte, emnist-letters-train-labels-idx1-ubyte", "EMNIST/raw"),
        ("SVHN", "train_32x32.mat", "."),
        ("STL10", "train_X.bin, train_y.bin", "stl10_binary"),
        ("USPS", "usps.bz2", "."),
    ],
)
def test_offline_and_absent_in_any_format(tmp_path: Path, name: str, missing: str, folder: str) -> None:
    root = tmp_path / "new"
    assert message(TorchvisionSource(name, str(root))) == (
        f"dataset.root is {root}, where {name} is not there ({missing} missing) and could not be downloaded"
        f" (Name or service not known): copy the files to {root / folder}, or connect to the network once,"
        " or use dataset=digits, which needs no download."
    )
    assert not root.exists()


@pytest.mark.parametrize("name", ["SVHN", "USPS"])
def test_a_plain_file_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (images, _), _ = write_set(tmp_path / "made", name, monkeypatch)
    fetched = []

    def fetch(url: str, root: str, filename: str, md5: str) -> None:
        fetched.append(filename)
        Path(root, filename).write_bytes((tmp_path / "made" / filename).read_bytes())

    monkeypatch.setattr(f"torchvision.datasets.{name.lower()}.download_url", fetch)
    for _ in range(2):
        assert np.array_equal(levels(TorchvisionSource(name, str(tmp_path / "root")).load().samples), images)
    assert len(fetched) == 1
    assert [path.name for path in (tmp_path / "root").iterdir()] == fetched


def test_stl10s_archive_fetched_by_hand_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[float | None]
) -> None:
    (images, _), _ = write_set(tmp_path / "made", "STL10", monkeypatch)
    archive = tmp_path / "stl10_binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "made" / "stl10_binary", "stl10_binary")
    monkeypatch.setattr(datasets.STL10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert np.array_equal(levels(TorchvisionSource("STL10", str(tmp_path)).load().samples), images)
    assert sorted(path.name for path in (tmp_path / "stl10_binary").iterdir()) == ["train_X.bin", "train_y.bin"]
    assert calls == []


def test_emnists_archive_fetched_by_hand_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[float | None]
) -> None:
    (images, _), _ = write_set(tmp_path / "made", "EMNIST", monkeypatch)
    archive = tmp_path / "EMNIST" / "raw" / "gzip.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as bundle:
        for file in (tmp_path / "made" / "EMNIST" / "raw").iterdir():
            bundle.writestr(f"gzip/{file.name}.gz", gzip.compress(file.read_bytes()))
    monkeypatch.setattr(datasets.EMNIST, "md5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert np.array_equal(levels(TorchvisionSource("EMNIST", str(tmp_path)).load().samples), images)
    assert len(list(archive.parent.iterdir())) == 1 + 2
    assert calls == []


def test_celeba_is_the_folder_of_its_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "celeba" / "img_align_celeba"
    write_pictures(folder, count=5, height=218, width=178)
    faces = CelebA(str(tmp_path), 16, cache_dir=str(tmp_path / "cache")).load()
    assert faces.samples.shape == (5, 3, 16, 16)
    assert (faces.labels, faces.classes) == (None, ())
    pictures = ImageFolder(str(folder), 16, 3, cache_dir=str(tmp_path / "other")).load()
    assert torch.equal(faces.samples, pictures.samples)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_celeba_has_its_attributes(tmp_path: Path) -> None:
    folder = tmp_path / "celeba" / "img_align_celeba"
    write_pictures(folder, count=3)
    lines = ["4", "Male Smiling Young ", "000000.jpg -1  1  1", "000001.jpg  1 -1  1", "000002.jpg  1  1 -1"]
    table = tmp_path / "celeba" / "list_attr_celeba.txt"
    asked = CelebA(str(tmp_path), 8, cache_dir=str(tmp_path / "cache"), conditions=["Young", "Male"])
    assert message(asked).startswith(
        f"dataset.conditions is ['Young', 'Male'], but {table} is not there: get it by hand"
    )
    table.write_text("\n".join([*lines, "000003.jpg  1  1  1", ""]))
    faces = asked.load()
    assert faces.labels is not None
    assert faces.labels.tolist() == [[1, -1], [1, 1], [-1, 1]]
    assert faces.conditions == Units((1.0, 1.0), (0.0, 0.0), ("Young", "Male"))
    assert "has Male, Smiling, Young. Did you mean Young?" in message(dataclasses.replace(asked, conditions=["Yung"]))


def test_celeba_has_corrupt_pictures_left_out_on_request(tmp_path: Path) -> None:
    folder = tmp_path / "celeba" / "img_align_celeba"
    write_pictures(folder, count=5)
    (folder / "000002.jpg").write_bytes(b"")
    cache = str(tmp_path / "cache")
    assert len(CelebA(str(tmp_path), 8, skip_corrupt=True, cache_dir=cache).load().samples) == 4
    assert "1 of 5 pictures cannot be read" in message(CelebA(str(tmp_path), 8, cache_dir=cache))


def test_absent_celeba(tmp_path: Path, calls: list[float | None]) -> None:
    assert message(CelebA(str(tmp_path), 64)) == (
        f"dataset.root is {tmp_path}, where CelebA is not there: get img_align_celeba.zip (1.4 GB) by hand from"
        " https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and unpack it so that its pictures are"
        f" {tmp_path}/celeba/img_align_celeba/000001.jpg and so on, or use dataset=digits, which needs no download."
    )
    assert calls == []


def test_a_damaged_cifar_batch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path, "CIFAR10", monkeypatch)
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


def test_a_failed_download_leaves_an_empty_folder_of_the_users(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    message(TorchvisionSource("MNIST", str(root)))
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("source", [TorchvisionSource, CelebA])
def test_an_empty_root_is_not_the_current_folder(source: Any) -> None:
    name = {"name": "MNIST"} if source is TorchvisionSource else {"image_size": 8}
    with pytest.raises(ValueError, match=r"^root must be a path, and not empty .*, got ''$"):
        source(root="", **name)


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
        raise HTTPError("http://example.org/x", 403, "Forbidden", None, None)  # type: ignore[arg-type]  # no headers, no body

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
        assert source.load().samples[:, 0].tolist() == TRAIN_IMAGES.tolist()
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
    assert TorchvisionSource("MNIST", str(tmp_path)).load().samples[:, 0].tolist() == TRAIN_IMAGES.tolist()
    assert calls == []


def test_a_cifar_archive_fetched_by_hand_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[float | None]
) -> None:
    (images, _), _ = write_set(tmp_path / "made", "CIFAR10", monkeypatch)
    archive = tmp_path / datasets.CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "made" / datasets.CIFAR10.base_folder, datasets.CIFAR10.base_folder)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert np.array_equal(TorchvisionSource("CIFAR10", str(tmp_path)).load().samples.numpy(), images)
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
    assert f"but {', '.join(IDX_FILES)} in {folder} do not fit together. Delete the named files" in text


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_idx(tmp_path)

    def deny(path: str, strict: bool = True) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("torchvision.datasets.mnist.read_sn3_pascalvincent_tensor", deny)
    text = message(TorchvisionSource("MNIST", str(tmp_path)))
    assert text == f"dataset.root is {tmp_path}, but {folder / IDX_FILES[0]} cannot be read: Permission denied."


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    text = message(TorchvisionSource("ImageNet", str(tmp_path)))
    assert text == f"dataset.source.name is 'ImageNet', expected one of {', '.join(FORMATS)}."
