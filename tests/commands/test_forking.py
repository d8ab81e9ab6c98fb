"""Jobs that are forked by a process that has imported everything: as if each had been started by itself."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_lightning import train
from gan_lightning.commands import forking, job_server, launcher
from gan_lightning.commands.forking import Forked, JobServer, end_job_servers
from gan_lightning.commands.launcher import CONSOLE, Job, ProcessLauncher

OWN = """
import json, os, sys
from pytorch_lightning import Callback
class Own(Callback):
    pass
told = {"group": os.getpgrp() == os.getpid(), "parent": os.getppid(), "environment": dict(os.environ)}
with open("told.json", "w") as file:
    json.dump(told | {"main": sys.modules["__main__"].__spec__.name, "argv": sys.argv[1:]}, file)
os._exit(7)
"""


def wait_until(is_true: Callable[[], bool]) -> None:
    """Waits ten minutes at most, in which a machine with much else to do imports torch."""
    end = time.monotonic() + 600
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The current folder of the server, and so of its jobs."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[JobServer]:
    with chdir(place):
        made = forking.job_server("1")
    assert made is not None
    wait_until(lambda: not made.is_starting())
    assert made.is_ready
    yield made
    end_job_servers()
    assert made.process.returncode == -signal.SIGKILL


@pytest.fixture
def fork(server: JobServer, here: Path) -> Iterator[Callable[..., Forked]]:
    """Forks a job whose output goes to `console`, and whose leash ends with the test."""
    read, write = os.pipe()

    def start(*arguments: str, leash: int = read, **environment: str) -> Forked:
        with (here / "console").open("wb") as output:
            job = server.fork(arguments, os.environ | environment, output, leash)
        assert job is not None
        return job

    yield start
    os.close(read)
    os.close(write)


def ended(job: Forked) -> int | None:
    wait_until(lambda: job.poll() is not None)
    return job.returncode


@pytest.mark.slow
def test_a_forked_job_has_what_a_started_one_has(fork: Callable[..., Forked], here: Path, place: Path) -> None:
    (place / "own_lab.py").write_text(OWN)
    arguments = ("plugins=[own_lab]", "+callbacks.own._target_=own_lab.Own")
    assert ended(fork("train", *arguments, ONLY="here")) == 7
    told = json.loads((place / "told.json").read_text())
    assert told["environment"]["ONLY"] == "here"
    assert (told["group"], told["parent"]) == (True, os.getpid())
    assert told["main"] == "gan_lightning.__main__"
    assert arguments[1] in told["argv"]


@pytest.mark.slow
def test_a_forked_job_makes_the_same_weights(fork: Callable[..., Forked], here: Path) -> None:
    asked = ("dataset=ring", "network=toy", "trainer.max_steps=3", "trainer.accelerator=cpu", "threads=1")
    asked += ("trainer.enable_progress_bar=false", "metric=[]")
    torch.manual_seed(99)
    assert ended(fork("train", *asked, f"hydra.run.dir={here / 'forked'}")) == 0, (here / "console").read_text()
    first, *_, last = (here / "console").read_text().splitlines()
    assert first.startswith("Finished at iteration 3")
    assert last.startswith("  more samples")  # and nothing of an end that is not the usual one
    alone = train(*asked, f"hydra.run.dir={here / 'alone'}")
    first, second = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (here / "forked", alone.folder)
    )
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_jobs_end_by_signals_and_with_their_sweep_and_not_with_the_server(
    fork: Callable[..., Forked], tiny: tuple[str, ...], here: Path, server: JobServer
) -> None:
    read, write = os.pipe()
    asked = ("train", *tiny, "trainer.max_steps=1000000", "trainer.enable_progress_bar=false")
    killed = fork(*asked, f"hydra.run.dir={here / 'killed'}")
    left = fork(*asked, f"hydra.run.dir={here / 'left'}", leash=read)
    killed.send_signal(signal.SIGKILL)
    assert ended(killed) == -signal.SIGKILL
    wait_until(lambda: (here / "left" / "metrics.csv").exists())
    server.process.kill()
    server.process.wait()
    with (here / "console").open("wb") as output:
        assert server.fork(["--version"], os.environ, output, read) is None
    assert left.poll() is None
    os.close(write)  # as when the sweep's process is killed
    assert ended(left) == 128 + signal.SIGTERM
    assert json.loads((here / "left" / "results.json").read_text())["status"] == "SIGTERM"
    os.close(read)


# One by one.


def test_nothing_is_forked_beside_threads_and_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = job_server.open_files()
    waiting = threading.Event()
    thread = threading.Thread(target=waiting.wait)
    thread.start()
    assert "threads" in str(job_server.why_not(before))
    waiting.set()
    thread.join()
    monkeypatch.setattr(job_server, "threads", lambda: 1)
    assert job_server.why_not(before) is None
    with (tmp_path / "file").open("w"):
        assert job_server.why_not(before) == "the job server has 1 further files open"


def test_what_cannot_be_forked_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monkeypatch.setattr(job_server, "why_not", lambda files: "it is Friday")
    with ours, theirs, (tmp_path / "console").open("wb") as output:
        asked = {"arguments": [], "environment": {}}
        socket.send_fds(ours, [json.dumps(asked).encode()], [output.fileno(), output.fileno()])
        ours.shutdown(socket.SHUT_WR)
        assert job_server.serve(theirs, set()) is None
        assert json.loads(ours.recv(4096)) == {"pid": None, "why": "it is Friday"}


def test_where_there_is_no_server_jobs_are_started(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["gan_lightning"])
    with monkeypatch.context() as changed:
        changed.setattr(forking.sys, "executable", "/bin/false")
        own = ProcessLauncher()
        own.server = JobServer("1", dict(os.environ))
        wait_until(lambda: not (own.server and own.server.is_starting()))
    monkeypatch.setattr(launcher.subprocess, "Popen", lambda command, **_: started.append(command) or Forked(0))
    own.start(Job(["seed=1"], here / "job"), "1", 0, {})
    assert own.server is not None
    own.server.control.close()
    assert started[0][:5] == [sys.executable, "-m", "gan_lightning", "train", "seed=1"]
    assert (here / "job" / CONSOLE).exists()


def test_no_job_starts_before_the_server_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    own: Any = ProcessLauncher()
    own.server = type("Server", (), {"is_starting": lambda self: True})()
    waiting, pool = [Job([], Path())], launcher.Pool([], 2)
    assert not own.can_start(waiting, [], 2, pool)
    own.server = None
    assert own.can_start(waiting, [], 2, pool)
    assert not own.can_start(waiting, waiting * 2, 2, pool)


def test_where_processes_cannot_be_adopted_nothing_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "servers", [])
    monkeypatch.setattr(forking.ctypes, "CDLL", lambda name: type("C", (), {"prctl": lambda self, *given: -1})())
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert forking.job_server("1") is None
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL  # else no job's end would be told
    finally:
        signal.signal(signal.SIGCHLD, before)
    monkeypatch.setattr(forking.sys, "platform", "darwin")
    assert forking.job_server(None) is None


def test_a_job_that_somebody_else_has_waited_for_has_ended() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    job = Forked(process.pid)
    assert (job.poll(), job.poll()) == (0, 0)


ENDS = """
import gc, os, sys
from gan_lightning.commands import job_server
def job(asked):
    job_server.closed = open("closed", "w")
    job_server.closed.close()
    job_server.broken = open("broken", "w")
    job_server.broken.write("lost")
    job_server.text, job_server.bytes = open("text", "w"), open("bytes", "wb")
    job_server.text.write("all")
    job_server.bytes.write(b"all")
    os.close(job_server.broken.fileno())
    return 3
job_server.end(job, None)
"""


def test_what_files_still_hold_is_written_when_a_forked_job_ends(here: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS], cwd=here, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert ((here / "text").read_text(), (here / "bytes").read_bytes()) == ("all", b"all")


SERVES = """
import signal, socket
from gan_lightning.commands import job_server
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
job_server.imported = lambda: job_server.wait_for(job_server.os.fork() or job_server.os._exit(0))
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
ours.shutdown(socket.SHUT_WR)
raise SystemExit(job_server.main(theirs.detach()))
"""


def test_the_server_waits_though_its_children_are_ignored_by_who_started_it() -> None:
    ended = subprocess.run([sys.executable, "-c", SERVES], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
