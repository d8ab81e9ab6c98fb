"""Studies: what they run, with which seeds and for how long, and the random search with its best on fresh seeds."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from gan_lightning import UserError, train
from gan_lightning.commands import sweep
from gan_lightning.commands.random_search import FOUND, RandomSearch, draw
from gan_lightning.commands.train import plan
from gan_lightning.config.compose import compose, parse
from gan_lightning.config.places import CONF
from gan_lightning.config.resolvers import iterations_for
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.training.critic_updates import CriticUpdates

pytestmark = pytest.mark.slow

STUDIES = sorted(file.stem for file in (CONF / "study").glob("*.yaml"))
JOBS = {"losses": 9, "lucic": 6 * 20, "n_critic": 3 * 4, "penalties": 6, "smoke": 2}  # for one seed


@pytest.fixture
def planned(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[str], list[list[str]]]]:
    """What Hydra is given for a command line, and the jobs that were planned."""
    found: list[list[str]] = []
    known_jobs = sweep.known_jobs

    def note(*arguments: Any) -> Any:
        jobs, checked = known_jobs(*arguments)
        found[:] = jobs
        return jobs, checked

    monkeypatch.setattr(sweep, "known_jobs", note)

    def run(*overrides: str, multirun: bool = False, extra: tuple[Path, ...] = ()) -> tuple[list[str], list[list[str]]]:
        return plan(Sources("train", extra=extra), list(overrides), multirun)[1], list(found)

    return run


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], tuple[Path, ...]]:
    """Folders with a study=mine of the user's own, of the content that is given."""

    def write(content: str) -> tuple[Path, ...]:
        (tmp_path / "own" / "study").mkdir(parents=True)
        (tmp_path / "own" / "study" / "mine.yaml").write_text(f"# @package _global_\n{content}")
        return (tmp_path / "own",)

    return write


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_a_sweep_whose_jobs_compose(planned: Callable[..., Any], name: str) -> None:
    overrides, jobs = planned(f"study={name}", "study.seeds=1")
    assert len(jobs) == JOBS[name]
    assert len(set(map(tuple, jobs))) == len(jobs)
    assert overrides[0] == f"study={name}"
    assert overrides[-1] == "hydra.mode=MULTIRUN"  # so that it needs no -m


def test_a_study_holds_only_what_it_changes() -> None:
    baseline = compose(Sources("train"), [], TRAINING)
    for name in STUDIES:
        content: Any = OmegaConf.to_container(OmegaConf.load(CONF / "study" / f"{name}.yaml"))
        for key in ("trainer", "evaluation"):
            for inner, value in content.get(key, {}).items():
                assert OmegaConf.select(baseline, f"{key}.{inner}") != value, name


def seeds(jobs: Sequence[Sequence[str]]) -> list[str]:
    return sorted({text for job in jobs for text in job if text.startswith("seed=")})


def test_seeds_for_short(planned: Callable[..., Any]) -> None:
    overrides, jobs = planned("study=smoke", "study.seeds=3")
    assert seeds(jobs) == ["seed=1", "seed=2", "seed=3"]
    assert "seed=range(1,4)" in overrides
    overrides, jobs = planned("study=smoke", "study.seeds=3", "seed=7,8")
    assert seeds(jobs) == ["seed=7", "seed=8"]
    assert not any(text.startswith("seed=range") for text in overrides)


def test_seeds_for_short_of_any_sweep(planned: Callable[..., Any]) -> None:
    _, jobs = planned("loss=vanilla,hinge", "study.seeds=2", multirun=True)
    assert [{text for text in job if text[:5] in ("loss=", "seed=")} for job in jobs] == [
        {f"loss={loss}", f"seed={seed}"} for loss in ("vanilla", "hinge") for seed in (1, 2)
    ]
    overrides, jobs = planned("study.seeds=2")
    assert (overrides[-1], len(jobs)) == ("hydra.mode=MULTIRUN", 2)
    overrides, _ = planned("study.seeds=2", "hydra.mode=RUN", "trainer.max_steps=1")  # as each of its jobs is started
    assert overrides[-1].startswith("hydra.run.dir=")


