"""Runs on conditions that are numbers: what they keep, draw, measure and refuse, and that they go on exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from trained import TrainedFolder, tiny_overrides

from gan_lightning import UserError, load_generator, train
from gan_lightning.__main__ import main
from gan_lightning.pictures import grid
from gan_lightning.samples import Units
from gan_lightning.sampling.conditions import contrasts
from gan_lightning.sampling.drawing import decode, draw_latents
from gan_lightning.seeds import mix
from gan_lightning.watching.samples import FIXED_LATENTS

COUNT = 120
RANDOM = np.random.default_rng(0)
SMILING, AGE = RANDOM.integers(0, 2, COUNT), RANDOM.uniform(20, 80, COUNT)
SMILING[:2], AGE[:2] = (0, 1), (20, 80)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures whose brightness is an age, and points, with two conditions each."""
    file = tmp_path_factory.mktemp("data") / "a.npz"
    images = np.broadcast_to(AGE[:, None, None], (COUNT, 8, 8)) + 5 * SMILING[:, None, None]
    np.savez(file, images=images, points=np.stack([AGE, SMILING], 1), y=np.stack([SMILING, AGE], 1))
    return file


def on(archive: Path, *overrides: str, key: str = "images", shape: str = "[1,8,8]") -> tuple[str, ...]:
    data = ("dataset=array", f"dataset.root={archive}", f"dataset.key={key}", f"dataset.sample_shape={shape}")
    labels = ("dataset.labels=y", "dataset.conditions=[smiling,age]", "conditioning=concat", "trainer.max_steps=4")
    return (*data, *labels, *overrides)


@pytest.fixture(scope="module")
def run(archive: Path, tiny_in_module: Callable[..., TrainedFolder]) -> TrainedFolder:
    more = ("samples.every=2", "evaluation.every=2", "evaluation.samples=20", "health.every=2", "dashboard.every=2")
    return tiny_in_module(*on(archive, *more, "samples.count=10"))


