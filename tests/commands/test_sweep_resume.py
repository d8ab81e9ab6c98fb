"""Sweeps that are gone on with: what is missing is done, what is finished is left, and another sweep is refused."""

import fcntl
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gan_lightning.errors import UserError
from gan_lightning.runs import run as run_module
from gan_lightning.runs.ownership import LOCK
from gan_lightning.studies import sweep_folder
from gan_lightning.studies.endings import JOB
from gan_lightning.studies.sweep_folder import SWEEP

BASIC = ("-m", "hydra/launcher=basic")  # jobs in this process, one after the other
SHORT = ("trainer.max_steps=2", "trainer.enable_progress_bar=false", "hydra.sweep.dir=S")
Trouble = Callable[[], None]


class Jobs:
    """The seeds of the runs that were begun, and what befalls some of them before they begin."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.trouble: dict[int, Trouble] = {}

    def taken(self) -> list[int]:
        """Those since the last call."""
        begun, self.begun = self.begun, []
        return begun


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    found, run_experiment = Jobs(), run_module.run_experiment

    def watched(config: Any, *arguments: Any) -> Any:
        found.begun.append(config.seed)
        found.trouble.get(config.seed, lambda: None)()
        return run_experiment(config, *arguments)

    monkeypatch.setattr(run_module, "run_experiment", watched)
    return found


def fails() -> None:
    raise ValueError("odd")


def refuses() -> None:
    raise UserError("it is odd.")


def results(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return content


@pytest.fixture
def sweep(command: Callable[..., Any], tiny: tuple[str, ...]) -> Callable[..., Any]:
    """Runs a sweep of tiny jobs in S, one after the other in this process."""
    return lambda *arguments: command(*BASIC, *tiny, *SHORT, *arguments)


def test_a_failure_leaves_the_others_alone_and_is_done_again(
    sweep: Callable[..., Any], command: Callable[..., Any], jobs: Jobs, here: Path
) -> None:
    jobs.trouble[1] = fails
    outcome = sweep("seed=1,2", "hydra.sweeper.max_batch_size=1")
    assert outcome.status == 1, outcome.err
    assert jobs.taken() == [1, 2]
    assert "seed=1: failed (ValueError: odd)" in outcome.out
    assert "1 of 2 done, 1 failed" in outcome.err
    assert "Traceback" not in outcome.err
    log = (here / "S" / "seed=1" / "train.log").read_text()
    assert "Traceback" in log
    assert "ValueError: odd" in log
    assert "python -m gan_lightning -m sweep.resume=S hydra/launcher=basic" in outcome.err

    jobs.trouble.clear()
    before = (here / "S" / "seed=2" / "results.json").stat().st_mtime_ns
    outcome = command(*BASIC, "sweep.resume=S", "hydra.sweeper.max_batch_size=1")
    assert outcome.status == 0, outcome.err
    assert jobs.taken() == [1]
    assert results(here / "S" / "seed=1")["status"] == "finished"
    assert (here / "S" / "seed=2" / "results.json").stat().st_mtime_ns == before
    assert not (here / "S" / "seed=1" / JOB).exists()
    assert "2 of 2" in outcome.out
    assert "| 2 of 2 |" in (here / "S" / "table.md").read_text()
    assert not (here / "S" / LOCK).exists()


def test_a_failure_ends_the_others_if_that_is_asked_for(
    sweep: Callable[..., Any], command: Callable[..., Any], jobs: Jobs, here: Path
) -> None:
    jobs.trouble[1] = fails
    outcome = sweep("seed=1,2,3", "sweep.fail_fast=true")
    assert outcome.status == 1
    assert jobs.taken() == [1]
    assert [f"seed={seed}: not started" in outcome.out for seed in (1, 2, 3)] == [False, True, True]
    jobs.trouble.clear()
    assert command(*BASIC, "sweep.resume=S").status == 0
    assert jobs.taken() == [1, 2, 3]


def test_only_mistakes_are_status_2(sweep: Callable[..., Any], jobs: Jobs, here: Path) -> None:
    jobs.trouble = {1: refuses, 2: refuses}
    outcome = sweep("seed=1,2")
    assert outcome.status == 2
    assert outcome.out.count("refused (it is odd)") == 2
    assert "Traceback" not in outcome.err
    jobs.trouble.pop(2)
    assert sweep("seed=1,2").status == 1


def test_a_signal_ends_the_sweep_and_it_goes_on(
    sweep: Callable[..., Any], command: Callable[..., Any], jobs: Jobs, here: Path
) -> None:
    jobs.trouble[2] = lambda: signal.raise_signal(signal.SIGTERM)
    outcome = sweep("seed=1,2,3")
    assert outcome.status == 128 + signal.SIGTERM
    assert jobs.taken() == [1, 2]
    assert "seed=2: stopped (stopped by SIGTERM)" in outcome.out
    assert "seed=3: not started" in outcome.out
    assert "What is missing is done by python -m gan_lightning -m sweep.resume=S" in outcome.err
    jobs.trouble.clear()
    assert command(*BASIC, "sweep.resume=S").status == 0
    assert jobs.taken() == [2, 3]


def test_the_same_command_goes_on_and_another_is_refused(sweep: Callable[..., Any], jobs: Jobs, here: Path) -> None:
    assert sweep("seed=1,2").status == 0
    before = (here / "S" / SWEEP).read_bytes()
    assert jobs.taken() == [1, 2]
    assert sweep("seed=1,2").status == 0
    assert jobs.taken() == []
    for others, told in {
        ("seed=1,2", "loss.n_critic=2"): "of loss.n_critic, it is not said there, and it is 2 here",
        ("seed=1,2", "network.latent_dim=5"): "of network.latent_dim, it is 4 there, and it is 5 here",
        ("seed=1,3",): "of seed, it is 2 there, and it is ",
        ("seed=1,2,3",): "without the job",
    }.items():
        outcome = sweep(*others)
        assert outcome.status == 2
        assert told in outcome.err
        assert "sweep.resume=S" in outcome.err
    assert jobs.taken() == []
    assert (here / "S" / SWEEP).read_bytes() == before


def test_further_seeds_and_iterations_are_added(
    command: Callable[..., Any], tiny: tuple[str, ...], jobs: Jobs, here: Path
) -> None:
    short = (*BASIC, *tiny, "trainer.enable_progress_bar=false")
    assert command(*short, "trainer.max_steps=2", "seed=1", "loss=vanilla,hinge", "hydra.sweep.dir=S").status == 0
    assert jobs.taken() == [1, 1]
    assert (here / "S" / "loss=hinge").is_dir()
    longer = (*short, "seed=1,2", "loss=vanilla,hinge", "sweep.resume=S")
    assert command(*longer, "trainer.max_steps=2").status == 0
    assert jobs.taken() == [2, 2]  # in the order of the command, in which those of seed 1 are complete
    folders = [f"loss={loss},seed={seed}" for seed in (1, 2) for loss in ("vanilla", "hinge")]
    assert sorted(path.name for path in (here / "S").iterdir() if path.is_dir()) == sorted(folders)
    assert [job.folder for job in sweep_folder.read(here / "S").jobs] == folders
    assert command(*longer, "trainer.max_steps=3").status == 0
    assert {results(here / "S" / name)["iteration"] for name in folders} == {3}


def test_a_configuration_that_has_changed_is_refused(
    sweep: Callable[..., Any], command: Callable[..., Any], jobs: Jobs, here: Path
) -> None:
    """The command is the same, but what a file of the user's own says is not."""
    own = here / "own" / "experiment" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# @package _global_\nema: {decay: 0.5}\n")
    asked = ("--config-dir=own", "experiment=mine", "seed=1,2")
    assert sweep(*asked).status == 0
    assert jobs.taken() == [1, 2]
    own.write_text("# @package _global_\nema: {decay: 0.9}\n")
    for again in (lambda: sweep(*asked), lambda: command("--config-dir=own", *BASIC, "sweep.resume=S")):
        outcome = again()
        assert outcome.status == 2
        assert "in seed=1, ema.decay is 0.5, and 0.9 here" in outcome.err
    assert jobs.taken() == []