def test_what_is_typed_goes_before_a_study(planned: Callable[..., Any]) -> None:
    overrides, jobs = planned("study=smoke", "dataset=ring", "loss=hinge,lsgan")
    assert len(jobs) == 4
    assert {text for job in jobs for text in job if text.startswith("loss=")} == {"loss=hinge", "loss=lsgan"}
    # In Hydra's own order, so that the number of a job is the same.
    arguments = [text for text in overrides if not text.startswith("hydra.")]
    sweeper = BasicSweeper(None, {"loss": "vanilla,wgan_gp"})
    lines = OverridesParser.create().parse_overrides([*sweeper._parse_config(), *arguments])
    assert jobs == BasicSweeper.split_arguments(lines, None)[0]
    assert any('"study", "dataset"' in text for text in overrides)  # left out of the folders' names


def test_a_study_needs_no_run_without_what_its_jobs_have_different(planned: Callable[..., Any]) -> None:
    overrides, jobs = planned("study=smoke", "network=dcgan,resnet", "network.generator.width=8")
    assert len(jobs) == 8
    assert {"study=smoke", "network.generator.width=choice(8)"} < set(overrides)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("loss: vanilla,nonsuch", r"loss=nonsuch: there is no such loss.*\(job #1 of the sweep: loss=nonsuch"),
        ("trainer.max_stepz: 1,2", r"there is no key trainer\.max_stepz.*Did you mean trainer\.max_steps"),
        ("seed: 1,1", r"seed=1 .*is there twice"),
        ("seed: 1,", r"'seed=1,' can't be read"),
        ("seed: interval(0,1)", r"seed=interval\(0,1\) has no end of values"),
        ("seed: range(0,100000)", r"makes more than 10000 jobs"),
        ("seed: ${study.nonsuch}", r"hydra\.sweeper\.params\.seed can't be resolved"),
    ],
)
def test_parameters_in_a_file_are_checked_like_typed_ones(
    planned: Callable[..., Any], own: Callable[..., Any], here: Path, content: str, told: str
) -> None:
    extra = own(f"hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      {content}\n")
    with pytest.raises(UserError, match=told) as caught:
        planned("study=mine", extra=extra)
    assert "\n" not in str(caught.value)
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("study=nonsuch", "there is no such study. There are losses, lucic"),
        ("study=smoke study.seeds=0", "study.seeds is 0, but it must be at least 1"),
        ("study.seeds=x", "study.seeds is 'x', but Study expects a whole number or null there"),
        ("study.sedes=3", "there is no key study.sedes. Did you mean study.seeds?"),
        ("-m study=smoke,losses", "study=smoke,losses names several studies; each is a sweep of its own."),
        ("study=smoke resume=auto", "resume goes on with one run; it can't be part of a sweep (-m)."),
        ("study=lucic optimize=null", "optimize is null; name one, such as optimize=frechet_distance"),
        ("study=lucic optimize=[loss/generator]", "a random search looks for the best by one number"),
        ("study=lucic seed=0,1", "seed has 0, on which the best is looked for"),
        ("study=lucic study.draws=0", "study.draws is 0, but it must be at least 1"),
        (
            "study=lucic study.draws=20000",
            "hydra.sweeper.draws is 20000 for each of 6, but a sweep has at most 10000 jobs.",
        ),
        ("study=lucic study.lr=interval(2,1)", "study.lr=interval(2,1) is no interval from a lower to a higher"),
        ("study=lucic study.lr=tag(log,interval(0,1))", "its logarithm is drawn from above 0"),
        ("study=lucic hydra.sweeper.direction=up", "hydra.sweeper.direction is 'up', but RandomSearch expects"),
        ("study=lucic +hydra.sweeper.only.wgan={}", "hydra.sweeper.only has wgan, but there is no such loss."),
        ("study=smoke study.seeds=${nope}", "study.seeds is '${nope}', which can't be resolved"),
        ("study=losses loss.n_critic=${linear:1,5,9}", "n_critic must be a number, at least 1; set trainer.max_steps"),
    ],
)
def test_mistakes(command: Callable[..., Any], here: Path, line: str, told: str) -> None:
    outcome = command(*line.split())
    assert (outcome.status, outcome.out) == (2, "")
    assert told in " ".join(outcome.err.split())
    assert not list(here.iterdir())


