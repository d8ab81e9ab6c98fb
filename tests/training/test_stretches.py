"""Iterations that nobody looks on are trained within one batch of Lightning's, which changes nothing else."""

from functools import partial
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.strategies import Strategy

from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.sources import Digits
from gan_lightning.losses.objectives import Vanilla
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.samples import SampleSet
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.training.hooks import callbacks_of

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


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The iterations that are complete where Lightning begins a batch; its number is the same."""
    seen: list[int] = []
    step = Strategy.training_step

    def training_step(self: Strategy, batch: Any, batch_idx: int) -> Any:
        assert isinstance(self.lightning_module, GAN)
        seen.append(self.lightning_module.trainer.global_step)
        assert batch_idx == seen[-1]
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Strategy, "training_step", training_step)
    return seen


def test_a_batch_lasts_until_somebody_looks_and_nothing_else_changes(tiny, watch, same, begun):
    stretched = tiny("run", *RUN)
    assert begun == BEGUN
    begun.clear()
    watch(Idle())
    single = tiny("single", *RUN)
    assert begun == EACH
    for part in SAVED:
        same(stretched.checkpoint()[part], single.checkpoint()[part])
    assert stretched.rows() == single.rows()


def test_a_callback_may_tell_when_it_is_due(tiny, watch, begun):
    watch(looks := Looks(3))
    tiny("run", *RUN)
    assert looks.seen == [3]
    assert begun == [0, 3, 4, 6, 8]


def test_one_that_does_not_tell_is_called_after_each(tiny, watch, begun):
    watch(IterationCallback())
    tiny("run", *RUN)
    assert begun == EACH


@pytest.mark.parametrize("hook", ["on_train_batch_start", "on_train_batch_end", "on_before_batch_transfer"])
def test_a_module_that_is_told_of_batches_has_one_for_each_iteration(tiny, monkeypatch, begun, hook):
    inherited = getattr(GAN, hook)
    monkeypatch.setattr(GAN, hook, lambda self, *arguments: inherited(self, *arguments))
    tiny("run", *RUN)
    assert begun == EACH


def test_a_profiler_has_one_for_each_iteration(tiny, begun):
    tiny("run", *RUN, "trainer.profiler=simple")
    assert begun == EACH


def test_data_that_are_changed_on_their_way_have_one_for_each(tiny, monkeypatch, begun):
    def darker(self: GANDataModule, batch: SampleSet, dataloader_idx: int) -> SampleSet:
        return batch._replace(samples=batch.samples / 2)

    plain = tiny("plain", *RUN)
    begun.clear()
    monkeypatch.setattr(GANDataModule, "on_after_batch_transfer", darker)
    changed = tiny("changed", *RUN)
    assert begun == EACH
    assert changed.rows() != plain.rows()


def test_a_callback_is_called_before_the_next_iteration_where_it_is_due(tiny, watch):
    class Before(Looks):
        def before_iteration(self, trainer: Trainer, model: GAN) -> None:
            self.seen.append(-trainer.global_step)

    watch(before := Before(3))
    tiny("run", *RUN)
    assert before.seen == [0, 3, -3, -4, -6, -8]  # and where others are due


def test_a_callback_that_comes_later_is_told_of_all_batches_from_then_on(tiny, watch, begun):
    class Adds(Looks):
        def after_iteration(self, trainer: Trainer, model: GAN) -> None:
            callbacks_of(trainer).append(Idle())

    watch(Adds(3))
    tiny("run", *RUN)
    assert begun == [0, *range(3, 11)]


def test_what_lightning_logs_is_logged_of_each_iteration(tiny, monkeypatch, begun):
    renew = GAN.renew

    def logs(self: GAN, network: str) -> None:
        self.log("own", float(self.trainer.global_step))
        renew(self, network)

    monkeypatch.setattr(GAN, "renew", logs)
    tiny("run", *RUN)
    assert begun == EACH


class Own(GAN):
    """A module of one's own."""


class Passes:
    """A loader around a loader."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __iter__(self) -> Any:
        yield from self.loader


class OwnData(GANDataModule):
    """Data with such a loader."""

    def train_dataloader(self) -> Any:
        return Passes(super().train_dataloader())


@pytest.mark.filterwarnings("ignore:Found .* module")  # the average, which Lightning finds in eval mode
@pytest.mark.filterwarnings("ignore:The .train_dataloader. does not have many workers")
@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [(GAN, GANDataModule, [0]), (Own, GANDataModule, range(5)), (GAN, OwnData, range(5))],
)
def test_modules_and_loaders_of_ones_own_have_a_batch_for_each_iteration(begun, kind, data, expected):
    networks = MLPGenerator(3, (1, 8, 8), 6, 1), MLPDiscriminator((1, 8, 8), 6, 1)
    adam = partial(torch.optim.Adam, lr=1e-3)
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(accelerator="cpu", max_steps=5, **off)  # type: ignore[arg-type]  # which are all of this type
    trainer.fit(kind(*networks, Vanilla(), adam, adam), loaded := data(Digits(), (1, 8, 8), batch_size=16))
    assert begun == list(expected)
    assert isinstance(next(iter(loaded.train_dataloader())), SampleSet)


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


def test_a_checkpoint_within_a_stretch_has_counted_its_iterations(tiny, watch, same, monkeypatch, tmp_path):
    iterate = GAN.train_iteration

    def train_iteration(self: GAN, *arguments: Any) -> None:
        if self.trainer.global_step == 3:
            self.trainer.save_checkpoint(tmp_path / f"{len(list(tmp_path.glob('*.ckpt')))}.ckpt")
        iterate(self, *arguments)

    monkeypatch.setattr(GAN, "train_iteration", train_iteration)
    tiny("run", *RUN)
    watch(Idle())
    tiny("single", *RUN)
    loops = [torch.load(tmp_path / f"{number}.ckpt", weights_only=True)["loops"] for number in range(2)]
    same(*loops)
