"""Watches a training: measures both networks on a fixed batch now and then, and says so where a known failure shows."""

import logging
from typing import Any, Literal

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.sampling.drawing import draw_latents
from gan_lightning.seeds import mix
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.types import Count, PositiveInt
from gan_lightning.watching.loggers import Events, literal
from gan_lightning.watching.measurements import measure, undisturbed, update_ratios, weights, whole_packs
from gan_lightning.watching.verdicts import Verdict, Watch, diverged

log = logging.getLogger(__name__)

ALARMS = "alarms"  # TensorBoard's page Text has its tags by the alphabet: before config and evaluation/protocol
WATCHED = 0x4EA1  # keeps the fixed latents apart from every other use of the seed


class HealthCheck(IterationCallback):
    """Every `every` iterations (None: never) logs numbers under `health/`, and verdicts where `Watch` finds any.

    The numbers, which watching/measurements.py explains, are of `count` samples each, always the same: the first
    training samples, held-out ones, and fakes of fixed latents and the training samples' labels, in whole packs (one at
    least). Gradients are taken of a minibatch at a time, so that measuring takes no more memory than training. Networks
    are in evaluation mode, and the generator is the raw one. A verdict goes to the log, to TensorBoard's text `alarms`
    and to `verdicts`; with `on_alarm` "stop" it ends the training, after a checkpoint. Of several ranks the first one
    measures its own networks.
    """

    def __init__(
        self,
        data: GANDataModule,
        seed: int = 0,
        every: PositiveInt | None = 500,
        count: Count = 256,
        on_alarm: Literal["warn", "stop"] = "warn",
    ) -> None:
        self.data = data
        self.seed = seed
        self.every = every
        self.on_alarm = on_alarm
        self.watch = Watch()
        self.latest: dict[str, float] = {}
        self.stopped = False
        self.before: dict[str, list[Tensor]] = {}
        if every is not None:
            in_a_pass = data.stream.minibatches_per_pass * data.batch_size
            self.real = data.first(whole_packs(min(count, in_a_pass), data.packing)).as_floats()
            held_out = data.subset("held_out", whole_packs(count, data.packing))
            self.held_out = held_out.first(len(held_out.samples) // data.packing * data.packing).as_floats()

    @property
    def verdicts(self) -> list[Verdict]:
        """All that have been said, in their order; those before a run was stopped and resumed included."""
        return self.watch.verdicts

    def state_dict(self) -> dict[str, Any]:
        return {"watch": self.watch.state_dict(), "latest": self.latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.watch.load_state_dict(state_dict["watch"])
        self.latest = state_dict["latest"]

    def measures(self, completed: int) -> bool:
        """Whether there is a measurement once so many iterations are complete."""
        return self.every is not None and completed % self.every == 0

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        return self.measures(completed) or self.measures(completed + 1)

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        if self.every is None or not trainer.is_global_zero:
            return
        seed = mix(self.seed, WATCHED)
        latents = draw_latents(model.latents, model.generator.latent_dim, len(self.real.samples), seed)
        self.latents = latents.to(model.device)
        self.real, self.held_out = self.real.to(model.device), self.held_out.to(model.device)

    def before_iteration(self, trainer: Trainer, model: GAN) -> None:
        if trainer.is_global_zero and self.measures(trainer.global_step + 1):
            self.before = weights(model)

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        iteration = trainer.global_step
        if not self.measures(iteration):
            return
        alarm = False
        if trainer.is_global_zero:
            self.latest = self.measured(trainer, model)
            for logger in trainer.loggers:
                logger.log_metrics({f"health/{name}": value for name, value in self.latest.items()}, step=iteration)
            verdict = self.watch.check(self.latest, iteration)
            alarm = verdict is not None
            if verdict:
                announce(trainer, verdict)
        # Lightning stops each rank by its own flag, so that all have to be told.
        if self.on_alarm == "stop" and trainer.strategy.reduce_boolean_decision(alarm, all=False):
            self.stopped = trainer.should_stop = True

    def measured(self, trainer: Trainer, model: GAN) -> dict[str, float]:
        """The numbers of the iteration that has just been completed."""
        iteration = trainer.global_step
        clock = model.clock(iteration - 1, self.data.batch_size, trainer.max_steps)
        adapter = model.adapter(model.timetable.at(clock).regularizers)
        with undisturbed(model, mix(self.seed, WATCHED, iteration)):
            at_once = self.data.batch_size // trainer.world_size
            tensors = measure(model, adapter, self.real, self.held_out, self.latents, at_once)
        tensors |= update_ratios(self.before, weights(model))
        self.before = {}
        values = torch.stack([value.detach().float() for value in tensors.values()]).tolist()
        return dict(zip(tensors, values, strict=True))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Raised where numbers that are logged, or weights to be saved, are found not to be finite.
        if self.every is not None and isinstance(exception, FloatingPointError):
            show(trainer, self.watch.say(diverged(str(exception)), trainer.global_step))  # the error itself is said


def announce(trainer: Trainer, verdict: Verdict) -> None:
    """Says a verdict in the log and in TensorBoard."""
    log.warning("%s", verdict.sentence)
    show(trainer, verdict)


def show(trainer: Trainer, verdict: Verdict) -> None:
    """Says a verdict in TensorBoard."""
    for logger in trainer.loggers:
        if isinstance(logger, Events):
            logger.experiment.add_text(ALARMS, literal(verdict.sentence), verdict.iteration)