def paragraph(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command `sample` says of arguments that it refuses."""
    capsys.readouterr()
    assert main(["sample", *arguments]) == 2
    told = capsys.readouterr().err.strip()
    assert "\n" not in told
    return told


def test_the_run_keeps_names_and_units(run: TrainedFolder) -> None:
    expected = Units((0.5, 30.0), (0.5, 50.0), ("smiling", "age")).plain()
    config = run.config()
    assert config["dataset"]["seen"]["conditions"] == expected
    assert config["dataset"]["classes"] == config["conditioning"]["classes"] == 2
    known = load_generator(run.path).conditions
    assert known is not None
    assert known.units.plain() == expected
    pairs = {(smiling, round(age, 3)) for smiling, age in zip(SMILING.tolist(), AGE.tolist(), strict=True)}
    kept = known.units.restore(known.rows).tolist()
    assert len(kept) == 108  # those that are not held out
    assert {(smiling, round(age, 3)) for smiling, age in kept} <= pairs


def test_weights_of_other_conditions_are_refused(archive: Path, run: TrainedFolder, tmp_path: Path) -> None:
    other = [each.replace("[smiling,age]", "[age,smiling]") for each in on(archive)]
    with pytest.raises(UserError) as error:
        train(*tiny_overrides([*other, f"init_from={run.path}"]), f"hydra.run.dir={tmp_path / 'run'}")
    assert (
        ", trained with the labels smiling from 0 to 1, age from 20 to 80, but dataset=array has age from 0 to 1,"
        " smiling from 20 to 80: number 0 is smiling from 0 to 1 there and age from 0 to 1 here; "
    ) in str(error.value)


def test_samples_are_asked_for_in_the_units_of_the_data(
    run: TrainedFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made: dict[str, Any] = {}
    for label in ("{smiling: 1, age: 30}", "{age: 80, smiling: 1}", "{smiling: 1}", "null"):
        out = tmp_path / f"{len(made)}.npy"
        assert main(["sample", f"run={run.path}", "n=6", f"label={label}", f"out={out}"]) == 0
        made[label] = np.load(out)
    expected = load_generator(run.path)
    latents = draw_latents(expected.latents, expected.network.latent_dim, 6, seed=0)
    of_30 = decode(expected.network, latents, labels=torch.tensor([[1.0, -2 / 3]]).repeat(6, 1))
    assert expected.units is not None
    np.testing.assert_allclose(made["{smiling: 1, age: 30}"], expected.units.restore(of_30).float(), rtol=1e-5)
    assert len({each.tobytes() for each in made.values()}) == 4
    told = paragraph(capsys, f"run={run.path}", "label={aeg: 30}")
    assert told == "label has aeg, but this generator's conditions are smiling, age. Did you mean age?"
    told = paragraph(capsys, f"run={run.path}", "label={age: 300}")
    assert told == "label has age=300, but the data's age goes from 20 to 80."
    assert "give some by name, as in 'label={smiling: 1}'." in paragraph(capsys, f"run={run.path}", "label=1")
    assert "expects" in paragraph(capsys, f"run={run.path}", "label=[1,30]")


def test_a_grid_shows_what_each_condition_does(run: TrainedFolder) -> None:
    sampler = load_generator(run.path)
    assert sampler.conditions is not None
    seed = mix(0, FIXED_LATENTS)
    latents = draw_latents(sampler.latents, sampler.network.latent_dim, 2, seed).repeat(5, 1)
    labels = contrasts(sampler.conditions, 10, seed).flatten(0, 1)
    expected = grid(decode(sampler.network, latents, labels=labels), 2)[0].numpy()
    with Image.open(run.path / "samples" / "00000004.png") as picture:
        assert np.array_equal(np.asarray(picture), expected)


def test_metrics_of_classes_are_left_out_and_others_are_not(run: TrainedFolder) -> None:
    record = run.results()["evaluation"]["last"]
    assert record["left_out"]["classes"] == "labels of classes"
    assert record["values"]["sliced_wasserstein"] > 0
    overrides = ["metric=[sliced,classes,accuracy]", "samples=20", "reference=20", "intervals=0"]
    assert main(["evaluate", f"run={run.path}", *overrides]) == 0
    (record,) = run.results()["evaluations"]
    assert set(record["left_out"]) == {"classes", "accuracy"}


def test_the_projector_tells_them_in_their_units(run: TrainedFolder) -> None:
    (table,) = run.path.glob("*/**/metadata.tsv")
    lines = table.read_text().splitlines()
    assert lines[0] == "kind\tclass"
    assert all("smiling " in line and ", age " in line for line in lines[1:])


def test_it_goes_on_exactly(
    archive: Path,
    run: TrainedFolder,
    tiny: Callable[..., TrainedFolder],
    resume: Callable[..., TrainedFolder],
    same: Callable[[Any, Any], None],
) -> None:
    more = ("samples.every=2", "evaluation.every=2", "evaluation.samples=20", "health.every=2", "dashboard.every=2")
    half = tiny("run", *on(archive, *more, "samples.count=10", "trainer.max_steps=2"))
    whole = resume(half.path, "trainer.max_steps=4")
    same(whole.checkpoint()["state_dict"], run.checkpoint()["state_dict"])
    assert (whole.path / "generator.safetensors").read_bytes() == (run.path / "generator.safetensors").read_bytes()
    (whole.path / "generator.safetensors").unlink()
    resume(whole.path)  # which makes it anew
    assert (whole.path / "generator.safetensors").read_bytes() == (run.path / "generator.safetensors").read_bytes()


@pytest.mark.parametrize(
    "overrides",
    [
        ("conditioning=projection", "network.generator.norm=batch"),
        ("conditioning=projection", "loss=pacgan", "loss.packing=2", "network.generator.norm=batch"),
        ("conditioning=concat", "loss=wgan_gp", "network=resnet"),
        ("conditioning=concat", "loss=infogan"),
        ("conditioning=none",),
    ],
    ids=["projection", "packs", "resnet", "codes", "none"],
)
def test_other_ways_in(archive: Path, tiny: Callable[..., TrainedFolder], overrides: tuple[str, ...]) -> None:
    trained = tiny("run", *on(archive, *overrides, "trainer.max_steps=2"))
    sampler = load_generator(trained.path)
    if "conditioning=none" in overrides:
        assert sampler.conditions is None
        with pytest.raises(UserError, match="trained without labels"):
            sampler.sample(2, label={"age": 30})
    else:
        assert not torch.equal(sampler.sample(2, label={"age": 30}), sampler.sample(2, label={"age": 70}))


def test_points(archive: Path, tiny: Callable[..., TrainedFolder]) -> None:
    trained = tiny("run", *on(archive, "network=toy", key="points", shape="[2]"))
    assert load_generator(trained.path).sample(3, label={"age": 30}).shape == (3, 2)


def test_pictures_with_a_table(tmp_path: Path, tiny: Callable[..., TrainedFolder]) -> None:
    lines = ["name,kind,smiling,age"]
    for number in range(40):
        Image.fromarray(np.full((8, 8), int(AGE[number]), np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'cat' if number % 2 else 'dog'},{SMILING[number]},{AGE[number]}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    data = ("dataset=image_folder", f"dataset.root={tmp_path}", "dataset.labels=table.csv", "dataset.image_size=8")
    asked = ("dataset.channels=1", "dataset.conditions=[age]", "conditioning=concat", "trainer.max_steps=2")
    trained = tiny("run", *data, *asked)
    known = load_generator(trained.path).conditions
    assert known is not None
    assert known.units.names == ("age",)
    assert known.units.shift == pytest.approx(((AGE[:40].max() + AGE[:40].min()) / 2,))


def test_what_names_classes_is_refused(archive: Path, tmp_path: Path) -> None:
    for way in ("conditioning=auxiliary", "loss=acgan"):
        with pytest.raises(UserError, match=r"^dataset\.conditions are numbers, but the head classification"):
            train(*on(archive, way), f"hydra.run.dir={tmp_path / 'run'}")
    with pytest.raises(UserError, match=r"^extractor=classifier .* but this data set has labels that are numbers: use"):
        train(*on(archive, "extractor=classifier"), f"hydra.run.dir={tmp_path / 'run'}")
    with pytest.raises(UserError, match=r"^dataset\.classes is 3, but dataset\.conditions names 2; leave"):
        train(*on(archive, "dataset.classes=3"), f"hydra.run.dir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()
