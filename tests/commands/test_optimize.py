"""What a sweeper is told of each job by `optimize`, and a search by Optuna's."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from gan_lightning.runs.outcome import outcome

RATE, WEIGHT = "loss.optimizer.generator.lr", "regularizer.gradient_penalty.weight"
QUICK = ("evaluation.samples=50", "evaluation.reference=50", "metric=[sliced]", "extractor=identity")
SHORT = ("evaluation.every=1000", "trainer.max_steps=2", "trainer.enable_progress_bar=false")


def results(folder: Path, metrics: dict[str, Any], values: dict[str, Any]) -> Path:
    """A run's folder that has results alone."""
    record = {"iteration": 2, "protocol": {}, "values": values, "left_out": {"kernel": "it lacks samples"}}
    content = {"status": "finished", "iteration": 2, "seconds": 1.0, "metrics": metrics, "evaluation": {"last": record}}
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def test_the_outcome_of_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = results(tmp_path, {"loss/generator": 0.5, "loss/discriminator": None}, {"frechet_distance": 3.0})
    assert outcome(None, run) is None
    assert outcome("frechet_distance", run) == 3.0
    assert outcome("loss/generator", run) == 0.5
    assert outcome(["loss/generator", "frechet_distance"], run) == (0.5, 3.0)
    assert outcome(["frechet_distance"], run) == (3.0,)
    assert math.isnan(outcome("loss/discriminator", run) or 0)
    assert not caplog.records
    assert math.isnan(outcome("loss/generatr", run) or 0)
    assert "Did you mean loss/generator? kernel is left out: it lacks samples." in caplog.text


@pytest.mark.parametrize(
    ("optimize", "expected"),
    [
        (["optimize=frechet"], "optimize is frechet, but a run has no such number"),
        (["optimize=[sliced_wasserstin]"], "Did you mean sliced_wasserstein?"),
        (["optimize=sliced_wasserstein", "evaluation.every=null"], "evaluation.every=null leaves evaluations out"),
    ],
)
def test_what_no_run_has(
    command: Callable[..., Any], tiny: tuple[str, ...], here: Path, optimize: list[str], expected: str
) -> None:
    outcome = command(*tiny, *QUICK, *SHORT, *optimize)
    assert (outcome.status, outcome.out) == (2, "")
    assert expected in outcome.err
    assert not list(here.iterdir())


def test_a_sweeper_that_optimizes_is_told_something(command: Callable[..., Any], here: Path) -> None:
    outcome = command("-m", "hydra/sweeper=optuna", "seed=range(0,3)")
    assert outcome.status == 2
    assert "optimize=frechet_distance" in outcome.err
    assert not list(here.iterdir())


@pytest.mark.slow
def test_a_search(command: Callable[..., Any], tiny: tuple[str, ...], here: Path) -> None:
    search = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2", "hydra.sweep.dir=search")
    searched = (f"{RATE}=interval(1e-5,1e-3)", f"{WEIGHT}=interval(1,20)", "loss.n_critic=1,2")
    told_of = ("loss=wgan_gp", "optimize=sliced_wasserstein")
    outcome = command("-m", *search, *searched, *told_of, *tiny, *QUICK, *SHORT)
    assert outcome.status == 0, outcome.err
    found = yaml.safe_load((here / "search" / "optimization_results.yaml").read_text())
    told = {}
    for file in (here / "search").glob("*/results.json"):
        config = OmegaConf.load(file.parent / "config.yaml")
        values = {key: OmegaConf.select(config, key) for key in (RATE, WEIGHT, "loss.n_critic")}
        distance = json.loads(file.read_text())["evaluation"]["last"]["values"]["sliced_wasserstein"]
        told[distance] = values
        assert file.parent.name == "n_critic={2},lr={0},weight={1}".format(*values.values())
    assert len(told) == 2
    assert found["best_value"] == min(told)
    assert found["best_params"] == told[min(told)]


@pytest.mark.parametrize(
    ("optimize", "expected"),
    [
        ("sliced_wasserstein", "minimize"),
        ("classes_covered", "maximize"),
        ("loss/generator", "minimize"),
        ("[classes_covered,sliced_wasserstein]", ["maximize", "minimize"]),
    ],
)
def test_which_way_is_better(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, optimize: str, expected: Any
) -> None:
    from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl

    asked: list[Any] = []

    def note(self: Any, arguments: list[str]) -> None:
        asked.append(self.direction)

    monkeypatch.setattr(OptunaSweeperImpl, "sweep", note)
    line = ("-m", "hydra/sweeper=optuna", "seed=range(0,3)", f"optimize={optimize}", "metric=[sliced,classes]")
    assert command(*line).status == 0
    assert command(*line, "hydra.sweeper.direction=maximize").status == 0
    assert asked == [expected, "maximize"]
