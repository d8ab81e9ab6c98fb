"""Sweeps: a process and a folder a job, one table, and no job that takes another with it."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gan_lightning.commands import launcher
from gan_lightning.commands.devices import ALL
from gan_lightning.commands.jobs import JOB
from gan_lightning.commands.launcher import (
    CONSOLE,
    Job,
    ProcessLauncher,
    default_jobs,
    note_end,
    threads_of_a_job,
)
from gan_lightning.commands.sweep import own_of, tried
from gan_lightning.commands.train import plan
from gan_lightning.config.compose import parse
from gan_lightning.config.resolvers import LONGEST, default_iterations, folder_name
from gan_lightning.config.sources import Sources
from gan_lightning.processes import LEASH
from gan_lightning.studies import endings
from gan_lightning.studies.endings import Ending


@pytest.fixture
def experiment(tiny: tuple[str, ...], tmp_path: Path) -> Path:
    """A folder with the user's own experiment=tiny, so that the jobs' folders have short names."""
    content: dict[str, Any] = {}
    for override in tiny:
        key, _, value = override.partition("=")
        node = content
        *parents, name = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = yaml.safe_load(value)
    folder = tmp_path / "my configs" / "experiment"
    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text("# @package _global_\n" + yaml.safe_dump(content))
    return folder.parent


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


class FakeProcess:
    """Notes what it was started with, and has ended as a run that is complete."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.command, self.options, self.returncode = command, options, 0
        folder = Path(options["env"][JOB])
        (folder / "results.json").write_text('{"status": "finished", "iteration": 2, "seconds": 1.0}')

    def poll(self) -> int:
        return self.returncode


@pytest.mark.slow
def test_a_job_that_is_refused_takes_no_other_with_it(
    experiment: Path, command: Callable[..., Any], here: Path
) -> None:
    outcome = command(
        "-m",
        f"--config-dir={experiment}",
        "experiment=tiny",
        "loss=wgan_clip",
        "dataset.batch_size=100000,16",
        "trainer.max_steps=2",
        "hydra.launcher.jobs=2",
    )
    assert outcome.status == 1
    cause = "dataset.batch_size is 100000, but the data set has only 1500 images to train on"
    assert f"dataset.batch_size=100000: refused ({cause}" in outcome.out
    assert "0 of 1" in outcome.out
    assert "1 of 2 done, 1 failed" in outcome.err
    assert "sweep.resume=multirun/" in outcome.err
    assert "Traceback" not in outcome.err
    assert not (here / "outputs").exists()

    (folder,) = (path.parent for path in here.glob("multirun/*/*/*/config.yaml"))
    assert folder.name == "batch_size=16"
    assert re.fullmatch(r"multirun/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d", folder.parent.relative_to(here).as_posix())
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["loss"]["name"], config["dataset"]["batch_size"]) == ("wgan_clip", 16)
    assert config["network"]["latent_dim"] == 4  # as experiment=tiny has it
    results = json.loads((folder / "results.json").read_text())
    assert (results["status"], results["iteration"]) == ("finished", 2)
    assert "Finished at iteration 2" in (folder / CONSOLE).read_text()
    for name in ("loss/discriminator", "loss/generator"):
        assert f"{results['metrics'][name]:.4g}" in outcome.out
    (sweep,) = here.glob("multirun/*/*/sweep.json")
    assert [job["folder"] for job in json.loads(sweep.read_text())["jobs"]] == [
        "batch_size=100000",
        "batch_size=16",
    ]


@pytest.mark.slow
def test_the_ranks_of_a_job_train_in_its_one_folder(
    tiny: tuple[str, ...], command: Callable[..., Any], here: Path
) -> None:
    """Lightning would start the sweep's own command for the second one, and with it a sweep of its own."""
    short = ("trainer.max_steps=2", "trainer.enable_progress_bar=false", "health.every=null", "threads=1")
    outcome = command("-m", *tiny, *short, "trainer.devices=2", "seed=1,2", "hydra.sweep.dir=S")
    assert outcome.status == 0, outcome.err
    found = {file.relative_to(here): json.loads(file.read_text()) for file in here.rglob("results.json")}
    assert set(found) == {Path("S") / f"seed={seed}" / "results.json" for seed in (1, 2)}
    assert [(each["devices"], each["status"]) for each in found.values()] == [(2, "finished")] * 2
    assert [path.name for path in here.iterdir()] == ["S"]
    assert len(json.loads((here / "S" / "sweep.json").read_text())["jobs"]) == 2


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[FakeProcess]:
    """The jobs that would have been started, in their order; each ends at once."""
    found: list[FakeProcess] = []

    def start(command: list[str], **options: Any) -> FakeProcess:
        found.append(FakeProcess(command, **options))
        return found[-1]

    monkeypatch.setattr(launcher, "job_server", lambda threads: None)
    monkeypatch.setattr(launcher.subprocess, "Popen", start)
    monkeypatch.setattr(launcher, "POLL_SECONDS", 0)
    return found