def test_what_a_search_can_not_read_is_a_mistake(
    planned: Callable[..., Any], own: Callable[..., Any], here: Path
) -> None:
    sweeper = "{params: {loss: 'vanilla,hinge'}, only: {hinge: {loss.n_critic: 'interval(1'}}}"
    chosen = "defaults:\n  - override /hydra/sweeper: random\noptimize: loss/generator\n"
    extra = own(f"{chosen}hydra:\n  mode: MULTIRUN\n  sweeper: {sweeper}\n")
    with pytest.raises(UserError, match=r"The random search can't draw \(.*\)\.$"):
        planned("study=mine", extra=extra)
    assert not list(here.iterdir())


def test_a_study_is_not_one_run(here: Path) -> None:
    for override in ("study=smoke", "study.seeds=2"):
        with pytest.raises(UserError, match=r"asks for several runs.*hydra\.mode=RUN"):
            train(override)
    assert not list(here.iterdir())


# Equal discriminator updates.


@pytest.mark.parametrize("boost", [0, 100])
@pytest.mark.parametrize("n_critic", [1, 3, 5])
def test_iterations_for_discriminator_updates(n_critic: int, boost: int) -> None:
    node = {"n_critic": n_critic, "boost": boost, "boost_first": 25, "boost_every": 50}
    schedule = CriticUpdates(n_critic, boost, 25, 50)
    for updates in (1, 99, 2500, 2501, 10_000, 10_001):
        assert iterations_for(updates, node) == schedule.iterations(updates)


def test_losses_are_compared_at_equal_discriminator_updates() -> None:
    for name, steps in (("vanilla", 10_000), ("wgan_gp", 2000), ("hinge", 2000)):
        # On digits wgan_gp has fewer iterations by default than others, which must not matter.
        assert compose(Sources("train"), ["study=losses", f"loss={name}"], TRAINING).trainer.max_steps == steps
    config = compose(Sources("train"), ["study=losses", "loss=wgan_clip"], TRAINING)
    updates = CriticUpdates(5, boost=100, boost_first=25, boost_every=500)
    assert 10_000 <= updates.updates_before(config.trainer.max_steps) < 10_005


# The random search.


class FakeLauncher:
    """Notes the batches that it is given, and answers with numbers that are found by a job's overrides."""

    def __init__(self, outcomes: Callable[[dict[str, str]], float | Exception]) -> None:
        self.outcomes, self.batches = outcomes, list[tuple[int, list[list[str]]]]()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        self.batches.append((initial_job_idx, [list(job) for job in job_overrides]))
        return [self.returned(dict(text.split("=", 1) for text in job)) for job in job_overrides]

    def returned(self, job: dict[str, str]) -> JobReturn:
        found = JobReturn(status=JobStatus.COMPLETED)
        found.return_value = self.outcomes(job)
        found.status = JobStatus.FAILED if isinstance(found.return_value, Exception) else found.status
        return found


PARAMS = {"loss": "vanilla,wgan_gp", "study.lr": "tag(log,interval(1e-5,1e-2))", "loss.n_critic": "1,5"}
ONLY = {"wgan_gp": {"regularizer.gradient_penalty.weight": "interval(0.1,100)"}}


@pytest.fixture
def search(here: Path) -> Iterator[Callable[..., Any]]:
    """Runs a search with a launcher that trains nothing; returns the launcher."""
    with Sources("train").open() as loader:

        def run(outcomes: Callable[..., Any], *typed: str, **settings: Any) -> FakeLauncher:
            known = {"each": "loss", "draws": 3, "seed": 0, "direction": "minimize", "params": PARAMS, "only": ONLY}
            sweeper: Any = RandomSearch(**known | settings)
            sweeper.launcher = FakeLauncher(outcomes)
            sweeper.hydra_context = SimpleNamespace(config_loader=loader)
            sweeper.config = OmegaConf.create({"optimize": "score", "hydra": {"sweep": {"dir": str(here)}}})
            sweeper.sweep(list(typed))
            launched: FakeLauncher = sweeper.launcher
            return launched

        yield run


