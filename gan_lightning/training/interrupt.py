"""Signals and `trainer.max_time` end a run after the current iteration, with a checkpoint, instead of in the middle."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pytorch_lightning import Trainer

from gan_lightning.processes import REQUEUES, SIGNALS, Stopped, stop
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.training.ranks import Agreement

OUT_OF_TIME = 1000  # beside the signals' numbers


class Interrupt(IterationCallback):
    """Stops the trainer when a signal has come, or after `max_time` of training; `received` names the signal.

    A second Ctrl-C raises Stopped. With several ranks all must stop at one iteration: they agree on it about once a
    second. The time is counted from the start of this process's training: a resumed run has all of it again.
    """

    def __init__(self, max_time: timedelta | None = None) -> None:
        self.received: signal.Signals | None = None
        self.is_out_of_time = False
        self.max_time = max_time
        self.started = time.monotonic()
        self._previous: dict[signal.Signals, Any] = {}

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Handles signals while the block runs, if this is the main thread, which alone can."""
        self.install()
        try:
            yield
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def install(self) -> None:
        """Handles the signals from now on."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                previous = signal.signal(number, self._handle)
                self._previous.setdefault(number, previous)

    def _handle(self, number: int, frame: Any) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise Stopped(number)
        self.received = signal.Signals(number)

    def pass_on(self) -> None:
        """Sends the signal, if it asks for a requeue, to who has waited for it outside: submitit's requeueing."""
        waiting = self._previous.get(self.received) if self.received in REQUEUES else None
        if self.received and callable(waiting) and waiting is not stop:
            signal.raise_signal(self.received)

    @property
    def has_come(self) -> bool:
        """Whether the run is to end as soon as it can; other ranks may not know."""
        if self.max_time is not None and time.monotonic() - self.started >= self.max_time.total_seconds():
            self.is_out_of_time = True
        return self.received is not None or self.is_out_of_time

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        self.install()  # Lightning has installed its own by now, which would raise in the middle of the loop
        self.started = time.monotonic()
        self.agreement = Agreement(model.device)

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        return self.agreement.due(completed) if trainer.world_size > 1 else self.has_come

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        told = float(self.received or OUT_OF_TIME) if self.has_come else 0.0
        agreed = int(self.agreement.maximum(told, trainer.global_step))
        if agreed:
            self.received = None if agreed == OUT_OF_TIME else signal.Signals(agreed)
            self.is_out_of_time = agreed == OUT_OF_TIME
            trainer.should_stop = True
