"""Runs on folders of pictures: what they remember of them; any proportions, levels and channels through training."""

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from PIL import Image
from safetensors import safe_open
from trained import RunFolder, TrainedFolder

from gan_lightning import UserError, load_generator
from gan_lightning.__main__ import main
from gan_lightning.data.image_folder import ImageFolder
from gan_lightning.files import in_natural_order
from gan_lightning.runs.folders import identity

CLASSES = ("1", "2", "10")


@pytest.fixture(autouse=True)
def _caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Eight pictures of each of three classes, in folders that text orders 1, 10, 2."""
    for number, name in enumerate(CLASSES):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for each in range(8):
            save(tmp_path / "pictures" / name / f"{each}.png", 40 + 80 * number + each)
    return tmp_path / "pictures"


def save(path: Path, level: int) -> None:
    Image.fromarray(np.full((8, 8), level, np.uint8)).save(path)


def on(pictures: Path, *overrides: str) -> tuple[str, ...]:
    """The overrides that train on them."""
    plain = ("dataset=image_folder", f"dataset.root={pictures}", "dataset.image_size=8", "dataset.channels=1")
    return (*plain, "trainer.max_steps=2", *overrides)


def conditional(pictures: Path, *overrides: str) -> tuple[str, ...]:
    return on(pictures, "dataset.classes=3", "conditioning=concat", *overrides)


def test_names_of_classes_are_in_the_run_and_can_be_sampled(
    pictures: Path, tiny: Callable[..., TrainedFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny("run", *conditional(pictures))
    assert run.config()["dataset"]["seen"]["classes"] == list(CLASSES)
    assert run.results()["classes"] == list(CLASSES)
    with safe_open(run.path / "generator.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["classes"]) == list(CLASSES)
    sampler = load_generator(run.path)
    assert sampler.classes == CLASSES
    assert torch.equal(sampler.sample(3, label="10"), sampler.sample(3, label=2))
    assert not torch.equal(sampler.sample(3, label="10"), sampler.sample(3, label="2"))
    for label, number in (("10", 2), ("2", 1), ("0", 0)):  # a name goes before a number
        out = run.path / f"class_{label}"
        assert main(["sample", f"run={run.path}", "n=4", f"label={label}", f"out={out}"]) == 0
        pixels = np.stack([np.asarray(Image.open(file)) for file in sorted(out.iterdir())])
        expected = sampler.sample(4, label=number)[:, 0].add(1).mul(127.5).round().numpy()
        assert np.array_equal(pixels, expected)
    capsys.readouterr()
    assert main(["sample", f"run={run.path}", "label=11"]) == 2
    assert "label is 11, but this generator's classes are 0 to 2" in capsys.readouterr().err
    assert main(["sample", f"run={run.path}", "label=ten"]) == 2
    assert "label is ten, but this generator's classes are 1, 2, 10." in capsys.readouterr().err


def test_changed_pictures_are_refused_unless_accepted(
    pictures: Path,
    tiny: Callable[..., TrainedFolder],
    resume: Callable[..., TrainedFolder],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run, copy = tiny("run", *conditional(pictures)), pictures.with_name("copy")
    shutil.copytree(pictures, copy)  # the place and the times may be others
    assert resume(run.path, "trainer.max_steps=3", f"dataset.root={copy}").run.iteration == 3
    assert "seen before" not in caplog.text

    before = run.files()
    save(copy / "1" / "new.png", 3)
    with pytest.raises(UserError, match=r"\(24 then, 25 now\); dataset\.changed=accept goes on with these"):
        resume(run.path, "trainer.max_steps=4")
    assert run.files() == before
    assert resume(run.path, "trainer.max_steps=4", "dataset.changed=accept").run.iteration == 4
    assert "(24 then, 25 now); they are accepted." in caplog.text

    (copy / "1" / "new.png").unlink()  # accepted once is not for ever
    with pytest.raises(UserError, match=r"\(25 then, 24 now\)"):
        resume(run.path, "trainer.max_steps=5")


def test_an_archive_trains_as_the_folder_does(
    pictures: Path, tiny: Callable[..., TrainedFolder], resume: Callable[..., TrainedFolder]
) -> None:
    """With the folder's name in it or without; and a run may go on with another of them."""
    bare = shutil.make_archive(str(pictures), "zip", pictures)
    wrapped = shutil.make_archive(str(pictures), "tar", pictures.parent, pictures.name)
    runs = [tiny(f"run{n}", *conditional(Path(root))) for n, root in enumerate((pictures, bare, wrapped))]
    for run in runs[1:]:
        assert run.config()["dataset"]["seen"] == runs[0].config()["dataset"]["seen"]
        for network in ("generator", "discriminator"):
            torch.testing.assert_close(run.weights(network), runs[0].weights(network), rtol=0, atol=0)
    assert resume(runs[0].path, "trainer.max_steps=3", f"dataset.root={wrapped}").run.iteration == 3