def lr(job: dict[str, str]) -> float:
    return float(job["study.lr"])


def test_a_search_draws_the_same_for_each_loss_and_runs_the_best_again(search: Callable[..., Any], here: Path) -> None:
    launcher = search(lr, "seed=1,2", "dataset=ring")
    (start, first), (next_start, second) = launcher.batches
    jobs = [dict(text.split("=", 1) for text in job) for job in first]
    assert [job["loss"] for job in jobs] == ["vanilla"] * 3 + ["wgan_gp"] * 3
    assert {(job["seed"], job["dataset"]) for job in jobs} == {("0", "ring")}
    drawn = [(job["study.lr"], job["loss.n_critic"]) for job in jobs]
    assert drawn[:3] == drawn[3:]
    assert len(set(drawn)) == 3
    assert all(1e-5 <= lr(job) <= 1e-2 for job in jobs)
    assert [("regularizer.gradient_penalty.weight" in job) for job in jobs] == [False] * 3 + [True] * 3

    assert (start, next_start) == (0, 6)
    best = [min(jobs[:3], key=lr), min(jobs[3:], key=lr)]
    again = [dict(text.split("=", 1) for text in job) for job in second]
    assert again == [job | {"seed": seed} for job in best for seed in ("1", "2")]
    told = yaml.safe_load((here / FOUND).read_text())["best"]
    assert [(each["best_value"], each["of"]) for each in told] == [(lr(job), 3) for job in best]


def test_a_search_is_a_function_of_its_seed_and_grows(search: Callable[..., Any]) -> None:
    few = search(lr).batches[0][1]
    assert search(lr).batches[0][1] == few
    assert search(lr, draws=5).batches[0][1][:3] == few[:3]
    assert search(lr, seed=1).batches[0][1][0][1] != few[0][1]
    assert len(search(lr).batches) == 1  # without fresh seeds nothing is run again
    other = search(lr, params=PARAMS | {"study.beta1": "interval(0,1)"}).batches[0][1]
    assert [job[:3] for job in other] == [job[:3] for job in few]  # whatever else is drawn


def test_a_search_for_the_highest_number(search: Callable[..., Any]) -> None:
    launcher = search(lr, "seed=1", direction="maximize")
    jobs = [dict(text.split("=", 1) for text in job) for job in launcher.batches[0][1]]
    assert {dict(text.split("=", 1) for text in job)["study.lr"] for job in launcher.batches[1][1]} == {
        max(jobs, key=lr)["study.lr"]
    }


def test_what_was_typed_is_not_drawn(search: Callable[..., Any]) -> None:
    typed = ("loss=wgan_gp", "regularizer.gradient_penalty.weight=10", "study.lr=1e-4,1e-3", "seed=3")
    launcher = search(lr, *typed, draws=9)
    first = [set(job) for job in launcher.batches[0][1]]
    assert len(first) == 4  # all combinations that there are
    assert all({"loss=wgan_gp", "regularizer.gradient_penalty.weight=10"} < job for job in first)
    assert launcher.batches[1][1][0][-1] == "seed=3"


