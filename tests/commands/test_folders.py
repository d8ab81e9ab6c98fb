"""Folders of runs: reserved once, found again, and never written over."""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from gan_lightning.config.resolvers import register_resolvers
from gan_lightning.errors import UserError
from gan_lightning.run_folder import find_generator
from gan_lightning.runs.folders import (
    discard,
    find_resumable,
    goes_on,
    identity,
    let_go,
    place,
    require_resumable,
    require_writable,
    reserve,
)


@pytest.fixture(autouse=True)
def nothing_held() -> Iterator[None]:
    """Folders that a test has taken belong to nobody after it."""
    yield
    let_go()


@pytest.fixture
def config(trained: Path) -> DictConfig:
    """The config that run was composed from."""
    register_resolvers()  # which `train`, that has made the run, takes back
    loaded = OmegaConf.load(trained / ".hydra" / "config.yaml")
    assert isinstance(loaded, DictConfig)
    return loaded


def test_simultaneous_runs_have_folders_of_their_own(here: Path) -> None:
    with ThreadPoolExecutor(5) as pool:
        folders = list(pool.map(reserve, ["outputs/day/run"] * 5))
    assert {folder.name for folder in folders} == {"run", "run_2", "run_3", "run_4", "run_5"}
    assert sorted(here.rglob("run*")) == sorted(folder.absolute() for folder in folders)
    assert all(folder.is_dir() for folder in folders)


def test_a_name_with_dots_is_numbered_at_its_end(here: Path) -> None:
    assert [reserve("lr=0.1").name for _ in range(2)] == ["lr=0.1", "lr=0.1_2"]


def test_a_file_in_the_way(here: Path) -> None:
    (here / "run").write_text("")
    assert reserve("run") == Path("run_2")
    with pytest.raises(UserError, match=r"hydra\.run\.dir.*run"):
        reserve("run/below")
    with pytest.raises(UserError, match=r"hydra\.run\.dir.*run/below"):
        reserve("run/below/that")
    assert (here / "run").read_text() == ""