def test_every_combination_is_a_job_with_a_folder(
    experiment: Path, command: Callable[..., Any], here: Path, started: list[FakeProcess]
) -> None:
    outcome = command(
        "-m",
        f"--config-dir={experiment}",
        "experiment=tiny",
        "loss=vanilla,wgan_clip",
        "seed=1,2",
        "trainer.max_steps=2",
        "hydra.launcher.jobs=2",
        "hydra.sweep.dir=sweeps/first",
    )
    assert outcome.status == 0, outcome.err
    chosen = [(loss, seed) for loss in ("vanilla", "wgan_clip") for seed in (1, 2)]
    assert sorted(path.name for path in (here / "sweeps" / "first").iterdir() if path.is_dir()) == [
        f"loss={loss},seed={seed}" for loss, seed in chosen
    ]
    assert [line.split()[:4] for line in outcome.out.splitlines()[1:3]] == [
        ["vanilla", "2", "of", "2"],
        ["wgan_clip", "2", "of", "2"],
    ]
    for process, (loss, seed) in zip(started, chosen, strict=True):
        folder = f"sweeps/first/loss={loss},seed={seed}"
        assert {"experiment=tiny", f"loss={loss}", f"seed={seed}", "trainer.max_steps=2"} < set(process.command)
        assert f'hydra.run.dir="{folder}"' in process.command
    assert "Traceback" not in outcome.err
    assert not (here / "outputs").exists()


@pytest.mark.parametrize(
    ("overrides", "jobs"),
    [
        ("dataset=image_folder dataset.root=a,b", [{"dataset.root=a"}, {"dataset.root=b"}]),
        ("network=dcgan,resnet network.generator.width=8", [{"network=dcgan"}, {"network=resnet"}]),
        ("dataset=mnist,fashion_mnist dataset.root=D", [{"dataset=mnist"}, {"dataset=fashion_mnist"}]),
    ],
)
def test_a_sweep_needs_no_run_without_what_its_jobs_have_different(
    command: Callable[..., Any], here: Path, started: list[FakeProcess], overrides: str, jobs: list[set[str]]
) -> None:
    outcome = command("-m", *overrides.split())
    assert outcome.status == 0, outcome.err
    shared = {text for text in overrides.split() if "," not in text}
    for process, differing in zip(started, jobs, strict=True):
        assert shared | differing < set(process.command)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("seed=1,1", r"seed=1 is there twice \(seed=1\)"),
        ("seed=1,2 hydra.sweep.subdir=x", r"seed=1 hydra\.sweep\.subdir=x and seed=2 .* in one folder \(x\)"),
        ("loss=vanilla,wgan_gp seed=1,2 hydra.sweep.subdir=${loss.name}", r"seed=1 .* and .*seed=2 .* \(vanilla\)"),
    ],
)
def test_jobs_that_would_share_a_folder_are_refused(
    command: Callable[..., Any], here: Path, overrides: str, told: str
) -> None:
    outcome = command("-m", *overrides.split())
    assert outcome.status == 2
    assert re.search(told, outcome.err)
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "subdir", ["${loss.name}", "${hydra.job.num}", "a_${hydra.job.id}", "${hydra.job.override_dirname}"]
)
def test_folders_of_jobs_may_be_named_otherwise(here: Path, subdir: str) -> None:
    overrides = ["loss=vanilla,wgan_gp", f"hydra.sweep.subdir={subdir}"]
    _, planned, _ = plan(Sources("train"), overrides, multirun=True)
    assert planned[:2] == overrides


def test_different_jobs_have_different_folders(here: Path) -> None:
    plan(Sources("train"), ["dataset=mnist", "dataset.root=a/b,a_b"], multirun=True)


def test_folders_are_named_by_what_differs(here: Path) -> None:
    _, planned, _ = plan(Sources("train"), ["loss=vanilla,wgan_gp", "seed=7", "trainer.max_steps=2"], multirun=True)
    excluded = planned[3]
    assert excluded.startswith('hydra.job.config.override_dirname.exclude_keys=["plugins", ')
    assert excluded.endswith('"callbacks.prune.trial", "seed", "trainer.max_steps"]')


def test_settings_of_hydras_are_no_part_of_a_jobs_name(here: Path) -> None:
    """Added ones neither: Hydra hands them to no job."""
    settings = ["+hydra.launcher.further=1", "hydra/launcher=basic"]
    assert own_of(["loss=hinge", *settings, "++hydra.verbose=true", "~logger"]) == ["loss=hinge", "~logger"]


# One by one.


def job(*overrides: str, gpus: int = 1, code: int | None = 0, folder: Path = Path()) -> Job:
    made = Job(list(overrides), folder, gpus)
    if code is not None:
        made.process = type("Process", (), {"returncode": code})()
    return made


