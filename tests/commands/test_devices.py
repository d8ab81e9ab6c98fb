"""One job a GPU, out of a pool of those that this process may use: never two on one, unless that is asked for."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from omegaconf import OmegaConf

from gan_lightning.commands import launcher
from gan_lightning.commands.devices import ALL, VISIBLE, Pool, gpus, needed
from gan_lightning.commands.jobs import JOB
from gan_lightning.commands.launcher import Job, ProcessLauncher


class Busy:
    """A job that has ended when it was asked for the third time; it notes how many were on one GPU at most."""

    running: ClassVar[Counter[str]] = Counter()
    seen: ClassVar[list[str]] = []
    most = 0

    def __init__(self, command: list[str], **options: Any) -> None:
        self.returncode, self.left = 0, 3
        self.sees = options["env"][VISIBLE]
        Busy.seen.append(self.sees)
        Busy.running.update(self.sees.split(","))
        Busy.most = max(Busy.most, *Busy.running.values())
        (Path(options["env"][JOB]) / "results.json").write_text('{"status": "finished", "iteration": 2, "seconds": 1}')

    def poll(self) -> int | None:
        self.left -= 1
        if self.left == 0:
            Busy.running.subtract(self.sees.split(","))
        return None if self.left > 0 else 0


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> type[Busy]:
    Busy.running.clear()
    Busy.seen.clear()
    Busy.most = 0
    monkeypatch.setenv(VISIBLE, "3,7")
    monkeypatch.setattr(launcher, "job_server", lambda threads: None)
    monkeypatch.setattr(launcher, "POLL_SECONDS", 0)
    monkeypatch.setattr(launcher.subprocess, "Popen", Busy)
    return Busy


def test_each_job_has_a_gpu_of_its_own(command: Callable[..., Any], busy: type[Busy]) -> None:
    outcome = command("-m", "seed=1,2,3,4", "trainer.accelerator=gpu")
    assert outcome.status == 0, outcome.err
    assert (busy.seen, busy.most) == (["3", "7", "3", "7"], 1)


@pytest.mark.parametrize(
    ("jobs", "count", "seen", "most"),
    [
        (1, 1, ["3", "3", "3", "3"], 1),
        (4, 1, ["3", "7", "3", "7"], 2),  # which is asked for
        (2, 2, ["3,7", "3,7", "3,7", "3,7"], 1),
        (2, ALL, ["3,7", "3,7", "3,7", "3,7"], 1),
    ],
)
def test_jobs_share_no_gpu_unless_that_is_asked_for(
    here: Path, monkeypatch: pytest.MonkeyPatch, busy: type[Busy], jobs: int, count: int, seen: list[str], most: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["gan_lightning"])
    own = ProcessLauncher(jobs)
    assert own.run([Job([], here / str(n), count) for n in range(4)], jobs, Pool(gpus(), jobs), None, 0) == 0
    assert (busy.seen, busy.most) == (seen, most)


def test_jobs_of_several_gpus_wait_for_them() -> None:
    pool = Pool("abc", 3)
    assert pool.take(2) == ["a", "b"]
    assert pool.take(2) is None
    assert pool.take(1) == ["c"]
    assert pool.take(0) == []
    pool.give_back(["a"])
    assert (pool.take(ALL), pool.take(1)) == (None, ["a"])
    assert Pool("a", 1).take(4) == ["a"]  # Lightning says that there aren't so many
    assert Pool([], 6).take(1) == []
    assert (Pool("ab", 2).environment("b"), Pool("a", 1).environment("a"), Pool([], 2).environment([])) == (
        {VISIBLE: "b"},
        {},
        {},
    )


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        *(("1, GPU-ab", ["1", "GPU-ab"]), ("MIG-ab", ["MIG-ab"]), (None, ["0", "1"])),
        *(("", []), ("-1", []), ("NoDevFiles", []), ("0,1,", ["0", "1"]), ("0,-1,1", ["0"])),
    ],
)
def test_which_gpus_there_are(monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: list[str]) -> None:
    monkeypatch.setattr(Path, "glob", lambda path, pattern: iter([path / "nvidia0", path / "nvidia5"]))
    assert gpus({} if visible is None else {VISIBLE: visible}) == expected


@pytest.mark.parametrize(
    ("accelerator", "devices", "expected"),
    [("cpu", 2, 0), ("auto", 1, 1), ("gpu", 2, 2), ("gpu", "auto", ALL), ("gpu", -1, ALL), ("gpu", [1], ALL)],
)
def test_how_many_gpus_a_job_needs(accelerator: str, devices: Any, expected: int) -> None:
    assert needed(OmegaConf.create({"accelerator": accelerator, "devices": devices})) == expected
