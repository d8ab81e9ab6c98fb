"""Tells how far and how fast a training is, and stops it when its numbers are no longer finite."""

import math
import time
from typing import Any

from pytorch_lightning import Trainer

from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.checkpoint import diverged, is_norm, last_good
from gan_lightning.training.clock import logs_after
from gan_lightning.training.gan import GAN


class Monitor(IterationCallback):
    """Every `trainer.log_every_n_steps` iterations, and at `trainer.max_steps`, logs `progress/...`.

    The GAN itself logs the others then, which are means since the last log. The step of every value is the iteration.

    | tag | what it is |
    | --- | --- |
    | `loss/NETWORK`, `loss/NETWORK/TERM` | what a network minimises, in nats or in the critic's units |
    | `discriminator/real`, `/fake` | D(x), as the loss's paper means it |
    | `regularizer/NAME/...` | what a regularizer has measured |
    | `gradient_norm/NETWORK` | Euclidean, over all weights, of the last update |
    | `learning_rate/NETWORK` | of the last update |
    | `schedule/...` | the values of what is scheduled |
    | `progress/images_seen`, `/images_per_second` | real images that the discriminator was shown |
    | `progress/epoch` | passes over the data |
    | `progress/seconds` | of training, those before a run was stopped and resumed included |
    """

    def __init__(self, minibatches_per_pass: int, batch_size: int) -> None:
        self.minibatches_per_pass = minibatches_per_pass
        self.batch_size = batch_size
        self.latest: dict[str, float] = {}
        self._seconds_before = 0.0
        self._started: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "latest": self.latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds_before = state_dict["seconds"]
        self.latest = state_dict["latest"]

    @property
    def has_begun(self) -> bool:
        """Whether training has, with all restored that a resumed run goes on from."""
        return self._started is not None

    @property
    def seconds(self) -> float:
        """Seconds spent training, those before it was stopped and resumed included."""
        return self._seconds_before + (0.0 if self._started is None else time.monotonic() - self._started)

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        self._started = self._window_started = time.monotonic()
        self._window_iteration = trainer.global_step

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        return logs_after(trainer, completed)

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        iteration = trainer.global_step
        now = time.monotonic()
        minibatches = model.critic_updates.updates_before(iteration)
        in_window = minibatches - model.critic_updates.updates_before(self._window_iteration)
        progress = {
            "progress/images_seen": minibatches * self.batch_size,
            "progress/epoch": minibatches / self.minibatches_per_pass,
            "progress/images_per_second": in_window * self.batch_size / max(now - self._window_started, 1e-9),
            "progress/seconds": self.seconds,
        }
        self._window_started, self._window_iteration = now, iteration
        self.latest = model.reported | progress
        for logger in trainer.loggers:
            logger.log_metrics(progress, step=iteration)
        # A scaler skips steps whose gradients overflow, on purpose.
        asked = {name: value for name, value in self.latest.items() if not (trainer.scaler and is_norm(name))}
        require_finite(asked, iteration, last_good(trainer))

    def after_training(self, trainer: Trainer, model: GAN) -> None:
        self._seconds_before, self._started = self.seconds, None


def require_finite(metrics: dict[str, float], iteration: int, last_good: int | None = None) -> None:
    """Raises Diverged naming the first metric that is NaN or infinite, and the last checkpoint's iteration."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise diverged(f"{name} is {value}", iteration, last_good)