def rename(pictures: Path) -> None:
    (pictures / "2" / "0.png").rename(pictures / "2" / "00.png")


def another_pixel(pictures: Path) -> None:
    pixels = np.array(Image.open(pictures / "2" / "3.png"))
    pixels[0, 0] += 1
    Image.fromarray(pixels).save(pictures / "2" / "3.png")


def another_class(pictures: Path) -> None:
    (pictures / "2" / "3.png").rename(pictures / "1" / "33.png")


@pytest.mark.parametrize("change", [rename, another_pixel, another_class])
def test_as_many_but_other_pictures_are_noticed(pictures: Path, change: Callable[[Path], None]) -> None:
    _, seen = ImageFolder(str(pictures), 8, 1).load_with_facts()
    again = ImageFolder(str(pictures), 4, 1, seen=seen)  # the size is not theirs
    again.load()
    change(pictures)
    with pytest.raises(UserError, match=r"24 as then, but others or under other names\); dataset\.changed=accept"):
        again.load()


def test_classes_keep_their_numbers_when_there_are_more(pictures: Path) -> None:
    _, seen = ImageFolder(str(pictures), 8, 1, class_order="natural").load_with_facts()
    (pictures / "0").mkdir()
    save(pictures / "0" / "0.png", 3)
    more = ImageFolder(str(pictures), 8, 1, class_order="natural", seen=seen, changed="accept").load()
    assert more.classes == (*CLASSES, "0")


