"""Flipped bits and lost files: named, never trained on, and the checkpoint before takes the place of the last."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from trained import RunFolder

from gan_lightning import UserError, load_generator
from gan_lightning.errors import Diverged
from gan_lightning.sampling.checkpoints import read_checkpoint, read_last
from gan_lightning.sampling.files import read_generator
from gan_lightning.training.checkpoint import RunCheckpoint
from gan_lightning.training.checkpoint_files import CheckpointFiles

SAVING = ("trainer.max_steps=4", "checkpoint.every=2")


@pytest.fixture(scope="module")
def original(tiny_in_module):
    """A run with checkpoints of iterations 4 and 2."""
    return tiny_in_module(*SAVING, "checkpoint.keep_every=2")


@pytest.fixture(scope="module")
def whole(tiny_in_module):
    """The same, six iterations long."""
    return tiny_in_module("trainer.max_steps=6", "checkpoint.every=2")


@pytest.fixture
def copied(original, tmp_path):
    """A copy of the first, to be changed."""
    return RunFolder(shutil.copytree(original.path, tmp_path / "copied"))


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def flip_weight(path: Path) -> None:
    """Flips a bit of a checkpoint's largest tensor."""
    with zipfile.ZipFile(path) as archive:
        tensors = [entry for entry in archive.infolist() if "/data/" in entry.filename]
        content = archive.read(max(tensors, key=lambda entry: entry.file_size))
    flip(path, 8 * (path.read_bytes().index(content) + len(content) // 2) + 5)


def bits(path: Path, count: int) -> list[int]:
    """So many bits of a file, spread over all of it."""
    total = path.stat().st_size * 8
    return [(k * total) // count + (37 * k) % (total // count) for k in range(count)]


def content_of(path: Path) -> str:
    """All that is read of a file, as text; what refuses it must name it."""
    read: Any = read_checkpoint if path.suffix == ".ckpt" else read_generator
    try:
        torch.set_printoptions(threshold=1_000_000, precision=12)
        return repr(read(path))
    except UserError as error:
        told = str(error)
    finally:
        torch.set_printoptions(profile="default")
    assert path.name in told
    assert "weights_only" not in told
    return ""


@pytest.mark.parametrize(("name", "least"), [("checkpoints/last.ckpt", 30), ("generator.safetensors", 55)])
def test_a_flipped_bit_is_noticed_or_harmless(original, tmp_path, name, least):
    """Of a checkpoint, it is harmless where torch aligns its entries, or keeps dates."""
    good, path = original.path / name, tmp_path / Path(name).name
    content, refused = content_of(good), 0
    for bit in bits(good, 60):
        shutil.copyfile(good, path)
        flip(path, bit)
        found = content_of(path)
        assert found in ("", content), bit
        refused += found == ""
    assert refused >= least


def damage(run: RunFolder, how: str) -> None:
    path = run.path / "checkpoints" / "last.ckpt"
    match how:
        case "a bit":
            flip_weight(path)
        case "half":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "missing":
            path.unlink()
        case "a folder":
            path.unlink()
            path.mkdir()


@pytest.mark.parametrize("how", ["a bit", "half", "missing", "a folder"])
def test_the_checkpoint_before_takes_the_place_of_a_damaged_one(copied, whole, resume, same, caplog, how):
    damage(copied, how)
    kept = (copied.path / "checkpoints" / "last.ckpt").is_file()

    same(load_generator(copied.path, weights="raw").network.state_dict(), weights_at(copied, 2))
    resumed = resume(copied.path, "trainer.max_steps=6")

    assert "previous.ckpt of iteration 2, takes its place" in caplog.text
    assert "last.ckpt" in caplog.text
    for key in ("state_dict", "optimizer_states", "global_step"):
        same(resumed.checkpoint()[key], whole.checkpoint()[key])
    assert resumed.rows() == whole.rows()
    assert read_last(copied.path).instead == ""
    assert resumed.checkpoint("previous")["global_step"] == 4
    assert len(list((copied.path / "checkpoints").glob("last.damaged*"))) == int(kept or how == "a folder")


def weights_at(run: RunFolder, iteration: int) -> dict[str, torch.Tensor]:
    state = run.checkpoint(f"iteration={iteration:08d}")["state_dict"]
    return {name.partition(".")[2]: value for name, value in state.items() if name.startswith("generator.")}


def test_a_damaged_checkpoint_never_becomes_the_one_before(copied, resume):
    """Even if the run is stopped right after its next checkpoint."""
    damage(copied, "a bit")
    resume(copied.path, "trainer.max_steps=3")

    assert copied.checkpoint()["global_step"] == 3
    assert read_checkpoint(copied.path / "checkpoints" / "previous.ckpt")["global_step"] == 2


def test_nothing_is_changed_where_both_are_damaged(copied, resume):
    damage(copied, "a bit")
    flip_weight(copied.path / "checkpoints" / "previous.ckpt")
    before = copied.files()

    with pytest.raises(UserError, match=r"last\.ckpt is damaged"):
        resume(copied.path, "trainer.max_steps=6")
    assert copied.files() == before


def test_auto_finds_a_run_that_has_lost_its_last_checkpoint(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = tiny(None, *SAVING)
    (first.path / "checkpoints" / "last.ckpt").unlink()

    assert tiny(None, "resume=auto", *SAVING).path.resolve() == first.path.resolve()
    assert first.checkpoint()["global_step"] == 4


def test_every_checkpoint_is_a_file_of_its_own(tiny, resume):
    trained = tiny("run", "trainer.max_steps=6", "checkpoint.every=2", "checkpoint.keep_every=2", *EVALUATED)
    files = [path.stat() for path in (trained.path / "checkpoints").iterdir()]

    assert len(files) == 6  # last, previous, best and three that are kept
    assert {file.st_nlink for file in files} == {1}
    assert len({file.st_ino for file in files}) == 6


EVALUATED = ("evaluation.every=2", "evaluation.samples=16", "extractor=identity", "metric=[sliced]")


def test_there_is_a_checkpoint_without_links_too(tiny, monkeypatch):
    def refuse(*arguments: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    trained = tiny("run", *SAVING)
    assert [trained.checkpoint(name)["global_step"] for name in ("last", "previous")] == [4, 2]


# How they are written


def test_nothing_goes_through_the_folder_for_temporary_files(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    with pytest.raises(OSError):  # noqa: PT011 (whichever)
        tempfile.mkstemp()
    tiny("run", *SAVING)


def test_files_are_on_the_disk_before_they_get_their_name(tiny, monkeypatch):
    flushed: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note(number: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{number}"))
        fsync(number)

    def check(source: Any, target: Any) -> None:
        if Path(target).suffix in (".ckpt", ".safetensors", ".json", ".yaml") and "previous" not in str(target):
            assert str(Path(source).resolve()) in flushed, target
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", check)
    trained = tiny("run", *SAVING)
    assert str(trained.path.resolve() / "checkpoints") in flushed


def test_callbacks_of_lightnings_own_write_as_carefully(tiny, watch, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    watch(ModelCheckpoint(tmp_path / "theirs", filename="saved", every_n_train_steps=4, save_top_k=-1))
    tiny("run", *SAVING)
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["saved.ckpt"]


def test_a_way_of_writing_that_somebody_has_chosen_stays(tiny, watch):
    class Chosen(TorchCheckpointIO):
        saved = 0

        def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
            Chosen.saved += 1
            super().save_checkpoint(checkpoint, path, storage_options)

    class Choose(Callback):
        def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            assert isinstance(trainer.strategy.checkpoint_io, CheckpointFiles)

        def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
            trainer.strategy.checkpoint_io = Chosen()
            next(each for each in trainer.checkpoint_callbacks if isinstance(each, RunCheckpoint)).setup(
                trainer, pl_module, stage
            )
            assert type(trainer.strategy.checkpoint_io) is Chosen
            trainer.strategy.checkpoint_io = CheckpointFiles()

    watch(Choose())
    tiny("run", "trainer.max_steps=1")


# What is kept can be trained on


class Spoils(Callback):
    """Puts a NaN somewhere after the iteration with this number."""

    def __init__(self, what: str, iteration: int) -> None:
        self.what, self.iteration = what, iteration

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step != self.iteration:
            return
        match self.what:
            case "optimizer":
                parameter = next(iter(pl_module.discriminator.parameters()))
                trainer.optimizers[1].state[parameter]["exp_avg_sq"][0] = float("inf")
            case "average":
                next(iter(pl_module.ema_generator.parameters())).data[0] = float("nan")
            case "mean":
                pl_module.means.add({"loss/odd": torch.tensor(float("nan"))})


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("optimizer", "exp_avg_sq of discriminator.layers.1.weight"),
        ("average", "ema_generator.layers.0.weight"),
        ("mean", "the running mean of loss/odd"),
    ],
)
def test_what_can_not_be_trained_on_replaces_nothing(tiny, folder, watch, what, named):
    watch(Spoils(what, 3))
    with pytest.raises(Diverged, match=f"{named}.* is not finite at iteration 4: .*checkpoint is of iteration 2"):
        tiny("run", "trainer.max_steps=5", "checkpoint.every=2")

    assert folder("run").checkpoint()["global_step"] == 2
    assert read_generator(folder("run").path / "generator.safetensors").iteration == 2


def test_before_the_first_checkpoint_there_is_none_to_name(tiny, watch):
    watch(Spoils("average", 1))
    with pytest.raises(Diverged, match="at iteration 2: training has diverged; no checkpoint was made before"):
        tiny("run", *SAVING)


def test_a_resumed_run_names_the_checkpoint_that_it_began_with(copied, resume, watch):
    watch(Spoils("average", 5))
    with pytest.raises(Diverged, match="the last checkpoint is of iteration 4"):
        resume(copied.path, "trainer.max_steps=6")


# Equal runs are equal files


def test_files_have_the_modes_that_the_user_wants(tiny, monkeypatch):
    before = os.umask(0o027)
    try:
        trained = tiny("run", *SAVING)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in trained.path.rglob("*") if path.is_file()}
    assert {name: mode for name, mode in modes.items() if mode != 0o640} == {}


def test_equal_runs_have_equal_generators_in_every_process(tmp_path):
    code = (
        "import sys, torch; from pathlib import Path; from gan_lightning.networks import MLPGenerator;"
        "from gan_lightning.sampling.files import save_generator; torch.manual_seed(0);"
        "save_generator(MLPGenerator(3, [2], hidden_dim=4),"
        " {'generator': {'_target_': 'x'}, 'latents': {'_target_': 'y'}}, Path(sys.argv[1]), 7)"
    )
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path in paths:
        subprocess.run([sys.executable, "-c", code, path], check=True, timeout=100)
    assert len({path.read_bytes() for path in paths}) == 1
