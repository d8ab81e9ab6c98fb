"""The one LightningModule: an objective, heads, regularizers and two optimizers make every algorithm.

One `training_step` is one iteration: the discriminator's updates (CriticUpdates), each on a fresh minibatch of the
round, then one update of the generator. Only the generator's optimizer moves `trainer.global_step`, so that
`max_steps`, checkpoints, logs and the moving average count iterations.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.core.optimizer import LightningOptimizer, do_nothing_closure
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_lightning.losses.heads import Drawn, Head
from gan_lightning.losses.objectives import Objective, Stateful, Terms
from gan_lightning.losses.regularizers import Regularizer, Regularizers, by_kind
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.generator import Generator
from gan_lightning.samples import SampleSet
from gan_lightning.sampling.latents import Normal, Prior
from gan_lightning.schedules import Clock
from gan_lightning.seeds import mix, seed_generators
from gan_lightning.training.compatibility import Parts, refuse
from gan_lightning.training.critic_updates import CriticUpdates
from gan_lightning.training.discriminator_adapter import DiscriminatorAdapter, adapt
from gan_lightning.training.ema import EMA
from gan_lightning.training.ranks import mean_of_ranks
from gan_lightning.training.running_means import RunningMeans
from gan_lightning.training.timetable import START, OptimizerFactory, Timetable

AnyOptimizer = Optimizer | LightningOptimizer


class GAN(LightningModule):
    """Trains `generator` and `discriminator` against each other.

    `generator` maps latents (N, latent_dim), drawn from the prior `latents`, to samples; `discriminator` maps samples
    to logits (N,), or to (N, 1 + columns) where `heads` read the further columns. Labels go to whichever network takes
    any: each minibatch's fakes are made with the labels of its real samples, and so follow the data's distribution.
    Images lie in [-1, 1]. `ema_generator` is the average that samples are drawn from; the raw generator's weights stay
    untouched beside it. All randomness of an iteration comes from (seed, iteration, rank), so that a resumed run
    continues exactly as if it had not stopped.

    The discriminator sees samples as a DiscriminatorAdapter shows them, in both networks' steps, real or fake: gone
    through the regularizers that are transformations, and packed. Penalties are taken there too.

    Raises ValueError for parts that can't work together (training/compatibility.py).
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        objective: Objective,
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        critic_updates: CriticUpdates | None = None,
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
        self.critic_updates = critic_updates or CriticUpdates()
        self.regularizers = dict(regularizers or {})
        self.heads = dict(heads or {})
        self.latents = latents or Normal()
        refuse(self.parts)
        self.timetable = Timetable(self.regularizers, self.ema, generator_optimizer, discriminator_optimizer)
        self.bare_adapter = adapt(discriminator, self.heads)
        self.discriminator_parameters = list(discriminator.parameters())
        self.seed = seed
        self.means = RunningMeans()

    @property
    def parts(self) -> Parts:
        """What has to work together."""
        return Parts(self.generator, self.discriminator, self.objective, self.regularizers, self.heads, self.latents)

    def adapter(self, regularizers: Regularizers | None = None) -> DiscriminatorAdapter:
        """The discriminator behind the transformations among some regularizers, by default this module's own."""
        regularizers = by_kind(self.regularizers) if regularizers is None else regularizers
        return replace(self.bare_adapter, transformations=regularizers.transformations)

    def clock(self, iteration: int, batch_size: int, last_iteration: int) -> Clock:
        """Where a run of `last_iteration` iterations (-1: without end) stands that shows `batch_size` reals a step."""
        last_images = -1 if last_iteration < 0 else self.critic_updates.updates_before(last_iteration) * batch_size
        return Clock(iteration, self.critic_updates.updates_before(iteration) * batch_size, last_iteration, last_images)

    @property
    def has_trainer(self) -> bool:
        """Whether Lightning runs this module; a plain script may take its steps too."""
        try:
            return self.trainer is not None
        except RuntimeError:  # which says that there is none
            return False

    # What Lightning calls.

    def configure_optimizers(self) -> list[Optimizer]:
        return self.timetable.optimizers(START, self.generator.parameters(), self.discriminator.parameters())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["running_means"] = self.means.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Of several ranks, each goes on with what the first one had.
        self.means.load_state_dict(checkpoint["running_means"], self.device)

    def on_train_start(self) -> None:
        # The networks are on their device now, so that their tensors can be held on to.
        self.update_average = self.ema.updater(self.ema_generator, self.generator)

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Lightning's, and torch's own where there is no trainer."""
        if not self.has_trainer:
            loss.backward()
        else:
            super().manual_backward(loss, *args, **kwargs)

    def training_step(self, batch: SampleSet, batch_idx: int) -> None:
        iteration = self.trainer.global_step
        seed_generators(mix(self.seed, iteration, self.global_rank), self.device)
        generator_optimizer, discriminator_optimizer = cast("list[LightningOptimizer]", self.optimizers())
        log = self.logs_after(iteration + 1)
        batch_size = batch.samples.shape[1] * self.trainer.world_size
        moment = self.timetable.at(self.clock(iteration, batch_size, self.trainer.max_steps))
        moment.set((generator_optimizer, discriminator_optimizer))
        if log and moment.values:
            self.means.add({f"schedule/{name}": self.scalar(value) for name, value in moment.values.items()})
        first, last = self.critic_updates.updates_before(iteration), len(batch.samples) - 1
        real_mean = None
        for update, real in enumerate(batch.samples):
            labels = None if batch.labels is None else batch.labels[update]
            real_mean = self.discriminator_step(
                real,
                discriminator_optimizer.optimizer,  # itself, whose steps Lightning doesn't count
                labels,
                number=first + update,
                regularizers=moment.regularizers,
                log_norm=log and update == last,
            )
        labels = None if batch.labels is None else batch.labels[last]
        self.generator_step(
            batch.samples[last],
            generator_optimizer,
            labels,
            regularizers=moment.regularizers,
            real_mean=real_mean,
            log_norm=log,
        )
        self.update_average(moment.ema.decay_at(iteration, batch_size))

    # The game.

    def discriminator_step(
        self,
        real: Tensor,
        optimizer: AnyOptimizer,
        labels: Tensor | None = None,
        *,
        number: int = 0,
        regularizers: Regularizers | None = None,
        log_norm: bool = False,
    ) -> Tensor:
        """The discriminator's `number`-th update, on (N, ...) real samples and as many fresh fakes.

        `regularizers` are the module's as they are at this time, needed where any is scheduled. Returns the mean logit
        of the real samples.
        """
        regularizers = by_kind(self.regularizers) if regularizers is None else regularizers
        adapter = self.adapter(regularizers)
        for projection in regularizers.projections.values():
            projection.project(self.discriminator)
        with torch.no_grad():
            fake, drawn = self.fakes(len(real), labels)
            real, fake = adapter.view(real), adapter.view(fake.to(real.dtype))
        packed_labels = adapter.packed(labels)
        of_real, of_fake = adapter.both_outputs(real, fake, packed_labels)
        terms = self.objective.discriminator(of_real.logits, of_fake.logits)
        for name, head in self.heads.items():
            terms |= head.discriminator(of_real.columns[name], of_fake.columns[name], labels, drawn)
        diagnostics = {
            "discriminator/real": self.objective.score(of_real.logits).mean(),
            "discriminator/fake": self.objective.score(of_fake.logits).mean(),
        }
        for name, value in self.objective.diagnostics(of_real.logits, of_fake.logits).items():
            diagnostics[f"discriminator/{name}"] = value
        details: dict[str, Terms] = {}
        critic = partial(adapter.logits, labels=packed_labels)
        for name, penalty in regularizers.penalties.items():
            if number % penalty.every == 0:
                terms[name], details[name] = penalty.penalty(critic, real, fake)
        for name, weight_penalty in regularizers.weight_penalties.items():
            if number % weight_penalty.every == 0:
                terms[name], details[name] = weight_penalty.weight_penalty(self.discriminator)
        for name, detail in details.items():
            diagnostics |= {f"regularizer/{name}/{tag}": value for tag, value in detail.items()}
        real_mean = of_real.logits.detach().mean()
        self.update("discriminator", terms, optimizer, log_norm, diagnostics)
        return real_mean

    def generator_step(
        self,
        real: Tensor,
        optimizer: AnyOptimizer,
        labels: Tensor | None = None,
        *,
        regularizers: Regularizers | None = None,
        real_mean: Tensor | None = None,
        log_norm: bool = False,
    ) -> None:
        """One update of the generator, on as many fresh fakes as `real` (N, ...) has samples.

        `real_mean` is what the last discriminator_step has returned: an objective with a state moves on by it. Without
        it, the state stays.
        """
        adapter = self.adapter(regularizers)
        self.freeze_discriminator(True)
        fake, drawn = self.fakes(len(real), labels)
        packed_labels = adapter.packed(labels)
        if self.objective.uses_real:
            of_real, of_fake = adapter.both_outputs(adapter.view(real), adapter.view(fake), packed_labels)
            real_logits = of_real.logits
        else:
            of_fake, real_logits = adapter.outputs(adapter.view(fake), packed_labels), None
        terms = self.objective.generator(of_fake.logits, real_logits)
        for name, head in self.heads.items():
            terms |= head.generator(of_fake.columns[name], drawn)
        self.update("generator", terms, optimizer, log_norm)
        if isinstance(self.objective, Stateful) and real_mean is not None:
            self.objective.advance(mean_of_ranks(real_mean), mean_of_ranks(of_fake.logits.detach().mean()))
        self.freeze_discriminator(False)

    def update(
        self,
        network: str,
        terms: Terms,
        optimizer: AnyOptimizer,
        log_norm: bool = False,
        diagnostics: Terms | None = None,
    ) -> None:
        """The only place where gradients are made and a step is taken: down the gradient of the sum of `terms`.

        With a trainer, only the step of an optimizer in Lightning's wrapper counts in `trainer.global_step`.
        """
        loss = torch.stack(list(terms.values())).sum() if len(terms) > 1 else next(iter(terms.values()))
        optimizer.zero_grad()
        self.manual_backward(loss)
        if log_norm:
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            scaler = self.trainer.scaler  # of 16-mixed, which scales losses against underflow
            norm = nn.utils.get_total_norm(gradients) / (scaler.get_scale() if scaler else 1.0)
            self.means.add({f"gradient_norm/{network}": norm})
        if not self.has_trainer or isinstance(optimizer, LightningOptimizer):
            optimizer.step()
        else:
            self.trainer.strategy.optimizer_step(optimizer, do_nothing_closure, self)
        named = {f"loss/{network}": loss} | {f"loss/{network}/{name}": term for name, term in terms.items()}
        self.means.add(named | (diagnostics or {}))

    def freeze_discriminator(self, frozen: bool) -> None:
        """Spares, or asks for, gradients of the discriminator's weights."""
        for parameter in self.discriminator_parameters:
            parameter.requires_grad = not frozen

    def fakes(self, count: int, labels: Tensor | None = None) -> tuple[Tensor, Drawn]:
        """Samples (count, ...) of the generator, of the labels (count,) if it takes any, and what they came from.

        Latents come from the prior, by the default random generator of the module's device.
        """
        latents = self.latents.draw(count, self.generator.latent_dim, self.device)
        drawn = Drawn(latents, labels if self.generator.classes else None)
        return self.generator(*drawn), drawn

    def scalar(self, value: float) -> Tensor:
        """A number on the module's device."""
        return torch.tensor(float(value), device=self.device)

    def logs_after(self, completed: int) -> bool:
        """Whether metrics are logged once so many iterations are complete."""
        return completed % log_interval(self.trainer) == 0 or completed == self.trainer.max_steps


def log_interval(trainer: Trainer) -> int:
    """`trainer.log_every_n_steps`, which Lightning sets from outside the class; 0 would mean at each."""
    steps: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return max(1, steps)
