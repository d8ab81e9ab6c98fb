"""`python -m gan_lightning synthesize`: labelled samples, as ImageFolder and this program's own data sets read them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.datasets import ImageFolder

from gan_lightning import load_generator
from gan_lightning.config.places import CONF
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.pictures import to_pixels
from gan_lightning.sampling.files import save_generator
from gan_lightning.seeds import mix

Command = Callable[..., Any]


@pytest.fixture
def generator(tmp_path: Path) -> Callable[..., Path]:
    """A generator of so many classes, in a file of its own."""

    def write(shape: Sequence[int], classes: int = 3, names: Sequence[str] = ("cat", "dog", "cow")) -> Path:
        torch.manual_seed(0)
        labels = {"classes": classes, "label_input": "concat"} if classes else {}
        arguments = {"latent_dim": 3, "sample_shape": list(shape), "hidden_dim": 4, "blocks": 1, **labels}
        node = {"_target_": "gan_lightning.networks.MLPGenerator", **arguments}
        parts = {"generator": node, "latents": {"_target_": "gan_lightning.sampling.Normal"}}
        save_generator(MLPGenerator(**arguments), parts, tmp_path / "g.safetensors", 7, names if classes else ())
        return tmp_path / "g.safetensors"

    return write


def test_image_folder_reads_it(command: Command, generator: Callable[..., Path]) -> None:
    run = generator((3, 8, 8))
    outcome = command("synthesize", f"run={run}", "n=7", "seed=5")
    assert (outcome.status, outcome.out, outcome.err) == (0, "synthetic\n", "")
    found = ImageFolder("synthetic")
    assert found.classes == ["cat", "cow", "dog"]
    assert [found.classes[label] for label in found.targets] == ["cat"] * 3 + ["cow"] * 2 + ["dog"] * 2
    expected = to_pixels(load_generator(run).sample(3, seed=mix(5, 0), label="cat"))
    for place in range(3):
        assert np.array_equal(np.asarray(found[place][0]), expected[place].permute(1, 2, 0).numpy())
    # Each class has latents of its own, and nothing is mixed with what is there.
    assert mix(5, 0) != mix(5, 1)
    assert command("synthesize", f"run={run}", "n=3").out == "synthetic_2\n"
    assert "synthetic, which is there already" in command("synthesize", f"run={run}", "n=3", "out=synthetic").err


@pytest.mark.parametrize("names", [("..", "a", "b"), ("a/b", "b", "c"), ("cat", "Cat", "dog"), ("", "a", "b"), ()])
def test_names_that_are_no_folders(
    command: Command, generator: Callable[..., Path], here: Path, names: Sequence[str]
) -> None:
    assert command("synthesize", f"run={generator((1, 8, 8), names=names)}", "n=2", "out=x/y").status == 0
    assert sorted(str(path.relative_to(here / "x")) for path in here.rglob("*.png")) == [
        "y/0/00000.png",
        "y/1/00000.png",
    ]


@pytest.mark.parametrize("names", [(), tuple(map(str, range(11)))])
def test_numbers_sort_as_classes(command: Command, generator: Callable[..., Path], names: Sequence[str]) -> None:
    assert command("synthesize", f"run={generator((1, 8, 8), 11, names)}", "n=11").status == 0
    assert ImageFolder("synthetic").classes == [f"{number:02d}" for number in range(11)]


def test_points(command: Command, generator: Callable[..., Path], here: Path) -> None:
    run = generator((2,))
    expected = torch.cat([load_generator(run).sample(2, seed=mix(0, c), label=c) for c in range(3)])
    assert command("synthesize", f"run={run}", "n=6", "out=points.npz").out == "points.npz\n"
    with np.load("points.npz") as arrays:
        assert np.array_equal(arrays["samples"], expected.numpy())
        assert arrays["labels"].tolist() == [0, 0, 1, 1, 2, 2]
        assert arrays["classes"].tolist() == ["cat", "dog", "cow"]
    assert command("synthesize", f"run={run}", "n=6", "out=points.csv").status == 0
    head, *rows = (here / "points.csv").read_text().splitlines()
    assert head == "x0,x1,label"
    assert [row.split(",")[2] for row in rows] == ["cat", "cat", "dog", "dog", "cow", "cow"]
    assert [float(row.split(",")[1]) for row in rows] == pytest.approx(expected[:, 1].tolist())


@pytest.mark.parametrize(
    ("shape", "classes", "out", "message"),
    [
        ((2,), 0, "x.csv", "whose generator was told no labels (conditioning=none); labelled data take one that"),
        ((2,), 3, "x", "out is x, but these samples are no images; name a .csv, a .parquet or a .npz."),
        ((1, 8, 8), 3, "x.png", "out is x.png, but no .png is written; there are .csv, .parquet, .npz, and a folder"),
        ((1, 8, 8), 3, "x.cvs", "Did you mean .csv?"),
        ((1, 8, 8), 3, "x.csv", "out is x.csv, but images don't fit in a table; name a folder or a .npz."),
    ],
)
def test_mistakes(
    command: Command,
    generator: Callable[..., Path],
    here: Path,
    shape: Sequence[int],
    classes: int,
    out: str,
    message: str,
) -> None:
    outcome = command("synthesize", f"run={generator(shape, classes)}", f"out={out}")
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert list(here.iterdir()) == []


def test_help(command: Command) -> None:
    assert command("synthesize", "--help").out == (CONF / "synthesize.yaml").read_text()
