"""Decoding on all cores: the same pictures in the same order by threads and by processes, whatever becomes of these."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from gan_lightning.data import decoding, decoding_cores, decoding_process
from gan_lightning.data.decoding import Decoded, Form
from gan_lightning.data.decoding_cores import AHEAD, TOGETHER, decode_all
from gan_lightning.data.image_folder import ImageFolder
from gan_lightning.data.opening import opened
from gan_lightning.data.picture_cache import Corrupt
from gan_lightning.data.places import Folder

Processes = list["subprocess.Popen[bytes]"]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    """Has however few pictures decoded by two processes: these."""
    started: Processes = []
    original = subprocess.Popen.__init__

    def record(self: "subprocess.Popen[bytes]", *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        started.append(self)

    monkeypatch.setattr(subprocess.Popen, "__init__", record)
    monkeypatch.setattr(decoding_cores, "MANY", 1)
    monkeypatch.setattr(decoding_cores, "usable_cores", lambda: 2)
    return started


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """40 pictures of noise in two files each, of which three can't be read."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (40, 2, 8, 9), dtype=np.uint8)):
        for ending, plane in zip("ab", pixels, strict=True):
            Image.fromarray(plane).save(folder / f"{number:02}{ending}.png")
    (folder / "03a.png").write_bytes(b"no picture")
    (folder / "20b.png").write_bytes((folder / "20a.png").read_bytes()[:60])
    (folder / "39b.png").unlink()
    (folder / "39b.png").symlink_to("nowhere")
    return folder


def plain(result: Decoded | Corrupt) -> tuple[Any, ...]:
    """A result as something that can be compared."""
    if isinstance(result, Corrupt):
        return result.name, result.reason
    return result.pixels.dtype, result.pixels.shape, result.pixels.tobytes(), *result[1:]


@pytest.mark.parametrize(("is_packed", "stack"), [(False, None), (True, ["a.png", "b.png"])])
def test_processes_decode_as_threads_do(
    pictures: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch, is_packed: bool, stack: list[str] | None
) -> None:
    root = pictures
    if is_packed:
        root = pictures.parent / "in.zip"
        with zipfile.ZipFile(root, "w") as archive:
            for file in sorted(pictures.glob("*.png")):
                archive.writestr(file.name, file.read_bytes() if file.exists() else b"")
    form = Form(2 if stack else 1, 8, 9, stack=tuple(stack or ()))
    names = sorted({f"{number:02}" if stack else f"{number:02}{each}.png" for number in range(40) for each in "ab"})
    with opened(root) as place:
        by_processes = list(decode_all(place, names, form))
        assert [process.returncode for process in processes] == [-signal.SIGKILL] * 2
        monkeypatch.setattr(decoding_cores, "MANY", len(names) + 1)
        by_threads = list(decode_all(place, names, form))
    assert len(processes) == 2
    assert [plain(each) for each in by_processes] == [plain(each) for each in by_threads]
    assert [each.name[:2] for each in by_threads if isinstance(each, Corrupt)] == ["03", "20", "39"]


def test_levels_in_floats_come_from_processes_too(tmp_path: Path, processes: Processes) -> None:
    levels = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    for number, plane in enumerate(levels):
        np.save(tmp_path / f"{number}.npy", plane)
    found = ImageFolder(str(tmp_path), 4, 1, range=(-8, 8), cache_dir=str(tmp_path / "cache")).load().samples[:, 0]
    assert len(processes) == 2
    assert np.allclose(found.numpy(), levels / 8, atol=1e-6)


def test_the_scripts_own_settings_of_pillow_hold(
    pictures: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (result,) = decode_all(Folder(pictures), ["20b.png"], Form(1, 8, 9))
    assert isinstance(result, Decoded)


def test_processes_that_are_killed_are_done_without(
    pictures: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{number:02}a.png" for number in range(4, 40)]
    expected = [decoding.decode(pictures / name, Form(1, 8, 9)).pixels for name in names]
    monkeypatch.setattr(decoding_process, "PROGRAM", "import os; os.abort()")
    found = list(decode_all(Folder(pictures), names, Form(1, 8, 9)))
    assert len(processes) == 2
    assert all(np.array_equal(one.pixels, other) for one, other in zip(found, expected, strict=True))
    assert "A process that decoded pictures has ended early" in caplog.text


def test_nothing_is_left_where_decoding_is_given_up(pictures: Path, processes: Processes) -> None:
    results = decode_all(Folder(pictures), sorted(file.name for file in pictures.iterdir()), Form(1, 8, 9))
    next(results)
    results.close()
    assert [process.returncode for process in processes] == [-signal.SIGKILL] * 2


def test_a_process_ends_with_its_parent() -> None:
    code = """
import os, pathlib, signal
from gan_lightning.data.decoding import Form
from gan_lightning.data.decoding_process import process_that_decodes
from gan_lightning.data.places import Folder
with process_that_decodes(Folder(pathlib.Path(".")), Form(1, 4, 4)) as decode:
    decode(["none"])
    print(decode.process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    number = int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False).stdout)
    for _ in range(100):
        if not is_running(number):
            return
        time.sleep(0.1)
    os.kill(number, signal.SIGKILL)
    pytest.fail("it goes on")


def is_running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_order_is_kept_and_few_wait_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def decode(file: Path, form: Form) -> Decoded:
        decoded.append(file.name)
        time.sleep(0.001 * (int(file.name) % 3))
        return Decoded(np.zeros(1, np.uint8), file.name, 0, 255, False)

    monkeypatch.setattr(decoding, "decode", decode)
    monkeypatch.setattr(decoding_cores, "usable_cores", lambda: 2)
    names = [str(number) for number in range(300)]
    results = decode_all(Folder(tmp_path), names, Form(1, 1, 1))
    first = next(results)
    time.sleep(0.05)
    assert len(decoded) <= (AHEAD * 2 + 1) * TOGETHER
    assert [each.digest for each in (first, *results)] == names  # type: ignore[union-attr]
