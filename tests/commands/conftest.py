"""The command line in this process: what it returns, what it prints, and what it leaves in an empty folder."""

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gan_lightning import train
from gan_lightning.__main__ import main


@dataclass(frozen=True)
class Outcome:
    """A command's exit status and its output."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, empty; caches and logging are put back where they were afterwards."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield folder
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs `python -m gan_lightning ARGUMENTS…` in this process."""

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        status = main(arguments)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def runs(here: Path) -> Callable[[], list[Path]]:
    """The runs below the current folder."""
    return lambda: sorted(path.parent for path in here.rglob("config.yaml") if path.parent.name != ".hydra")


@pytest.fixture(scope="session")
def trained(tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 40 iterations, to be read and not changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(*tiny, "trainer.max_steps=40", "trainer.enable_progress_bar=false", f"hydra.run.dir={folder}")
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of that run, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "run"))
