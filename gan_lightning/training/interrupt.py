"""Ctrl-C and SIGTERM end a run after the current iteration, with a checkpoint, instead of in the middle of one."""

import signal
import threading
from typing import Any

import torch
from pytorch_lightning import Trainer

from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.clock import log_interval
from gan_lightning.training.gan import GAN

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt(IterationCallback):
    """Stops the trainer when a signal has come; `received` names it afterwards. A second Ctrl-C ends at once.

    With several ranks all must stop at one iteration: they agree on it at the log points.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        if threading.current_thread() is threading.main_thread():
            # Lightning has installed its own by now, which would raise in the middle of the loop.
            self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}

    def _handle(self, number: int, frame: Any) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        if trainer.world_size == 1:
            if self.received is not None:
                trainer.should_stop = True
        elif trainer.global_step % log_interval(trainer) == 0:
            number = torch.tensor(float(self.received or 0), device=model.device)
            agreed = int(trainer.strategy.reduce(number, reduce_op="max"))
            if agreed:
                self.received = signal.Signals(agreed)
                trainer.should_stop = True

    def after_training(self, trainer: Trainer, model: GAN) -> None:
        # Later, or after an exception, Lightning itself puts back what it found.
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
