"""The one LightningModule: an objective, heads, regularizers, a schedule and two optimizers make every algorithm.

One `training_step` is one iteration: the schedule's discriminator updates, each on a fresh minibatch of the round, then
one generator update. Only the generator's optimizer moves `trainer.global_step`, so `max_steps`, checkpoints, logs and
the moving average count iterations.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_lightning.data.rounds import Round
from gan_lightning.latents import Normal, Prior
from gan_lightning.losses.augmentations import Transformation
from gan_lightning.losses.heads import Drawn, Head
from gan_lightning.losses.objectives import Objective, Stateful, Terms
from gan_lightning.losses.regularizers import Penalty, Projection, WeightPenalty
from gan_lightning.networks.discriminator import Discriminator, pack
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import uses_batch_statistics
from gan_lightning.scheduled import Clock, is_scheduled, part_at, scheduled_fields, value_at
from gan_lightning.seeds import mix, seed_generators
from gan_lightning.training.advice import refuse
from gan_lightning.training.ema import EMA
from gan_lightning.training.running_means import RunningMeans
from gan_lightning.training.schedule import CriticSchedule

OptimizerFactory = Callable[..., Optimizer]
Regularizer = Penalty | WeightPenalty | Projection | Transformation
Kind = TypeVar("Kind")

NETWORKS = ("generator", "discriminator")
START, END = Clock(0, 0, 1, 1), Clock(2**60, 2**60, 2**60, 2**60)  # of a run of any length


def _uncounted() -> None:
    """Stands in for the hooks by which Lightning counts an optimizer's steps."""


