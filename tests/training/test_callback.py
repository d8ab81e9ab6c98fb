"""Callbacks look on at a GAN, at each iteration."""

import re

import pytest
from pytorch_lightning import LightningModule, Trainer

from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN


class Other(LightningModule):
    """A module that is no GAN."""


class Notes(IterationCallback):
    """Notes when it is called, and with what."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, object]] = []

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        self.seen.append(("before training", trainer.global_step, model))

    def before_iteration(self, trainer: Trainer, model: GAN) -> None:
        self.seen.append(("before", trainer.global_step, model))

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        self.seen.append(("after", trainer.global_step, model))

    def after_training(self, trainer: Trainer, model: GAN) -> None:
        self.seen.append(("after training", trainer.global_step, model))


def test_each_iteration_is_seen_before_and_after_it(tiny, watch):
    watch(notes := Notes())
    tiny("run", "loss=wgan_gp", "loss.n_critic=3", "trainer.max_steps=2")
    assert [(when, step) for when, step, _ in notes.seen] == [
        ("before training", 0),
        *[("before", 0), ("after", 1), ("before", 1), ("after", 2)],
        ("after training", 2),
    ]
    assert all(isinstance(model, GAN) for _, _, model in notes.seen)


class After(IterationCallback):
    """Asks for nothing before an iteration."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        self.seen.append(trainer.global_step)


class Batches(After):
    """Lightning's own hook, and nothing else before an iteration."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        self.seen.append(-trainer.global_step)


class Before(After):
    """The same, by an attribute of its own."""

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        self.before_iteration = lambda trainer, model: self.seen.append(-trainer.global_step)  # type: ignore[method-assign]


def test_what_asks_for_nothing_before_an_iteration_is_not_called_there(tiny, watch):
    callbacks = After(), Batches(), Before()
    watch(*callbacks)
    tiny("run", "trainer.max_steps=2")
    assert [callback.seen for callback in callbacks] == [[1, 2], [0, 1, -1, 2], [0, 1, -1, 2]]
    assert [callable(callback.on_train_batch_start) for callback in callbacks] == [False, True, True]
    tiny("again", "trainer.max_steps=1")
    assert callbacks[0].seen == [1, 2, 1]


@pytest.mark.parametrize(
    ("hook", "arguments"),
    [("train_start", ()), ("train_batch_start", (None, 0)), ("train_batch_end", (None, None, 0)), ("train_end", ())],
)
def test_another_module_is_refused_by_its_name(hook, arguments):
    with pytest.raises(TypeError, match=re.escape("looks on at a GAN, not at a Other")):
        getattr(Notes(), f"on_{hook}")(None, Other(), *arguments)
