"""Going on with a run: which one `auto` means, and what a command may change."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from gan_lightning.commands import launcher
from gan_lightning.commands.launcher import Job, ProcessLauncher


def test_auto_goes_on_as_the_command_says(
    command: Callable[..., Any], runs: Callable[[], list[Path]], tiny: tuple[str, ...]
) -> None:
    assert command(*tiny, "trainer.max_steps=2").status == 0
    outcome = command(*tiny, "trainer.max_steps=4", "hardware=cpu", "checkpoint.every=3", "resume=auto")
    assert outcome.status == 0, outcome.err
    (run,) = runs()
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert (saved["trainer"]["max_steps"], saved["checkpoint"]["every"]) == (4, 3)
    assert saved["trainer"]["accelerator"] == "cpu"


def test_auto_refuses_hardware_that_is_not_there(
    command: Callable[..., Any], here: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    settings = [text for text in tiny if not text.startswith("trainer.accelerator")]
    assert command(*settings, "trainer.max_steps=2", "hardware=cpu").status == 0
    outcome = command(*settings, "trainer.max_steps=4", "hardware=gpu", "resume=auto")
    assert outcome.status == 2
    assert "trainer.accelerator is gpu" in outcome.err


def test_auto_passes_over_what_other_programs_left(
    command: Callable[..., Any], here: Path, tiny: tuple[str, ...]
) -> None:
    for name, text in (("interpolated", "dataset: ${hydra:runtime.output_dir}"), ("broken", "a: [")):
        folder = here / "outputs" / "others" / name
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "config.yaml").write_text(text)
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "last.ckpt").touch()
    assert command(*tiny, "trainer.max_steps=1", "resume=auto").status == 0
    assert len(list(here.glob("outputs/*/*/config.yaml"))) == 1


def test_the_current_folder_is_a_place_for_a_run(
    command: Callable[..., Any], here: Path, tiny: tuple[str, ...]
) -> None:
    assert command(*tiny, "trainer.max_steps=1", "hydra.run.dir=.").status == 0
    assert command(*tiny, "trainer.max_steps=2", "hydra.run.dir=.", "resume=auto").status == 0
    assert yaml.safe_load((here / "results.json").read_text())["iteration"] == 2


def test_jobs_are_composed_from_the_sweeps_own_configs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("sys.argv", ["gan-lightning", "--config-dir", "mine", "--config-name", "my", "-m", "seed=1,2"])
    monkeypatch.setattr(launcher.subprocess, "Popen", lambda command, **_: started.append(command) or SimpleNamespace())
    ProcessLauncher().start(Job(["seed=1"], tmp_path / "job"), None, 0, {})
    assert started[0][3:] == [
        "train",
        "seed=1",
        "hydra.mode=RUN",
        f'hydra.run.dir="{tmp_path / "job"}"',
        "--config-dir",
        "mine",
        "--config-name",
        "my",
    ]


def test_a_resumed_run_keeps_its_config_whatever_the_flags_say(
    command: Callable[..., Any], here: Path, tiny: tuple[str, ...]
) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "my.yaml").write_text("defaults:\n  - train\n  - _self_\nseed: 7\n")
    flags = ("--config-dir=mine", "--config-name=my")
    assert command(*flags, *tiny, "trainer.max_steps=1", "hydra.run.dir=run").status == 0
    for steps, with_flags in ((2, ()), (3, flags)):
        outcome = command(*with_flags, "resume=run", f"trainer.max_steps={steps}")
        assert outcome.status == 0, outcome.err
        assert yaml.safe_load((here / "run" / "config.yaml").read_text())["seed"] == 7


def test_a_checkpoint_of_another_run_is_refused(command: Callable[..., Any], here: Path, tiny: tuple[str, ...]) -> None:
    for name, seed in (("one", 1), ("other", 2)):
        assert command(*tiny, "trainer.max_steps=1", f"seed={seed}", f"hydra.run.dir={name}").status == 0
    shutil.copyfile(here / "other" / "checkpoints" / "last.ckpt", here / "one" / "checkpoints" / "last.ckpt")
    before = (here / "one" / "config.yaml").read_bytes()
    outcome = command("resume=one", "trainer.max_steps=3")
    assert outcome.status == 2
    assert "last.ckpt is another run's: seed is 2 there, and 1 in the configuration." in outcome.err
    assert (here / "one" / "config.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["seed=1,trainer.max_steps=2", "2024", "regularizer=[r1]", "数据 #1 (a)'s", "a$b"])
def test_names_are_read_as_they_are_typed(
    command: Callable[..., Any], here: Path, tiny: tuple[str, ...], name: str
) -> None:
    (here / name).mkdir()  # with commas, it is only taken for one folder if it is there
    for arguments in (
        (*tiny, f"hydra.run.dir={name}", "trainer.max_steps=1"),
        (f"resume={name}", "trainer.max_steps=2"),
    ):
        outcome = command(*arguments)
        assert outcome.status == 0, outcome.err
    assert [path.name for path in here.iterdir()] == [name]
    assert command("evaluate", f"run={name}", "samples=20", "extractor=identity", "metric=[sliced]").status == 0


def test_the_home_folder(
    command: Callable[..., Any], here: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    assert command(*tiny, "hydra.run.dir=~/run", "trainer.max_steps=1").status == 0
    assert command("resume=~/run", "trainer.max_steps=2").status == 0
    assert command("sample", "run=~/run", "n=1", "out=~/one.png").status == 0
    assert sorted(path.name for path in (here / "home").iterdir()) == ["one.png", "run"]
