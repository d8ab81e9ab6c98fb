"""A disk that is full: one paragraph with the file and the room, status 1, and no half file; wherever it strikes.

A process may limit the size of its files, where the system then refuses to write on as it does on a full disk.
"""

import errno
import logging
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gan_lightning import train
from gan_lightning.__main__ import main
from gan_lightning.errors import Diverged, WriteFailed
from gan_lightning.files import replacing, write_failure
from gan_lightning.runs import results
from gan_lightning.runs.failing import told_in_a_paragraph
from gan_lightning.runs.folders import require_writable, reserve
from gan_lightning.sampling.checkpoints import read_checkpoint

RUN = Path(__file__).parent / "saved_runs" / "format_1"


@contextmanager
def most(size: int) -> Iterator[None]:
    """Files of at most so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def theirs() -> Path:
    """A copy of a run, to be gone on with."""
    return Path(shutil.copytree(RUN, "theirs"))


# Where each file of a resumed run is larger than what may be written: a checkpoint has 40 KiB, a generator 3.
STRIKES = {"a checkpoint or TensorBoard": 20_000, "a picture or the table": 6_000, "the configuration": 2_500}


@pytest.mark.slow
@pytest.mark.parametrize("where", STRIKES)
def test_a_full_disk_ends_a_run_in_one_paragraph(theirs: Path, where: str) -> None:
    kept = (theirs / "checkpoints" / "last.ckpt").read_bytes()
    with most(STRIKES[where]), pytest.raises(WriteFailed) as failure:
        train("resume=theirs", "trainer.max_steps=24", "checkpoint.every=2", "trainer.log_every_n_steps=1")

    told = str(failure.value)
    assert told.startswith(str(theirs))
    assert "can't be written: File too large (" in told
    assert "MiB are free there)" in told
    assert not list(theirs.rglob("*.tmp*"))
    assert (theirs / "checkpoints" / "last.ckpt").read_bytes() == kept
    assert train("resume=theirs", "trainer.max_steps=24").iteration == 24


@pytest.mark.slow
def test_on_the_command_line_nothing_else_is_said(theirs: Path) -> None:
    """Not by the threads that write, nor by the log; the traceback is in train.log, where there is room for it."""
    code = (
        "import matplotlib.font_manager, resource, sys; from gan_lightning.__main__ import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY));"
        "sys.exit(main(['resume=theirs', 'trainer.max_steps=22', 'trainer.enable_progress_bar=false']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    (told,) = done.stderr.strip().splitlines()
    assert "theirs" in told
    assert "can't be written: File too large (" in told
    assert results.read(theirs).status == "failed"
    log = (theirs / "train.log").read_text()
    assert "Traceback" in log
    assert "the run has failed" in log


def test_the_first_error_is_told(tmp_path: Path) -> None:
    """And not that of a file which can't be closed because of it."""
    first = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "first.ckpt.tmp"))
    first.__context__ = ValueError("unrelated")
    second = RuntimeError("the archive isn't finished")
    second.__context__ = first
    third = OSError(errno.ENOSPC, "No space left on device", "third")
    third.__context__ = second
    with pytest.raises(WriteFailed, match=r"first\.ckpt can't be written: No space"), told_in_a_paragraph(tmp_path):
        raise third


def test_other_errors_are_raised_as_they_are(tmp_path: Path) -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file", "x")
    with pytest.raises(FileNotFoundError) as found, told_in_a_paragraph(tmp_path):
        raise error
    assert found.value is error
    assert write_failure(ValueError(), tmp_path) is None


def test_samples_that_are_not_finite_are_divergence(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"samples are not finite\. A lower"), told_in_a_paragraph(tmp_path):
        raise FloatingPointError("samples are not finite.")


def test_threads_and_logs_speak_again_afterwards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hook, logged = threading.excepthook, logging.raiseExceptions
    with told_in_a_paragraph(tmp_path):
        assert not logging.raiseExceptions
        assert threading.excepthook is not hook
    assert (threading.excepthook, logging.raiseExceptions) == (hook, logged)


@pytest.mark.parametrize("fails", ["os.replace", "os.fsync"])
def test_no_half_file_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: str) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def write() -> None:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("after")

    (tmp_path / "file").write_text("before")
    monkeypatch.setattr(fails, full)
    with pytest.raises(OSError, match=r"No space left on device.*file'"):
        write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "before"}


@pytest.mark.parametrize("make", [lambda: reserve("run"), lambda: require_writable(Path("run"), "hydra.run.dir")])
def test_a_run_does_not_start_without_room(make: Callable[[], object]) -> None:
    with most(1000), pytest.raises(WriteFailed, match=r"run.* can't be written: File too large \(.* MiB are free"):
        make()
    assert not list(Path("run").glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("out", ["grid.png", "folder"])
def test_sample_without_room(capsys: pytest.CaptureFixture[str], out: str) -> None:
    with most(100):
        assert main(["sample", f"run={RUN}", "n=4", f"out={out}"]) == 1
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert out in told
    assert "can't be written: File too large (" in told
    assert not [path for path in Path().rglob("*") if path.is_file()]


@pytest.mark.slow
@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_numbers_that_can_not_be_kept_are_printed(
    theirs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Of a run that may only be read, or on a full disk."""
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        mode = str(options.get("mode", arguments[0] if arguments else "r"))
        if "theirs" in path.parts and "r" not in mode:
            raise OSError(error, os.strerror(error), str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    before = {path: path.read_bytes() for path in theirs.rglob("*") if path.is_file()}
    assert main(["evaluate", "run=theirs", "samples=20", "metric=[sliced]", "intervals=0"]) == 0
    told = capsys.readouterr()
    assert "sliced_wasserstein" in told.out
    assert f"theirs can't be written to ({os.strerror(error)}): its numbers are not kept." in told.err
    assert {path: path.read_bytes() for path in theirs.rglob("*") if path.is_file()} == before
    read_checkpoint(theirs / "checkpoints" / "last.ckpt")
