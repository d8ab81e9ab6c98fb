"""The one LightningModule: an objective, regularizers, a schedule and two optimizers make every algorithm.

One `training_step` is one iteration: the schedule's discriminator updates, each on a fresh minibatch of the round, then
one generator update. Only the generator's optimizer moves `trainer.global_step`, so `max_steps`, checkpoints, logs and
the moving average count iterations.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_lightning.data.rounds import Round
from gan_lightning.losses.objectives import Objective, Terms
from gan_lightning.losses.regularizers import Penalty, Projection
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import uses_batch_statistics
from gan_lightning.seeds import mix, seed_generators
from gan_lightning.training.ema import EMA
from gan_lightning.training.running_means import RunningMeans
from gan_lightning.training.schedule import CriticSchedule

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


def _uncounted() -> None:
    """Stands in for the hooks by which Lightning counts an optimizer's steps."""


class GAN(LightningModule):
    """Trains `generator` and `discriminator` against each other.

    `generator` maps latents (N, latent_dim) ~ N(0, I) to samples and knows its `latent_dim`; `discriminator` maps
    samples to logits (N,). Images lie in [-1, 1]. `ema_generator` is the average that samples are drawn from; the raw
    generator's weights stay untouched beside it. All randomness of an iteration comes from (seed, iteration, rank), so
    that a resumed run continues exactly as if it had not stopped.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: nn.Module,
        objective: Objective,
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        schedule: CriticSchedule | None = None,
        regularizers: Mapping[str, Penalty | Projection] | None = None,
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
        # One call on real and fake together is faster, but batch statistics of the two must not mix.
        self.one_pass = not uses_batch_statistics(discriminator)
        for name, regularizer in self.regularizers.items():
            if isinstance(regularizer, Penalty) and regularizer.per_sample and not self.one_pass:
                raise ValueError(
                    f"{name} penalises each sample's gradient, which a discriminator with batch normalisation doesn't"
                    " have: its samples depend on each other; use network.discriminator.norm=none or layer"
                )
        self.optimizer_factories = (generator_optimizer, discriminator_optimizer)
        self.seed = seed
        self.means = RunningMeans()

    def configure_optimizers(self) -> list[Optimizer]:
        generator_optimizer, discriminator_optimizer = self.optimizer_factories
        return [
            generator_optimizer(self.generator.parameters()),
            discriminator_optimizer(self.discriminator.parameters()),
        ]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["running_means"] = self.means.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Of several ranks, each goes on with what the first one had.
        self.means.load_state_dict(checkpoint["running_means"], self.device)

    def on_train_start(self) -> None:
        # The networks are on their device now, so that their tensors can be held on to.
        self.update_average = self.ema.updater(self.ema_generator, self.generator)
        self.discriminator_parameters = list(self.discriminator.parameters())

    def training_step(self, batch: Round, batch_idx: int) -> None:
        iteration = self.trainer.global_step
        seed_generators(mix(self.seed, iteration, self.global_rank), self.device)
        generator_optimizer, discriminator_optimizer = cast("list[LightningOptimizer]", self.optimizers())
        # Lightning counts every optimizer's steps in global_step; these two hooks are where, and it sets them anew for
        # each batch.
        discriminator_optimizer._on_before_step = discriminator_optimizer._on_after_step = _uncounted
        log_norms = self.logs_after(iteration + 1)
        for step, real in enumerate(batch.images):
            self.discriminator_step(real, discriminator_optimizer, log_norms and step == len(batch.images) - 1)
        self.generator_step(batch.images[-1], generator_optimizer, log_norms)
        self.update_average(iteration)

    def discriminator_step(self, real: Tensor, optimizer: LightningOptimizer, log_norm: bool = False) -> None:
        """One discriminator update on a minibatch (N, ...) of real samples and as many fresh fakes."""
        for regularizer in self.regularizers.values():
            if isinstance(regularizer, Projection):
                regularizer.project(self.discriminator)
        with torch.no_grad():
            fake = self.generator(self.sample_latents(len(real))).to(real.dtype)
        real_logits, fake_logits = self.logits(real, fake)
        terms = self.objective.discriminator(real_logits, fake_logits)
        diagnostics = {
            "discriminator/real": self.objective.score(real_logits).mean(),
            "discriminator/fake": self.objective.score(fake_logits).mean(),
        }
        for name, value in self.objective.diagnostics(real_logits, fake_logits).items():
            diagnostics[f"discriminator/{name}"] = value
        for regularizer_name, regularizer in self.regularizers.items():
            if isinstance(regularizer, Penalty):
                terms[regularizer_name], details = regularizer.penalty(self.discriminator, real, fake)
                diagnostics |= {f"regularizer/{regularizer_name}/{name}": value for name, value in details.items()}
        self.update("discriminator", terms, optimizer, log_norm, diagnostics)

    def generator_step(self, real: Tensor, optimizer: LightningOptimizer, log_norm: bool = False) -> None:
        """One generator update on as many fresh fakes as `real` (N, ...) has samples."""
        self.freeze_discriminator(True)
        fake = self.generator(self.sample_latents(len(real)))
        if self.objective.uses_real:
            real_logits, fake_logits = self.logits(real, fake)
            terms = self.objective.generator(fake_logits, real_logits)
        else:
            terms = self.objective.generator(self.discriminator(fake))
        self.update("generator", terms, optimizer, log_norm)
        self.freeze_discriminator(False)

    def update(
        self,
        network: str,
        terms: Terms,
        optimizer: LightningOptimizer,
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

    def logits(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The discriminator's logits of real and of fake samples."""
        if not self.one_pass:
            return self.discriminator(real), self.discriminator(fake)
        real_logits, fake_logits = self.discriminator(torch.cat([real, fake.to(real.dtype)])).chunk(2)
        return real_logits, fake_logits

    def sample_latents(self, count: int) -> Tensor:
        """Latents (count, latent_dim) from N(0, I), on the module's device, from its default random generator."""
        return torch.randn(count, self.generator.latent_dim, device=self.device)

    def logs_after(self, completed: int) -> bool:
        """Whether metrics are logged once so many iterations are complete."""
        return completed % log_interval(self.trainer) == 0 or completed == self.trainer.max_steps


def log_interval(trainer: Trainer) -> int:
    """`trainer.log_every_n_steps`, which Lightning sets from outside the class; 0 would mean at each."""
    steps: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return max(1, steps)
