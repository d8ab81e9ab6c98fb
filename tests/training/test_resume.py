"""A run that is stopped and resumed ends as if it had never stopped, and leaves no trace of the stop."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from gan_lightning.commands import resuming
from gan_lightning.config.places import CONF
from gan_lightning.errors import UserError

EACH = ("trainer.log_every_n_steps=1", "samples.every=2")
# A pass has seven minibatches of 208: iterations 2 and 6 are inside the first pass, and 4 inside the third.
RECIPES = {
    "vanilla": ("loss=vanilla", "dataset.batch_size=208"),
    "wgan_gp": ("loss=wgan_gp", "loss.n_critic=5", "dataset.batch_size=208"),
    "dcgan": ("loss=vanilla", "network=dcgan", "loss.n_critic=2"),
}


class Crash(Callback):
    """Ends a run as an error would, in the iteration with this number."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.iteration:
            raise RuntimeError("a crash")


class Killed(Callback):
    """Copies a run's folder in the iteration with this number: what a process would leave that is killed there."""

    def __init__(self, iteration: int, folder: Path, copy: Path) -> None:
        self.iteration, self.folder, self.copy = iteration, folder, copy

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.iteration:
            shutil.copytree(self.folder, self.copy)


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "samples").iterdir()}


def assert_same_end(actual: Any, expected: Any, same: Any) -> None:
    """Networks, average, optimizers, table and pictures are bit-equal."""
    for key in ("state_dict", "optimizer_states", "global_step"):
        same(actual.checkpoint()[key], expected.checkpoint()[key])
    assert actual.rows() == expected.rows()
    assert pictures(actual.path) == pictures(expected.path)


@pytest.mark.parametrize(("recipe", "stops"), [("vanilla", (2, 6)), ("wgan_gp", (4,)), ("dcgan", (4,))])
def test_stopped_and_resumed_is_as_in_one_go(tiny, resume, same, recipe, stops):
    whole = tiny("whole", *RECIPES[recipe], *EACH, "trainer.max_steps=9")

    stopped = tiny("stopped", *RECIPES[recipe], *EACH, f"trainer.max_steps={stops[0]}")
    for stop in (*stops[1:], 9):
        resumed = resume(stopped.path, f"trainer.max_steps={stop}")

    assert resumed.run.iteration == resumed.results()["iteration"] == 9
    assert resumed.run.status == resumed.results()["status"] == "finished"
    assert_same_end(resumed, whole, same)
    events = resumed.events()
    for tag in events.Tags()["scalars"]:
        assert [event.step for event in events.Scalars(tag)] == list(range(1, 10))
    assert [event.step for event in events.Images("samples/generator")] == [0, 2, 4, 6, 8, 9]
    assert [event.step for event in events.Images("samples/real")] == [0]


def test_iterations_after_the_last_checkpoint_of_a_crashed_run_are_done_again(tiny, folder, resume, watch, same):
    overrides = (*EACH, "checkpoint.every=3", "trainer.max_steps=9")
    whole = tiny("whole", *overrides)
    watch(Crash(8))
    with pytest.raises(RuntimeError, match="a crash"):
        tiny("crashed", *overrides)
    crashed = folder("crashed")
    assert crashed.results()["status"] == "failed"
    assert crashed.checkpoint()["global_step"] == 6
    assert crashed.iterations() == [1, 2, 3, 4, 5, 6, 7, 8]

    watch()
    resumed = resume(crashed.path)

    assert_same_end(resumed, whole, same)
    events = resumed.events()
    for tag in events.Tags()["scalars"]:
        assert [event.step for event in events.Scalars(tag)] == list(range(1, 10))
    assert [event.step for event in events.Images("samples/generator")] == [0, 2, 4, 6, 8, 9]
    assert resumed.results()["status"] == "finished"


