"""Sweeps: a process and a folder a job, one table, and no job that takes another with it."""

import json
import re
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from gan_lightning.commands import launcher
from gan_lightning.commands.launcher import CONSOLE, Job, ProcessLauncher, default_jobs, name_jobs, report, table
from gan_lightning.commands.train import plan
from gan_lightning.config.resolvers import LONGEST, default_iterations, folder_name
from gan_lightning.config.sources import Sources
from gan_lightning.processes import LEASH


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


def rows(out: str) -> list[list[str]]:
    """The table's rows: their cells."""
    return [[cell.strip() for cell in line.strip("│┃ ").split("│")] for line in out.splitlines() if "│" in line]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


class FakeProcess:
    """Notes what it was started with, and has ended."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.command, self.options, self.returncode = command, options, 0

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
    told = {row[0]: row[1:] for row in rows(outcome.out)}
    assert told.keys() == {"dataset.batch_size=100000", "dataset.batch_size=16"}
    assert told["dataset.batch_size=100000"][:2] == ["refused", "-"]
    assert "dataset.batch_size is 100000, but the data set has only 1500 images to train on" in outcome.err
    assert "Traceback" not in outcome.err
    assert not (here / "outputs").exists()

    (folder,) = (path.parent for path in here.glob("multirun/*/*/*/config.yaml"))
    assert folder.name == "dataset.batch_size=16"
    assert re.fullmatch(r"multirun/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d", folder.parent.relative_to(here).as_posix())
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["loss"]["name"], config["dataset"]["batch_size"]) == ("wgan_clip", 16)
    assert config["network"]["latent_dim"] == 4  # as experiment=tiny has it
    results = json.loads((folder / "results.json").read_text())
    assert (results["status"], results["iteration"]) == ("finished", 2)
    assert "Finished at iteration 2" in (folder / CONSOLE).read_text()
    status, iterations, _, *losses = told["dataset.batch_size=16"]
    assert (status, iterations) == ("finished", "2")
    assert losses == [f"{results['metrics'][name]:.3f}" for name in ("loss/discriminator", "loss/generator")]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[FakeProcess]:
    """The jobs that would have been started, in their order; each ends at once."""
    found: list[FakeProcess] = []

    def start(command: list[str], **options: Any) -> FakeProcess:
        found.append(FakeProcess(command, **options))
        return found[-1]

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
    assert [row[:2] for row in rows(outcome.out)] == [[f"loss={loss} seed={seed}", "finished"] for loss, seed in chosen]
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
    _, planned = plan(Sources("train"), overrides, multirun=True)
    assert planned[:2] == overrides


def test_different_jobs_have_different_folders(here: Path) -> None:
    plan(Sources("train"), ["dataset=mnist", "dataset.root=a/b,a_b"], multirun=True)


def test_folders_are_named_by_what_differs(here: Path) -> None:
    _, planned = plan(Sources("train"), ["loss=vanilla,wgan_gp", "seed=7", "trainer.max_steps=2"], multirun=True)
    assert planned[3:-1] == ['hydra.job.config.override_dirname.exclude_keys=["plugins", "seed", "trainer.max_steps"]']


# One by one.


def job(number: int, *overrides: str, accelerator: str = "auto", code: int | None = 0, folder: Path = Path()) -> Job:
    made = Job(number, list(overrides), folder, accelerator)
    if code is not None:
        made.process = type("Process", (), {"returncode": code})()
    return made


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (None, "not started"),
        (0, "finished"),
        (1, "failed (1)"),
        (2, "refused"),
        (130, "stopped"),
        (143, "stopped"),
        (138, "stopped"),
        (-2, "stopped"),
        (-15, "stopped"),
        (-9, "failed (-9)"),
    ],
)
def test_status(code: int | None, status: str) -> None:
    assert job(0, code=code).status == status


@pytest.mark.parametrize(
    ("devices", "platform", "accelerators", "expected"),
    [
        ([], "linux", ["auto", "auto"], 6),
        ([], "linux", ["cpu"], 6),
        ([], "linux", ["auto", "gpu"], 1),
        (["/dev/nvidia0"], "linux", ["auto"], 1),
        (["/dev/nvidia0"], "linux", ["cpu", "cpu"], 6),
        (["/dev/nvidia0"], "linux", ["cpu", "auto"], 1),
        (["/dev/kfd"], "linux", ["auto"], 1),
        ([], "darwin", ["auto"], 1),
        ([], "darwin", ["cpu"], 6),
    ],
)
def test_jobs_share_cores_but_no_gpu(
    monkeypatch: pytest.MonkeyPatch, devices: list[str], platform: str, accelerators: list[str], expected: int
) -> None:
    monkeypatch.setattr(launcher.os, "cpu_count", lambda: 6)
    monkeypatch.setattr(launcher.sys, "platform", platform)
    monkeypatch.setattr(launcher.Path, "exists", lambda self: str(self) in devices)
    assert default_jobs([job(0, accelerator=name) for name in accelerators]) == expected


def test_names_are_what_differs() -> None:
    jobs = [job(0, "loss=vanilla", "trainer.max_steps=2", "seed=1"), job(1, "loss=wgan_gp", "trainer.max_steps=2")]
    assert name_jobs(jobs) == "trainer.max_steps=2"
    assert [one.name for one in jobs] == ["loss=vanilla seed=1", "loss=wgan_gp"]


def test_a_single_job_is_named_by_everything() -> None:
    jobs = [job(0, "loss=wgan_gp", "seed=1")]
    assert name_jobs(jobs) == ""
    assert jobs[0].name == "loss=wgan_gp seed=1"
    jobs = [job(0)]
    name_jobs(jobs)
    assert jobs[0].name == "defaults"


def rendered(jobs: list[Job], shared: str = "") -> str:
    console = Console(file=StringIO(), width=120)
    console.print(table(jobs, shared))
    file: Any = console.file
    text: str = file.getvalue()
    return text


def test_the_table_tells_what_the_folders_hold(tmp_path: Path) -> None:
    metrics = {"loss/discriminator": -1.23456, "loss/generator": 0.5, "discriminator/real": 9.0}
    jobs = []
    for number, (content, code) in enumerate(
        [
            ({"status": "finished", "iteration": 20, "seconds": 1.0, "metrics": metrics}, 0),
            ({"status": "failed", "iteration": 7, "seconds": 1.0, "metrics": {}}, 1),
            (None, 2),
            (None, None),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        if content is not None:
            (folder / "results.json").write_text(json.dumps(content))
        jobs.append(job(number, f"seed={number}", code=code, folder=folder))
        jobs[-1].seconds = 1.6 + number
    name_jobs(jobs)
    text = rendered(jobs, "loss=wgan_gp")
    assert "Sweep loss=wgan_gp" in text
    assert rows(text) == [
        ["seed=0", "finished", "20", "2", "-1.235", "0.500"],
        ["seed=1", "failed (1)", "7", "3", "-", "-"],
        ["seed=2", "refused", "-", "4", "-", "-"],
        ["seed=3", "not started", "-", "5", "-", "-"],
    ]


@pytest.mark.parametrize("width", [80, 60])
def test_a_narrow_table_cuts_no_name(tmp_path: Path, width: int) -> None:
    """80 columns are what a file or a pipe has."""
    jobs = [job(n, f"loss.optimizer.discriminator.lr=0.000{n}", "network=dcgan", f"seed={n}") for n in (1, 2)]
    name_jobs(jobs)
    console = Console(file=StringIO(), width=width)
    console.print(table(jobs, ""))
    file: Any = console.file
    cells = "".join(row[0] for row in rows(file.getvalue()))
    assert "…" not in cells
    assert "loss.optimizer.discriminator.lr=0.0001" in cells
    assert "loss.optimizer.discriminator.lr=0.0002" in cells


def test_brackets_in_a_job_are_no_markup(tmp_path: Path) -> None:
    jobs = [job(0, "regularizer=[gradient_penalty]"), job(1, "regularizer=[]")]
    shared = name_jobs(jobs)
    text = rendered(jobs, shared)
    assert "regularizer=[gradient_penalty]" in text
    console = Console(file=StringIO(), width=120)
    report(jobs[0], captured=False, console=console)
    file: Any = console.file
    assert "regularizer=[gradient_penalty]: finished" in file.getvalue()


@pytest.mark.parametrize(("captured", "code", "shown"), [(True, 1, True), (True, 0, False), (False, 1, False)])
def test_a_failure_that_went_unseen_is_shown(tmp_path: Path, captured: bool, code: int, shown: bool) -> None:
    (tmp_path / CONSOLE).write_text("".join(f"line {number}.\n" for number in range(40)))
    console = Console(file=StringIO(), width=120)
    report(job(3, "seed=1", code=code, folder=tmp_path), captured, console)
    file: Any = console.file
    text = file.getvalue()
    assert text.startswith("#3")
    assert ("line 39." in text) == shown
    assert "line 3." not in text


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_job_is_a_command(here: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(launcher.subprocess, "Popen", FakeProcess)
    monkeypatch.setattr(launcher.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(sys, "argv", ["gan_lightning", "-m", "--config-dir", "my configs", "seed=1,2"])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    one = job(0, "seed=1", "loss=wgan_gp", code=None, folder=here / "seed=1,loss=wgan_gp")
    ProcessLauncher().start(one, at_once, Console(file=StringIO()), 7)
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
    # Alone, a job has the terminal and all cores; several share the cores and write to files.
    assert process.options["env"].get("OMP_NUM_THREADS") == (None if at_once == 1 else "2")
    assert ("stdout" in process.options) == (at_once > 1) == (one.folder / CONSOLE).exists()
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    ProcessLauncher().start(one, at_once, Console(file=StringIO()), 7)
    process = one.process
    assert process.options["env"]["OMP_NUM_THREADS"] == "5"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("", "defaults"),
        ("loss=wgan_gp,seed=1", "loss=wgan_gp,seed=1"),
        ("dataset.root=/data/my pictures", "dataset.root=_data_mypictures_ee26ae77"),
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
