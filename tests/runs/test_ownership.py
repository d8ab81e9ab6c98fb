"""One owner a folder: a living process."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gan_lightning.errors import UserError
from gan_lightning.runs import ownership
from gan_lightning.runs.ownership import LOCK, disown, held, is_owned, own, owned

OWN = """
import sys
from pathlib import Path
from gan_lightning.runs.ownership import own
own(Path(sys.argv[1]))
print("owned", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which owns the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWN, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "owned\n"
    yield process
    process.kill()
    process.communicate()


def test_another_owner_is_named(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    before = (tmp_path / LOCK).read_bytes()
    with pytest.raises(UserError, match=rf"belongs to process {other.pid} on {socket.gethostname()} .since 2"):
        own(tmp_path)
    assert (tmp_path / LOCK).read_bytes() == before
    assert not held


def test_a_dead_owners_folder_is_taken_over(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    assert (tmp_path / LOCK).exists()
    with owned(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_whether_there_is_an_owner(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    assert is_owned(tmp_path)
    with pytest.raises(UserError, match=r"whose sweep is there.* hydra\.sweep\.dir=DIR"):
        own(tmp_path, "hydra.sweep.dir")
    other.kill()
    other.wait()
    assert (tmp_path / LOCK).exists()
    assert not is_owned(tmp_path)
    with owned(tmp_path):
        assert is_owned(tmp_path)
    assert not is_owned(tmp_path)


def test_who_looks_for_an_owner_keeps_none_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looking = os.open(tmp_path / LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(ownership.time, "sleep", lambda seconds: fcntl.flock(looking, fcntl.LOCK_UN))
    with owned(tmp_path):
        assert is_owned(tmp_path)
    os.close(looking)


def test_an_owner_may_ask_again_and_leaves_nothing(tmp_path: Path) -> None:
    own(tmp_path)
    own(tmp_path / ".." / tmp_path.name)
    disown(tmp_path)
    assert not list(tmp_path.iterdir())
    disown(tmp_path)


def test_children_do_not_keep_it(tmp_path: Path) -> None:
    with owned(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    code = "import sys; from pathlib import Path; from gan_lightning.runs.ownership import own; own(Path(sys.argv[1]))"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0
    child.kill()
    child.communicate()


def test_further_ranks_own_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with owned(tmp_path):
        assert not list(tmp_path.iterdir())


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="can't be trained in"):
        own(tmp_path)
    assert (tmp_path / "victim").read_text() == "mine"
