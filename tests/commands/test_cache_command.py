"""`cache`: what it lists, what it removes, and what it leaves alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_lightning.data.image_folder import ImageFolder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two pictures that have been decoded, to two sizes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(folder / f"{number}.png")
    for size in (4, 8):
        ImageFolder(str(folder), size, 1).load()
    return folder


def test_lists_and_clears(pictures: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    images = tmp_path / "cache" / "gan_lightning" / "images"
    (images / "mine.npy").write_bytes(b"kept")
    listed = command("cache")
    assert (listed.status, listed.err) == (0, "")
    assert f"2 pictures 1x4x4 of {pictures}" in listed.out
    assert f"2 pictures 1x8x8 of {pictures}" in listed.out
    assert f"The image cache {images} has 2 files of 0.0 MiB; clear=true removes them." in listed.out
    cleared = command("cache", "clear=true")
    assert (cleared.status, cleared.out) == (0, f"Removed 2 files of 0.0 MiB from the image cache {images}.\n")
    assert [file.name for file in images.iterdir()] == ["mine.npy"]
    assert command("cache").out == f"The image cache {images} is empty.\n"


def test_a_folder_of_ones_own(pictures: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    ImageFolder(str(pictures), 2, 1, cache_dir=str(tmp_path / "mine")).load()
    outcome = command("cache", f"folder={tmp_path / 'mine'}", "clear=true")
    assert outcome.out.startswith("Removed 1 file of ")
    assert "has 2 files" in command("cache").out


def test_mistakes(tmp_path: Path, command: Callable[..., Any]) -> None:
    for arguments, fragment in (
        (("clear=ys",), "clear is 'ys', but Listing expects true or false"),
        (("folder=",), "folder is '', but it must be a path, and not empty"),
        ((f"folder={tmp_path}/none",), "there is no such folder"),
    ):
        outcome = command("cache", *arguments)
        assert outcome.status == 2
        assert fragment in outcome.err
