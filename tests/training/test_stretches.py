"""Iterations that nobody looks on are trained within one batch of Lightning's, which changes nothing else."""

from typing import Any

import pytest
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.strategies import Strategy

from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.rounds import RoundLoader
from gan_lightning.samples import SampleSet
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN

RUN = (
    *("loss=wgan_gp", "loss.n_critic=2", "trainer.log_every_n_steps=4", "checkpoint.every=6", "trainer.max_steps=11"),
    *("samples.every=6", "health.every=null", "evaluation.every=null"),
)
SAVED = ("state_dict", "optimizer_states", "loops", "global_step")
EACH = list(range(11))
BEGUN = [0, 4, 6, 8]  # behind 4, 8 and 11 something is logged, behind 6 saved and drawn


class Looks(IterationCallback):
    """Looks after one iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration
        self.seen: list[int] = []

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        return completed == self.iteration

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        self.seen.append(trainer.global_step)


class Idle(Callback):
    """A callback of Lightning's that is told of each batch."""

    def on_train_batch_end(self, *arguments: Any) -> None: ...


class Before(IterationCallback):
    """Wants to be called before iterations, however seldom after them."""

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        return False

    def before_iteration(self, trainer: Trainer, model: GAN) -> None: ...


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, type]]:
    """Of each batch that Lightning begins: the iterations that are complete, its number, and what it is."""
    seen: list[tuple[int, int, type]] = []
    step = Strategy.training_step

    def training_step(self: Strategy, batch: Any, batch_idx: int) -> Any:
        assert isinstance(self.lightning_module, GAN)
        seen.append((self.lightning_module.trainer.global_step, batch_idx, type(batch)))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Strategy, "training_step", training_step)
    return seen


def test_a_batch_lasts_until_somebody_looks_and_nothing_else_changes(tiny, watch, same, begun):
    stretched = tiny("run", *RUN)
    assert begun == [(iteration, iteration, RoundLoader) for iteration in BEGUN]
    begun.clear()
    watch(Idle())
    single = tiny("single", *RUN)
    assert begun == [(iteration, iteration, SampleSet) for iteration in EACH]
    for part in SAVED:
        same(stretched.checkpoint()[part], single.checkpoint()[part])
    assert stretched.rows() == single.rows()


def test_a_callback_may_tell_when_it_is_due(tiny, watch, begun):
    watch(looks := Looks(3))
    tiny("run", *RUN)
    assert looks.seen == [3]
    assert [iteration for iteration, _, _ in begun] == [0, 3, 4, 6, 8]


def test_one_that_does_not_tell_is_called_after_each(tiny, watch, begun):
    watch(IterationCallback())
    tiny("run", *RUN)
    assert [iteration for iteration, _, _ in begun] == EACH


@pytest.mark.parametrize("hook", ["on_train_batch_start", "on_train_batch_end", "on_before_batch_transfer"])
def test_a_module_that_is_told_of_batches_has_one_for_each_iteration(tiny, monkeypatch, begun, hook):
    inherited = getattr(GAN, hook)
    monkeypatch.setattr(GAN, hook, lambda self, *arguments: inherited(self, *arguments))
    tiny("run", *RUN)
    assert begun == [(iteration, iteration, SampleSet) for iteration in EACH]


def test_a_profiler_has_one_for_each_iteration(tiny, begun):
    tiny("run", *RUN, "trainer.profiler=simple")
    assert {kind for _, _, kind in begun} == {SampleSet}


def test_a_callback_before_iterations_has_one_for_each(tiny, watch, begun):
    watch(Before())
    tiny("run", *RUN)
    assert begun == [(iteration, iteration, SampleSet) for iteration in EACH]


def test_data_that_are_changed_on_their_way_have_one_for_each(tiny, monkeypatch, begun):
    def darker(self: GANDataModule, batch: SampleSet, dataloader_idx: int) -> SampleSet:
        return batch._replace(samples=batch.samples / 2)

    plain = tiny("plain", *RUN)
    begun.clear()
    monkeypatch.setattr(GANDataModule, "on_after_batch_transfer", darker)
    changed = tiny("changed", *RUN)
    assert begun == [(iteration, iteration, SampleSet) for iteration in EACH]
    assert changed.rows() != plain.rows()


def test_an_error_within_a_stretch_names_its_iteration(tiny, folder, monkeypatch):
    iterate = GAN.train_iteration

    def train_iteration(self: GAN, *arguments: Any) -> None:
        if self.trainer.global_step == 9:
            raise RuntimeError("a crash")
        iterate(self, *arguments)

    monkeypatch.setattr(GAN, "train_iteration", train_iteration)
    with pytest.raises(RuntimeError, match="a crash"):
        tiny("run", *RUN)
    assert folder("run").results()["iteration"] == 9
    assert folder("run").checkpoint()["global_step"] == 6
