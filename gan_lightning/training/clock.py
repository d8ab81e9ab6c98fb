"""How far Lightning's trainer is to go, in iterations."""

import math

from pytorch_lightning import Trainer

from gan_lightning.data.rounds import RoundLoader
from gan_lightning.training.critic_updates import CriticUpdates


def log_interval(trainer: Trainer) -> int:
    """`trainer.log_every_n_steps`, which Lightning sets from outside the class; 0 would mean at each."""
    steps: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return max(1, steps)


def logs_after(trainer: Trainer, completed: int) -> bool:
    """Whether metrics are logged once so many iterations are complete."""
    return completed % log_interval(trainer) == 0 or completed == trainer.max_steps


def serves_rounds(trainer: Trainer) -> bool:
    """Whether all minibatches of an iteration come at once, without end; other loaders have epochs."""
    return isinstance(trainer.train_dataloader, RoundLoader)


def last_iteration(trainer: Trainer, critic_updates: CriticUpdates) -> int:
    """The iteration that training ends at, by `max_steps` or by `max_epochs`, whichever is first; -1 for none."""
    steps, epochs = trainer.max_steps, trainer.max_epochs
    minibatches = trainer.num_training_batches * (-1 if epochs is None else epochs)
    if serves_rounds(trainer) or minibatches < 0 or math.isinf(minibatches):
        return steps
    whole = critic_updates.iterations(int(minibatches))
    whole -= critic_updates.updates_before(whole) > minibatches  # the last one lacks some
    return whole if steps < 0 else min(steps, whole)