def test_settings_out_of_a_folder_are_not_obeyed(command: Callable[..., Any], jobs: Jobs, here: Path) -> None:
    (here / "S").mkdir()
    noted = ["seed=1,2", "hydra/launcher=basic", "plugins=[its_lab]", "hydra.searchpath=[file://x]"]
    sweep_folder.write(here / "S", sweep_folder.Sweep(noted, flags=["--config-dir=/its/configs"]))
    outcome = command("-m", "sweep.resume=S")
    assert outcome.status == 2
    typed = "--config-dir=/its/configs hydra/launcher=basic 'plugins=[its_lab]' 'hydra.searchpath=[file://x]'"
    assert (
        f"type them again, if they are to be trusted: python -m gan_lightning -m sweep.resume=S {typed}" in outcome.err
    )
    assert jobs.taken() == []


def test_a_running_sweeps_folder_is_its_own(sweep: Callable[..., Any], jobs: Jobs, here: Path) -> None:
    (here / "S").mkdir()
    file = os.open(here / "S" / LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    outcome = sweep("seed=1,2")
    os.close(file)
    assert outcome.status == 2
    assert "whose sweep is there; wait until it has ended, or name another folder by hydra.sweep.dir=DIR" in outcome.err
    assert jobs.taken() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("-m sweep.resume=nowhere", "sweep.resume is nowhere, which does not exist."),
        ("-m sweep.resume=S", "sweep.resume is S, which holds no sweep: sweep.json is missing."),
        ("sweep.resume=S", "sweep.resume is S, which goes on with a sweep; add -m"),
        ("-m sweep.resume=S2 hydra.sweep.dir=S", "sweep.resume is S2, but hydra.sweep.dir is S"),
        ("-m seed=1,2 hydra.sweep.dir=S hydra.sweep.subdir=../${hydra.job.num}", "hydra.sweep.subdir names the folder"),
    ],
)
def test_mistakes(command: Callable[..., Any], jobs: Jobs, here: Path, arguments: str, told: str) -> None:
    (here / "S").mkdir()
    (here / "S2").mkdir()
    (here / "S2" / SWEEP).touch()
    outcome = command(*arguments.split())
    assert (outcome.status, outcome.out) == (2, "")
    assert told in outcome.err
    assert jobs.taken() == []
    assert not list((here / "S").iterdir())
