"""Sweeps on the launchers of Hydra and its plugins: one of two tiny jobs on each, and what is added to all of them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra._internal.core_plugins.basic_launcher import BasicLauncher as HydraBasicLauncher
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from gan_lightning import Run, train
from gan_lightning.commands import engines, jobs
from gan_lightning.commands.engines import (
    ENGINES,
    Engine,
    JoblibLauncher,
    LocalLauncher,
    Stoppable,
    cores_shared,
    require_one_process,
    told,
)
from gan_lightning.commands.jobs import ending_with, heard, stopped_short
from gan_lightning.commands.launcher import JobFailed
from gan_lightning.commands.train import plan
from gan_lightning.config import mistakes
from gan_lightning.config.sources import Sources
from gan_lightning.errors import RunFailed, UserError
from gan_lightning.processes import Stopped, stop, stoppable
from gan_lightning.studies import sweep_folder
from gan_lightning.studies.sweep_folder import STOP

SHORT = ("trainer.max_steps=2", "trainer.enable_progress_bar=false", "health.every=null", "threads=1")
RAY = ("+hydra.launcher.ray.init.num_cpus=2", "+hydra.launcher.ray.init.include_dashboard=false")


def sweep(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts a sweep in the current folder."""
    command = [sys.executable, "-m", "gan_lightning", "-m", *arguments, "hydra.sweep.dir=sweep"]
    piped: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | environment, process_group=0, **piped)


def statuses(folder: Path) -> dict[str, Any]:
    """The status of each run in a folder."""
    return {file.parent.name: json.loads(file.read_text())["status"] for file in folder.glob("*/results.json")}


@pytest.mark.slow
def test_joblib_tells_which_job_was_refused_and_does_the_other(tiny: tuple[str, ...], here: Path) -> None:
    job = [text for text in tiny if not text.startswith("dataset.batch_size")]
    out, err = (process := sweep(*job, *SHORT, "dataset.batch_size=100000,16", "hydra/launcher=joblib")).communicate(
        timeout=200
    )
    assert process.returncode == 1, err
    told = "dataset.batch_size=100000: refused (dataset.batch_size is 100000, but the data set has only 1500 images"
    assert told in out
    assert "1 refused, 1 finished; " in err
    assert "Traceback" not in err
    assert statuses(here / "sweep") == {"batch_size=16": "finished"}
    assert "Joblib.Parallel" in out


@pytest.mark.slow
def test_ray_starts_a_cluster_that_trains_in_the_sweeps_folder(tiny: tuple[str, ...], here: Path) -> None:
    two = {"CUDA_VISIBLE_DEVICES": "0,1"}  # of which a run in this process has perhaps hidden all
    arguments = (*tiny, *SHORT, *RAY, "seed=1,2", "hydra/launcher=ray", "+hydra.launcher.ray.init.num_gpus=2")
    process = sweep(*arguments, "+hydra.launcher.ray.remote.num_gpus=1", RAY_AUTH_MODE="disabled", **two)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert statuses(here / "sweep") == {"seed=1": "finished", "seed=2": "finished"}
    assert "run in" in (here / "sweep" / "seed=1" / "train.log").read_text()


@pytest.mark.slow
def test_submitit_local_runs_each_job_in_a_process(tiny: tuple[str, ...], here: Path) -> None:
    process = sweep(*tiny, *SHORT, "seed=1,2", "hydra/launcher=submitit_local")
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert statuses(here / "sweep") == {"seed=1": "finished", "seed=2": "finished"}
    told_of = "".join(file.read_text() for file in here.glob("sweep/.submitit/*/*_log.out"))
    assert told_of.count("Finished at iteration 2") == 2