# What each of conf/loss is resumed with, beside itself: their networks' sizes make a pass of seven minibatches.
LOSSES = sorted(path.stem for path in (CONF / "loss").glob("*.yaml"))
BESIDES = {
    "wgan_clip": (
        "loss.critic_updates.boost=4",
        "loss.critic_updates.boost_first=3",
        "loss.critic_updates.boost_every=5",
    )
}
CHOICES = {
    **{loss: (f"loss={loss}", *BESIDES.get(loss, ())) for loss in LOSSES},
    "projection": ("conditioning=projection", "network.discriminator.norm=batch"),
    "concat": ("conditioning=concat", "loss=wgan_gp", "loss.n_critic=2"),
    "lazy": ("regularizer=[r1,orthogonal]", "regularizer.r1.every=3", "regularizer.orthogonal.every=2"),
    "altered": ("regularizer=[diffaugment,instance_noise,consistency]", "loss.n_critic=2"),
    "points": ("dataset=ring", "loss=pacgan", "loss.packing=4"),
    "schedules": (
        "loss=r3gan",
        "loss.n_critic=${linear:3,1,4}",
        "ema.half_life=${linear:0,5000}",
        "loss.critic_updates.boost=5",
        "loss.critic_updates.boost_first=1",
        "loss.critic_updates.boost_every=3",
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_every_loss_goes_on_bit_for_bit(tiny, folder, resume, watch, same, name, tmp_path):
    """Of a killed run, since a schedule over the whole run would be another for another trainer.max_steps."""
    overrides = (*CHOICES[name], "dataset.batch_size=208", "checkpoint.every=2", "trainer.log_every_n_steps=1")
    watch(Killed(3, tmp_path / "whole", tmp_path / "killed"))
    whole = tiny("whole", *overrides, "trainer.max_steps=5")
    killed = folder("killed")
    assert killed.results()["status"] == "running"
    assert killed.checkpoint()["global_step"] == 2
    assert killed.iterations() == [1, 2, 3]

    watch()
    resumed = resume(killed.path)

    assert_same_end(resumed, whole, same)
    changed = resumed.weights("generator")
    assert not all(torch.equal(changed[key], value) for key, value in resumed.weights("ema_generator").items())


def test_means_over_a_log_window_survive_a_stop_inside_it(tiny, folder, resume, watch, same):
    overrides = ("trainer.log_every_n_steps=5", "checkpoint.every=7", "trainer.max_steps=15")
    whole = tiny("whole", *overrides)
    watch(Crash(8))
    with pytest.raises(RuntimeError, match="a crash"):
        tiny("crashed", *overrides)

    watch()
    resumed = resume(folder("crashed").path)

    assert resumed.iterations() == [5, 10, 15]
    assert_same_end(resumed, whole, same)


def test_seconds_go_on_and_the_recorded_config_stays(tiny, resume):
    stopped = tiny("run", *EACH, "trainer.max_steps=3")
    before, config = stopped.results(), stopped.config()

    resumed = resume(stopped.path, "trainer.max_steps=6")

    seconds = [event.value for event in resumed.events().Scalars("progress/seconds")]
    assert seconds == sorted(seconds)
    assert resumed.results()["seconds"] > before["seconds"]
    assert resumed.run.seconds == pytest.approx(resumed.results()["seconds"], abs=0.01)
    for group in ("seed", "dataset", "network", "loss", "regularizer", "ema"):
        assert resumed.config()[group] == config[group]
    assert resumed.config()["trainer"]["max_steps"] == 6


def test_resuming_a_complete_run_changes_nothing(tiny, resume, capsys):
    complete = tiny("run", "trainer.max_steps=4")
    before = complete.files()

    again = resume(complete.path)

    assert again.run.status == "finished"
    assert again.run.iteration == 4
    assert complete.files() == before
    assert "complete at iteration 4" in capsys.readouterr().out


def test_a_resumed_run_remains_the_run_it_is(tiny, resume):
    stopped = tiny("run", "trainer.max_steps=3")
    before = stopped.files()

    for override in ("seed=1", "loss.n_critic=2", "dataset.batch_size=32", "loss=wgan_gp", "ema.decay=0.5"):
        with pytest.raises(UserError, match=override.partition("=")[0]):
            resume(stopped.path, "trainer.max_steps=6", override)
    assert stopped.files() == before


# resume=auto


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def age(folder: Path, seconds: int) -> None:
    """Makes a run's checkpoint look as if it were written so long ago."""
    path = folder / "checkpoints" / "last.ckpt"
    time = path.stat().st_mtime - seconds
    os.utime(path, (time, time))


def test_auto_goes_on_with_the_newest_run_of_the_config(tiny, place):
    old = tiny(None, "trainer.max_steps=3")
    new = tiny(None, "trainer.max_steps=4")
    other_seed = tiny(None, "trainer.max_steps=3", "seed=1")
    other_loss = tiny(None, "trainer.max_steps=3", "loss=wgan_gp")
    age(old.path, 200)
    age(new.path, 100)
    untouched = [(other, other.files()) for other in (old, other_seed, other_loss)]

    resumed = tiny(None, "resume=auto", "trainer.max_steps=6")

    assert resumed.path.resolve() == new.path.resolve()
    assert resumed.run.iteration == resumed.checkpoint()["global_step"] == 6
    assert all(other.files() == before for other, before in untouched)


@pytest.mark.parametrize("override", ["loss=began", "loss=infogan", "conditioning=projection", "dataset=ring"])
def test_auto_goes_on_with_runs_whose_parts_take_values_from_each_other(tiny, place, override):
    first = tiny(None, override, "trainer.max_steps=2")

    resumed = tiny(None, override, "resume=auto", "trainer.max_steps=3")

    assert resumed.path.resolve() == first.path.resolve()
    assert resumed.run.iteration == 3


def test_auto_starts_anew_where_there_is_no_run_of_the_config(tiny, place):
    there = [tiny(None, "trainer.max_steps=3")]
    before = there[0].files()

    for override in ("seed=1", "loss=wgan_gp", "network.latent_dim=5", "loss.n_critic=2", "conditioning=concat"):
        started = tiny(None, "resume=auto", "trainer.max_steps=4", override)
        assert started.path not in [other.path for other in there], override
        assert started.run.iteration == 4
        there.append(started)

    assert there[0].files() == before


def test_auto_starts_anew_in_an_empty_folder_and_then_goes_on(tiny, place):
    first = tiny(None, "resume=auto", "trainer.max_steps=3")
    assert first.path.parts[0] == "outputs"
    second = tiny(None, "resume=auto", "trainer.max_steps=5")

    assert second.path.resolve() == first.path.resolve()
    assert len(list(place.glob("outputs/*/*"))) == 1


def test_auto_ignores_a_run_without_a_checkpoint(tiny, place):
    first = tiny(None, "trainer.max_steps=3")
    (first.path / "checkpoints" / "last.ckpt").unlink()

    assert tiny(None, "resume=auto", "trainer.max_steps=3").path != first.path


def test_auto_ignores_what_other_programs_left(tiny, place):
    other = place / "outputs" / "other"
    for path, text in ((".hydra/config.yaml", "db: mysql"), ("checkpoints/last.ckpt", "")):
        (other / path).parent.mkdir(parents=True)
        (other / path).write_text(text)

    assert tiny(None, "resume=auto", "trainer.max_steps=3").path.name != "other"


def test_auto_searches_no_further_than_the_folder_of_runs(tiny, place, monkeypatch):
    searched = []
    monkeypatch.setattr(resuming, "find_resumable", lambda config, root: searched.append(Path(root)))

    tiny("runs/new", "resume=auto", "trainer.max_steps=2")

    assert searched
    assert all(place in (root, *root.parents) for root in searched)
