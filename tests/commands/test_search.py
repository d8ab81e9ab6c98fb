"""Optuna's study of a search: where it lies, how it is gone on with, and what it is told of runs that were pruned."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.utils import JobReturn, JobStatus
from optuna.trial import TrialState

from gan_lightning.commands.launcher import ProcessLauncher
from gan_lightning.commands.search import AGAIN, FILE, PRUNED, STUDY

LINE = ("-m", "hydra/sweeper=optuna", "optimize=sliced_wasserstein", "metric=[sliced]", "hydra.sweep.dir=search")
SEARCHED = ("hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2", "loss.optimizer.generator.lr=interval(1e-5,1e-3)")
Does = Callable[[int, list[str]], Any]


@pytest.fixture
def jobs() -> list[list[str]]:
    """The overrides of all jobs that are started."""
    return []


@pytest.fixture
def search(
    command: Callable[..., Any], here: Path, monkeypatch: pytest.MonkeyPatch, jobs: list[list[str]]
) -> Callable[..., Any]:
    """Runs a search whose jobs don't train but give what `does` says, and raises what it raises."""

    def run(does: Does, *arguments: str) -> Any:
        def launch(self: Any, job_overrides: Any, initial_job_idx: int) -> list[JobReturn]:
            found = []
            for job in job_overrides:
                jobs.append(list(job))
                made = JobReturn(status=JobStatus.COMPLETED)
                made.return_value = does(len(jobs) - 1, list(job))
                found.append(made)
            return found

        monkeypatch.setattr(ProcessLauncher, "launch", launch)
        return command(*LINE, *SEARCHED, *arguments)

    return run


def trials(here: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=STUDY, storage=f"sqlite:///{here / 'search' / FILE}").trials


def test_a_search_does_what_is_missing(search: Callable[..., Any], here: Path, jobs: list[list[str]]) -> None:
    def until_killed(number: int, job: list[str]) -> float:
        if number == 3:
            raise KeyboardInterrupt
        return float(number)

    with pytest.raises(KeyboardInterrupt):
        search(until_killed, "hydra.sweeper.sampler.seed=1")
    assert [trial.state for trial in trials(here)] == [TrialState.COMPLETE] * 2 + [TrialState.RUNNING] * 2

    assert search(lambda number, job: float(number), "hydra.sweeper.sampler.seed=1").status == 0
    found = trials(here)
    assert [trial.state for trial in found[2:]] == [TrialState.FAIL] * 2 + [TrialState.COMPLETE] * 2
    assert [trial.user_attrs[AGAIN] for trial in found[4:]] == [2, 3]
    assert [job[:1] for job in jobs[4:]] == [job[:1] for job in jobs[2:4]]  # the same runs, which go on
    assert len(jobs) == 6

    assert search(lambda number, job: 0.0).status == 0
    assert len(jobs) == 6
    assert search(lambda number, job: 0.0, "hydra.sweeper.n_trials=5", "hydra.sweeper.sampler.seed=1").status == 0
    assert len(jobs) == 7
    assert jobs[6][0] not in [job[0] for job in jobs[:6]]  # though the sampler has the same seed


def test_a_pruned_run_is_no_failure(search: Callable[..., Any], here: Path, jobs: list[list[str]]) -> None:
    def pruned(number: int, job: list[str]) -> float:
        told = dict(text.removeprefix("callbacks.prune.").split("=", 1) for text in job if "callbacks.prune" in text)
        assert (told["study"], int(told["trial"])) == (f'"{STUDY}"', number)
        study = optuna.load_study(study_name=STUDY, storage=told["storage"].strip('"'))
        if number == 1:
            trial = optuna.trial.Trial(study, study.trials[number]._trial_id)
            trial.report(0.5, 2)
            trial.set_user_attr(PRUNED, 2)
        return -1.0 if number == 1 else 1.0

    outcome = search(pruned, "callbacks=[prune]")
    assert outcome.status == 0, outcome.err
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.COMPLETE]
    assert [trial.state for trial in trials(here)] == states
    assert trials(here)[1].value == 0.5
    assert "best_value: 1.0" in (here / "search" / "optimization_results.yaml").read_text()


def test_a_search_without_a_number(search: Callable[..., Any], here: Path) -> None:
    outcome = search(lambda number, job: math.nan)
    assert outcome.status == 1
    assert outcome.err.endswith("No trial of the search has completed with a number of sliced_wasserstein: 4 fail.\n")


@pytest.mark.parametrize(
    ("searched", "expected"),
    [
        ("loss.weights.gradient_penalty=interval(1,20)", "there is no key loss.weights.gradient_penalty."),
        ("loss.n_critic=choice(many,2)", "loss.n_critic is 'many', but"),
    ],
)
def test_what_no_job_could_have_is_told_before_the_first(
    search: Callable[..., Any], here: Path, jobs: list[list[str]], searched: str, expected: str
) -> None:
    outcome = search(lambda number, job: 1.0, searched)
    assert (outcome.status, jobs) == (2, [])
    assert expected in outcome.err
    assert not list(here.iterdir())


def test_several_objectives(search: Callable[..., Any], here: Path) -> None:
    both = ("optimize=[sliced_wasserstein,classes_covered]", "metric=[sliced,classes]")
    assert search(lambda number, job: (float(number), float(number)), *both).status == 0
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{here / 'search' / FILE}")
    assert [each.name for each in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert len(study.best_trials) == 4
    outcome = search(lambda number, job: 1.0)
    assert outcome.status == 2
    assert f"has a search of that name ({STUDY}) for other numbers than optimize=sliced_wasserstein" in outcome.err


def test_a_storage_that_cannot_be_opened(search: Callable[..., Any], here: Path) -> None:
    outcome = search(lambda number, job: 1.0, "hydra.sweeper.storage=nonsense://x")
    assert outcome.status == 2
    assert "hydra.sweeper.storage is nonsense://x, which can't be opened" in outcome.err


def test_a_storage_of_the_users_own_is_given_new_trials(
    search: Callable[..., Any], here: Path, jobs: list[list[str]]
) -> None:
    for _ in range(2):
        assert search(lambda number, job: 1.0, "hydra.sweeper.storage=sqlite:///mine.db").status == 0
    assert len(jobs) == 8
    assert optuna.get_all_study_names("sqlite:///mine.db") == ["search"]
    assert not (here / "search" / FILE).exists()
