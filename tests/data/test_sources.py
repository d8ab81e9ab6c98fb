"""The contract of all sources, and the bundled digits."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from own_parts import own_parts
from set_files import SETS, write_pictures, write_set
from sklearn.datasets import load_digits

from gan_lightning.data.arrays import Array
from gan_lightning.data.derived import ImbalancedDigits, StackedMNIST
from gan_lightning.data.image_folder import ImageFolder
from gan_lightning.data.sources import Digits, Source
from gan_lightning.data.tables import Table
from gan_lightning.data.torchvision_sets import CelebA, TorchvisionSource
from gan_lightning.data.toys import Gaussian1d, Grid, Mixture, PointMass, Ring, Sines, SwissRoll
from gan_lightning.testing import check_source

Write = Callable[[Path, pytest.MonkeyPatch], Source]


def torchvision_set(name: str, root: Path, patch: pytest.MonkeyPatch) -> Source:
    write_set(root, name, patch)
    return TorchvisionSource(name, str(root))


def unlabelled(root: Path, patch: pytest.MonkeyPatch) -> Source:
    write_set(root, "STL10", patch)
    return TorchvisionSource("STL10", str(root), "unlabeled")


def stacked(root: Path, patch: pytest.MonkeyPatch) -> Source:
    write_set(root, "MNIST", patch)
    return StackedMNIST(str(root), count=50)


def celeba(root: Path, patch: pytest.MonkeyPatch) -> Source:
    write_pictures(root / "celeba" / "img_align_celeba", height=22, width=18)
    return CelebA(str(root), 8, cache_dir=str(root / "cache"))


def pictures(root: Path, patch: pytest.MonkeyPatch) -> Source:
    for name in ("cats", "dogs"):
        write_pictures(root / "pictures" / name, count=3)
    return ImageFolder(str(root / "pictures"), 8, 3, cache_dir=str(root / "cache"))


def array(root: Path, patch: pytest.MonkeyPatch) -> Source:
    np.savez(root / "a.npz", x=np.arange(12.0).reshape(6, 2), y=np.arange(6))
    return Array(str(root / "a.npz"), [2], labels="y")


def signals(root: Path, patch: pytest.MonkeyPatch) -> Source:
    np.save(root / "a.npy", np.arange(60.0).reshape(6, 2, 5))
    return Array(str(root / "a.npy"), [2, 5])


def table(root: Path, patch: pytest.MonkeyPatch) -> Source:
    (root / "t.csv").write_text("name,a,b\nx,1,2.5\ny,3,4\nx,5,6\n")
    return Table(str(root / "t.csv"), [2], labels="name")


TOYS = [Ring(count=50), Grid(count=50), SwissRoll(count=50), PointMass(count=50), Gaussian1d(count=50), Sines(count=50)]
BUNDLED: list[Source] = [*TOYS, Digits(), ImbalancedDigits()]
WRITTEN: dict[str, tuple[type, Write]] = {
    **{name: (TorchvisionSource, partial(torchvision_set, name)) for name in SETS},
    "unlabelled": (TorchvisionSource, unlabelled),
    "stacked": (StackedMNIST, stacked),
    "celeba": (CelebA, celeba),
    "pictures": (ImageFolder, pictures),
    "array": (Array, array),
    "signals": (Array, signals),
    "table": (Table, table),
}


@pytest.mark.parametrize("source", BUNDLED, ids=lambda source: type(source).__name__)
def test_keep_the_contract(source: Source) -> None:
    check_source(source)


@pytest.mark.parametrize("name", WRITTEN)
def test_of_files_keep_the_contract(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, write = WRITTEN[name]
    source = write(tmp_path, monkeypatch)
    assert type(source) is kind
    check_source(source)


def test_all_are_there() -> None:
    assert {*map(type, BUNDLED), *(kind for kind, _ in WRITTEN.values())} == own_parts("data", "load") - {Mixture}


def test_digits_spread_sixteen_levels_over_a_byte() -> None:
    sample_set, original = Digits().load(), load_digits()
    assert sample_set.samples.shape == (1797, 1, 8, 8)
    assert sample_set.samples.dtype == torch.uint8
    for level, expected in [(0, 0), (1, 16), (5, 80), (15, 239), (16, 255)]:  # round(level * 15.9375)
        pixels = sample_set.samples[:, 0][torch.from_numpy(original.images == level)]
        assert len(pixels) > 0
        assert set(pixels.tolist()) == {expected}
    assert sample_set.labels is not None
    assert sample_set.labels.dtype == torch.int64
    assert sample_set.labels.tolist() == original.target.tolist()
    assert sample_set.classes == tuple("0123456789")
