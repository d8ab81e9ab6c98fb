"""Real trainings of a second or less, in this process, and what they leave behind."""

import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning import Callback, Trainer
from small import small
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gan_lightning import Run, train
from gan_lightning.runs import run as run_module

# Minibatches of 16 digits, of which a pass has 93.
TINY = (
    "dataset.batch_size=16",
    "samples.count=4",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
)
# Only from 16x16 pixels on has the discriminator of network=dcgan a second convolution, with batch normalisation.
LARGER = ("dataset.image_size=16",)
TIMES = ("progress/images_per_second", "progress/seconds")


class RunFolder:
    """Reads a run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def checkpoint(self, name: str = "last") -> dict[str, Any]:
        """A checkpoint's content."""
        content: dict[str, Any] = torch.load(self.path / "checkpoints" / f"{name}.ckpt", weights_only=True)
        return content

    def weights(self, network: str) -> dict[str, torch.Tensor]:
        """The state dict of generator, discriminator or ema_generator in last.ckpt."""
        state = self.checkpoint()["state_dict"]
        return {name.partition(".")[2]: value for name, value in state.items() if name.startswith(f"{network}.")}

    def rows(self) -> list[dict[str, str]]:
        """metrics.csv without the columns that depend on the clock on the wall."""
        with (self.path / "metrics.csv").open(newline="") as file:
            return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]

    def iterations(self) -> list[int]:
        """The column `iteration` of metrics.csv."""
        return [int(row["iteration"]) for row in self.rows()]

    def events(self) -> EventAccumulator:
        """What TensorBoard would show."""
        everything = {"scalars": 0, "images": 0, "tensors": 0}
        return EventAccumulator(str(self.path), everything).Reload()

    def results(self) -> dict[str, Any]:
        """results.json."""
        content: dict[str, Any] = json.loads((self.path / "results.json").read_text())
        return content

    def config(self) -> dict[str, Any]:
        """config.yaml, read by a program that knows nothing of Hydra."""
        content: dict[str, Any] = yaml.safe_load((self.path / "config.yaml").read_text())
        return content

    def files(self) -> dict[str, tuple[bytes, int]]:
        """The content and the time of every file."""
        return {str(p.relative_to(self.path)): (p.read_bytes(), p.stat().st_mtime_ns) for p in all_files(self.path)}


class TrainedFolder(RunFolder):
    """The folder of a run that was started here, and what `train` returned."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.folder)
        self.run = run


def all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str | Path], RunFolder]:
    """Reads the run in tmp_path / name, which may have failed, or in any other folder."""
    return lambda name: RunFolder(tmp_path / name)


def tiny_overrides(overrides: Sequence[str]) -> list[str]:
    """The overrides that make a run tiny, before those of a test."""
    return [*TINY, *(LARGER if "network=dcgan" in overrides else ()), *small(*overrides)]


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., TrainedFolder]:
    """Trains tiny networks in tmp_path / name; without a name where Hydra says."""

    def start(name: str | None, *overrides: str) -> TrainedFolder:
        place = [] if name is None else [f"hydra.run.dir={tmp_path / name}"]
        return TrainedFolder(train(*tiny_overrides(overrides), *place))

    return start


@pytest.fixture(scope="module")
def tiny_in_module(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TrainedFolder]:
    """Trains tiny networks once, for several tests that only read what is there."""

    def start(*overrides: str) -> TrainedFolder:
        place = f"hydra.run.dir={tmp_path_factory.mktemp('runs') / 'run'}"
        return TrainedFolder(train(*tiny_overrides(overrides), place))

    return start


@pytest.fixture(scope="session")
def tiny_command() -> Callable[..., list[str]]:
    """The command line that trains tiny networks in a process of its own."""
    return lambda *overrides: [sys.executable, "-m", "gan_lightning", *tiny_overrides(overrides)]


@pytest.fixture
def resume() -> Callable[..., TrainedFolder]:
    """Goes on with a run."""

    def start(path: Path, *overrides: str) -> TrainedFolder:
        return TrainedFolder(train(f"resume={path}", *overrides))

    return start


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds callbacks, and none but these, to the runs that start from now on."""
    build_trainer = run_module.build_trainer

    def add(*callbacks: Callback) -> None:
        def build(config: Any, factory: Any, present: Any, loggers: Any, max_steps: int) -> Trainer:
            return build_trainer(config, factory, [*present, *callbacks], loggers, max_steps)

        monkeypatch.setattr(run_module, "build_trainer", build)

    return add


@pytest.fixture
def same() -> Callable[[Any, Any], None]:
    """Asserts that two nested containers of tensors and numbers are bit-equal."""
    return lambda actual, expected: torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)
