"""The base of what looks on at each iteration."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer

from gan_lightning.training.gan import GAN
from gan_lightning.training.hooks import inherits
from gan_lightning.training.stretches import Watcher


class IterationCallback(Watcher):
    """Lightning's callback with the module's type known, and with iterations for batches.

    Once `after_iteration` is called, `trainer.global_step` counts the iteration. A batch of a loader that serves single
    minibatches may begin an iteration, end one, both or neither; one of this package's rounds may have many, between
    which no callback has said that it is due. `after_iteration`, and `before_iteration` of the next one, are called for
    certain where `is_due`, which is always unless a callback tells.
    """

    completed = 0  # iterations, as far as has been seen
    begun = -1  # the last one that has begun

    def looks_when_due_alone(self) -> bool:
        hooks = "on_train_batch_start", "on_train_batch_end"
        return all(getattr(self, hook) is None or inherits(self, IterationCallback, hook) for hook in hooks)

    def before_training(self, trainer: Trainer, model: GAN) -> None: ...

    def before_iteration(self, trainer: Trainer, model: GAN) -> None: ...

    def after_iteration(self, trainer: Trainer, model: GAN) -> None: ...

    def after_training(self, trainer: Trainer, model: GAN) -> None: ...

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model = as_gan(pl_module)
        self.completed, self.begun = trainer.global_step, -1
        self.before_training(trainer, model)
        self.spare_calls()

    def spare_calls(self) -> None:
        """Leaves Lightning nothing to call before an iteration, where there is nothing to be done.

        It calls what is callable, of each callback by way of the profiler: as long as a tiny network's layer takes.
        """
        if vars(self).get("on_train_batch_start", self) is None:
            del self.on_train_batch_start
        if all(inherits(self, IterationCallback, method) for method in ("before_iteration", "on_train_batch_start")):
            # Lightning calls what is callable, so that None in the method's place is none.
            self.on_train_batch_start = None  # type: ignore[assignment, method-assign]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        model = as_gan(pl_module)
        if self.begun != trainer.global_step:
            self.begun = trainer.global_step
            self.before_iteration(trainer, model)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        model = as_gan(pl_module)
        if self.completed != (step := trainer.global_step):
            self.completed = step
            if self.is_due(trainer, step):
                self.after_iteration(trainer, model)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.after_training(trainer, as_gan(pl_module))


def as_gan(module: LightningModule) -> GAN:
    """The module, which is a GAN. Raises TypeError for any other."""
    if not isinstance(module, GAN):
        raise TypeError(f"this callback looks on at a GAN, not at a {type(module).__name__}")
    return module