# A cluster of one: what is submitted runs at once, and what is requeued runs again.
SLURM = {
    "sbatch": 'cp "$1" submitted.sh; echo "Submitted batch job 4711"; bash "$1" &',
    "srun": 'while [ "${1#-}" != "$1" ]; do case $1 in --output|--error) shift;; esac; shift; done; exec "$@"',
    "scontrol": 'echo "$@" >> scontrol.log; SLURM_RESTART_COUNT=1 bash submitted.sh &',
    "sacct": "echo 'JobID|State|NodeList'; echo '4711|RUNNING|here'",
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, line in SLURM.items():
        (folder / name).write_text(
            f"#!/bin/bash\nexport SLURM_JOB_ID=4711\n{line.replace('&', '> job.log 2>&1 &', 1)}\n"
        )
        (folder / name).chmod(0o755)
    (folder / "srun").write_text(f"#!/bin/bash\n{SLURM['srun']}\n")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_a_job_of_slurms_that_runs_out_of_time_goes_on_exactly(tiny: tuple[str, ...], here: Path) -> None:
    """One signal, one answer: the run saves, and submitit alone asks for the job to be run again."""
    job = (*tiny, *SHORT[1:], "trainer.max_steps=1500", "trainer.log_every_n_steps=1", "checkpoint.every=100000")
    process = sweep(
        *job, "seed=1", "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5", "hydra.sweep.subdir=run"
    )
    place = here / "sweep" / "run"
    try:
        wait_until(lambda: (place / "metrics.csv").exists())
        os.kill(json.loads((place / ".lock").read_text())["pid"], signal.SIGUSR2)
        wait_until(lambda: (here / "scontrol.log").exists())
        assert (place / "checkpoints" / "last.ckpt").exists()
        _, err = process.communicate(timeout=200)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    assert (here / "scontrol.log").read_text() == "requeue 4711\n"
    assert (place / "train.log").read_text().count("run in") == 2
    script = (here / "submitted.sh").read_text().splitlines()
    assert {"#SBATCH --time=5", "#SBATCH --signal=USR2@120", "#SBATCH --job-name=train"} < set(script)
    whole = train(*job, "seed=1", "hydra.run.dir=whole").folder
    weights = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (place, whole)]
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)


def wait_until(is_true: Callable[[], bool]) -> None:
    """Waits two minutes at most."""
    end = time.monotonic() + 120
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)


# What is added.