def test_a_further_rank_makes_no_folder(here: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert reserve("run") == Path("run")
    assert place(config, "run", named=True) == Path("run")
    assert not list(here.iterdir())
    monkeypatch.setenv("LOCAL_RANK", "0")
    reserve("run")
    assert [path.name for path in here.iterdir()] == ["run"]


def test_a_folder_of_the_users_may_hold_something_else(here: Path, config: DictConfig) -> None:
    (here / "run").mkdir()
    (here / "run" / "notes.txt").write_text("mine")
    assert place(config, "run", named=True) == Path("run")
    assert not goes_on(config, Path("run"))
    discard(Path("run"))
    assert [path.name for path in (here / "run").iterdir()] == ["notes.txt"]


def test_the_same_run_goes_on_in_its_folder_and_another_is_refused(here: Path, config: DictConfig) -> None:
    run = saved(here / "run", config, age=0)
    assert goes_on(config, run)
    assert goes_on(changed(config, "trainer.max_steps=7"), run)
    other = changed(config, "loss.n_critic=7")
    with pytest.raises(UserError, match=r"another run: loss\.n_critic is 1 there, and 7 here.*resume=.*run"):
        place(other, str(run), named=True)
    (run / "checkpoints" / "last.ckpt").unlink()
    assert not goes_on(config, run)
    with pytest.raises(UserError, match=r"another run"):
        goes_on(other, run)


def test_a_requeued_job_finds_its_run(here: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    saved(here / "run", changed(config, "seed=1"), age=0)
    assert place(config, "run", named=False) == Path("run_2")
    saved(here / "run_2", config, age=0)
    assert place(config, "run", named=False) == Path("run_3")  # a job that runs the same command twice
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert place(config, "run", named=False) == Path("run_2")
    let_go()
    assert sorted(path.name for path in here.iterdir()) == ["run", "run_2"]


def test_tasks_of_one_step_share_a_folder(here: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SLURM_JOB_ID", "4711"), ("SLURM_NTASKS", "2"), ("SLURM_PROCID", "1")):
        monkeypatch.setenv(name, value)
    assert place(config, "run", named=False) == Path("run")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert place(config, "run", named=False) == Path("run")
    let_go()
    assert not list(here.iterdir())


def test_a_folder_that_may_not_be_written_to(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    (here / "run").mkdir()
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(UserError, match=r"hydra\.run\.dir is .*run.*Permission denied"):
        require_writable(here / "run", "hydra.run.dir")
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"hydra\.run\.dir is .*below.*Permission denied"):
        reserve(str(here / "run" / "below"))


def test_the_generator_of_a_run(trained: Path) -> None:
    file = trained / "generator.safetensors"
    assert find_generator(str(trained)) == file
    assert find_generator(str(file)) == file
    with pytest.raises(UserError, match=r"checkpoints, which holds no generator\.safetensors"):
        find_generator(str(trained / "checkpoints"))
    with pytest.raises(UserError, match=re.escape(f"Did you mean {trained}?")):
        find_generator(str(trained.parent / "rum"))


def test_what_can_be_resumed(trained: Path, here: Path) -> None:
    require_resumable(trained)
    with pytest.raises(UserError, match=r"holds no run to go on with: .*composed\.yaml is missing\.$"):
        require_resumable(here)
    with pytest.raises(UserError, match=re.escape(f"Did you mean {trained}?")):
        require_resumable(trained.parent / "runn")


def saved(folder: Path, config: DictConfig, age: int) -> Path:
    """A run of that config whose checkpoint is `age` seconds old."""
    for name in (".hydra/config.yaml", "checkpoints/last.ckpt"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("")
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    now = (folder / "checkpoints" / "last.ckpt").stat().st_mtime
    os.utime(folder / "checkpoints" / "last.ckpt", (now - age, now - age))
    return folder


def changed(config: DictConfig, *overrides: str) -> DictConfig:
    merged = OmegaConf.merge(config, OmegaConf.from_dotlist(list(overrides)))
    assert isinstance(merged, DictConfig)
    return merged


def test_the_newest_run_of_a_config_is_found(here: Path, config: DictConfig) -> None:
    assert find_resumable(config, Path("outputs")) is None
    saved(here / "outputs" / "a", config, age=30)
    newest = saved(here / "outputs" / "day" / "b", config, age=20)
    saved(here / "outputs" / "c", changed(config, "seed=1"), age=10)
    unsaved = saved(here / "outputs" / "d", config, age=0)
    (unsaved / "checkpoints" / "last.ckpt").unlink()
    found = find_resumable(config, Path("outputs"))
    assert found is not None
    assert found.absolute() == newest


@pytest.mark.parametrize(
    "override",
    [
        "threads=2",
        "trainer.max_steps=7",
        "trainer.accelerator=gpu",
        "checkpoint.every=3",
        "samples.every=3",
        "dataset.memory_gib=1",
        "dataset.iterations=7",
        "resume=auto",
    ],
)
def test_circumstances_make_no_other_run(config: DictConfig, override: str) -> None:
    assert identity(changed(config, override)) == identity(config)


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "dataset.root=elsewhere",
        "dataset.batch_size=8",
        "network.latent_dim=5",
        "loss.optimizer.generator.lr=1",
        "loss.n_critic=2",
        "regularizer.weight_clipping.bound=1",
        "ema.decay=0.5",
        "ema.half_life=100",
        "conditioning.generator=concat",
        "heads.apart.outputs=4",
        "latents._target_=gan_lightning.sampling.Uniform",
    ],
)
def test_everything_else_does(config: DictConfig, override: str) -> None:
    assert identity(changed(config, override)) != identity(config)


def test_resume_auto_without_a_run_starts_one_and_then_goes_on(
    here: Path, command: Callable[..., Any], tiny: tuple[str, ...], runs: Callable[[], list[Path]]
) -> None:
    assert command(*tiny, "resume=auto", "trainer.max_steps=2").status == 0
    (first,) = runs()
    assert command(*tiny, "resume=auto", "trainer.max_steps=3").status == 0
    assert runs() == [first]
    rows = (first / "metrics.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["iteration", "2", "3"]
    assert command(*tiny, "resume=auto", "trainer.max_steps=3", "seed=1").status == 0
    assert len(runs()) == 2
