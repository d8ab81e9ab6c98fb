"""Which process this one is among others, and how it is made to end."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from gan_lightning import processes
from gan_lightning.processes import (
    LEASH,
    SIGNALS,
    Stopped,
    is_first_process,
    requeue,
    slurm_job,
    start,
    stop_if_asked,
    stoppable,
    tasks,
)

JOB = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
TWO = JOB | {"SLURM_NTASKS": "2", "SLURM_STEP_ID": "3"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SLURM_") or name in ("LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)


def given(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environment", "is_first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"NODE_RANK": "1"}, False),
        ({"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}, True),
        ({"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}, False),
        ({"RANK": "2"}, True),  # somebody's own variable
        (JOB, True),
        (TWO, True),
        (TWO | {"SLURM_PROCID": "1"}, False),
        (TWO | {"SLURM_PROCID": "1", "SLURM_JOB_NAME": "interactive"}, True),
    ],
)
def test_the_first_process(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_first: bool) -> None:
    given(monkeypatch, environment)
    assert is_first_process() is is_first


@pytest.mark.parametrize(
    ("environment", "job", "number"),
    [
        ({}, None, 1),
        (JOB, "4711", 1),
        (TWO, "4711.3", 2),
        (JOB | {"SLURM_JOB_NAME": "bash", "SLURM_NTASKS": "2"}, None, 1),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, None, 1),
    ],
)
def test_jobs_of_slurm(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], job: str | None, number: int
) -> None:
    given(monkeypatch, environment)
    assert slurm_job() == job
    assert tasks() == number
    assert start() == f"slurm/{job}" if job else re.fullmatch(r"\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d", start())


@pytest.mark.parametrize(
    ("script", "environment", "told"),
    [
        ("echo $* > asked", {}, "requeue 4711"),
        ("echo $* > asked", {"SLURM_ARRAY_JOB_ID": "47", "SLURM_ARRAY_TASK_ID": "5"}, "requeue 47_5"),
        ("echo not allowed >&2; exit 1", {}, "not allowed"),
        (None, {}, "can't be run"),
    ],
)
def test_slurm_is_asked_to_run_a_job_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str | None,
    environment: dict[str, str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert requeue() is None
    given(monkeypatch, JOB | environment)
    if script:
        (tmp_path / "scontrol").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "scontrol").chmod(0o755)
    answer = requeue()
    assert answer is not None
    if told.startswith("requeue"):
        assert (tmp_path / "asked").read_text().strip() == told
        assert "goes on where this one was" in answer
    else:
        assert told in answer


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_outside_of_training(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (*SIGNALS, signal.SIGALRM)]
    told = "Ctrl-C" if number == signal.SIGINT else number.name
    with pytest.raises(Stopped, match=f"Stopped by {told}") as stopped, stoppable():
        signal.raise_signal(number)
    assert stopped.value.status == 128 + number
    assert [signal.getsignal(each) for each in (*SIGNALS, signal.SIGALRM)] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_an_import_is_not_torn_by_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """An exception in the midst of one ends the process without a word of ours, if it comes up in C code."""
    (tmp_path / "torn.py").write_text(f"import os\nos.kill(os.getpid(), {number:d})\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torn", raising=False)

    def imported() -> None:
        assert import_module("torn").whole
        with suppress(Stopped):
            stop_if_asked()
            pytest.fail("the signal is forgotten")
        time.sleep(10)

    with pytest.raises(Stopped) as stopped, stoppable():
        imported()
    assert stopped.value.number == number
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_signal_that_an_import_has_lost_is_not_forgotten() -> None:
    with stoppable():
        with suppress(Stopped):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped):
            stop_if_asked()
    stop_if_asked()  # the next run in this process is another one


def test_a_process_whose_sweep_is_killed_ends(tmp_path: Path) -> None:
    """The sweep's process is killed; its job, which ignores nothing, gets SIGTERM."""
    job = "import gan_lightning.processes as p, time; p.end_with_parent(); print('up', flush=True); time.sleep(60)"
    sweep = (
        "import os, subprocess, sys, time\n"
        "read, write = os.pipe()\n"
        f"job = subprocess.Popen([sys.executable, '-c', {job!r}], pass_fds=(read,), process_group=0,"
        f" env=os.environ | {{{LEASH!r}: str(read)}})\n"
        "print(job.pid, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", sweep], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    told = sorted(parent.stdout.readline().strip() for _ in range(2))
    assert told[1] == "up"
    parent.kill()
    parent.wait()
    parent.stdout.read()  # which ends when the job does, that has its other end
    parent.stdout.close()
    assert has_ended(int(told[0]))


def has_ended(pid: int) -> bool:
    """Whether a process ends within five seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_leash_that_is_none_of_ours_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "leashed", [])
    monkeypatch.setenv(LEASH, "987654")
    processes.end_with_parent()
    assert LEASH not in os.environ
    time.sleep(0.05)


def test_a_sweeps_jobs_leave_the_requeue_to_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, JOB | {LEASH: "987654", "PATH": str(tmp_path)})
    monkeypatch.setattr(processes, "leashed", [])
    assert requeue() is not None
    processes.end_with_parent()
    assert requeue() is None
