"""`python -m gan_lightning sample`: pictures from a run's folder and from nothing else."""

import itertools
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from small import small

from gan_lightning import load_generator, train
from gan_lightning.commands.sample import save
from gan_lightning.config.build import build
from gan_lightning.config.places import CONF
from gan_lightning.pictures import PADDING, grid, scatter, to_pixels
from gan_lightning.sampling.drawing import decode, draw_latents
from gan_lightning.sampling.latents import Normal

Command = Callable[..., Any]
CELL = 48 + PADDING  # 8x8 pixels, enlarged six times


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def cell(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """A cell of a grid at its native size."""
    top, left = PADDING + row * CELL, PADDING + column * CELL
    return picture[top : top + 48 : 6, left : left + 48 : 6]


@pytest.fixture
def sample(command: Command) -> Callable[..., Path]:
    """Runs the command and returns what it says it has written."""

    def run(*arguments: str) -> Path:
        outcome = command("sample", *arguments)
        assert (outcome.status, outcome.err) == (0, "")
        (line,) = outcome.out.splitlines()
        return Path(line)

    return run


def test_a_grid(trained: Path, sample: Callable[..., Path], here: Path) -> None:
    assert sample(f"run={trained}", "n=9", "out=grid.png") == Path("grid.png")
    picture = pixels(here / "grid.png")
    assert picture.shape == (3 * CELL + PADDING, 3 * CELL + PADDING)
    images = load_generator(trained).sample(9, seed=0)
    assert np.array_equal(picture, grid(images)[0].numpy())
    for index in range(9):
        assert np.array_equal(cell(picture, index // 3, index % 3), to_pixels(images[index, 0]).numpy())
    assert [path.name for path in here.iterdir()] == ["grid.png"]


def test_the_defaults(trained: Path, sample: Callable[..., Path], here: Path) -> None:
    assert sample(f"run={trained}") == Path("samples.png")
    assert np.array_equal(pixels(here / "samples.png"), grid(load_generator(trained).sample(64, seed=0))[0].numpy())


def test_the_default_name_overwrites_nothing(trained: Path, sample: Callable[..., Path], here: Path) -> None:
    (here / "samples.png").write_text("somebody's")
    assert [sample(f"run={trained}", "n=1") for _ in range(2)] == [Path("samples_2.png"), Path("samples_3.png")]
    assert (here / "samples.png").read_text() == "somebody's"


def test_single_pictures(trained: Path, sample: Callable[..., Path], here: Path) -> None:
    assert sample(f"run={trained}", "n=11", "seed=3", "out=below/singles") == Path("below/singles")
    files = sorted((here / "below" / "singles").iterdir())
    assert [file.name for file in files] == [f"{index:05d}.png" for index in range(11)]
    images = to_pixels(load_generator(trained).sample(11, seed=3))
    for file, image in zip(files, images, strict=True):
        assert np.array_equal(pixels(file), image[0].numpy())


@pytest.mark.parametrize("out", ["folder", ".", "", "a/.."])
def test_pictures_that_are_there_are_not_overwritten(trained: Path, command: Command, here: Path, out: str) -> None:
    """Nor joined by others; it is said before anything is drawn, and before the run is looked at."""
    place = here / (out or ".")
    (here / "a").mkdir()
    place.mkdir(exist_ok=True)
    (place / "00007.png").write_text("somebody's")
    for run in (trained, "nowhere"):
        outcome = command("sample", f"run={run}", "n=4", f"out={out}")
        assert outcome.status == 2
        assert ("out is ''" if out == "" else f"out is {out}, which has pictures already (00007.png)") in outcome.err
    assert [path.name for path in place.glob("*.png")] == ["00007.png"]
    assert (place / "00007.png").read_text() == "somebody's"


def test_other_pictures_may_be_beside(trained: Path, sample: Callable[..., Path], here: Path) -> None:
    (here / "holiday.png").write_text("somebody's")
    sample(f"run={trained}", "n=2", "out=.")
    assert {path.name for path in here.glob("*.png")} == {"holiday.png", "00000.png", "00001.png"}


@pytest.mark.parametrize("out", ["x.jpg", "X.JPEG"])
def test_a_jpeg_is_one(trained: Path, sample: Callable[..., Path], here: Path, out: str) -> None:
    assert sample(f"run={trained}", "n=9", f"out={out}") == Path(out)
    expected = grid(load_generator(trained).sample(9, seed=0))[0].numpy().astype(int)
    with Image.open(here / out) as picture:
        assert (picture.format, picture.mode) == ("JPEG", "L")
        assert np.abs(np.asarray(picture).astype(int) - expected).mean() < 4
    assert [path.name for path in here.iterdir()] == [out]


def test_transparent_pictures_are_on_white_in_a_jpeg(tmp_path: Path) -> None:
    images = torch.ones(1, 4, 8, 8)
    images[:, 1:3], images[:, 3, :, :4] = -1, -1  # red, and nothing on the left
    save(images, tmp_path / "x.jpg", ".jpg", None)
    with Image.open(tmp_path / "x.jpg") as picture:
        assert (picture.format, picture.mode) == ("JPEG", "RGB")
        nothing, red = (np.asarray(picture.getpixel(place)).astype(int) for place in ((12, 24), (40, 24)))
    assert np.abs(nothing - [255, 255, 255]).max() < 12
    assert np.abs(red - [255, 0, 0]).max() < 12


@pytest.mark.parametrize("out", ["run_1.0", "seeds.v2/", "x.png/", "there.v2"])
def test_a_folder_may_have_a_dot_in_its_name(trained: Path, sample: Callable[..., Path], here: Path, out: str) -> None:
    (here / "there.v2").mkdir()
    sample(f"run={trained}", "n=1", f"out={out}")
    assert [path.name for path in (here / out).iterdir()] == ["00000.png"]


def test_an_ending_that_is_mistyped(trained: Path, command: Command, here: Path) -> None:
    outcome = command("sample", f"run={trained}", "out=a b.pgn")
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.endswith("and a folder of that name is 'out=\"a b.pgn/\"'. Did you mean .png?")


def test_folders_on_the_way_are_made(trained: Path, sample: Callable[..., Path], here: Path) -> None:
    assert sample(f"run={trained}", "n=1", "out=a/b/c.PNG") == Path("a/b/c.PNG")
    assert pixels(here / "a" / "b" / "c.PNG").shape == (CELL + PADDING, CELL + PADDING)


def test_a_seed_is_its_pictures(trained: Path, sample: Callable[..., Path], here: Path) -> None:
    for seed, out in ((5, "first"), (5, "again"), (6, "other")):
        sample(f"run={trained}", "n=4", f"seed={seed}", f"out={out}.png")
        sample(f"run={trained}", "n=4", f"seed={seed}", f"out={out}")
    first, again, other = ((here / f"{name}.png").read_bytes() for name in ("first", "again", "other"))
    assert first == again != other
    for index in range(4):
        first, again, other = ((here / name / f"{index:05d}.png").read_bytes() for name in ("first", "again", "other"))
        assert first == again != other


def test_the_file_alone_is_enough(
    trained: Path, sample: Callable[..., Path], here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample(f"run={trained}", "n=4", "out=before.png")
    (tmp_path / "moved").mkdir()
    shutil.copy(trained / "generator.safetensors", tmp_path / "moved" / "renamed.safetensors")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for module in ("gan_lightning.data.sources", "gan_lightning.data.datamodule", "sklearn.datasets", "torchvision"):
        monkeypatch.setitem(sys.modules, module, None)
    sample("run=../moved/renamed.safetensors", "n=4", "out=after.png")
    assert (tmp_path / "elsewhere" / "after.png").read_bytes() == (here / "before.png").read_bytes()


def test_a_moved_run(run: Path, trained: Path, sample: Callable[..., Path], here: Path) -> None:
    sample(f"run={trained}", "n=4", "out=before.png")
    strange = here / "a folder" / "x=1, y=2"
    strange.parent.mkdir()
    run.rename(strange)
    for place in ("a folder/x=1, y=2", "a folder/x=1, y=2/generator.safetensors"):
        for weights in ("ema", "raw"):
            sample(f'run="{place}"', "n=4", f"weights={weights}", f"out={weights}.png")
        assert (here / "ema.png").read_bytes() == (here / "before.png").read_bytes()
        assert (here / "raw.png").read_bytes() != (here / "before.png").read_bytes()


def test_raw_weights_are_the_checkpoints(trained: Path, sample: Callable[..., Path], here: Path) -> None:
    sample(f"run={trained}", "n=8", "seed=2", "weights=raw", "out=raw")
    sample(f"run={trained}", "n=8", "seed=2", "weights=ema", "out=ema")
    checkpoint = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    network = build(OmegaConf.create({"generator": checkpoint["config"]["network"]["generator"]}), "generator")
    for prefix, folder in (("generator.", "raw"), ("ema_generator.", "ema")):
        state = checkpoint["state_dict"].items()
        network.load_state_dict({name.removeprefix(prefix): v for name, v in state if name.startswith(prefix)})
        expected = to_pixels(decode(network.eval(), draw_latents(Normal(), network.latent_dim, 8, seed=2)))
        for index, image in enumerate(expected):
            assert np.array_equal(pixels(here / folder / f"{index:05d}.png"), image[0].numpy())
    assert (here / "raw" / "00000.png").read_bytes() != (here / "ema" / "00000.png").read_bytes()


def test_a_walk(trained: Path, sample: Callable[..., Path], here: Path) -> None:
    seeds = [4, 5, 4]
    sample(f"run={trained}", "interpolate=[4,5,4]", "frames=5", "out=walk.png")
    picture = pixels(here / "walk.png")
    assert picture.shape == (2 * CELL + PADDING, 5 * CELL + PADDING)
    ends = {seed: to_pixels(load_generator(trained).sample(1, seed=seed)[0, 0]).numpy() for seed in seeds}
    assert not np.array_equal(ends[4], ends[5])
    for row in range(2):
        for column, seed in ((0, seeds[row]), (4, seeds[row + 1])):
            # One level apart at most: a larger batch may round its sums differently.
            assert np.abs(cell(picture, row, column).astype(int) - ends[seed]).max() <= 1
        cells = [cell(picture, row, column) for column in range(5)]
        assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(cells))
    expected = load_generator(trained).interpolate(seeds, 5)
    assert np.array_equal(picture, grid(expected, columns=5)[0].numpy())


def test_a_walk_as_single_pictures(trained: Path, sample: Callable[..., Path], here: Path) -> None:
    sample(f"run={trained}", "interpolate=[0,1,2]", "frames=3", "out=walk")
    assert len(list((here / "walk").glob("*.png"))) == 6


@pytest.mark.parametrize(("out", "form"), [("walk.gif", "GIF"), ("walk.apng", "PNG")])
def test_a_walk_as_a_film(trained: Path, sample: Callable[..., Path], here: Path, out: str, form: str) -> None:
    sample(f"run={trained}", "interpolate=[4,5]", "frames=3", "truncation=0.7", f"out={out}")
    expected = load_generator(trained).interpolate([4, 5], 3, truncation=0.7)
    with Image.open(here / out) as film:
        assert (film.format, film.n_frames, film.info["loop"]) == (form, 3, 0)
        for frame in range(3):
            film.seek(frame)
            shown = np.asarray(film.convert("L"))
            assert np.array_equal(shown, grid(expected[frame : frame + 1])[0].numpy())


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_the_file_of_defaults(command: Command, here: Path, flag: str) -> None:
    outcome = command("sample", flag)
    assert outcome.status == 0
    assert outcome.out == (CONF / "sample.yaml").read_text()
    assert not list(here.iterdir())


# Classes


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose generator takes one of ten labels."""
    folder = tmp_path_factory.mktemp("conditional") / "run"
    overrides = small("conditioning=concat", "dataset.batch_size=16", "trainer.accelerator=cpu")
    train(*overrides, "trainer.max_steps=5", "trainer.enable_progress_bar=false", f"hydra.run.dir={folder}")
    return folder


def test_all_of_one_class(conditional: Path, sample: Callable[..., Path], here: Path) -> None:
    sample(f"run={conditional}", "n=3", "seed=2", "label=3", "out=threes")
    generator = load_generator(conditional)
    latents = draw_latents(Normal(), 4, 3, seed=2)
    expected = to_pixels(decode(generator.network, latents, labels=torch.tensor([3, 3, 3])))
    others = to_pixels(decode(generator.network, latents, labels=torch.tensor([4, 4, 4])))
    for index in range(3):
        picture = pixels(here / "threes" / f"{index:05d}.png")
        assert np.array_equal(picture, expected[index, 0].numpy())
        assert not np.array_equal(picture, others[index, 0].numpy())


def test_classes_take_turns(conditional: Path, sample: Callable[..., Path], here: Path) -> None:
    sample(f"run={conditional}", "n=12", "out=turns")
    latents = draw_latents(Normal(), 4, 12, seed=0)
    labels = torch.tensor([*range(10), 0, 1])
    expected = to_pixels(decode(load_generator(conditional).network, latents, labels=labels))
    for index in range(12):
        assert np.array_equal(pixels(here / "turns" / f"{index:05d}.png"), expected[index, 0].numpy())


def test_a_walk_keeps_to_a_class(conditional: Path, sample: Callable[..., Path], here: Path) -> None:
    sample(f"run={conditional}", "interpolate=[0,1]", "frames=3", "label=7", "out=seven.png")
    sample(f"run={conditional}", "interpolate=[0,1]", "frames=3", "out=first.png")
    generator = load_generator(conditional)
    assert np.array_equal(pixels(here / "seven.png"), grid(generator.interpolate([0, 1], 3, label=7), 3)[0].numpy())
    assert np.array_equal(pixels(here / "first.png"), grid(generator.interpolate([0, 1], 3, label=0), 3)[0].numpy())
    assert (here / "seven.png").read_bytes() != (here / "first.png").read_bytes()


@pytest.mark.parametrize(
    ("which", "arguments", "message"),
    [
        ("conditional", ["label=10"], "label is 10, but this generator's classes are 0 to 9."),
        ("conditional", ["label=-1"], "label is -1, but this generator's classes are 0 to 9."),
        ("conditional", ["label=ten"], "label is ten, but this generator's classes are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."),
        ("conditional", ["label=10", "interpolate=[0,1]"], "label is 10, but this generator's classes are 0 to 9."),
        ("trained", ["label=0"], "label is 0, but this generator was trained without labels (conditioning=none)."),
        ("trained", ["out=table.csv"], "out is table.csv, but images don't fit in a table; name a .png, a .npy"),
        ("trained", ["out=t.parquet"], "out is t.parquet, but images don't fit in a table; name a .png, a .npy"),
        (
            "points",
            ["out=folder"],
            "out is folder, but these samples are vectors; name a .csv, a .parquet or a .npy, or",
        ),
        ("points", ["out=points.txt"], "out is points.txt, but no .txt is written; there are .png, .jpg, .jpeg, .gif,"),
        ("points", ["out=a.gif", "interpolate=[0,1]"], "out is a.gif, a film, but these samples are vectors"),
        ("trained", ["out=a.gif"], "out is a.gif, a film, but nothing moves; 'interpolate=[0,1,2,0]' is a walk."),
        ("points", ["out=points.txt/"], "out is points.txt, but these samples are vectors"),
        (
            "trained",
            ["out=x.webp"],
            "out is x.webp, but no .webp is written; there are .png, .jpg, .jpeg, .gif, .apng, .npy, .csv, .parquet,",
        ),
        (
            "trained",
            ["interpolate=[0,1]", "frames=1311", "out=walk.jpg"],
            "out is walk.jpg, but a JPEG has at most 65500",
        ),
    ],
)
def test_what_a_run_can_not_give(
    request: pytest.FixtureRequest, command: Command, here: Path, which: str, arguments: list[str], message: str
) -> None:
    outcome = command("sample", f"run={request.getfixturevalue(which)}", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(message)
    assert len(outcome.err.splitlines()) == 1
    assert not list(here.iterdir())


# Points


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on points of the plane."""
    folder = tmp_path_factory.mktemp("points") / "run"
    overrides = small("dataset=ring", "dataset.batch_size=16", "dataset.source.count=1500", "trainer.accelerator=cpu")
    train(*overrides, "trainer.max_steps=5", "trainer.enable_progress_bar=false", f"hydra.run.dir={folder}")
    return folder


def test_points_as_a_table(points: Path, sample: Callable[..., Path], here: Path) -> None:
    assert sample(f"run={points}", "n=30", "seed=4", "out=below/points.CSV") == Path("below/points.CSV")
    lines = (here / "below" / "points.CSV").read_text().splitlines()
    read = torch.tensor([[float(number) for number in line.split(",")] for line in lines])
    assert torch.equal(read, load_generator(points).sample(30, seed=4))


def test_points_as_a_picture(points: Path, sample: Callable[..., Path], here: Path) -> None:
    for seed, out in ((4, "first"), (4, "again"), (5, "other")):
        sample(f"run={points}", "n=30", f"seed={seed}", f"out={out}.png")
    first, again, other = ((here / f"{name}.png").read_bytes() for name in ("first", "again", "other"))
    assert first == again != other
    picture = pixels(here / "first.png")
    assert np.array_equal(picture, scatter(None, load_generator(points).sample(30, seed=4)).permute(1, 2, 0).numpy())
