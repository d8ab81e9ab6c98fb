"""Runs on arrays: their numbers come back in samples, without the data, and a run goes on with the same scale."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from trained import TrainedFolder

from gan_lightning import load_generator
from gan_lightning.__main__ import main


@pytest.fixture
def points(tmp_path: Path) -> Path:
    np.save(tmp_path / "points.npy", np.random.default_rng(0).uniform([1000, -0.1], [1100, 0.3], (100, 2)))
    return tmp_path / "points.npy"


def on(points: Path, *overrides: str) -> tuple[str, ...]:
    plain = ("dataset=array", f"dataset.root={points}", "dataset.sample_shape=[2]", "trainer.max_steps=2")
    return (*plain, *overrides)


def test_samples_have_the_numbers_of_the_array(points: Path, tiny: Callable[..., TrainedFolder]) -> None:
    run = tiny("run", *on(points))
    stored = np.load(points)
    points.unlink()
    units = load_generator(run.path).units
    assert units is not None
    np.testing.assert_allclose(units.shift, (stored.max(0) + stored.min(0)) / 2)
    for out in ("x.npy", "x.csv", "x.png"):
        assert main(["sample", f"run={run.path}", "n=20", f"out={run.path / out}"]) == 0
    made = np.load(run.path / "x.npy")
    assert (made >= stored.min(0) - 1e-3).all()
    assert (made <= stored.max(0) + 1e-3).all()
    np.testing.assert_allclose(np.loadtxt(run.path / "x.csv", delimiter=","), made, rtol=1e-6)


def test_a_generator_that_is_made_anew_has_its_units(
    points: Path, tiny: Callable[..., TrainedFolder], resume: Callable[..., TrainedFolder]
) -> None:
    run = tiny("run", *on(points))
    before = load_generator(run.path).units
    (run.path / "generator.safetensors").unlink()
    resume(run.path)
    assert before is not None
    assert load_generator(run.path).units == before


def test_another_array_keeps_the_scale_of_the_first(
    points: Path, tiny: Callable[..., TrainedFolder], resume: Callable[..., TrainedFolder]
) -> None:
    run = tiny("run", *on(points))
    before = load_generator(run.path).units
    np.save(points, np.load(points) * 3)
    resume(run.path, "trainer.max_steps=3", "dataset.changed=accept")
    assert before is not None
    assert load_generator(run.path).units == before


def test_images_of_bytes_come_back_as_levels(
    tmp_path: Path, tiny: Callable[..., TrainedFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8))
    run = tiny(
        "run",
        "dataset=array",
        f"dataset.root={tmp_path / 'images.npy'}",
        "dataset.sample_shape=[1,8,8]",
        "trainer.max_steps=2",
    )
    assert main(["sample", f"run={run.path}", "n=5", f"out={run.path / 'x.npy'}"]) == 0
    expected = load_generator(run.path).sample(5).add(1).mul(127.5).numpy()
    np.testing.assert_allclose(np.load(run.path / "x.npy"), expected, atol=1e-4)
    capsys.readouterr()
    assert main(["sample", f"run={run.path}", "n=5", f"out={run.path / 'x.csv'}"]) == 2
    assert "images don't fit in a table; name a .png, a .npy, or a folder." in capsys.readouterr().err
