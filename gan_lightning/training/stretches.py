"""Iterations between which nobody looks on, trained one after the other within one batch of Lightning's.

For a batch Lightning's loop takes as long as small networks do for an update.
"""

from collections.abc import Iterator

from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer

from gan_lightning.data.rounds import RoundLoader
from gan_lightning.samples import SampleSet
from gan_lightning.training.hooks import callbacks_of, inherits

STAGES = ("ready", "started", "processed", "completed")
OF_BATCHES = ("on_train_batch_start", "on_train_batch_end")
OF_TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class Watcher(Callback):
    """A callback that tells when it is due: what IterationCallback is to the loop."""

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        """Whether there is anything to do once so many iterations are complete.

        It is asked after each one, and may be asked more than once. Iterations after which no callback is due are
        trained without a look at any, in less time.
        """
        return True

    def looks_when_due_alone(self) -> bool:
        """Whether nothing is to be called for an iteration after which this is not due."""
        return False


def takes_stretches(trainer: Trainer, module: LightningModule) -> bool:
    """Whether callbacks that tell when they are due are all that a batch means anything to, besides the module.

    So it is on one device, where neither another callback, nor the module, nor the data module implements a hook around
    batches, and where nothing but `max_steps` limits them.
    """
    data = getattr(trainer, "datamodule", None)
    transfers = (module, LightningModule), (data, LightningDataModule)
    return (
        trainer.world_size == 1
        and isinstance(trainer.limit_train_batches, float)
        and not trainer.enable_validation
        and all(inherits(module, LightningModule, hook) for hook in OF_BATCHES)
        and all(inherits(part, kind, hook) for part, kind in transfers if part for hook in OF_TRANSFERS)
        and all(tells_when_due(callback) for callback in callbacks_of(trainer))
    )


def tells_when_due(callback: Callback) -> bool:
    """Whether a batch between two iterations after which it is not due means nothing to a callback."""
    if isinstance(callback, Watcher):
        return callback.looks_when_due_alone()
    return all(inherits(callback, Callback, hook) for hook in OF_BATCHES)


def rounds_of_stretch(trainer: Trainer, rounds: RoundLoader) -> Iterator[SampleSet]:
    """The rounds of the iterations from the next on, until a watcher is due or the training has come to its end.

    Each is asked for once the one before has been trained on. Lightning's counters of batches, which it keeps in
    checkpoints, count iterations as they would if each were a batch.
    """
    watchers = [callback for callback in callbacks_of(trainer) if isinstance(callback, Watcher)]
    first = completed = trainer.global_step
    while True:
        yield rounds.round(completed)
        completed = trainer.global_step
        if completed == trainer.max_steps or trainer.should_stop or trainer.received_sigterm:
            break
        if any(watcher.is_due(trainer, completed) for watcher in watchers):
            break
    loop = trainer.fit_loop.epoch_loop
    more = completed - first - 1
    for counted in (loop.batch_progress.total, loop.batch_progress.current):
        for stage in STAGES:
            setattr(counted, stage, getattr(counted, stage) + more)
    loop._batches_that_stepped += more
