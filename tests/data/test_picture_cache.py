"""The image cache's housekeeping: what goes when it is full, what a killed decoding leaves, and what stays."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gan_lightning.data.picture_cache import (
    Notes,
    Rows,
    described,
    entries,
    leftovers,
    read_cache,
    tidy,
    write_cache,
)

ROW = Rows((1, 1, 32, 32))


def name(number: int) -> str:
    return f"{number:064x}.npy"


def write(folder: Path, number: int, age: float = 0) -> Path:
    """A cache file of one picture, last used so many seconds ago."""
    file = folder / name(number)
    write_cache(file, ROW, lambda keep: (keep(np.full(ROW.shape[1:], number, np.uint8)), Notes("somewhere"))[1])
    os.utime(file, (time.time() - age,) * 2)
    return file


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    files = [write(tmp_path, number, age) for number, age in ((1, 300), (2, 200), (3, 100))]
    others = {"mine.npy", name(4) + ".txt"}
    for other in others:
        (tmp_path / other).write_bytes(bytes(10_000))
    assert read_cache(files[0], ROW) is not None  # which makes it the most recently used
    size = files[0].stat().st_size
    tidy(tmp_path, 2.5 * size, kept=files[2])
    assert names(tmp_path) == {name(1), name(3), *others}


def test_the_file_in_use_stays_and_the_limit_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, new = write(tmp_path, 1, 100), write(tmp_path, 2)
    with caplog.at_level(logging.WARNING):
        tidy(tmp_path, 0, kept=old)
    assert names(tmp_path) == {old.name}
    assert not new.exists()
    (record,) = caplog.records
    assert "more than dataset.cache_gib=0; it is kept while it is used." in record.getMessage()


def test_a_mapped_file_that_is_removed_keeps_its_pixels(tmp_path: Path) -> None:
    found = read_cache(write(tmp_path, 7), ROW)
    assert found is not None
    tidy(tmp_path, 0, kept=tmp_path / name(8))
    assert names(tmp_path) == set()
    assert (found[0] == 7).all()


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from gan_lightning.data.picture_cache import Rows, write_cache
def produce(keep):
    keep(np.zeros((1, 32, 32), np.uint8))
    print(flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.readline()
write_cache(Path(sys.argv[1]), Rows((2, 1, 32, 32)), produce)
"""


def unfinished(file: Path, how: str) -> "subprocess.Popen[bytes]":
    """A process that has begun to write a file, and was killed or goes on; its file looks old."""
    command = [sys.executable, "-c", KILLED, str(file), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    if how == "killed":
        process.wait()
    (temporary,) = (each for each in file.parent.iterdir() if each.name.startswith(file.name))
    os.utime(temporary, (time.time() - 1000,) * 2)
    return process


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_a_killed_decoding_left_is_cleared_and_what_another_writes_is_not(tmp_path: Path) -> None:
    unfinished(tmp_path / name(1), "killed").communicate()
    writing = unfinished(tmp_path / name(2), "writing")
    try:
        kept = write(tmp_path, 3)
        assert [left.file.name[:64] for left in leftovers(tmp_path)] == [name(1)[:64]]
        tidy(tmp_path, 1e9, kept)
        left = [each[:64] for each in names(tmp_path) if each.endswith(".tmp")]
        assert left == [name(2)[:64]]
        assert kept.exists()
    finally:
        writing.kill()
        writing.communicate()


def test_one_that_has_just_begun_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / f"{name(1)}-{'0' * 32}.tmp").touch()
    assert list(leftovers(tmp_path)) == []


def test_a_file_tells_what_it_holds(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / name(2)).write_bytes(b"of an earlier version")
    known = {entry.file.name: described(entry) for entry in entries(tmp_path)}
    assert known[name(1)].shape == (1, 1, 32, 32)
    assert known[name(1)].notes.root == "somewhere"
    assert known[name(2)].shape == ()
