"""A run that was copied without hidden files, moved, or asked for from another folder goes on as it would have."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf
from PIL import Image
from trained import RunFolder, TrainedFolder

from gan_lightning import UserError, formats
from gan_lightning.__main__ import main
from gan_lightning.runs.run import fix_paths

Train = Callable[..., TrainedFolder]
EVALUATION = ("samples=20", "extractor=identity", "metric=[sliced]", "intervals=0")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a folder of pictures."""
    (tmp_path / "pictures").mkdir()
    for number in range(24):
        Image.fromarray(np.full((8, 8), 10 * number, np.uint8)).save(tmp_path / "pictures" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def on_pictures(*overrides: str) -> tuple[str, ...]:
    plain = ("dataset=image_folder", "dataset.root=pictures", "dataset.image_size=8", "dataset.channels=1")
    return (*plain, "trainer.max_steps=2", *overrides)


def visible(run: Path, copy: Path) -> Path:
    """A copy of a run without what is hidden in it."""
    return Path(shutil.copytree(run, copy, ignore=shutil.ignore_patterns(".*")))


def test_a_copy_without_hidden_files_is_a_run(
    tiny: Train, resume: Train, same: Callable[..., None], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another folder than the one that its data set's path was relative to."""
    run = tiny("run", *on_pictures())
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    runs = [run, RunFolder(visible(run.path, Path("copy")))]
    assert not list(runs[1].path.glob(".*"))
    for each in runs:
        resume(each.path, "trainer.max_steps=4")
        assert main(["sample", f"run={each.path}", "n=4", f"out={each.path / 'samples.npy'}"]) == 0
        assert main(["evaluate", f"run={each.path}", *EVALUATION]) == 0
    first, second = runs
    same(second.checkpoint()["state_dict"], first.checkpoint()["state_dict"])
    assert (second.path / "samples.npy").read_bytes() == (first.path / "samples.npy").read_bytes()
    records = [each.results()["evaluations"][0] | {"seconds": 0} for each in runs]
    assert records[0] == records[1]
    assert second.rows() == first.rows()


def test_a_moved_run_is_found_by_auto(tiny: Train, place: Path) -> None:
    run = tiny("run", *on_pictures())
    (place / "moved").mkdir()
    moved = visible(run.path, place / "moved" / "run")
    shutil.rmtree(run.path)
    found = tiny("moved", *on_pictures("trainer.max_steps=3", "resume=auto"))
    assert (found.path, found.run.iteration) == (moved, 3)


def test_nothing_is_read_that_is_hidden(tiny: Train, resume: Train) -> None:
    run = tiny("run", "trainer.max_steps=1")
    (run.path / ".hydra" / "config.yaml").write_text("seed: [")
    assert resume(run.path, "trainer.max_steps=2").run.iteration == 2
    assert (run.path / ".hydra" / "config.yaml").read_bytes() == (run.path / "composed.yaml").read_bytes()


def test_a_table_of_labels_may_have_moved(tiny: Train, resume: Train, place: Path) -> None:
    """To a file of the same labels."""
    tables = {}
    for name, classes in (("labels", "ab"), ("moved", "ab"), ("others", "ba")):
        rows = [f"{number}.png,{classes[number % 2]}" for number in range(24)]
        tables[name] = place / f"{name}.csv"
        tables[name].write_text("\n".join(["name,label", *rows]))
    run = tiny("run", *on_pictures(f"dataset.labels={tables['labels']}", "dataset.classes=2", "conditioning=concat"))
    tables["labels"].unlink()
    with pytest.raises(UserError, match=r"not those that the run has seen before"):
        resume(run.path, f"dataset.labels={tables['others']}", "trainer.max_steps=3")
    assert resume(run.path, f"dataset.labels={tables['moved']}", "trainer.max_steps=3").run.iteration == 3
    assert run.config()["data"]["source"]["labels"] == str(tables["moved"])


def test_its_files_say_their_format_and_a_newer_one_is_refused(
    tiny: Train, resume: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny("run", "trainer.max_steps=1")
    for name in ("config.yaml", "composed.yaml"):
        text = (run.path / name).read_text()
        assert text.startswith(f"# {formats.CONFIG}\n")
        (run.path / name).write_text(text.replace(formats.CONFIG, "gan_lightning.config/99", 1))
    with pytest.raises(UserError, match=r"composed\.yaml can't be read: it was written by a newer version"):
        resume(run.path, "trainer.max_steps=2")
    assert main(["evaluate", f"run={run.path}", *EVALUATION]) == 2
    assert "config.yaml can't be read: it was written by a newer version" in capsys.readouterr().err


def test_a_copy_of_before_that_has_lost_its_configuration_is_told_so(tiny: Train, resume: Train) -> None:
    """What earlier versions have hidden, a copy without hidden files lacks."""
    run = tiny("run", "trainer.max_steps=1")
    (run.path / "composed.yaml").unlink()
    assert resume(run.path, "trainer.max_steps=2").run.iteration == 2  # as such runs are
    (run.path / "composed.yaml").unlink()
    shutil.rmtree(run.path / ".hydra")
    with pytest.raises(UserError, match=r"composed\.yaml is missing\. One of an earlier version has \.hydra/config"):
        resume(run.path, "trainer.max_steps=3")


def test_paths_are_whole_but_for_those_of_caches(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place / "home"))
    text = """
    dataset:
      {root: ~/data, cache_dir: cache, labels: labels.csv, source: {root: "${dataset.root}"}, held_out: {root: b}}
    extractor: {weights: weights.pth, cache_dir: null}
    """
    config = OmegaConf.create(yaml.safe_load(text))
    fix_paths(config, place)
    dataset = {"root": str(place / "home/data"), "cache_dir": "cache", "labels": "labels.csv"}
    dataset |= {"source": {"root": "${dataset.root}"}, "held_out": {"root": str(place / "b")}}
    extractor = {"weights": str(place / "weights.pth"), "cache_dir": None}
    assert OmegaConf.to_container(config) == {"dataset": dataset, "extractor": extractor}
    fix_paths(config, place.parent)  # where hydra.job.chdir has left it
    assert config.dataset.cache_dir == str(place.parent / "cache")
