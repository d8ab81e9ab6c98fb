"""Paths mean the same in every command: with hydra.job.chdir, in configurations of one's own, under any name."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from pytorch_lightning.strategies.launchers.subprocess_script import _hydra_subprocess_cmd
from safetensors.torch import load_file

from gan_lightning import UserError
from gan_lightning.commands import launcher, resuming
from gan_lightning.config.compose import parse
from gan_lightning.paths import with_paths

Command = Callable[..., Any]
STEPS = ("trainer.enable_progress_bar=false", "trainer.max_steps=2")


@pytest.fixture
def pictures(here: Path) -> tuple[str, ...]:
    """The overrides that train on pictures in the current folder, which keeps their cache, too."""
    (here / "data" / "a=b").mkdir(parents=True)
    for number in range(24):
        Image.fromarray(np.full((8, 8), 10 * number, np.uint8)).save(here / "data" / "a=b" / f"{number}.png")
    plain = ("dataset=image_folder", "dataset.image_size=8", "dataset.channels=1", "dataset.cache_dir=cache")
    return (*plain, "dataset.root=data/a=b", *STEPS)


def test_chdir_changes_nothing_about_paths(
    command: Command, here: Path, tiny: tuple[str, ...], pictures: tuple[str, ...]
) -> None:
    (here / "mine" / "loss").mkdir(parents=True)
    (here / "mine" / "loss" / "own.yaml").write_text("defaults: [vanilla, _self_]\nname: own\n")
    train = (*tiny, *pictures, "loss=own", "--config-dir=mine")
    for arguments in (
        (*train, "hydra.run.dir=runs/one", "hydra.job.chdir=true"),
        ("resume=runs/one", "trainer.max_steps=3", "dataset.cache_dir=cache", "hydra.job.chdir=true"),
        (*train, "hydra.run.dir=runs/other", "trainer.max_steps=3"),
    ):
        outcome = command(*arguments)
        assert outcome.status == 0, outcome.err
    assert os.getcwd() == str(here)
    assert {path.name for path in here.iterdir()} == {"cache", "data", "mine", "runs"}
    assert len(list((here / "cache").iterdir())) == 1
    names, weights = zip(*((contents(run), weights_of(run)) for run in (here / "runs").iterdir()), strict=True)
    assert names[0] == names[1]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    for run in (here / "runs").iterdir():
        saved = yaml.safe_load((run / "config.yaml").read_text())
        assert saved["data"]["source"]["root"] == str(here / "data" / "a=b")


def contents(run: Path) -> set[str]:
    """What is in a run's folder, but for event files, grids, the summary, and the checkpoint before the last."""
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith(("events", "samples/", "summary", "checkpoints/prev"))}


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "generator.safetensors")


