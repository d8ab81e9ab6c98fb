"""Runs on signals: curves, evaluation, resumption, and samples in the numbers of the array."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trained import TrainedFolder

from gan_lightning import UserError, load_generator
from gan_lightning.__main__ import main
from gan_lightning.curves import as_panels, curves, sketches
from gan_lightning.data.toys import Sines
from gan_lightning.pictures import grid

LENGTH = 128  # of two stages, with phase shuffle between them
SHORT = ("trainer.max_steps=1", "dashboard.every=1")
Tiny = Callable[..., TrainedFolder]


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    """Two channels of other units, such as millivolts and degrees, the channels last, and labels."""
    found = Sines((2, LENGTH), count=100).load()
    assert found.labels is not None
    stored = found.samples.numpy() * [[5.0], [0.3]] + [[0.0], [37.0]]
    np.savez(tmp_path / "waves.npz", x=stored.transpose(0, 2, 1), y=found.labels.numpy())
    return tmp_path / "waves.npz"


def on(waves: Path, *overrides: str) -> tuple[str, ...]:
    plain = ("dataset=array", f"dataset.root={waves}", "dataset.key=x", f"dataset.sample_shape=[2,{LENGTH}]")
    return (*plain, "dataset.labels=y", "dataset.classes=4", "network=conv1d", "trainer.max_steps=2", *overrides)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_samples_have_the_numbers_of_the_array(
    waves: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = tiny("run", *on(waves))
    monkeypatch.setattr("gan_lightning.commands.sample.MOST_CURVES", 4)
    stored = np.load(waves)["x"].transpose(0, 2, 1)
    waves.unlink()
    generator = load_generator(run.path)
    assert generator.units is not None
    np.testing.assert_allclose(generator.units.shift, (stored.max((0, 2)) + stored.min((0, 2))) / 2)
    for out in ("x.npy", "x.csv", "x.png", "singles"):
        assert main(["sample", f"run={run.path}", "n=5", f"out={run.path / out}"]) == 0
    made, drawn = np.load(run.path / "x.npy"), generator.sample(5)
    assert made.shape == (5, 2, LENGTH)
    np.testing.assert_allclose(made, generator.units.restore(drawn).numpy(), rtol=1e-6)
    header, *rows = (run.path / "x.csv").read_text().splitlines()
    assert header.split(",") == [f"c{channel}_t{step}" for channel in range(2) for step in range(LENGTH)]
    np.testing.assert_allclose(np.loadtxt(rows, delimiter=",").reshape(made.shape), made, rtol=1e-6)
    expected = curves(as_panels(drawn[:4]), 2, drawn, generator.units)
    assert np.array_equal(pixels(run.path / "x.png"), expected.permute(1, 2, 0).numpy())
    singles = sorted((run.path / "singles").iterdir())
    assert [file.name for file in singles] == [f"{index:05d}.png" for index in range(5)]
    assert pixels(singles[0]).shape == (240, 480, 3)
    assert len({file.read_bytes() for file in singles}) == 5
    assert [record.message for record in caplog.records] == ["The picture has the curves of the first 4 of 5 signals."]


def test_walks_are_sketches_in_rows(waves: Path, tiny: Tiny) -> None:
    run = tiny("run", *on(waves))
    assert main(["sample", f"run={run.path}", "interpolate=[0,1,2]", "frames=4", f"out={run.path / 'walk.png'}"]) == 0
    walk = load_generator(run.path).interpolate([0, 1, 2], 4)
    expected = grid(sketches(walk, walk), 4).permute(1, 2, 0).numpy()
    assert np.array_equal(pixels(run.path / "walk.png"), expected)
    film = run.path / "walk.apng"
    assert main(["sample", f"run={run.path}", "interpolate=[0,1,2]", "frames=4", f"out={film}"]) == 0
    assert np.array_equal(pixels(film), grid(sketches(walk[:1], walk)).permute(1, 2, 0).numpy())


@pytest.mark.parametrize("conditioning", ["none", "projection"])
def test_curves_are_drawn_beside_real_ones(
    waves: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, conditioning: str
) -> None:
    given = []

    def keep(panels, columns, view, units):
        given.append((panels, columns, units))
        return curves(panels, columns, view, units)

    monkeypatch.setattr("gan_lightning.watching.samples.curves", keep)
    told = () if conditioning == "none" else ("samples.count=64",)
    run = tiny("run", *on(waves, f"conditioning={conditioning}", *told))
    panels, columns, units = given[-1]
    assert (columns, units) == (4, load_generator(run.path).units)
    titles = [panel.title for panel in panels]
    if conditioning == "none":  # the four of samples.count
        assert titles == ["real", "real", "generated", "generated"] * 2
    else:
        assert titles == [
            f"{kind}, class {label}" for label in range(4) for kind in ("real", "real", "generated", "generated")
        ]
    stored = np.load(waves)
    for panel in panels:
        if panel.title.startswith("real"):
            numbers = units.restore(panel.signal[None])[0].numpy().T
            (row,) = np.nonzero(np.isclose(stored["x"], numbers, atol=1e-4).all((1, 2)))[0]
            assert conditioning == "none" or panel.title == f"real, class {stored['y'][row]}"
    assert [image.step for image in run.events().Images("samples/generator")] == [0, 2]


def test_of_a_class_that_is_not_there_nothing_is_drawn(waves: Path, tiny: Tiny) -> None:
    run = tiny("run", *on(waves, "network=mlp", "conditioning=concat", "samples.count=1"))
    assert pixels(run.path / "samples" / "00000002.png").ndim == 3


def test_dashboard_and_evaluation(waves: Path, tiny: Tiny) -> None:
    watched = (
        "evaluation.every=2",
        "evaluation.samples=30",
        "dashboard.every=2",
        "metric=[kernel,sliced,wasserstein]",
    )
    run = tiny("run", *on(waves, *watched))
    images = run.events().Tags()["images"]
    assert set(images) == {"samples/generator", "samples/interpolation", "samples/neighbours"}
    record = run.results()["evaluation"]["last"]
    assert {"kernel_distance", "sliced_wasserstein"} <= record["values"].keys()
    assert record["left_out"] == {"wasserstein": "samples that are vectors"}
    assert (run.path / "00002" / "samples" / "sprite.png").exists()
    assert main(["evaluate", f"run={run.path}", "samples=40", "intervals=2", "metric=[kernel,memorisation]"]) == 0


def test_long_signals_reach_the_projector_by_averages(tiny: Tiny) -> None:
    run = tiny("run", "dataset=sines", "dataset.sample_shape=[1,600]", *SHORT, "dataset.source.count=300")
    (first, *_) = (run.path / "00001" / "samples" / "tensors.tsv").read_text().splitlines()
    assert len(first.split("\t")) == 256


def test_the_classifier_tells_frequencies_apart(tiny: Tiny) -> None:
    watched = ("evaluation.every=1", "evaluation.samples=30", "extractor.steps=40", "extractor.width=4")
    run = tiny("run", "dataset=sines", "dataset.source.count=600", "trainer.max_steps=1", *watched)
    record = run.results()["evaluation"]["last"]
    assert record["protocol"]["extractor_facts"]["accuracy"] > 0.9
    assert "classes_covered" in record["values"]


def test_a_resumed_run_is_as_if_it_had_not_stopped(
    waves: Path, tiny: Tiny, resume: Tiny, same: Callable[..., None]
) -> None:
    """Phase shuffle too."""
    overrides = ("loss=wgan_gp", "loss.n_critic=2")
    whole = tiny("whole", *on(waves, *overrides, "trainer.max_steps=4"))
    stopped = tiny("stopped", *on(waves, *overrides))
    resume(stopped.path, "trainer.max_steps=4")
    same(whole.checkpoint()["state_dict"], stopped.checkpoint()["state_dict"])
    assert load_generator(stopped.path).sample(2).shape == (2, 2, LENGTH)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("network=resnet",), r"^network=resnet doesn't fit dataset=array: .* use network=conv1d or network=mlp\.$"),
        (("regularizer=[diffaugment]",), r"^diffaugment alters images, but the data set has signals; leave it out"),
    ],
)
def test_what_is_for_images_is_refused(waves: Path, tiny: Tiny, overrides: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError, match=told):
        tiny("run", *on(waves, *overrides))


def test_images_do_not_fit_conv1d(tiny: Tiny) -> None:
    told = r"^network=conv1d doesn't fit dataset=digits: .* got images of shape \(1, 8, 8\); use network=dcgan, resnet"
    with pytest.raises(UserError, match=told):
        tiny("run", "network=conv1d")