def test_a_root_that_is_not_utf_8_is_refused_and_a_link_to_it_is_not(
    pictures: Path, tiny: Callable[..., TrainedFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = Path(os.fsdecode(os.fsencode(pictures) + b"\xe9"))
    pictures.rename(odd)
    for root, place in ((f'"{odd}"', odd.parent), (".", odd)):
        monkeypatch.chdir(place)
        with pytest.raises(UserError, match=r"^dataset\.root=.*pictures\udce9.* is not UTF-8, as .* or a link"):
            tiny("run", *on(pictures)[:1], f"dataset.root={root}", *on(pictures)[2:])
    pictures.symlink_to(odd)
    assert tiny("run", *on(pictures)).run.iteration == 2


def test_auto_finds_the_run_whatever_it_has_seen() -> None:
    config = {"dataset": {"name": "image_folder", "seen": None, "changed": "refuse", "source": {"seen": None}}}
    of_a_run = {"dataset": {**config["dataset"], "seen": {"digest": "0"}, "source": {"seen": {"digest": "0"}}}}
    other = {"dataset": {**config["dataset"], "fit": "pad"}}
    first, second, third = (identity(OmegaConf.create(each)) for each in (config, of_a_run, other))
    assert first == second != third


def of_before(run: RunFolder) -> None:
    """Takes out of a run's configurations what earlier versions had none of."""
    new = ("fit", "range", "class_order", "cache_gib", "changed", "seen", "labels", "label_column", "stack")
    for file in (run.path / "config.yaml", run.path / "composed.yaml"):
        config = yaml.safe_load(file.read_text())
        for node in (config["dataset"], config["dataset"]["source"], config["data"], config["data"]["source"]):
            for key in new if isinstance(node, dict) else ():
                node.pop(key, None)
        file.write_text(yaml.safe_dump(config))


def test_names_of_classes_are_no_interpolations(
    pictures: Path, tiny: Callable[..., TrainedFolder], resume: Callable[..., TrainedFolder]
) -> None:
    names = ("${seed}", "a${oc.env:HOME}", r"\${x}")
    for before, after in zip(CLASSES, names, strict=True):
        (pictures / before).rename(pictures / after)
    run = tiny("run", *conditional(pictures))
    assert resume(run.path, "trainer.max_steps=3").run.iteration == 3
    assert run.results()["classes"] == in_natural_order(names)
    assert main(["evaluate", f"run={run.path}", "samples=20", "metric=[sliced]", "intervals=0"]) == 0


def test_a_run_of_before_keeps_its_order_of_classes(
    pictures: Path,
    tiny: Callable[..., TrainedFolder],
    resume: Callable[..., TrainedFolder],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tiny("run", *conditional(pictures, "dataset.class_order=text"))
    of_before(run)
    assert resume(run.path, "trainer.max_steps=3").run.iteration == 3
    assert run.results()["classes"] == ["1", "10", "2"]
    assert "seen" not in run.config()["dataset"]
    assert main(["evaluate", f"run={run.path}", "samples=20", "metric=[sliced]", "intervals=0"]) == 0
    capsys.readouterr()
    assert ImageFolder(str(pictures), 8, 1).load().classes == ("1", "10", "2")


def test_a_run_is_evaluated_by_its_own_order_and_range(
    pictures: Path, tiny: Callable[..., TrainedFolder], caplog: pytest.LogCaptureFixture
) -> None:
    run = tiny("run", *conditional(pictures))
    save(pictures / "1" / "new.png", 3)
    with caplog.at_level(logging.WARNING):
        assert main(["evaluate", f"run={run.path}", "samples=20", "metric=[sliced]", "intervals=0"]) == 0
    assert "(24 then, 25 now); they are accepted." in caplog.text


@pytest.mark.parametrize(("network", "size"), [("dcgan", [30, 10]), ("mlp", [8, 21])])
def test_any_proportions_and_channels_through_all_that_watches(
    tmp_path: Path, tiny: Callable[..., TrainedFolder], network: str, size: list[int]
) -> None:
    (tmp_path / "arrays").mkdir()
    values = np.random.default_rng(0).integers(0, 4096, (24, 5, *size), dtype=np.uint16)
    for number, value in enumerate(values):
        np.save(tmp_path / "arrays" / f"{number}.npy", value)
    shape = (f"dataset.image_size={size}".replace(" ", ""), "dataset.channels=5")
    watched = ("health.every=1", "evaluation.every=1", "metric=[sliced,memorisation]", "dashboard.every=1")
    run = tiny("run", *on(tmp_path / "arrays"), *shape, f"network={network}", *watched, "compatibility_warnings=false")
    assert run.run.iteration == 2
    assert load_generator(run.path).sample(2).shape == (2, 5, *size)


def test_the_shape_decides_how_pictures_are_cut(tmp_path: Path, tiny: Callable[..., TrainedFolder]) -> None:
    """A shape of one's own was once filled with the middle square, stretched, without a word."""
    (tmp_path / "wide").mkdir()
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :5, 0], pixels[:, 5:11, 1], pixels[:, 11:, 2] = 255, 255, 255
    for number in range(20):
        Image.fromarray(pixels).save(tmp_path / "wide" / f"{number}.png")
    shape = ("dataset.channels=3", "dataset.sample_shape=[3,8,16]", "dataset.image_size=8")
    run = tiny("run", *on(tmp_path / "wide"), *shape)
    assert run.config()["data"]["source"]["image_size"] == [8, 16]
    loaded = ImageFolder(str(tmp_path / "wide"), [8, 16], 3).load()  # type: ignore[arg-type]  # as YAML gives it
    assert np.array_equal(loaded.samples[0].permute(1, 2, 0).numpy(), pixels)