class GAN(LightningModule):
    """Trains `generator` and `discriminator` against each other.

    `generator` maps latents (N, latent_dim), drawn from the prior `latents`, to samples; `discriminator` maps samples
    to logits (N,), or to (N, 1 + columns) where `heads` read the further columns. Labels go to whichever network takes
    any: each minibatch's fakes are made with the labels of its real samples, and so follow the data's distribution.
    Images lie in [-1, 1]. `ema_generator` is the average that samples are drawn from; the raw generator's weights stay
    untouched beside it. All randomness of an iteration comes from (seed, iteration, rank), so that a resumed run
    continues exactly as if it had not stopped.

    What the discriminator is shown, in both networks' steps, real or fake, has gone through the regularizers that are
    transformations, in their order, and then been packed; penalties are taken there too.

    Raises ValueError for parts that theory or their shapes forbid to combine (see gan_lightning.training.advice).
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        objective: Objective,
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        schedule: CriticSchedule | None = None,
        regularizers: Mapping[str, Regularizer] | None = None,
        heads: Mapping[str, Head] | None = None,
        latents: Prior | None = None,
        ema: EMA | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = generator
        self.discriminator = discriminator
        self.ema = ema or EMA()
        self.ema_generator = self.ema.copy(generator)
        self.objective = objective
        self.schedule = schedule or CriticSchedule()
        self.regularizers = dict(regularizers or {})
        self.heads = dict(heads or {})
        self.latents = latents or Normal()
        refuse(generator, discriminator, objective, self.regularizers, self.heads)
        # One call on real and fake together is faster, but batch statistics of the two must not mix.
        self.one_pass = not uses_batch_statistics(discriminator)
        self.optimizer_factories = (generator_optimizer, discriminator_optimizer)
        self.optimizer_schedules = tuple(
            {key: value for key, value in getattr(factory, "keywords", {}).items() if is_scheduled(value)}
            for factory in self.optimizer_factories
        )
        parts = {f"regularizer.{name}": part for name, part in self.regularizers.items()} | {"ema": self.ema}
        self.scheduled_parts = {name: fields for name, part in parts.items() if (fields := scheduled_fields(part))}
        self.current = dict(self.regularizers)
        self.discriminator_parameters = list(discriminator.parameters())
        self.seed = seed
        self.means = RunningMeans()

    def configure_optimizers(self) -> list[Optimizer]:
        return self.optimizers_at(START)

    def optimizers_at(self, clock: Clock) -> list[Optimizer]:
        """New optimizers with their scheduled arguments as they are at a point of the clock."""
        return [
            factory(network.parameters(), **{key: value_at(value, clock) for key, value in schedules.items()})
            for factory, schedules, network in zip(
                self.optimizer_factories,
                self.optimizer_schedules,
                (self.generator, self.discriminator),
                strict=True,
            )
        ]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["running_means"] = self.means.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Of several ranks, each goes on with what the first one had.
        self.means.load_state_dict(checkpoint["running_means"], self.device)

    def on_train_start(self) -> None:
        # The networks are on their device now, so that their tensors can be held on to.
        self.update_average = self.ema.updater(self.ema_generator, self.generator)

    def training_step(self, batch: Round, batch_idx: int) -> None:
        iteration = self.trainer.global_step
        seed_generators(mix(self.seed, iteration, self.global_rank), self.device)
        generator_optimizer, discriminator_optimizer = cast("list[LightningOptimizer]", self.optimizers())
        # Lightning counts every optimizer's steps in global_step; these two hooks are where, and it sets them anew for
        # each batch.
        discriminator_optimizer._on_before_step = discriminator_optimizer._on_after_step = _uncounted
        log = self.logs_after(iteration + 1)
        batch_size = batch.images.shape[1] * self.trainer.world_size
        clock = self.clock_at(iteration, batch_size, self.trainer.max_steps)
        self.keep_time(clock, (generator_optimizer, discriminator_optimizer), log)
        labels = batch.labels if batch.labels is not None else [None] * len(batch.images)
        for step, (real, real_labels) in enumerate(zip(batch.images, labels, strict=True)):
            is_last = step == len(batch.images) - 1
            number = self.schedule.steps_before(iteration) + step
            self.discriminator_step(real, discriminator_optimizer, real_labels, number, log and is_last)
        self.generator_step(batch.images[-1], generator_optimizer, labels[-1], log)
        self.update_average(part_at(self.ema, clock).decay_at(iteration, batch_size))

    def discriminator_step(
        self,
        real: Tensor,
        optimizer: Optimizer | LightningOptimizer,
        labels: Tensor | None = None,
        number: int = 0,
        log_norm: bool = False,
    ) -> None:
        """One discriminator update, the `number`-th, on (N, ...) real samples and as many fresh fakes."""
        for _, projection in self.of_kind(Projection):
            projection.project(self.discriminator)
        with torch.no_grad():
            fake, drawn = self.fakes(len(real), labels)
            real, fake = self.view(real), self.view(fake.to(real.dtype))
        packed_labels = self.packed_labels(labels)
        real_outputs, fake_outputs = self.judge(real, fake, packed_labels)
        real_logits, *real_columns = self.columns(real_outputs)
        fake_logits, *fake_columns = self.columns(fake_outputs)
        terms = self.objective.discriminator(real_logits, fake_logits)
        for head, real_column, fake_column in zip(self.heads.values(), real_columns, fake_columns, strict=True):
            terms |= head.discriminator(real_column, fake_column, labels, drawn)
        diagnostics = {
            "discriminator/real": self.objective.score(real_logits).mean(),
            "discriminator/fake": self.objective.score(fake_logits).mean(),
        }
        for name, value in self.objective.diagnostics(real_logits, fake_logits).items():
            diagnostics[f"discriminator/{name}"] = value
        critic = partial(self.critic, labels=packed_labels)
        for name, penalty in self.of_kind(Penalty):
            if number % penalty.every == 0:
                terms[name], details = penalty.penalty(critic, real, fake)
                diagnostics |= {f"regularizer/{name}/{detail}": value for detail, value in details.items()}
        for name, weight_penalty in self.of_kind(WeightPenalty):
            if number % weight_penalty.every == 0:
                terms[name], details = weight_penalty.weight_penalty(self.discriminator)
                diagnostics |= {f"regularizer/{name}/{detail}": value for detail, value in details.items()}
        self.real_mean = real_logits.detach().mean()
        self.update("discriminator", terms, optimizer, log_norm, diagnostics)

    def generator_step(
        self,
        real: Tensor,
        optimizer: Optimizer | LightningOptimizer,
        labels: Tensor | None = None,
        log_norm: bool = False,
    ) -> None:
        """One generator update on as many fresh fakes as `real` (N, ...) has samples."""
        self.freeze_discriminator(True)
        fake, drawn = self.fakes(len(real), labels)
        packed_labels = self.packed_labels(labels)
        if self.objective.uses_real:
            real_outputs, fake_outputs = self.judge(self.view(real), self.view(fake), packed_labels)
            real_logits = self.columns(real_outputs)[0]
        else:
            fake_outputs, real_logits = self.discriminator(self.view(fake), packed_labels), None
        fake_logits, *fake_columns = self.columns(fake_outputs)
        terms = self.objective.generator(fake_logits, real_logits)
        for head, column in zip(self.heads.values(), fake_columns, strict=True):
            terms |= head.generator(column, drawn)
        self.update("generator", terms, optimizer, log_norm)
        if isinstance(self.objective, Stateful):
            self.objective.advance(mean_of_ranks(self.real_mean), mean_of_ranks(fake_logits.detach().mean()))
        self.freeze_discriminator(False)

    def update(
        self,
        network: str,
        terms: Terms,
        optimizer: Optimizer | LightningOptimizer,
        log_norm: bool,
        diagnostics: Terms | None = None,
    ) -> None:
        """The only place where gradients are made and a step is taken: down the gradient of the sum of `terms`."""
        loss = torch.stack(list(terms.values())).sum() if len(terms) > 1 else next(iter(terms.values()))
        optimizer.zero_grad()
        self.manual_backward(loss)
        if log_norm:
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            scaler = self.trainer.scaler  # of 16-mixed, which scales losses against underflow
            norm = nn.utils.get_total_norm(gradients) / (scaler.get_scale() if scaler else 1.0)
            self.means.add({f"gradient_norm/{network}": norm})
        optimizer.step()
        named = {f"loss/{network}": loss} | {f"loss/{network}/{name}": term for name, term in terms.items()}
        self.means.add(named | (diagnostics or {}))

    def freeze_discriminator(self, frozen: bool) -> None:
        """Spares, or asks for, gradients of the discriminator's weights."""
        for parameter in self.discriminator_parameters:
            parameter.requires_grad = not frozen

    # What the discriminator sees and says.

    def fakes(self, count: int, labels: Tensor | None) -> tuple[Tensor, Drawn]:
        """Samples (count, ...) of the generator, of the labels (count,) if it takes any, and what they came from."""
        drawn = Drawn(self.sample_latents(count), labels if self.generator.classes else None)
        return self.generator(*drawn), drawn

    def sample_latents(self, count: int) -> Tensor:
        """Latents (count, latent_dim) from the prior, from the default random generator of the module's device."""
        return self.latents.draw(count, self.generator.latent_dim, self.device)

    def view(self, samples: Tensor) -> Tensor:
        """What the discriminator is shown of samples (N, C, ...): (N / packing, packing * C, ...)."""
        for _, transformation in self.of_kind(Transformation):
            samples = transformation.transform(samples)
        return pack(samples, self.discriminator.packing)

    def packed_labels(self, labels: Tensor | None) -> Tensor | None:
        """Labels (N,) for a discriminator that takes any: (N / packing, packing) if it is shown packs."""
        if labels is None or self.discriminator.label_input == "none":
            return None
        return pack(labels, self.discriminator.packing)

    def judge(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """The discriminator's outputs for real and for fake samples of the same labels."""
        if not self.one_pass:
            return self.discriminator(real, labels), self.discriminator(fake, labels)
        twice = None if labels is None else torch.cat([labels, labels])
        real_outputs, fake_outputs = self.discriminator(torch.cat([real, fake.to(real.dtype)]), twice).chunk(2)
        return real_outputs, fake_outputs

    def critic(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """The logits (N,) alone: what a penalty differentiates."""
        outputs: Tensor = self.discriminator(samples, labels)
        return outputs if outputs.ndim == 1 else outputs[:, 0]

    def columns(self, outputs: Tensor) -> list[Tensor]:
        """The discriminator's outputs as its logits (N,) and the columns (N, outputs) of each head."""
        if not self.heads:
            return [outputs]
        logits, *columns = outputs.split([1, *(head.outputs for head in self.heads.values())], dim=1)
        return [logits.squeeze(1), *columns]

    # Time.

    def clock_at(self, iteration: int, batch_size: int, last_iteration: int) -> Clock:
        """Where a run of `last_iteration` iterations (-1: without end) stands that shows `batch_size` reals a step."""
        last_images = -1 if last_iteration < 0 else self.schedule.steps_before(last_iteration) * batch_size
        return Clock(iteration, self.schedule.steps_before(iteration) * batch_size, last_iteration, last_images)

    def keep_time(self, clock: Clock, optimizers: Iterable[Any] = (), log: bool = False) -> None:
        """Gives all that is scheduled its value at a point of the clock, and logs the values if asked to.

        Raises ValueError if a schedule lasts to the end of a run that has none.
        """
        values: dict[str, float] = {}
        if self.scheduled_parts:
            self.current = {name: part_at(part, clock) for name, part in self.regularizers.items()}
            parts: dict[str, Any] = {f"regularizer.{name}": part for name, part in self.current.items()}
            parts["ema"] = part_at(self.ema, clock)
            for name, fields in self.scheduled_parts.items():
                values |= {f"{name}.{field}": getattr(parts[name], field) for field in fields}
        for network, schedules, optimizer in zip(NETWORKS, self.optimizer_schedules, optimizers, strict=False):
            for key, schedule in schedules.items():
                value = value_at(schedule, clock)
                for group in optimizer.param_groups:
                    group[key] = value
                for index, number in enumerate(value if isinstance(value, list | tuple) else [value]):
                    values[f"{network}.{key}{f'.{index}' if index else ''}"] = number
        if log and values:
            scalars = torch.tensor([float(value) for value in values.values()], device=self.device)
            self.means.add({f"schedule/{name}": scalar for name, scalar in zip(values, scalars, strict=True)})

    def of_kind(self, kind: type[Kind]) -> list[tuple[str, Kind]]:
        """The regularizers of one kind, as they are at this iteration."""
        return [(name, part) for name, part in self.current.items() if isinstance(part, kind)]

    def logs_after(self, completed: int) -> bool:
        """Whether metrics are logged once so many iterations are complete."""
        return completed % log_interval(self.trainer) == 0 or completed == self.trainer.max_steps


def mean_of_ranks(value: Tensor) -> Tensor:
    """A scalar averaged over the processes that train together; itself where there is one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        value = value.clone()
        torch.distributed.all_reduce(value)
        value /= torch.distributed.get_world_size()
    return value


def log_interval(trainer: Trainer) -> int:
    """`trainer.log_every_n_steps`, which Lightning sets from outside the class; 0 would mean at each."""
    steps: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return max(1, steps)
