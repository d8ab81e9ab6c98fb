"""Slurm, of which a test has the variables alone, and processes that others wait for."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from gan_lightning.__main__ import main
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.errors import RunFailed, UserError
from gan_lightning.processes import SIGNALS, Stopped
from gan_lightning.runs import cluster

JOB = {
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NAME": "train",
    "SLURM_NODELIST": "localhost",
    "SLURM_NNODES": "1",
    "SLURM_NTASKS": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}
PLACE = "outputs/slurm/4711"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which a job of Slurm's runs; `scontrol` writes down what it is asked for."""
    monkeypatch.chdir(tmp_path)
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "scontrol").write_text('#!/bin/sh\necho "$*" >> scontrol.log\n')
    (tmp_path / "bin" / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


class Send(Callback):
    """Sends this process a signal in the middle of an iteration."""

    def __init__(self, iteration: int, number: signal.Signals) -> None:
        self.iteration, self.number = iteration, number

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.iteration:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_requeued_job_goes_on_and_nothing_lies_outside_of_its_folder(
    here: Path,
    tiny: Callable[..., Any],
    tiny_command: Callable[..., list[str]],
    folder: Callable[..., Any],
    same: Callable[..., None],
    watch: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    each = "trainer.log_every_n_steps=1"
    whole = tiny("whole", each, "trainer.max_steps=8")
    shutil.copyfile(whole.path / "checkpoints" / "last.ckpt", here / "hpc_ckpt_1.ckpt")  # which Lightning would take
    _, _, _, *command = tiny_command(each, "trainer.max_steps=8")

    watch(Send(4, number))
    assert main(command) == 128 + number
    stopped = folder(f"{PLACE}_vanilla_digits_s0")
    assert stopped.results()["status"] == number.name
    assert stopped.iterations() == [1, 2, 3, 4, 5]
    assert (here / "scontrol.log").read_text() == "requeue 4711\n"

    watch()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert main(command) == 0
    assert stopped.iterations() == list(range(1, 9))
    same(stopped.checkpoint()["state_dict"], whole.checkpoint()["state_dict"])
    assert main(command) == 0  # and is recognised as finished
    assert {path.name for path in here.iterdir()} == {"bin", "hpc_ckpt_1.ckpt", "outputs", "scontrol.log", "whole"}
    assert [path.name for path in here.glob("outputs/*/*")] == ["4711_vanilla_digits_s0"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_job_is_requeued_before_it_trains(
    here: Path,
    tiny_command: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    monkeypatch.setattr(GANDataModule, "setup", lambda data, stage=None: signal.raise_signal(number))
    _, _, _, *command = tiny_command()
    assert main(command) == 128 + number
    assert (here / "scontrol.log").read_text() == "requeue 4711\n"
    told = capsys.readouterr().err.splitlines()
    assert told == ["Slurm is to run job 4711 again, which goes on where this one was.", f"Stopped by {number.name}."]
    assert not (here / "outputs").exists()


def test_a_sweep_is_requeued_once_by_itself(
    here: Path, tiny_command: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm sends its signal to the sweep and to its jobs alike; these have saved when the job is asked to be rerun."""
    endless = (
        "-m",
        "seed=1,2",
        "trainer.max_steps=1000000",
        "hydra.sweep.subdir=${hydra.job.num}",
        "trainer.log_every_n_steps=1",
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (here / "output").open("w") as output:
        sweep = subprocess.Popen(
            tiny_command(*endless), env=environment, stdout=output, stderr=subprocess.STDOUT, process_group=0
        )
    try:
        places = [here / f"multirun/slurm/4711/{number}" for number in (0, 1)]
        wait_until(lambda: all((place / "metrics.csv").exists() for place in places))
        for place in places:
            os.kill(json.loads((place / ".lock").read_text())["pid"], signal.SIGUSR1)
        sweep.send_signal(signal.SIGUSR1)
        assert sweep.wait(timeout=180) == 128 + signal.SIGUSR1
    finally:
        sweep.kill()
        sweep.wait()
    for place in places:
        assert json.loads((place / "results.json").read_text())["status"] == "SIGUSR1"
        assert (place / "checkpoints" / "last.ckpt").exists()
    assert (here / "scontrol.log").read_text() == "requeue 4711\n"
    told = " ".join((here / "output").read_text().split())
    assert "2 stopped" in told
    assert "What is missing is done by python -m gan_lightning -m sweep.resume=multirun/slurm/4711" in told
    assert told.endswith("Stopped by SIGUSR1.")
    assert "Slurm is to run job 4711 again" in told


def wait_until(is_true: Callable[[], bool]) -> None:
    """Waits three minutes at most."""
    end = time.monotonic() + 180
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_as_many_tasks_as_processes(here: Path, tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")
    with pytest.raises(UserError, match=r"trainer\.devices \(1\) .* has started 2 tasks.* srun --ntasks=1"):
        tiny(None, "trainer.max_steps=1")
    assert not list(here.glob("outputs/*/*"))


@pytest.mark.slow
def test_tasks_of_one_step_are_the_ranks_of_one_run(here: Path, tiny_command: Callable[..., list[str]]) -> None:
    command = tiny_command("trainer.devices=2", "trainer.max_steps=2", "trainer.log_every_n_steps=1")
    tasks = [
        subprocess.Popen(
            command,
            env=os.environ
            | {"SLURM_NTASKS": "2", "SLURM_STEP_ID": "3", "SLURM_PROCID": rank, "SLURM_LOCALID": rank}
            | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("1", "0")
    ]
    told = [task.communicate(timeout=200)[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], told
    assert told[0] == ""
    (run,) = here.glob("outputs/*/*")
    assert run.name == "4711.3_vanilla_digits_s0"
    with (run / "metrics.csv").open(newline="") as file:
        assert [row["iteration"] for row in csv.DictReader(file)] == ["1", "2"]
    assert not list(here.rglob("hpc_ckpt*"))


WAITS = """
import sys
from datetime import timedelta
from gan_lightning.__main__ import main
from gan_lightning.runs import cluster
cluster.SAID_AFTER, cluster.GIVEN_UP_AFTER = 0.05, timedelta(seconds=1)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_node_that_does_not_come_is_named_and_not_waited_for_without_end(
    tmp_path: Path, tiny_command: Callable[..., list[str]]
) -> None:
    _, _, _, *arguments = tiny_command("trainer.num_nodes=2", "trainer.max_steps=2")
    command = [sys.executable, "-c", WAITS, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    waiting, given_up = (line for line in done.stderr.splitlines() if "waits at" in line)
    assert done.returncode == 2
    assert waiting.startswith("process 0 of 2 waits at 127.0.0.1:")
    assert "start the same command with NODE_RANK=1" in waiting
    assert given_up.startswith("trainer.num_nodes is 2 and trainer.devices 1: process 0 of 2 waits at")
    assert "Traceback" not in done.stderr


def waiting(monkeypatch: pytest.MonkeyPatch, *commands: str) -> cluster.WaitingDDP:
    """What waits without end for processes, which run `commands`."""
    strategy = cluster.WaitingDDP(parallel_devices=[torch.device("cpu")], cluster_environment=cluster.SlurmTasks())
    launcher = _SubprocessScriptLauncher(cluster.SlurmTasks(), 1 + len(commands), 1)
    launcher.procs = [subprocess.Popen(["sh", "-c", command]) for command in commands]
    monkeypatch.setattr(strategy, "_launcher", launcher)
    monkeypatch.setattr(cluster.DDPStrategy, "setup_distributed", lambda self: Event().wait())
    return strategy


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_answered_while_others_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    strategy = waiting(monkeypatch, "sleep 60")
    (other,) = strategy.others()
    Timer(0.3, os.kill, (os.getpid(), number)).start()
    with pytest.raises(Stopped) as stopped:
        strategy.setup_distributed()
    assert stopped.value.number == number
    assert other.returncode == -signal.SIGKILL
    assert not strategy.others()  # or Lightning kills this process, since one of them has failed


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("exit 143", "Stopped by SIGTERM"),
        ("kill -USR1 $$", "Stopped by SIGUSR1"),
        ("exit 3", "2 .* ended with status 3"),
    ],
)
def test_one_that_has_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, command: str, told: str) -> None:
    strategy = waiting(monkeypatch, "sleep 60", command)
    with pytest.raises((Stopped, RunFailed), match=told):
        strategy.setup_distributed()
    assert not strategy.others()


def test_collectives_have_the_usual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the processes do together, once they are there, may take longer than their coming."""
    given: list[timedelta] = []
    monkeypatch.setattr(cluster, "SET_TIMEOUT", given.append)
    monkeypatch.setattr(cluster.DDPStrategy, "setup_distributed", lambda self: given.append(self._timeout))
    strategy = cluster.WaitingDDP(parallel_devices=[torch.device("cpu")], cluster_environment=cluster.SlurmTasks())
    strategy.setup_distributed()
    assert given == [cluster.GIVEN_UP_AFTER, cluster.default_pg_timeout]


@pytest.mark.parametrize("error", [RunFailed, UserError])
def test_a_checkpoint_is_not_blamed_for_processes_that_are_missing(
    tiny: Callable[..., Any], resume: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    run = tiny("run", "trainer.max_steps=1")

    def setup_environment(strategy: SingleDeviceStrategy) -> None:
        raise error("Nobody has come.")

    monkeypatch.setattr(SingleDeviceStrategy, "setup_environment", setup_environment)
    with pytest.raises(error, match=r"^Nobody has come\.$"):
        resume(run.path, "trainer.max_steps=2")
