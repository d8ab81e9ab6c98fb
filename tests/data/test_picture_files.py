"""Which files of a folder are pictures: by their contents, without opening what may hang, and in which order."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_lightning.data.image_folder import ImageFolder
from gan_lightning.data.picture_files import find_pictures, legible
from gan_lightning.data.places import Folder
from gan_lightning.files import in_natural_order


@pytest.fixture(autouse=True)
def _caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def save(path: Path, level: int = 9, kind: str = "PNG", mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (16, 16), level).save(path, format=kind)
    return path


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "ICO", "PCX", "JPEG2000", "SGI", "AVIF", "QOI"])
@pytest.mark.parametrize("name", ["a", "a.bin", "a.jpg_large"])
def test_pictures_are_known_by_their_contents(tmp_path: Path, kind: str, name: str) -> None:
    save(tmp_path / "in" / name, 90, kind, "RGB" if kind == "QOI" else "L")
    assert find_pictures(Folder(tmp_path / "in")) == ([name], {})
    level = int(ImageFolder(str(tmp_path / "in"), 16, 1).load().samples[0, 0, 8, 8])
    assert abs(level - (27 if kind == "QOI" else 90)) <= 3  # of its red alone


def test_arrays_are_known_by_their_contents(tmp_path: Path) -> None:
    with open(tmp_path / "array", "wb") as stream:
        np.save(stream, np.zeros((4, 4), np.uint8))
    assert find_pictures(Folder(tmp_path)).names == ["array"]


def test_what_is_passed_over_is_counted_by_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "in"
    save(root / "a.jpg", kind="JPEG")
    save(root / "b.jfif", kind="JPEG")
    (root / ".DS_Store").touch()
    for number in range(4):
        (root / f"notes{number}.txt").write_text("P5 or so it begins")
    (root / "lost").symlink_to(root / "nowhere")
    assert len(ImageFolder(str(root), 16, 1).load().samples) == 2
    (record,) = caplog.records
    assert record.getMessage() == (
        f"Passed over files in {root}: 1 hidden (.DS_Store), 1 unreadable (lost),"
        " 4 of other kinds (notes0.txt, notes1.txt, notes2.txt and 1 more)."
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes")
@pytest.mark.parametrize("name", ["pipe.png", "pipe"])
def test_pipes_and_devices_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    save(tmp_path / "a.png")
    os.mkfifo(tmp_path / name)
    (tmp_path / "null.png").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # whose whole path may be too long for a socket
        server.bind("s.png")
        found = find_pictures(Folder(tmp_path))
    assert found == (["a.png"], {"that are no plain files": sorted([name, "null.png", "s.png"])})


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path / "in" / "caf") + b"\xe9"))
    save(folder / os.fsdecode(b"\xff.png"), 3)
    save(tmp_path / "in" / "tea" / "x.png", 4)
    (folder / os.fsdecode(b"\xfe.txt")).touch()
    for _ in range(2):  # decoded, then from the cache
        loaded = ImageFolder(str(tmp_path / "in"), 16, 1).load()
        assert loaded.classes == ("caf\\xe9", "tea")
        assert loaded.samples[:, 0, 0, 0].tolist() == [3, 4]
    "".join(loaded.classes).encode()
    assert "\\udcfe.txt" in find_pictures(Folder(tmp_path / "in")).told()


def test_natural_order() -> None:
    names = ["10", "2", "1", "b", "a10", "a9", "a09", "A2", "1b", "", "²"]
    assert in_natural_order(set(names)) == ["", "1", "1b", "2", "10", "A2", "a09", "a9", "a10", "b", "²"]


def test_legible() -> None:
    assert legible("Größe") == "Größe"
    assert legible(os.fsdecode(b"\xe9")) == "\\xe9"
