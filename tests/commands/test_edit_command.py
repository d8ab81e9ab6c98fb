"""The command `edit`: what it draws, prints and writes, and what it answers where nothing can be edited."""

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image
from small import small

from gan_lightning import load_generator, train
from gan_lightning.config.places import CONF
from gan_lightning.editing import Ascent, BetweenLabels, Directions, Scene, Statistics
from gan_lightning.pictures import grid, save_png, to_pixels

Command = Callable[..., Any]
FAST = ("attributes.classes.steps=20", "attributes.classes.width=2")  # a classifier that knows next to nothing


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose generator takes one of ten labels."""
    folder = tmp_path_factory.mktemp("told") / "run"
    overrides = small("conditioning=concat", "dataset.batch_size=16", "trainer.accelerator=cpu")
    train(*overrides, "trainer.max_steps=5", "trainer.enable_progress_bar=false", f"hydra.run.dir={folder}")
    return folder


def shown(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_more_of_a_class(trained: Path, command: Command, here: Path) -> None:
    outcome = command("edit", f"run={trained}", "means.attribute=7", "means.steps=6", "n=3", *FAST)
    assert outcome.status == 0, outcome.err
    assert outcome.out.splitlines()[-1] == "edited.png"
    lines = [line for line in outcome.out.splitlines() if "│" in line]
    assert len(lines) == 10
    assert lines[0].split("│")[1].strip() == "7"  # the attribute itself comes first
    assert float(lines[0].split("│")[2]) > 0
    picture = shown(here / "edited.png")
    expected = load_generator(trained).sample(3)
    column = grid(expected, 1)[0].numpy()
    assert np.array_equal(picture[:, : column.shape[1] - 2], column[:, :-2])  # the padding aside, rows begin with these
    again = command("edit", f"run={trained}", "means.attribute=7", "means.steps=6", "n=3", *FAST)
    assert (here / "edited_2.png").read_bytes() == (here / "edited.png").read_bytes()
    assert again.out.splitlines()[:-1] == outcome.out.splitlines()[:-1]


def test_the_courses_presets(trained: Path, command: Command, here: Path) -> None:
    """Their values, on statistics, which need no classifier; and a table in a file."""
    wanted = ("attributes=statistics", "means.attribute=thickness")
    assert command("edit", f"run={trained}", "means=course_w4b", *wanted, "out=w4b.npy").status == 0
    sampler = load_generator(trained)
    scene = Scene(sampler, n=8, attributes={"statistics": Statistics()})
    edited = Ascent("thickness", steps=10, step=0.1, penalty=0.1).edit(scene)
    assert np.array_equal(np.load(here / "w4b.npy"), edited.samples.numpy())
    assert command("edit", f"run={trained}", "means=bias", *wanted, "n=20", "out=bias.csv").status == 0
    with (here / "bias.csv").open() as file:
        header, first, *others = csv.reader(file)
    assert header == ["attribute", "less", "more", "covariance", "correlation"]
    assert (first[0], len(others), float(first[4])) == ("thickness", 5, pytest.approx(1))
    assert float(first[1]) < 0 < float(first[2])


def test_directions_as_a_film(trained: Path, command: Command, here: Path) -> None:
    arguments = ("means=directions", "means.count=2", "n=3", "truncation=0.5", "out=along.gif")
    assert command("edit", f"run={trained}", *arguments).status == 0
    expected = Directions(count=2).edit(Scene(load_generator(trained), n=3, truncation=0.5)).samples
    with Image.open(here / "along.gif") as film:
        assert film.n_frames == 7
        film.seek(6)
        assert np.array_equal(np.asarray(film.convert("L")), grid(expected[:, 6])[0].numpy())


@pytest.mark.parametrize("distance", ["pixels", "features"])
def test_a_picture_found_again(trained: Path, command: Command, here: Path, distance: str) -> None:
    sampler = load_generator(trained)
    (here / "mine").mkdir()
    for number, image in enumerate(sampler.sample(3, seed=9)):
        save_png(to_pixels(image), here / "mine" / f"{number}.png")
    arguments = ("means=inversion", "means.picture=mine", f"means.distance={distance}", "means.steps=40", "n=2", *FAST)
    outcome = command("edit", f"run={trained}", *arguments, "out=found.npy")
    assert (outcome.status, outcome.err) == (0, "")
    found = np.load(here / "found.npy")
    assert found.shape == (2, 2, 1, 8, 8)
    assert np.abs(found[:, 0] - sampler.sample(2, seed=9).numpy()).max() < 1 / 127
    others = np.square(found[0, 0] - found[1, 0]).mean()
    assert np.square(found[:, 0] - found[:, 1]).mean() < (others / 4 if distance == "pixels" else others)
    assert "0.png" in outcome.out


def test_between_classes(told: Path, command: Command, here: Path) -> None:
    arguments = ("means=labels", "means.labels=[3,8]", "means.frames=3", "n=2", "out=between.png")
    assert command("edit", f"run={told}", *arguments).status == 0
    expected = BetweenLabels([3, 8], frames=3).edit(Scene(load_generator(told), n=2)).samples
    assert np.array_equal(shown(here / "between.png"), grid(expected.flatten(0, 1), 3)[0].numpy())


def test_a_module_of_ones_own(trained: Path, command: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a plug-in alone: here one that knows how bright the upper half is."""
    package = here / "edit_lab"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from torch import nn\n\n\nclass Upper(nn.Module):\n    def forward(self, x):\n"
        "        return x[:, :, : x.shape[2] // 2].flatten(1).mean(1)\n"
    )
    monkeypatch.syspath_prepend(here)
    own = ("attributes=[]", "+attributes.upper._target_=edit_lab.Upper", "means.attribute=upper", "means.step=5")
    refused = command("edit", f"run={trained}", *own)
    assert refused.status == 2
    assert "plugins=[edit_lab] grants it" in refused.err
    outcome = command("edit", f"run={trained}", *own, "plugins=[edit_lab]", "n=2", "out=up.npy")
    assert outcome.status == 0, outcome.err
    upper = np.load(here / "up.npy")[:, :, 0, :4].mean((2, 3))
    assert (upper[:, -1] > upper[:, 0]).all()


