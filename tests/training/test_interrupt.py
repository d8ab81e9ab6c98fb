"""Ctrl-C and signals: an end after the current iteration, all saved, and the handlers put back."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer

from gan_lightning.__main__ import main
from gan_lightning.archives import load_archive
from gan_lightning.errors import UserError
from gan_lightning.runs.hardware import duration
from gan_lightning.training.gan import GAN
from gan_lightning.training.interrupt import SIGNALS
from gan_lightning.watching.evaluator import Evaluator

EACH = "trainer.log_every_n_steps=1"


def baseline(number: int, frame: Any) -> None:
    """Handles signals outside a run."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handlers that can be told from others, so that no signal ends the tests."""
    previous = {number: signal.signal(number, baseline) for number in SIGNALS}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


class Send(Callback):
    """Sends signals to this process in the middle of an iteration."""

    def __init__(self, iteration: int, *signals: signal.Signals) -> None:
        self.iteration = iteration
        self.signals = signals

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.iteration:
            for number in self.signals:
                os.kill(os.getpid(), number)


def test_a_stop_is_passed_on_to_the_caller_once_all_is_saved(tiny, watch, tmp_path):
    """Or a script of several trainings would go on with the next one."""
    seen = []

    def handle(number: int, frame: Any) -> None:
        run = tmp_path / signal.Signals(number).name
        seen.append((number, (run / "generator.safetensors").exists()))

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, handle)
        watch(Send(4, number))
        assert tiny(number.name, EACH, "trainer.max_steps=8").run.status == number.name
        assert seen == [(number, True)]
        seen.clear()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    watch(Send(4, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        tiny("raised", EACH, "trainer.max_steps=8")
    assert yaml.safe_load((tmp_path / "raised" / "results.json").read_text())["status"] == "SIGINT"


def current() -> list[Any]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_run_after_its_iteration_and_handlers_are_put_back(tiny, resume, watch, same, number, capsys):
    whole = tiny("whole", EACH, "trainer.max_steps=8")
    assert current() == [baseline] * len(SIGNALS)
    watch(Send(4, number))
    stopped = tiny("run", EACH, "trainer.max_steps=8")
    assert current() == [baseline] * len(SIGNALS)

    assert stopped.run.status == stopped.results()["status"] == number.name
    assert stopped.run.iteration == stopped.results()["iteration"] == 5
    assert stopped.checkpoint()["global_step"] == 5
    assert stopped.iterations() == [1, 2, 3, 4, 5]
    assert f"resume={stopped.path}" in capsys.readouterr().out

    watch()
    resumed = resume(stopped.path)
    assert resumed.run.status == resumed.results()["status"] == "finished"
    same(resumed.checkpoint()["state_dict"], whole.checkpoint()["state_dict"])
    same(resumed.checkpoint()["optimizer_states"], whole.checkpoint()["optimizer_states"])
    assert resumed.rows() == whole.rows()


def test_a_stretch_that_nobody_looks_on_ends_after_its_iteration(tiny, resume, same, monkeypatch):
    overrides = ("trainer.max_steps=9", "samples.every=9", "health.every=null", "trainer.log_every_n_steps=9")
    whole = tiny("whole", *overrides)
    iterate = GAN.train_iteration
    steps: list[int] = []

    def train_iteration(self: GAN, *arguments: Any) -> None:
        steps.append(self.trainer.global_step)
        if steps[-1] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        iterate(self, *arguments)

    monkeypatch.setattr(GAN, "train_iteration", train_iteration)
    stopped = tiny("run", *overrides)
    assert (stopped.run.status, stopped.run.iteration, steps) == ("SIGTERM", 4, [0, 1, 2, 3])
    monkeypatch.undo()
    resumed = resume(stopped.path)
    for part in ("state_dict", "optimizer_states", "loops"):
        same(resumed.checkpoint()[part], whole.checkpoint()[part])


def test_an_evaluation_gives_way_and_is_made_up_for(tiny, resume, watch, same, monkeypatch):
    measured = ("evaluation.every=2", "evaluation.samples=8", "extractor=identity", "metric=[frechet,sliced]", EACH)
    whole = tiny("whole", *measured, "trainer.max_steps=6")
    draw = Evaluator.draw

    def slow(self: Evaluator, *arguments: Any) -> Any:
        """A signal comes while samples are drawn at iteration 4."""
        drawn = draw(self, *arguments)
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return drawn

    calls: list[int] = []
    monkeypatch.setattr(Evaluator, "draw", slow)
    stopped = tiny("run", *measured, "trainer.max_steps=6")
    assert (stopped.run.status, stopped.run.iteration) == ("SIGTERM", 4)
    assert stopped.checkpoint()["global_step"] == 4
    assert stopped.results()["evaluation"]["last"]["iteration"] == 2

    monkeypatch.undo()
    resumed = resume(stopped.path)
    assert resumed.run.status == "finished"
    same(resumed.checkpoint()["state_dict"], whole.checkpoint()["state_dict"])
    assert resumed.rows() == whole.rows()
    for kind in ("last", "best"):
        one, other = (each.results()["evaluation"][kind] for each in (resumed, whole))
        assert (one["iteration"], one["values"]) == (other["iteration"], other["values"])
    best = load_archive(resumed.path / "checkpoints" / "best.ckpt")
    assert best["global_step"] == whole.results()["evaluation"]["best"]["iteration"]


def test_a_run_out_of_time_says_so_and_goes_on(tiny, resume, same, capsys):
    whole = tiny("whole", "trainer.max_steps=9", EACH)
    stopped = tiny("run", "trainer.max_steps=9", "trainer.max_time={seconds: 0}", EACH)
    assert stopped.run.status == stopped.results()["status"] == "max_time"
    assert stopped.run.iteration == 1
    told = capsys.readouterr().out
    assert "Stopped by trainer.max_time at iteration 1" in told
    assert f"resume={stopped.path}" in told
    again = resume(stopped.path)
    assert (again.run.status, again.run.iteration) == ("max_time", 2)
    finished = resume(stopped.path, "trainer.max_time=null")
    assert finished.run.status == "finished"
    same(finished.checkpoint()["state_dict"], whole.checkpoint()["state_dict"])


@pytest.mark.parametrize("value", ["5", "12:00", "[1,2]", "{hour: 1}", "true"])
def test_times_that_are_none(value):
    with pytest.raises(UserError, match=r"trainer\.max_time is .*DAYS:HOURS:MINUTES:SECONDS"):
        duration(OmegaConf.create({"time": yaml.safe_load(value)}).time)


def test_handlers_are_put_back_after_an_error(tiny, watch):
    class Crash(Callback):
        def on_train_batch_start(self, *arguments: Any) -> None:
            raise RuntimeError("a crash")

    watch(Crash())
    with pytest.raises(RuntimeError, match="a crash"):
        tiny("run", "trainer.max_steps=2")
    assert current() == [baseline] * len(SIGNALS)


def test_second_ctrl_c_ends_at_once(tiny, folder, watch):
    watch(Send(4, signal.SIGINT, signal.SIGINT))
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        tiny("run", "trainer.max_steps=8", "checkpoint.every=3", EACH)

    assert folder("run").results()["status"] != "finished"
    assert folder("run").results()["iteration"] == 4
    assert folder("run").checkpoint()["global_step"] == 3
    assert current() == [baseline] * len(SIGNALS)


def test_run_in_a_thread_leaves_signals_alone(tiny, watch):
    results, during = [], []

    class Look(Callback):
        def on_train_batch_start(self, *arguments: Any) -> None:
            during.append(current())

    watch(Look())
    thread = threading.Thread(target=lambda: results.append(tiny("run", "trainer.max_steps=3")))
    thread.start()
    thread.join(timeout=60)

    assert results[0].run.status == "finished"
    assert during == [[baseline] * len(SIGNALS)] * 3
    assert current() == [baseline] * len(SIGNALS)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_exit_status_tells_the_signal(tiny_command, folder, watch, tmp_path, number, status):
    watch(Send(1, number))
    _, _, _, *arguments = tiny_command(f"hydra.run.dir={tmp_path / 'run'}", "trainer.max_steps=4", EACH)
    assert main(arguments) == status
    assert folder("run").results()["status"] == number.name


def test_sigterm_ends_a_process_that_can_be_resumed(tiny_command, folder, resume, tmp_path):
    endless = ("trainer.max_steps=1000000", "checkpoint.every=1000000", "samples.every=1000000", EACH)
    command = tiny_command(*endless, f"hydra.run.dir={tmp_path / 'run'}")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=output, stderr=output)
    try:
        wait_for_rows(process, tmp_path / "run" / "metrics.csv", 20)
        process.terminate()
        assert process.wait(timeout=60) == 143
    finally:
        process.kill()
        process.wait()

    stopped = folder("run")
    iteration = stopped.checkpoint()["global_step"]
    assert iteration >= 20
    assert stopped.results()["status"] == "SIGTERM"
    assert stopped.results()["iteration"] == iteration
    assert stopped.iterations() == list(range(1, iteration + 1))

    resumed = resume(stopped.path, f"trainer.max_steps={iteration + 3}")
    assert resumed.run.status == resumed.results()["status"] == "finished"
    assert resumed.iterations() == list(range(1, iteration + 4))


def wait_for_rows(process: subprocess.Popen[bytes], path: Path, rows: int) -> None:
    """Waits until the run has logged so much."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None
        if path.is_file() and len(path.read_bytes().splitlines()) > rows:
            return
        time.sleep(0.05)
    raise AssertionError("the run did not begin to train")