def test_a_job_of_slurms_may_run_out_of_time_often_unless_the_user_says_otherwise(here: Path) -> None:
    often = "hydra.launcher.max_num_timeout=1000"
    for given, added in ([], True), (["hydra.launcher.max_num_timeout=0"], False):
        _, planned, _ = plan(Sources("train"), ["seed=1,2", "hydra/launcher=submitit_slurm", *given], multirun=True)
        assert (often in planned) == added
        assert f"hydra.launcher._target_={engines.__name__}.SlurmLauncher" in planned


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("hydra/launcher=joblib", "pip install 'gan-lightning[sweep]'"),
        ("hydra/launcher=ray", "pip install 'gan-lightning[sweep]'"),
        ("hydra/launcher=submitit_slurm", "pip install 'gan-lightning[sweep]'"),
        ("hydra/sweeper=optuna", "pip install 'gan-lightning[sweep]'"),
        ("hydra/sweeper=nevergrad", "hydra-nevergrad-sweeper, for Hydra 1.4"),
        ("hydra/launcher=joblip", "there is no such hydra/launcher. There are basic, processes"),
    ],
)
def test_a_plugin_that_is_not_there_is_asked_for(
    override: str, expected: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra lists the options of the plugins that it has found; those of this environment are hidden."""
    from hydra.core.config_store import ConfigStore

    Plugins.instance()  # which looks for them, unless a test before has asked for it
    repository: Any = ConfigStore.instance().repo["hydra"]
    for group, kept in (("launcher", {"basic.yaml"}), ("sweeper", {"basic.yaml"})):
        found = {name: node for name, node in repository[group].items() if name in kept}
        monkeypatch.setitem(repository, group, found)
    with pytest.raises(UserError) as error:
        plan(Sources("train"), [override, "seed=1,2"], multirun=True)
    assert expected in str(error.value)
    assert mistakes.missing_engine("loss", "joblib") is None


@pytest.mark.parametrize(
    ("launcher", "expected"),
    [
        (
            "hydra/launcher=joblib hydra.launcher.backend=threads",
            "JoblibLauncher: Unsupported Joblib backend 'threads'",
        ),
        ("hydra/launcher=submitit_slurm", 'SlurmLauncher: Could not detect "srun"'),
    ],
)
def test_a_launcher_that_is_set_wrongly(
    command: Callable[..., Any], here: Path, monkeypatch: pytest.MonkeyPatch, launcher: str, expected: str
) -> None:
    monkeypatch.setenv("PATH", str(here))
    outcome = command("-m", "seed=1,2", *launcher.split())
    assert outcome.status == 2
    assert f"hydra/launcher can't be used as it is set ({expected}" in outcome.err


@pytest.mark.parametrize("devices", ["trainer.devices=2", "trainer.devices=1,2"])
def test_a_job_is_one_process(command: Callable[..., Any], here: Path, devices: str) -> None:
    outcome = command("-m", "seed=1,2", "hydra/launcher=joblib", devices)
    assert outcome.status == 2
    assert "trainer.devices is 2, but a job of JoblibLauncher is one process" in outcome.err
    assert not list(here.iterdir())


@pytest.mark.parametrize("of", list(ENGINES))
def test_which_jobs_may_have_several_processes(of: str) -> None:
    name = ENGINES[of].__name__
    for tasks in (1, 2):
        launcher = {"_target_": of, "tasks_per_node": tasks}
        config = OmegaConf.create({"trainer": {"devices": [0, 1]}, "hydra": {"launcher": launcher}})
        if tasks == 2:
            require_one_process(config)
            continue
        with pytest.raises(UserError, match=rf"trainer\.devices is \[0, 1\], but a job of {name} is one process"):
            require_one_process(config)


class Fake(Launcher):
    """A launcher that does what a test says."""

    does: Callable[[], list[JobReturn]] = list

    def __init__(self, **settings: Any) -> None:
        pass

    def setup(self, *, task_function: Any, **others: Any) -> None:
        self.task = task_function

    def launch(self, job_overrides: Any, initial_job_idx: int) -> list[JobReturn]:
        return Fake.does()


class FakeEngine(Engine):
    of = f"{__name__}.Fake"
    waits = starts_jobs = True

    def at_once(self, jobs: int) -> int:
        return jobs


@pytest.fixture
def fake(here: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(engines, "import_module", lambda name: sys.modules[__name__])
    engine = FakeEngine()
    config = OmegaConf.create({"hydra": {"sweep": {"dir": "sweep"}}})
    engine.setup(hydra_context=None, task_function=None, config=config)  # type: ignore[arg-type]
    return engine


class InProcess(HydraBasicLauncher):
    """Hydra's launcher that needs no process, with any settings."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()


class UncompletedJobError(RuntimeError):
    """As submitit's is called."""


def test_a_job_that_submitit_does_not_requeue_is_a_stopped_one(
    command: Callable[..., Any], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: Any) -> Run:
        raise UncompletedJobError("Job not requeued because: timed-out too many times.")

    monkeypatch.setattr("gan_lightning.runs.run.run_experiment", run)
    monkeypatch.setattr(JoblibLauncher, "of", f"{__name__}.InProcess")
    monkeypatch.setattr(engines, "import_module", lambda name: sys.modules[__name__])
    outcome = command("-m", "seed=1,2", "hydra/launcher=joblib")
    assert outcome.status == 1
    assert outcome.out.count("stopped (Job not requeued because: timed-out too many times)") == 2
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("searches", [True, False])
def test_a_job_that_a_signal_has_stopped_has_no_number(searches: bool) -> None:
    """It would be that of a run that is not complete."""
    hydra = OmegaConf.create({"launcher": {"_target_": "JoblibLauncher"}})
    run = Run(Path("run"), "SIGTERM", 7, 1.0, {})
    with pytest.raises(RunFailed, match="was stopped") if searches else nullcontext():
        assert stopped_short(run, hydra, searches) is None
    with pytest.raises(Stopped, match="SIGTERM"):
        stopped_short(run, OmegaConf.create({"launcher": {"_target_": "BasicLauncher"}}), searches)


def result(status: JobStatus, value: Any) -> JobReturn:
    made = JobReturn(status=status)
    made.return_value = value
    return made


def test_the_first_signal_is_handed_to_the_jobs_and_ends_the_sweep_after_them(
    fake: Engine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = []

    def stopped() -> list[JobReturn]:
        signal.raise_signal(signal.SIGTERM)
        handed.append((here / "sweep" / STOP).exists())
        return [result(JobStatus.FAILED, RunFailed("SIGTERM has stopped it."))]

    monkeypatch.setattr(Fake, "does", stopped)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match=r"^Stopped by SIGTERM") as stop:
        fake.launch([["seed=1"]], 0)
    assert (stop.value.status, handed) == (143, [True])
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_ctrl_c_ends_the_sweep_at_once(fake: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice() -> list[JobReturn]:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError

    monkeypatch.setattr(Fake, "does", twice)
    with pytest.raises(Stopped) as stop:
        fake.launch([["seed=1"]], 0)
    assert stop.value.status == 130


def test_a_lost_worker_is_told_in_a_paragraph(fake: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> list[JobReturn]:
        raise ChildProcessError("a worker\nis gone")

    monkeypatch.setattr(Fake, "does", lost)
    with pytest.raises(JobFailed, match=r"has lost its jobs \(ChildProcessError: a worker is gone\)\."):
        fake.launch([["seed=1"]], 0)


def test_cores_are_shared_among_the_jobs(fake: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def look() -> list[JobReturn]:
        seen.append(os.environ.get("OMP_NUM_THREADS"))
        return [result(JobStatus.COMPLETED, None)] * 2

    monkeypatch.setattr(Fake, "does", look)
    monkeypatch.setattr(engines.os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    fake.launch([["seed=1"], ["seed=2"]], 0)
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    fake.launch([["seed=1"], ["seed=2"]], 0)
    assert seen == ["4", "3"]
    with cores_shared(1):
        assert os.environ["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("jobs", "at_once", "expected"), [(2, -1, 2), (9, -1, 8), (9, -2, 7), (9, 3, 3), (2, 3, 2)])
def test_how_many_jobs_share_the_cores(monkeypatch: pytest.MonkeyPatch, jobs: int, at_once: int, expected: int) -> None:
    monkeypatch.setattr(engines.os, "cpu_count", lambda: 8)
    assert JoblibLauncher(n_jobs=at_once).at_once(jobs) == expected
    assert LocalLauncher().at_once(jobs) == jobs


def test_a_batch_leaves_a_stop_as_it_is(fake: Engine, here: Path) -> None:
    """A sweep that fails fast would go on with the next batch of its sweeper."""
    sweep_folder.stop(here / "sweep")
    assert fake.launch([["seed=1"]], 0) == []
    assert (here / "sweep" / STOP).exists()


def test_each_failure_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    returns = [
        result(JobStatus.FAILED, UserError("seed is\x1b odd.")),
        result(JobStatus.COMPLETED, 1.0),
        result(JobStatus.FAILED, KeyError("gone")),
    ]
    for number, each in enumerate(returns):
        each.working_dir = f"sweep/{number}"
    first, second, third = told(returns)
    assert second.return_value == 1.0
    for each, cause in (
        (first, r"sweep/0: seed is\x1b odd."),
        (third, "sweep/2: KeyError: 'gone'; train.log has where."),
    ):
        with pytest.raises(JobFailed, match=f"^{re.escape(cause)}$"):
            _ = each.return_value
    assert capsys.readouterr().err == ""  # where Hydra writes a line of its own


def test_a_job_is_stopped_by_the_sweeps_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where submitit passes SIGTERM over, as it does until training begins."""
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.02)
    asked, before = threading.Event(), signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        sweep_folder.stop(tmp_path)
        with pytest.raises(Stopped, match=r"^Stopped by SIGTERM\.$"), heard(), ending_with(tmp_path, tmp_path, asked):
            time.sleep(60)
        assert asked.is_set()
        asked.clear()
        (tmp_path / "results.json").write_text('{"status": "SIGINT", "iteration": 2, "seconds": 1.0}')
        with stoppable(), ending_with(tmp_path, tmp_path, asked):
            time.sleep(0.2)  # in which it writes what a run that was stopped leaves
        with stoppable(), heard():
            assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not asked.is_set()
    assert not any("look" in thread.name for thread in threading.enumerate())


def test_submitits_processes_have_no_ear_for_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would come to them from the terminal, and have them kill their jobs a second later."""
    from submitit.local import local

    command = ["grep", "SigBlk", "/proc/self/status"]
    started: list[str] = []

    def launch(self: Any, *arguments: Any) -> list[JobReturn]:
        started.append(local.start_controller(command, capture_output=True, text=True).stdout)
        return []

    monkeypatch.setattr(local, "start_controller", subprocess.run)
    monkeypatch.setattr(Engine, "launch", launch)
    LocalLauncher(submitit_folder="x").launch([["seed=1"]], 0)
    assert local.start_controller is subprocess.run
    started.append(local.start_controller(command, capture_output=True, text=True).stdout)
    masks = [int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1 for line in started]
    assert masks == [1, 0]


def test_a_job_is_stopped_where_its_sweep_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = iter([7])
    monkeypatch.setattr(engines.os, "getppid", lambda: next(parents, 1))
    with pytest.raises(RunFailed, match=r"^Stopped by SIGTERM\.$"):
        Stoppable(lambda config: time.sleep(60))(OmegaConf.create())