def test_a_generators_file_alone(trained: Path, command: Command, here: Path) -> None:
    shutil.copy(trained / "generator.safetensors", here / "mine.safetensors")
    wanted = ("run=mine.safetensors", "n=1", "means.steps=1")
    refused = command("edit", *wanted, "means.attribute=7")
    assert refused.status == 2
    assert "attributes is classes, which are learnt from the run's data set, but" in refused.err
    assert command("edit", *wanted, "attributes=statistics", "means.attribute=width").status == 0


def test_the_classifier_is_that_of_evaluations(run: Path, command: Command, here: Path) -> None:
    """One that a run's evaluations have trained is not trained again."""
    arguments = ("extractor=classifier", "extractor.steps=20", "extractor.width=2")
    short = ("samples=50", "reference=50", "intervals=0", "metric=[sliced]")
    assert command("evaluate", f"run={run}", *arguments, *short).status == 0
    kept = list(here.parent.rglob("classifiers/*.safetensors"))
    assert len(kept) == 1
    assert command("edit", f"run={run}", "means.attribute=7", "means.steps=1", "n=1", *FAST).status == 0
    assert list(here.parent.rglob("classifiers/*.safetensors")) == kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "means.attribute needs a value"),
        (["means.attribute=ten"], "means.attribute is ten, but the attributes are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."),
        (["means.attribute=1", "means.steps=-1"], "means.steps"),
        (["means.attribute=1", "means.steps=0"], "means: steps and down are both 0"),
        (["means=direction"], "means=direction"),
        (["means=null"], "means"),
        (["means.attribute=1", "+attributes.classes._partial_=true"], "classes._partial_ is true"),
        (["means.attribute=1", "+means._partial_=true"], "means._partial_ is true"),
        (["means=directions", "means.count=99"], "means.count is 99, but this generator has 4 directions."),
        (["means=labels", "means.labels=[3,8]"], "means is labels, but this generator was trained without labels"),
        (["means=inversion", "means.picture=nowhere.png"], "means.picture is nowhere.png, which does not exist."),
        (["means=directions", "out=x.csvx"], "out is x.csvx, but no .csvx is written"),
        (["means=directions", "out=folder/"], "out is folder/, but an edit is written as one of .png, .jpg"),
        (["means=directions", "out=x.parquet"], "out is x.parquet, but an edit is written as one of .png"),
        (["means=directions", "n=2000000"], "n is 2000000"),
        (["means=directions", "n=20000", "means.frames=1000"], "all that means makes of it, 80000000 samples and"),
        (["means.attribute=1", "n=20000", "means.steps=1000000"], "136 samples and 20000020000 latents"),
        (["means=directions", "means._target_=gan_lightning.editing.Statistics"], "Statistics has no edit"),
        (["means=directions", "truncation=0"], "truncation is 0"),
    ],
)
def test_what_can_not_be_edited(
    trained: Path, command: Command, here: Path, arguments: list[str], message: str
) -> None:
    outcome = command("edit", f"run={trained}", *arguments, *(FAST if "means.attribute=ten" in arguments else ()))
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not list(here.iterdir())


def test_what_is_no_picture(trained: Path, command: Command, here: Path) -> None:
    (here / "text.png").write_text("a text")
    (here / "empty").mkdir()
    os.mkfifo(here / "pipe")
    for name, told in (
        ("pipe", "which is neither a file nor a folder"),
        ("text.png", "can't be read as a picture"),
        ("empty", "means.picture is empty, but there are no"),
    ):
        outcome = command("edit", f"run={trained}", "means=inversion", f"means.picture={name}")
        assert outcome.status == 2
        assert told in outcome.err
        assert outcome.err.startswith("means.picture is ")


def test_data_that_the_generator_does_not_fit(run: Path, command: Command, here: Path) -> None:
    """A folder that somebody sends: its data are checked as those of `evaluate` are."""
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("GANDataModule", "GANDataModul"))
    outcome = command("edit", f"run={run}", "means.attribute=7")
    assert outcome.status == 2
    assert "data._target_" in outcome.err


def test_data_that_have_moved(run: Path, command: Command, here: Path) -> None:
    """`edit` and `evaluate` say what to do then."""
    config = OmegaConf.load(run / "config.yaml")
    config.data.source = {"_target_": "gan_lightning.data.Array", "root": "/gone.npy", "sample_shape": [1, 8, 8]}
    OmegaConf.save(config, run / "config.yaml")
    for name, argument in (("edit", "means.attribute=7"), ("evaluate", "metric=[sliced]")):
        outcome = command(name, f"run={run}", argument)
        assert outcome.status == 2
        assert outcome.err.strip().startswith("dataset.root is /gone.npy, ")
        assert outcome.err.endswith(" If the data set has moved, root=DIR says where it is.\n")


def test_help_has_the_defaults_and_the_options(command: Command, here: Path) -> None:
    outcome = command("edit", "--help")
    assert outcome.status == 0
    assert outcome.out.startswith((CONF / "edit.yaml").read_text())
    for group in ("means", "attributes"):
        for file in (CONF / group).glob("*.yaml"):
            assert f"\n    {file.stem} " in outcome.out
