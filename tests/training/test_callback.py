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


@pytest.mark.parametrize(
    ("hook", "arguments"),
    [("train_start", ()), ("train_batch_start", (None, 0)), ("train_batch_end", (None, None, 0)), ("train_end", ())],
)
def test_another_module_is_refused_by_its_name(hook, arguments):
    with pytest.raises(TypeError, match=re.escape("looks on at a GAN, not at a Other")):
        getattr(Notes(), f"on_{hook}")(None, Other(), *arguments)