def test_the_best_is_none_that_failed(search: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [dict(text.split("=", 1) for text in job) for job in search(lr).batches[0][1]]
    lowest, middle, _ = sorted({job["study.lr"] for job in jobs}, key=float)
    asked: list[dict[str, str]] = []

    def outcome(job: dict[str, str]) -> float | Exception:
        asked.append(job)
        if job["loss"] == "vanilla":
            return math.nan
        return RuntimeError("broken") if job["study.lr"] == lowest else lr(job)

    capsys.readouterr()
    with pytest.raises(RuntimeError, match="broken"):  # at the end, when the rest is done
        search(outcome, "seed=1")
    assert [(job["loss"], job["study.lr"], job["seed"]) for job in asked[6:]] == [("wgan_gp", middle, "1")]
    told = capsys.readouterr().err
    assert "loss=vanilla: none of 3 draws has a score" in told
    assert f"loss=wgan_gp: the best of 3 has score {float(middle):.4g}: study.lr={middle} loss.n_critic=" in told


@pytest.mark.parametrize(
    ("text", "low", "high", "kind"),
    [
        ("k=interval(2,4)", 2, 4, float),
        ("k=tag(log,interval(0.001,1000))", 0.001, 1000, float),
        ("k=int(interval(2,4))", 2, 4, int),
        ("k=tag(log,int(interval(1,1000)))", 1, 1000, int),
        ("k=range(2,5)", 2, 4, int),
        ("k=choice(2,3,4)", 2, 4, int),
    ],
)
def test_draws_lie_within_their_range(text: str, low: float, high: float, kind: type) -> None:
    from random import Random

    (override,) = parse([text])
    numbers = [kind(draw(override, Random(number))) for number in range(300)]
    assert all(low <= number <= high for number in numbers)
    below = sum(number < (math.sqrt(low * high) if "log" in text else (low + high) / 2) for number in numbers)
    at = sum(number == 3 for number in numbers) if high == 4 and kind is int else 0
    assert 0.4 < (below + at / 2) / len(numbers) < 0.6
    assert len(set(numbers)) >= (3 if kind is int else 150)


# For real.

TINY = ("hydra/launcher=basic", "trainer.max_steps=2", "trainer.enable_progress_bar=false", "evaluation.every=2")


def test_a_smoke_test(command: Callable[..., Any], tiny: tuple[str, ...], here: Path) -> None:
    outcome = command("study=smoke", "loss=wgan_gp", *tiny, *TINY, "hydra.sweep.dir=study")
    assert outcome.status == 0, outcome.err
    folders = sorted(path.parent for path in here.rglob("results.json"))
    assert [folder.name for folder in folders] == ["seed=1", "seed=2"]
    for folder in folders:
        found = json.loads((folder / "results.json").read_text())
        assert (found["status"], found["iteration"]) == ("finished", 2)
        assert {"frechet_distance", "sliced_wasserstein"} <= found["evaluation"]["last"]["values"].keys()
        assert folder.name.endswith(f"seed={found['seed']}")


def test_a_search_for_real(command: Callable[..., Any], tiny: tuple[str, ...], here: Path) -> None:
    short = ("study.draws=2", "study.seeds=1", "loss=wgan_gp", "metric=[sliced]", "extractor=identity")
    small = ("evaluation.samples=50", "evaluation.reference=50")
    optimize = ("optimize=sliced_wasserstein", "hydra.sweep.dir=search", *small)
    outcome = command("study=lucic", *short, *optimize, *tiny, *TINY)
    assert outcome.status == 0, outcome.err
    told = {}
    for file in (here / "search").glob("*/results.json"):
        config = yaml.safe_load((file.parent / "config.yaml").read_text())
        rates = [config["loss"]["optimizer"][name]["lr"] for name in ("generator", "discriminator")]
        assert rates == [config["study"]["lr"]] * 2
        value = json.loads(file.read_text())["evaluation"]["last"]["values"]["sliced_wasserstein"]
        told[(config["study"]["lr"], config["seed"])] = value
    searched = {rate: value for (rate, seed), value in told.items() if seed == 0}
    best = min(searched, key=lambda rate: searched[rate])
    assert sorted(told) == sorted([*((rate, 0) for rate in searched), (best, 1)])
    assert len(searched) == 2
    assert "loss=wgan_gp: the best of 2 has sliced_wasserstein" in outcome.err
    assert "network.latent_dim" not in outcome.err  # which all jobs share
    (found,) = yaml.safe_load((here / "search" / FOUND).read_text())["best"]
    assert found["best_value"] == searched[best]
