"""Iterations between which nobody looks on, trained one after the other within one batch of Lightning's.

For a batch Lightning's loop takes as long as small networks do for an update.
"""

import math
from collections.abc import Iterator
from typing import Any

from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer

from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.rounds import RoundLoader
from gan_lightning.training.hooks import are_idle, callbacks_of, inherits
from gan_lightning.training.minibatches import Batch

OF_BATCHES = ("on_train_batch_start", "on_train_batch_end")
OF_TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class Watcher(Callback):
    """A callback that tells when it is due: what IterationCallback is to the loop."""

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        """Whether there is anything to do once so many iterations are complete, before the next one included.

        It is asked after each one, and may be asked more than once: asking must change nothing. Iterations after which
        no callback is due are trained without a look at any, in less time.
        """
        return True

    def looks_when_due_alone(self) -> bool:
        """Whether nothing is to be called for an iteration after which this is not due."""
        return False


class Stretches:
    """The stretches of one training; to be made once it begins."""

    def __init__(self, trainer: Trainer, module: LightningModule) -> None:
        self.rounds: Any = trainer.train_dataloader  # a RoundLoader where stretches are allowed
        self.allowed = allows_stretches(trainer, module)
        self.callbacks = list(callbacks_of(trainer))
        self.watchers = [callback for callback in self.callbacks if isinstance(callback, Watcher)]
        self.is_ahead = False  # whether Lightning's batches are of iterations that have been trained

    def batches(self, trainer: Trainer, batch: Batch) -> Iterator[Batch]:
        """What Lightning has for its batch, and the rounds of the iterations after it until somebody looks on.

        Each is asked for once the one before has been trained on. Lightning's counters of batches, which it keeps in
        checkpoints, count iterations as if each were a batch.
        """
        yield self.rounds.round(trainer.global_step) if self.is_ahead else batch
        while self.goes_on(trainer):
            self.is_ahead = True
            loop = trainer.fit_loop.epoch_loop
            loop.batch_progress.increment_processed()
            loop.batch_progress.increment_completed()
            loop._batches_that_stepped += 1
            loop.batch_progress.increment_ready()
            loop.batch_progress.increment_started()
            yield self.rounds.round(trainer.global_step)

    def goes_on(self, trainer: Trainer) -> bool:
        """Whether there is another iteration, before which nobody has anything to do."""
        completed = trainer.global_step
        is_over = 0 <= trainer.max_steps <= completed or trainer.should_stop or trainer.received_sigterm
        return (
            self.allowed
            and not is_over
            and callbacks_of(trainer) == self.callbacks
            and not trainer._results  # of `self.log`, which Lightning logs batch by batch
            and not any(watcher.is_due(trainer, completed) for watcher in self.watchers)
        )


def allows_stretches(trainer: Trainer, module: LightningModule) -> bool:
    """Whether callbacks that tell when they are due are all that a batch means anything to, besides the module.

    So it is with the rounds of this package's data module, in memory, on one device, where neither another callback,
    nor the module, nor the data module implements a hook around batches, gradients or steps, and where nothing but
    `max_steps` limits the batches.
    """
    data, rounds = getattr(trainer, "datamodule", None), trainer.train_dataloader
    transfers = (module, LightningModule), (data, LightningDataModule)
    return (
        isinstance(data, GANDataModule)
        and type(rounds) is RoundLoader
        and not rounds.asks
        and rounds.start() == trainer.global_step
        and trainer.world_size == 1
        and math.isinf(trainer.num_training_batches)
        and not trainer.enable_validation
        and are_idle(trainer, module)
        and all(inherits(module, LightningModule, hook) for hook in OF_BATCHES)
        and all(inherits(part, kind, hook) for part, kind in transfers for hook in OF_TRANSFERS)
        and all(tells_when_due(callback) for callback in callbacks_of(trainer))
    )


def tells_when_due(callback: Callback) -> bool:
    """Whether a batch between two iterations after which it is not due means nothing to a callback."""
    if isinstance(callback, Watcher):
        return callback.looks_when_due_alone()
    return all(inherits(callback, Callback, hook) for hook in OF_BATCHES)