def test_a_sweeps_jobs_are_told_of_chdir(
    command: Command, here: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def start(command: list[str], **_: object) -> Any:
        started.append(command)
        raise OSError("enough is known")

    monkeypatch.setattr(launcher, "job_server", lambda threads: None)
    monkeypatch.setattr(launcher.subprocess, "Popen", start)
    assert command(*tiny, "-m", "seed=1,2", "hydra.job.chdir=true").status == 1
    (line,) = started
    assert "hydra.job.chdir=true" in line


@pytest.mark.parametrize("name", ["a b", "a\\b\n\"c'", '"', "a\\"])
def test_other_ranks_are_told_the_folder(
    command: Command, here: Path, tiny: tuple[str, ...], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def start(*_: object) -> None:
        arguments, place = _hydra_subprocess_cmd(1)
        assert place == str(here)
        started.extend(with_paths(arguments))
        raise UserError("Enough is known.")

    monkeypatch.setattr("gan_lightning.runs.run.run_experiment", start)
    monkeypatch.setattr("sys.argv", ["gan-lightning"])
    assert command(*tiny, f"hydra.run.dir={name}", "hydra.job.chdir=true").err == "Enough is known.\n"
    told = [parse([text])[0].value() for text in started if text.startswith("hydra.run.dir=")]
    assert told == [name, name]  # once as it was typed


OWN = """
defaults: [train, _self_]
extractor: {cache_dir: ~/classifiers}
hydra:
  run: {dir: ~/runs/one}
  sweep: {dir: ~/sweeps/all}
"""


@pytest.fixture
def own(here: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The flags that choose a configuration of one's own in the home folder."""
    monkeypatch.setenv("HOME", str(here / "home"))
    (here / "home" / "conf").mkdir(parents=True)
    (here / "home" / "conf" / "my.yaml").write_text(OWN)
    (here / "home" / "conf" / "again.yaml").write_text(f"{OWN}resume: ~/runs/one\n")
    return ("--config-dir=~/conf", "--config-name")


def test_the_home_folder_in_ones_own_configuration(
    command: Command, here: Path, tiny: tuple[str, ...], own: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder is called ~; what stands in one's own files is granted as what is typed is."""
    searched: list[Path] = []
    find = resuming.find_resumable
    monkeypatch.setattr(resuming, "find_resumable", lambda config, root: (searched.append(root), find(config, root))[1])
    settings = [*STEPS[:1], "trainer.max_steps=3", "resume=auto"]
    for arguments in (
        (*own, "my", *tiny, *STEPS),
        (*own, "my", *tiny, *settings),
        (*own, "again", "trainer.max_steps=4", "extractor.cache_dir=~/classifiers"),
    ):
        outcome = command(*arguments)
        assert outcome.status == 0, outcome.err
    run = here / "home" / "runs" / "one"
    assert yaml.safe_load((run / "results.json").read_text())["iteration"] == 4
    assert searched == [run]
    assert {path.name for path in here.iterdir()} == {"home"}
    assert {path.name for path in (here / "home").iterdir() if path.name != ".config"} == {"conf", "runs"}


def test_a_sweep_in_the_home_folder(
    command: Command, here: Path, tiny: tuple[str, ...], own: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher.ProcessLauncher, "launch", lambda self, *args, **kwargs: [])
    assert command(*own, "my", *tiny, "-m", "seed=1,2").status == 1  # since no job was started
    assert (here / "home" / "sweeps" / "all" / "multirun.yaml").is_file()
    assert {path.name for path in here.iterdir()} == {"home"}


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("dataset.root=a,b", "names several values; to run each of them, add -m (--multirun). One path with commas is"),
        (
            "hydra.run.dir=???",
            "hydra.run.dir is ???, which a configuration takes for a value that is missing; write ./",
        ),
        ("run_name=a(b", "Text with such characters is written 'run_name=\"a(b\"'."),
        ("callbacks.x.dirpath=~/it's", """Text with such characters is written 'callbacks.x.dirpath="~/it'"'"'s"'."""),
        ("dataset.root=${x}", "dataset.root is ${x}, which a configuration takes for the value of another key; give"),
    ],
)
def test_what_can_not_be_read_is_told_how_to_type(
    command: Command, here: Path, tiny: tuple[str, ...], argument: str, told: str
) -> None:
    (here / "${x}").mkdir()
    outcome = command(*tiny, "dataset=mnist", argument)
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert told in line


@pytest.mark.parametrize("name", ["null", "$HOME", "a\\b\n\"c'", "~x"])
def test_every_command_finds_a_run_of_any_name(
    command: Command, here: Path, run: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    run.rename(here / name)
    assert command("sample", f"run={name}", "n=1", f"out={name}.png").status == 0
    assert (here / f"{name}.png").is_file()
    assert command("evaluate", f"run={name}", "samples=20", "extractor=identity", "metric=[sliced]").status == 0
    outcome = command(f"resume={'./null' if name == 'null' else name}", "trainer.max_steps=41")
    assert outcome.status == 0, outcome.err
    assert {path.name for path in here.iterdir()} == {name, f"{name}.png"}
