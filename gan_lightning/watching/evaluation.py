"""Evaluates the average generator while it trains; tells which checkpoint is the best, and when to stop."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from gan_lightning import formats
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.errors import UserError
from gan_lightning.metrics.extractor import Extractor
from gan_lightning.metrics.observed import Metric, numbers
from gan_lightning.pictures import to_pixels
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.training.ranks import share_buffers
from gan_lightning.types import Count, PositiveInt
from gan_lightning.watching.evaluator import Evaluator, Record, differences
from gan_lightning.watching.loggers import Events, fenced, literal


class Interrupted(Exception):
    """The run is to end before the evaluation has."""


SEED = 0  # every run, whatever its own seed, is measured by samples of the same latents


class Evaluation(IterationCallback):
    """Measures the average generator while it trains, every `every` iterations and at `trainer.max_steps`.

    Each number is logged as `evaluation/NAME`, and the protocol once, as TensorBoard text. `records` has the last and
    the best record, for results.json; checkpoints/best.ckpt is that of the best (see RunCheckpoint).

    Arguments:
        every: in iterations; None: never.
        samples, reference, split: as in Evaluator.
        best: the number that decides which record is the best; None: the first for which higher or lower is better.
        patience: training stops after so many evaluations in a row without a better one; None: never.

    Where `is_interrupted` becomes true during an evaluation, it is left for when the run goes on, which may come to no
    harm by waiting; but for the last one. Of several processes all would have to leave it at once, and none does.

    If a run is resumed with another protocol, the best record of before is forgotten, since the two can't be compared.

    Raises ValueError if `best` is not one of the numbers, or if `patience` waits for evaluations that `every`
    leaves out; and UserError where the extractor can't be had.
    """

    def __init__(
        self,
        data: GANDataModule,
        extractor: Extractor,
        metrics: Mapping[str, Metric],
        every: PositiveInt | None = 1000,
        samples: Count = 1000,
        reference: Count | None = None,
        split: Literal["train", "held_out"] = "train",
        best: str | None = None,
        patience: PositiveInt | None = None,
    ) -> None:
        self.evaluator = None if every is None else Evaluator(data, extractor, metrics, samples, reference, split, SEED)
        self.every = every
        self.patience = patience
        self.higher_is_better = self.evaluator.higher_is_better if self.evaluator else numbers(metrics)
        if every is None and patience is not None:
            raise ValueError(f"patience is {patience}, but every is null; use evaluation.every=1000")
        ranked = [name for name, higher in self.higher_is_better.items() if higher is not None]
        if best is not None and best not in ranked:
            raise ValueError(f"best is {best!r}, expected one of {', '.join(ranked)}")
        self.chosen = best
        self.ranked = ranked if best is None else [best]
        self.records: dict[str, Record] = {}
        self.waited = 0  # evaluations since the best
        self.stopped = False
        self.is_interrupted: Callable[[], bool] = lambda: False
        self.is_owed = False

    @property
    def features(self) -> Callable[[Tensor], Tensor] | None:
        """Features (N, D) of samples as the networks see them, on the CPU; None without a network that gives any."""
        if self.evaluator is None or not self.evaluator.network.sha256:
            return None
        network = self.evaluator.network
        return lambda samples: network(to_pixels(samples) if samples.ndim == 4 else samples)[0]

    def state_dict(self) -> dict[str, Any]:
        # As text: a checkpoint holds plain containers, and these are nested ones.
        return {"records": json.dumps(self.records), "waited": self.waited, "is_owed": self.is_owed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        records = json.loads(state_dict["records"])
        self.records = {name: formats.upgrade_record(record) for name, record in records.items()}
        self.waited = state_dict["waited"]
        self.is_owed = state_dict.get("is_owed", False)  # which earlier runs don't tell

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        if self.evaluator is not None:
            self.evaluator.network.module.to(model.device)
            self.require_ranked(model)
            if self.is_owed:
                self.evaluate(trainer, model)

    def require_ranked(self, model: GAN) -> None:
        """Raises UserError if what the run is to be ranked by can't be measured, of which nobody would be told."""
        if self.evaluator is None or (self.patience is None and self.chosen is None):
            return
        left_out = self.evaluator.left_out(model.ema_generator, model.latents, model.device)
        if not set(self.ranked) - left_out.keys():
            key = "evaluation.best" if self.chosen else "evaluation.patience"
            reasons = "; ".join(f"{name} needs {left_out[name]}" for name in self.ranked)
            raise UserError(f"{key} needs a number that is measured: {reasons}.")

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        if self.evaluator is None or self.every is None:
            return False
        return completed % self.every == 0 or completed == trainer.max_steps

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        self.evaluate(trainer, model)

    def evaluate(self, trainer: Trainer, model: GAN) -> None:
        """Measures the average as it is, keeps the record and logs it; unless it is interrupted."""
        assert self.evaluator is not None
        iteration = trainer.global_step
        share_buffers(model.ema_generator)
        is_last = iteration == trainer.max_steps  # after which no run goes on
        progress = self.look_up if trainer.world_size == 1 and not is_last else ignore
        try:
            record = self.evaluator.measure(model.ema_generator, model.latents, device=model.device, progress=progress)
        except Interrupted:
            self.is_owed = True
            return
        self.is_owed = False
        # Processes that train together have measured the same samples, but the decision must be one.
        record = {"iteration": iteration, **trainer.strategy.broadcast(record)}
        is_new = self.is_another_protocol(record)
        self.note(record)
        values = {f"evaluation/{name}": value for name, value in record["values"].items() if value is not None}
        # For other callbacks. Lightning would keep what is logged here until the next iteration, which may not come.
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in values.items()})
        for logger in trainer.loggers:
            logger.log_metrics(values, step=iteration)
            if is_new and isinstance(logger, Events):
                logger.experiment.add_text("evaluation/protocol", as_text(record), iteration)
        if self.patience is not None and self.waited >= self.patience:
            rank_zero_info(f"{self.ranking} has not become better for {self.waited} evaluations: stopping.")
            trainer.should_stop = self.stopped = True

    def look_up(self, drawn: int) -> None:
        """Raises Interrupted if the run is to end."""
        if self.is_interrupted():
            raise Interrupted

    def note(self, record: Record) -> None:
        """Keeps a record as the last one, and as the best if it is."""
        if self.is_another_protocol(record):
            self.records = {}
        best = self.records.get("best")
        if best is None or self.is_better(record, best):
            self.records["best"] = record
            self.waited = 0
        else:
            self.waited += 1
        self.records["last"] = record

    def is_another_protocol(self, record: Record) -> bool:
        """Whether a record can't be compared with those before, if there are any."""
        return not self.records or bool(differences([self.records["last"]["protocol"], record["protocol"]]))

    @property
    def ranking(self) -> str | None:
        """The name of the number that evaluations are ranked by: the first that was measured."""
        values = self.records["best"]["values"] if self.records else {}
        return next((name for name in self.ranked if name in values), None)

    def is_better(self, record: Record, than: Record) -> bool:
        """Whether a record is better than another; one without a finite number never is."""
        name = self.ranking
        if name is None:
            return False
        higher = self.higher_is_better[name]
        worst = -math.inf if higher else math.inf
        value, before = (worst if (found := each["values"].get(name)) is None else found for each in (record, than))
        return bool(value > before if higher else value < before)

    def is_best(self, iteration: int) -> bool:
        """Whether the best record is that of this iteration."""
        return bool(self.records) and self.records["best"]["iteration"] == iteration


def ignore(drawn: int) -> None:
    """Lets an evaluation go on."""


def as_text(record: Record) -> str:
    """How numbers were measured, as Markdown."""
    left_out = "".join(
        f"\n\n{literal(f'{name} is left out: {reason}.')}" for name, reason in record["left_out"].items()
    )
    return fenced("json", json.dumps(record["protocol"], indent=2)) + left_out
