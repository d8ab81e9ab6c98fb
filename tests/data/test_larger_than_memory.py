"""Sets that are larger than the memory a process may have: mapped from their files, and none of it kept."""

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_lightning.data.arrays import Array
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.picture_cache import Notes, Rows, read_cache, write_cache
from gan_lightning.data.scaling import shared
from gan_lightning.training.critic_updates import CriticUpdates

MIB = 1 << 20
SHAPE, COUNT = (3, 64, 64), 5461  # 64 MiB


def status(key: str) -> int:
    """What this process has of some memory, in bytes."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) << 10


@contextmanager
def at_most(more: int) -> Iterator[None]:
    """Lets this process have so many bytes more of its own than it has."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)


def test_an_array_is_trained_on_under_a_cap(tmp_path: Path, pixels: np.ndarray) -> None:
    """Three passes over 64 MiB, under a limit that leaves half of it, and in a quarter of it."""
    np.save(tmp_path / "a.npy", pixels)
    with at_most(32 * MIB):
        data = GANDataModule(Array(str(tmp_path / "a.npy"), SHAPE), SHAPE, 64, CriticUpdates())
        rounds = iter(data.train_dataloader())
        first, held = next(rounds).samples, status("RssAnon")
        for _ in range(3 * data.stream.minibatches_per_pass):
            next(rounds)
        assert status("RssAnon") - held < 16 * MIB
    rows = data.stream.minibatch(0)
    assert torch.equal(first[0], torch.from_numpy(pixels)[rows].float().mul_(2 / 255).sub_(1))


def test_cached_pictures_are_mapped_under_a_cap(tmp_path: Path, pixels: np.ndarray) -> None:
    rows, file = Rows(pixels.shape), tmp_path / "a.npy"

    def produce(keep: object) -> Notes:
        for picture in pixels:
            keep(picture)  # type: ignore[operator]
        return Notes("somewhere")

    write_cache(file, rows, produce)
    with at_most(32 * MIB):
        found = read_cache(file, rows)
    assert found is not None
    assert not found[0].flags.writeable
    assert torch.equal(shared(found[0])[77], torch.from_numpy(pixels[77]))
    mapped = read_cache(file, rows)
    assert mapped is not None
    assert mapped[0].flags.writeable  # where there is memory enough
