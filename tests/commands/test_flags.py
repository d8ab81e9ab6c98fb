"""`--help`, `--version`, and options of which only the run's folder shows that they are obeyed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gan_lightning import __version__
from gan_lightning.commands.help import INTERNAL, OF_EDIT, help_text, summary
from gan_lightning.config.places import CONF

FILES = [file for file in sorted(CONF.glob("*/*.yaml")) if file.parent.name not in (*INTERNAL, *OF_EDIT)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}={file.stem}")
def test_help_tells_what_an_option_is(file: Path) -> None:
    told = summary(file, 60)
    assert told
    lines = help_text().splitlines()
    block = lines[lines.index(f"  {file.parent.name}") :]
    assert any(line.split()[:1] == [file.stem] and told[:20] in line for line in block)


def test_help_has_ones_own_options_and_none_that_is_internal(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("# My own loss.\nname: mine\n")
    assert ["mine", "My", "own", "loss."] in [line.split() for line in help_text([tmp_path]).splitlines()]
    assert "dataset_loss" not in help_text()
    assert max(map(len, help_text().splitlines())) <= 120


def test_the_version(command: Callable[..., Any], here: Path) -> None:
    for arguments in (["--version"], ["train", "--version"]):
        assert command(*arguments).out == f"gan_lightning {__version__}\n"
    assert not list(here.iterdir())


def test_the_configuration_of_hydra_can_be_shown_resolved(command: Callable[..., Any]) -> None:
    assert command("--cfg", "all", "--resolve").status == 0


def test_the_profilers_table_is_in_the_runs_folder(
    command: Callable[..., Any], tiny: tuple[str, ...], here: Path
) -> None:
    outcome = command(*tiny, "trainer.max_steps=2", "trainer.profiler=simple", "hydra.run.dir=mine")
    assert outcome.status == 0, outcome.err
    (table,) = (here / "mine").glob("*profiler*.txt")
    assert "run_training_epoch" in table.read_text()


def test_an_error_in_a_job_keeps_its_traceback(
    command: Callable[..., Any], tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("gan_lightning.runs.run.run_experiment", broken)
    outcome = command(*tiny, "trainer.max_steps=1")
    assert outcome.status == 1
    assert "ZeroDivisionError: a defect" in outcome.err
