"""Sets that are larger than the memory a process may have: mapped from their files, and none of it kept."""

import mmap
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gan_lightning.data import ahead, rounds
from gan_lightning.data.ahead import ask_for
from gan_lightning.data.arrays import Array
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.picture_cache import Notes, Rows, read_cache, write_cache
from gan_lightning.data.rounds import RoundLoader
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

    def produce(keep: Callable[[Any], object]) -> Notes:
        for picture in pixels:
            keep(picture)
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


# --- what the system is asked for before it is used ---


def loader(folder: Path, free: int | None, monkeypatch: pytest.MonkeyPatch) -> RoundLoader:
    """That of a run on 40 images, 1 to 3 minibatches of 4 a round, with so much free memory."""
    np.save(folder / "a.npy", np.arange(40 * 48).astype(np.uint8).reshape(40, 3, 4, 4))
    monkeypatch.setattr(ahead, "free_memory", lambda: free)
    data = GANDataModule(Array(str(folder / "a.npy"), [3, 4, 4]), [3, 4, 4], 4, CriticUpdates(2, 3, 1, 3))
    data.trainer = TRAINER  # type: ignore[assignment]
    return data.train_dataloader()


TRAINER = SimpleNamespace(
    strategy=SimpleNamespace(root_device=torch.device("cpu")),
    world_size=1,
    global_rank=0,
    global_step=5,
    lightning_module=None,
)


def test_the_next_round_is_asked_for_before_one_is_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.Tensor] = []
    monkeypatch.setattr(rounds, "ask_for", lambda samples, rows: asked.append(rows))
    plain = iter(loader(tmp_path, 40 * 48, monkeypatch))
    expected = [next(plain).samples for _ in range(12)]
    assert asked == []
    asking = loader(tmp_path, 40 * 48 - 1, monkeypatch)
    for number, found in zip(range(12), asking, strict=False):
        assert len(asked) == number + 2
        assert torch.equal(found.samples, expected[number])
        assert torch.equal(found.samples, asking.data.take(asked[number]).as_floats().samples)
    assert not loader(tmp_path, None, monkeypatch).asks


def test_all_bytes_of_the_rows_and_whole_pages_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.zeros((30, 3, 50, 50), np.uint8))
    samples = shared(np.lib.format.open_memmap(tmp_path / "a.npy", "c"))
    advise = ahead._advise()
    given: list[tuple[int, ...]] = []
    assert advise is not None

    def record(*arguments: int) -> None:
        assert advise(*arguments) == 0  # the system takes it
        given.append(arguments)

    monkeypatch.setattr(ahead, "_advise", lambda: record)
    ask_for(samples, torch.tensor([[7, 29], [0, 3]]))
    assert len(given) == 4
    for number, (first, count, advice) in zip([0, 3, 7, 29], given, strict=True):
        row = samples[number].data_ptr()
        assert first % mmap.PAGESIZE == 0
        assert row - mmap.PAGESIZE < first <= row
        assert first + count == row + 7500
        assert advice == mmap.MADV_WILLNEED