@pytest.mark.parametrize(
    ("code", "output", "expected"),
    [
        (0, "", None),
        *((code, "", None) for code in (130, 143, 138, -2, -15)),  # stopped
        (1, "ValueError: odd\n\n", Ending("failed", "ValueError: odd")),
        (2, "seed is \x1b.\n", Ending("refused", "seed is \\x1b.")),
        (1, "", Ending("failed", "it has ended with 1")),
        (-9, "training\n", Ending("failed", "killed by SIGKILL, perhaps for want of memory")),
        (-11, "", Ending("failed", "killed by SIGSEGV")),
    ],
)
def test_why_a_job_has_not_finished(tmp_path: Path, code: int, output: str, expected: Ending | None) -> None:
    (tmp_path / CONSOLE).write_text(output)
    assert note_end(job(code=code, folder=tmp_path)) == (expected is not None)
    assert endings.find(tmp_path) == expected
    if expected is not None:  # the job itself knows better
        endings.write(tmp_path, Ending("failed", "the disk is full"))
        note_end(job(code=code, folder=tmp_path))
        assert endings.find(tmp_path) == Ending("failed", "the disk is full")


@pytest.mark.parametrize(
    ("count", "has_other", "gpus", "expected"),
    [
        (0, False, [1, 1], 6),
        (0, False, [0, ALL], 6),
        (1, False, [1], 1),
        (3, False, [1, 0], 3),
        (3, False, [0, 0], 6),
        (0, True, [1], 1),
        (0, True, [0], 6),
    ],
)
def test_jobs_share_cores_but_no_gpu(
    monkeypatch: pytest.MonkeyPatch, count: int, has_other: bool, gpus: list[int], expected: int
) -> None:
    monkeypatch.setattr(launcher.os, "cpu_count", lambda: 6)
    monkeypatch.setattr(launcher, "has_other_gpu", lambda: has_other)
    assert default_jobs([job(gpus=each) for each in gpus], count) == expected


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_job_is_a_command(here: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(launcher.subprocess, "Popen", FakeProcess)
    monkeypatch.setattr(launcher.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(sys, "argv", ["gan_lightning", "-m", "--config-dir", "my configs", "seed=1,2"])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    one = job("seed=1", "loss=wgan_gp", code=None, folder=here / "seed=1,loss=wgan_gp")
    ProcessLauncher().start(one, threads_of_a_job(at_once), 7, {"CUDA_VISIBLE_DEVICES": "5"})
    process: Any = one.process
    assert process.command[:5] == [sys.executable, "-m", "gan_lightning", "train", "seed=1"]
    assert process.command[5:] == [
        "loss=wgan_gp",
        "hydra.mode=RUN",
        f'hydra.run.dir="{one.folder}"',
        "--config-dir",
        "my configs",
    ]
    assert process.options["pass_fds"] == (7,)
    assert process.options["env"][LEASH] == "7"
    assert process.options["env"][JOB] == str(one.folder)
    assert process.options["env"]["CUDA_VISIBLE_DEVICES"] == "5"
    # Alone, a job has all cores; several share them.
    assert process.options["env"].get("OMP_NUM_THREADS") == (None if at_once == 1 else "2")
    assert (one.folder / CONSOLE).exists()
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    one.process = None
    ProcessLauncher().start(one, threads_of_a_job(at_once), 7, {})
    process = one.process
    assert process.options["env"]["OMP_NUM_THREADS"] == "5"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("", "defaults"),
        ("loss=wgan_gp,seed=1", "loss=wgan_gp,seed=1"),
        ("dataset.root=/data/my pictures", "root=_data_mypictures_ee26ae77"),
        ("loss.optimizer.generator.lr=1e-05,loss=hinge,seed=1", "lr=1e-05,loss=hinge,seed=1"),
        ("loss.optimizer.discriminator.lr=1,loss.optimizer.generator.lr=2", "discriminator.lr=1,generator.lr=2"),
        ("a.lr=1,lr=2,regularizer=[r1,r2]", "a.lr=1,lr=2,regularizer=[r1,r2]"),
        pytest.param("ü" * 100, f"{'ü' * (LONGEST // 2)}_83af2e24", id="long"),
    ],
)
def test_folder_names(overrides: str, name: str) -> None:
    assert folder_name(overrides) == name


def test_long_folder_names_are_cut_and_stay_different() -> None:
    longest = "a" * LONGEST
    assert folder_name(longest) == longest
    names = [folder_name(f"{longest}{number}") for number in range(50)]
    assert len(set(names)) == 50
    assert all(name.startswith(longest) and len(name.encode()) <= 250 for name in names)
    assert folder_name(f"{longest}1") == names[1]  # the same in every process


def test_default_iterations() -> None:
    assert default_iterations(None, 3000) == 3000
    assert default_iterations(5, 3000) == -1


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("k=interval(1234567,2e6)", "k=1234567"),
        ("k=interval(0.12345678,1)", "k=0.12345678"),
        ("k=interval(1e-5,1)", "k=1e-05"),
        ("k=int(interval(2.5,4))", "k=2"),
        ("k=interval(-inf,1)", "k=-inf"),
    ],
)
def test_an_interval_is_tried_by_its_lower_end_as_it_is(override: str, expected: str) -> None:
    assert tried(parse([override])[0]) == expected
