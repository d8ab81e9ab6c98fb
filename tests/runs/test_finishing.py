"""A run that was killed after its last checkpoint, or has lost files since, is finished by resuming it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trained import RunFolder

from gan_lightning.errors import UserError
from gan_lightning.runs import results
from gan_lightning.sampling.files import read_generator

EVALUATED = ("evaluation.every=2", "evaluation.samples=16", "extractor=identity", "metric=[sliced]")


@pytest.fixture(scope="module")
def complete(tiny_in_module):
    """A run of four iterations, evaluated and checked, with checkpoints of 2 and 4."""
    return tiny_in_module(
        "trainer.max_steps=4", "checkpoint.every=2", "trainer.log_every_n_steps=1", "health.every=2", *EVALUATED
    )


@pytest.fixture
def killed(complete, tmp_path):
    """What is left of it if it is killed right after its last checkpoint."""
    run = RunFolder(shutil.copytree(complete.path, tmp_path / "killed"))
    (run.path / "samples" / "00000004.png").unlink()
    (run.path / "generator.safetensors").unlink()
    (run.path / "summary.png").unlink()
    record = run.results()
    record |= {"status": "running", "iteration": 0, "seconds": 0.0, "metrics": {}, "evaluation": {}}
    (run.path / "results.json").write_text(json.dumps({**record, "health": {"verdicts": [], "numbers": {}}}))
    return run


def test_a_run_killed_after_its_last_checkpoint_is_finished(killed, complete, resume, capsys):
    resumed = resume(killed.path)

    assert (resumed.run.status, resumed.run.iteration) == ("finished", 4)
    told = capsys.readouterr().out
    assert "complete at iteration 4; made anew from its checkpoint: generator.safetensors, " in told
    assert "samples/00000004.png, results.json, summary.png;" in told
    for name in ("generator.safetensors", "samples/00000004.png"):
        assert (killed.path / name).read_bytes() == (complete.path / name).read_bytes()
    found, expected = killed.results(), complete.results()
    for record in (found, expected):
        assert record.pop("seconds") > 0
    assert found == expected
    assert resumed.run.seconds > 0
    assert resumed.run.metrics["loss/generator"] == expected["metrics"]["loss/generator"]


def test_finishing_twice_changes_nothing(killed, resume):
    resume(killed.path)
    before = killed.files()
    resume(killed.path)
    assert killed.files() == before


def pipe(run: RunFolder) -> None:
    """Something that isn't to be waited for."""
    (run.path / "generator.safetensors").unlink()
    os.mkfifo(run.path / "generator.safetensors")


LOSSES: dict[str, tuple[Callable[[RunFolder], object], str]] = {
    "no results": (lambda run: (run.path / "results.json").unlink(), "results.json"),
    "no JSON": (lambda run: (run.path / "results.json").write_text("{"), "results.json"),
    "damaged": (lambda run: (run.path / "generator.safetensors").write_bytes(b"x" * 100), "generator.safetensors"),
    "a pipe": (pipe, "generator.safetensors"),
    "failed": (
        lambda run: (run.path / "results.json").write_text(json.dumps({**run.results(), "status": "failed"})),
        "results.json",
    ),
}


@pytest.mark.parametrize("what", LOSSES)
def test_what_is_lost_is_made_anew(complete, tmp_path, resume, capsys, what):
    run = RunFolder(shutil.copytree(complete.path, tmp_path / "run"))
    lose, name = LOSSES[what]
    lose(run)
    capsys.readouterr()

    resume(run.path)

    assert f"made anew from its checkpoint: {name};" in capsys.readouterr().out
    assert (results.read(run.path).status, results.read(run.path).iteration) == ("finished", 4)
    assert (run.path / "generator.safetensors").read_bytes() == (complete.path / "generator.safetensors").read_bytes()


def test_a_generator_of_an_earlier_iteration_is_replaced(tiny, complete, tmp_path, resume):
    earlier = tiny("earlier", "trainer.max_steps=2").path / "generator.safetensors"
    run = RunFolder(shutil.copytree(complete.path, tmp_path / "run"))
    shutil.copyfile(earlier, run.path / "generator.safetensors")
    assert read_generator(run.path / "generator.safetensors").iteration == 2

    resume(run.path)

    assert (run.path / "generator.safetensors").read_bytes() == (complete.path / "generator.safetensors").read_bytes()


def test_a_run_of_the_first_format_is_finished(tmp_path: Path, resume):
    run = Path(shutil.copytree(Path(__file__).parents[1] / "saved_runs" / "format_1", tmp_path / "run"))
    (run / "results.json").unlink()
    (run / "generator.safetensors").unlink()

    resume(run)

    assert results.read(run).metrics.keys() >= {"loss/generator", "progress/seconds"}
    assert read_generator(run / "generator.safetensors").iteration == results.read(run).iteration == 20


PLACES = ("config.yaml", "metrics.csv", "results.json", "generator.safetensors", "train.log")


@pytest.mark.parametrize("steps", [4, 6])
def test_what_is_in_the_place_of_a_runs_file_is_named(complete, tmp_path, resume, steps):
    run = RunFolder(shutil.copytree(complete.path, tmp_path / "run"))
    shutil.move(run.path / "samples", tmp_path / "samples")
    (run.path / "samples").write_text("")
    before = run.files()
    with pytest.raises(UserError, match=r"run/samples is not a folder"):
        resume(run.path, f"trainer.max_steps={steps}")
    assert run.files() == before

    (run.path / "samples").unlink()
    for name in PLACES:
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).mkdir()
        with pytest.raises(UserError, match=rf"run/{name} is a folder, where a run has a file"):
            resume(run.path, f"trainer.max_steps={steps}")
        (run.path / name).rmdir()
