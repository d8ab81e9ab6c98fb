"""A run of a search that ends where others were better, and whose study hears of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from gan_lightning.errors import UserError
from gan_lightning.watching import Prune

MEASURED = ("evaluation.samples=50", "evaluation.reference=50", "metric=[sliced]", "extractor=identity")
PRUNED = (
    "callbacks=[prune]",
    "callbacks.prune.startup=1",
    "optimize=sliced_wasserstein",
    "callbacks.prune.study=search",
)


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    """A study of one trial that was better than any run is, and of one that is to be run."""
    made = optuna.create_study(study_name="search", storage=f"sqlite:///{tmp_path / 'study.db'}")
    better = made.ask()
    for iteration in (2, 4, 6):
        better.report(0.0, iteration)
    made.tell(better, 0.0)
    made.ask()
    return made


@pytest.fixture
def searched(tiny: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Trains 6 iterations, evaluated at each second one, as the trial of that number."""
    storage = f'callbacks.prune.storage="sqlite:///{tmp_path / "study.db"}"'

    def run(trial: int, *overrides: str) -> Any:
        length = ("evaluation.every=2", "trainer.max_steps=6", f"callbacks.prune.trial={trial}")
        return tiny("run", *MEASURED, *PRUNED, storage, *length, *overrides)

    return run


def test_a_run_that_is_worse_ends_as_pruned_and_can_be_gone_on_with(
    searched: Callable[..., Any],
    resume: Callable[..., Any],
    study: optuna.Study,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = searched(1)
    assert (run.results()["status"], run.results()["iteration"]) == ("pruned", 2)
    assert (run.path / "checkpoints" / "last.ckpt").exists()
    assert "Pruned, being worse than other trials" in capsys.readouterr().out
    trial = study.trials[1]
    assert trial.user_attrs["pruned"] == 2
    assert trial.intermediate_values == {2: run.results()["evaluation"]["last"]["values"]["sliced_wasserstein"]}
    study.tell(1, state=optuna.trial.TrialState.PRUNED)
    assert resume(run.path).results()["status"] == "finished"  # whose trial is none any more
    assert study.trials[1].intermediate_values == trial.intermediate_values


@pytest.mark.parametrize("warmup", ["callbacks.prune.warmup=4", "callbacks.prune.startup=2"])
def test_a_run_may_be_worse_for_a_while(searched: Callable[..., Any], study: optuna.Study, warmup: str) -> None:
    run = searched(1, warmup)
    assert run.results()["status"] == "finished"
    assert list(study.trials[1].intermediate_values) == [2, 4]  # the last one is what the search is told


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["callbacks.prune.trial=null"], "but this is no search's; add hydra/sweeper=optuna"),
        (["optimize=[sliced_wasserstein]"], r"needs one number .*, but optimize is \['sliced_wasserstein'\]"),
        (
            ["optimize=loss/generator"],
            "by their evaluations, but optimize is loss/generator; they have sliced_wasserstein",
        ),
    ],
)
def test_what_cannot_be_compared(
    searched: Callable[..., Any], study: optuna.Study, overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        searched(1, *overrides)


@pytest.mark.parametrize("value", [None, 0.5])
def test_what_is_not_finite_is_the_worst(study: optuna.Study, value: float | None, tmp_path: Path) -> None:
    prune = Prune("x", startup=1, storage=f"sqlite:///{tmp_path / 'study.db'}", study="search", trial=1)
    trial = prune.opened()
    assert trial is not None
    trainer: Any = type("Trainer", (), {"global_step": 3})
    assert prune.is_worse(trial, value, trainer) == (value is None)  # nobody else was measured there
