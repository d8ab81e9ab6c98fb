"""The one LightningModule: an objective, heads, regularizers and two optimizers make every algorithm.

One iteration is the discriminator's updates (CriticUpdates), each on a fresh minibatch, then one update of the
generator. Only the generator's optimizer moves `trainer.global_step`, so that `max_steps`, checkpoints, logs and the
moving average count iterations. This package's data module serves all minibatches of an iteration at once; those of any
other loader are gathered until there are as many as the iteration takes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer, do_nothing_closure
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_lightning import ranks
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.losses.heads import Drawn, Head
from gan_lightning.losses.objectives import Objective, Stateful, Terms
from gan_lightning.losses.regularizers import Penalty, Regularizer, Regularizers, WeightPenalty, by_kind, due
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.plain import as_discriminator, as_generator
from gan_lightning.precision import forget_casts
from gan_lightning.samples import Conditions, SampleSet
from gan_lightning.sampling.checkpoints import origin_in
from gan_lightning.sampling.drawing import label_of_each
from gan_lightning.sampling.latents import Normal, Prior
from gan_lightning.schedules import Clock
from gan_lightning.training import hooks
from gan_lightning.training.clock import last_iteration, logs_after, serves_rounds
from gan_lightning.training.compatibility import Circumstances, Parts, cautions, refuse, refuse_data
from gan_lightning.training.compiled import compiled_terms, uncompiled
from gan_lightning.training.critic_updates import CriticUpdates
from gan_lightning.training.discriminator_adapter import DiscriminatorAdapter, adapt
from gan_lightning.training.ema import EMA
from gan_lightning.training.half import Twins, computing, twins_of
from gan_lightning.training.matmul import Setting, multiplying
from gan_lightning.training.minibatches import Batch, Gathered, Minibatch
from gan_lightning.training.ranks import of_each_rank, refuse_strategy
from gan_lightning.training.running_means import RunningMeans
from gan_lightning.training.stretches import Stretches
from gan_lightning.training.terms import EAGER, Play
from gan_lightning.training.timetable import NETWORKS, START, OptimizerFactory, Timetable
from gan_lightning.types import PositiveInt

AnyOptimizer = Optimizer | LightningOptimizer


class GAN(LightningModule):
    """Trains `generator` and `discriminator` against each other.

    `generator` maps latents (N, latent_dim), drawn from the prior `latents`, to samples; `discriminator` maps samples
    to logits (N,), or to (N, 1 + columns) where `heads` read the further columns. Either may be any module; one that is
    no Generator of this package tells its `latent_dim` by an attribute or by its first layer, or is given it. Labels go
    to whichever network takes any: each minibatch's fakes are made with the labels of its real samples, and so follow
    the data's distribution. Labels are classes, int64 (N,), or conditions that are numbers, float (N, K): `conditions`,
    those of the data module unless they are set, then say what samples are drawn with where nobody asks for some.
    Images lie in [-1, 1]. `ema_generator` is the average that samples are drawn from; the raw generator's weights stay
    untouched beside it. All randomness of an iteration comes from (seed, iteration), so that a resumed run continues
    exactly as if it had not stopped. The number of devices changes results by rounding alone, but for networks with
    batch statistics or dropout, which are of each device's own share of a minibatch (gan_lightning/ranks.py).

    The discriminator sees samples as a DiscriminatorAdapter shows them, in both networks' steps, real or fake: gone
    through the regularizers that are transformations, and packed. Gradient penalties are taken of samples before they
    are transformed (losses/regularizers.py).

    Raises ValueError for parts that can't work together (training/compatibility.py).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        critic_updates: CriticUpdates | None = None,
        regularizers: Mapping[str, Regularizer] | None = None,
        heads: Mapping[str, Head] | None = None,
        latents: Prior | None = None,
        ema: EMA | None = None,
        seed: int = 0,
        latent_dim: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = as_generator(generator, latent_dim)
        self.discriminator = as_discriminator(discriminator)
        self.ema = ema or EMA()
        self.ema_generator = self.ema.copy(self.generator)
        self.objective = objective
        self.critic_updates = critic_updates or CriticUpdates()
        self.regularizers = dict(regularizers or {})
        self.heads = dict(heads or {})
        self.latents = latents or Normal()
        refuse(self.parts)
        self.timetable = Timetable(self.regularizers, self.ema, generator_optimizer, discriminator_optimizer)
        self.bare_adapter = adapt(self.discriminator, self.heads)
        self.discriminator_parameters = list(self.discriminator.parameters())
        self.seed = seed
        self.conditions: Conditions | None = None
        self.origin: dict[str, Any] = {}  # where its weights began, as plain data; empty: at random
        self.gathered = Gathered(self.discriminator.packing)
        self.batch_size = 1
        self.matmul: Setting | None = None  # of an iteration's products; None: as torch is set
        self.rounds = False  # whether networks compute in bfloat16 while they train (training/half.py)
        self.twins: Twins | None = None  # that they do so with, where they can
        self.playing: Twins | None = None  # the same, within an iteration
        self.spares_hooks = True  # which Lightning's trainer calls around gradients and steps
        self.stretches: Stretches | None = None  # of the training; a class of one's own may do anything in a step
        self.compiles = False  # whether what networks minimise is compiled (training/compiled.py)
        self.terms = EAGER
        self.compiled_size = 0  # of the minibatches that they are compiled for
        self.means = RunningMeans()
        self.reported: dict[str, float] = {}  # the last means that were

    @property
    def parts(self) -> Parts:
        """What has to work together."""
        return Parts(self.generator, self.discriminator, self.objective, self.regularizers, self.heads, self.latents)

    @property
    def penalties(self) -> dict[str, Penalty | WeightPenalty]:
        """Regularizers that add a term to the discriminator's loss, at each so many of its steps."""
        return {k: part for k, part in self.regularizers.items() if isinstance(part, Penalty | WeightPenalty)}

    @contextmanager
    def as_fast(self) -> Iterator[None]:
        """In the block, networks compute as a run that is to be fast has them; in others nothing changes."""
        if not self.rounds:
            yield
            return
        self.playing = self.twins
        for twin in self.twins.by_network.values() if self.twins else ():
            twin.follow()
        try:
            with computing(self.device):
                yield
        finally:
            self.playing = None

    def adapter(self, regularizers: Regularizers | None = None, exact: bool = False) -> DiscriminatorAdapter:
        """The discriminator behind the transformations among some regularizers, by default this module's own.

        Within a fast iteration it is the discriminator's twin, unless it is to be `exact`.
        """
        regularizers = by_kind(self.regularizers) if regularizers is None else regularizers
        bare = self.bare_adapter if exact or not self.playing else self.playing.adapter
        return replace(bare, transformations=regularizers.transformations) if regularizers.transformations else bare

    def clock(self, iteration: int, batch_size: int, last_iteration: int) -> Clock:
        """Where a run of `last_iteration` iterations (-1: without end) stands that shows `batch_size` reals a step."""
        last_images = -1 if last_iteration < 0 else self.critic_updates.updates_before(last_iteration) * batch_size
        return Clock(iteration, self.critic_updates.updates_before(iteration) * batch_size, last_iteration, last_images)

    @torch.no_grad()
    def forward(self, count: int, labels: Tensor | None = None) -> Tensor:
        """Draws `count` samples of the average generator, by the default random generator of the module's device.

        A conditional one makes samples of the `labels`, (count,) or (count, K); without any, its classes take turns, or
        conditions are as the data have them.
        """
        if labels is None and (told := label_of_each(self.generator, count, self.conditions)) is not None:
            labels = told.to(self.device)
        fakes: Tensor = self.ema_generator(*self.drawn(count, labels, self.ema_generator))
        return fakes

    # What Lightning calls.

    def setup(self, stage: str) -> None:
        """Raises ValueError for a strategy that would not train both networks rightly (training/ranks.py)."""
        if stage != "fit":
            return
        refuse_strategy(self.trainer.strategy, self)
        data = getattr(self.trainer, "datamodule", None)
        if self.conditions is None and isinstance(data, GANDataModule):
            self.conditions = data.conditions

    def configure_optimizers(self) -> list[Optimizer]:
        return self.timetable.optimizers(START, self.generator.parameters(), self.discriminator.parameters())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["matmul"] = self.matmul
        checkpoint["bfloat16"] = self.rounds
        checkpoint["compiled"] = self.compiles
        if self.origin:
            checkpoint["origin"] = self.origin
        checkpoint["running_means"] = self.means.state_dict()
        states = of_each_rank(self.gathered.state_dict())
        checkpoint["gathered"] = states[0]
        if len(states) > 1 and any(states):
            checkpoint["gathered_by_rank"] = states

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.means.load_state_dict(checkpoint["running_means"], self.device)
        self.origin = origin_in(checkpoint)
        rank, count = ranks.place()
        states = checkpoint.get("gathered_by_rank", [])
        # Where there are as many ranks as there were, each goes on with its own; otherwise with what the first one had.
        waiting = states[rank] if len(states) == count else checkpoint.get("gathered", [])
        self.gathered.load_state_dict(waiting, self.device)

    def on_train_start(self) -> None:
        # The networks are on their device now, so that their tensors can be held on to.
        self.update_average = self.ema.updater(self.ema_generator, self.generator)
        self.spares_hooks = hooks.are_idle(self.trainer, self)
        self.stretches = Stretches(self.trainer, self) if type(self) is GAN else None
        networks = self.generator, self.discriminator
        self.twins = twins_of(*networks, self.heads, self.spares_hooks) if self.rounds else None
        self.reported = {}
        self.terms, self.compiled_size = EAGER, 0

    def on_train_end(self) -> None:
        self.spares_hooks = True  # a plain script may take further steps
        self.stretches = None
        self.twins = None
        self.terms = EAGER

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An iteration, once its minibatches are there, and those after it that nobody looks on.

        Raises ValueError for a batch that the networks don't fit.
        """
        for each in self.stretches.batches(self.trainer, batch) if self.stretches else (batch,):
            iteration = self.trainer.global_step
            if minibatches := self.gathered.add(each, self.critic_updates.updates(iteration)):
                if not isinstance(each, SampleSet) and not self.reported:
                    self.require_fitting(*minibatches[0])
                with multiplying(self.matmul), self.as_fast():
                    if self.compiles and len(minibatches[0].samples) > self.compiled_size:
                        self.compile_terms(minibatches[0])
                    with ranks.together(self.device, self.seed, iteration):
                        self.train_iteration(minibatches)

    def compile_terms(self, minibatch: Minibatch) -> None:
        """What networks minimise of such minibatches is compiled, or is not to be any more, where that can't be."""
        self.compiled_size = len(minibatch.samples)
        self.terms = compiled_terms(self, minibatch)
        # A compiler that a signal has ended says nothing against compiling when the run goes on.
        if not any(getattr(each, "received", None) for each in hooks.callbacks_of(self.trainer)):  # by Interrupt
            self.compiles = self.terms is not EAGER

    def do_without_graphs(self, reason: str) -> None:
        """Networks train without compiled graphs from now on, which is told."""
        self.terms, self.compiles = uncompiled(reason), False

    def on_train_epoch_end(self) -> None:
        """What stops or saves at the end of an epoch finds its numbers; rounds have no epochs."""
        if not serves_rounds(self.trainer):
            self.report()

    def train_iteration(self, minibatches: Sequence[Minibatch]) -> None:
        """The discriminator's updates, one on each of the minibatches, and one update of the generator on the last."""
        iteration = self.trainer.global_step
        generator_optimizer, discriminator_optimizer = cast("list[LightningOptimizer]", self.optimizers())
        log = logs_after(self.trainer, iteration + 1)
        # The last minibatch of a loader's epoch may be smaller; the clock goes by whole ones.
        self.batch_size = max(self.batch_size, len(minibatches[0].samples))
        batch_size = self.batch_size * self.trainer.world_size
        end = last_iteration(self.trainer, self.critic_updates)
        moment = self.timetable.at(self.clock(iteration, batch_size, end))
        moment.set((generator_optimizer, discriminator_optimizer))
        if log and moment.values:
            self.means.add({f"schedule/{name}": self.scalar(value) for name, value in moment.values.items()})
        first, last = self.critic_updates.updates_before(iteration), minibatches[-1]
        real_mean = None
        for update, minibatch in enumerate(minibatches):
            real_mean = self.discriminator_step(
                minibatch.samples,
                discriminator_optimizer.optimizer,  # itself, whose steps Lightning doesn't count
                minibatch.labels,
                number=first + update,
                regularizers=moment.regularizers,
                log_norm=log and minibatch is last,
            )
        self.generator_step(
            last.samples,
            generator_optimizer,
            last.labels,
            regularizers=moment.regularizers,
            real_mean=real_mean,
            log_norm=log,
        )
        self.update_average(moment.ema.decay_at(iteration, batch_size))
        if log or not self.reported:
            self.report(to_loggers=log)

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
        for projection in regularizers.projections.values():
            projection.project(self.discriminator)
            self.renew("discriminator")
        found = self.terms.discriminator(self.play(regularizers, number), real, labels, self.drawn(len(real), labels))
        self.update("discriminator", found.terms, optimizer, log_norm, found.diagnostics)
        return found.real_mean

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
        self.freeze_discriminator(True)
        found = self.terms.generator(self.play(regularizers), real, labels, self.drawn(len(real), labels))
        self.update("generator", found.terms, optimizer, log_norm)
        if isinstance(self.objective, Stateful) and real_mean is not None:
            self.objective.advance(ranks.mean_of_ranks(real_mean), ranks.mean_of_ranks(found.fake_logits.mean()))
        self.freeze_discriminator(False)

    def play(self, regularizers: Regularizers | None = None, number: int | None = None) -> Play:
        """What takes part in a step: in the discriminator's `number`-th, the penalties that are due."""
        regularizers = by_kind(self.regularizers) if regularizers is None else regularizers
        adapter = self.adapter(regularizers)
        return Play(
            self.objective,
            self.heads,
            self.playing.generator if self.playing else self.generator,
            adapter,
            self.adapter(regularizers, exact=True) if self.playing else adapter,
            self.discriminator,
            {} if number is None else due(regularizers.penalties, number),
            {} if number is None else due(regularizers.weight_penalties, number),
        )

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
        hooks.clear_gradients(optimizer)
        if self.spares_hooks:
            loss.backward()
        else:
            self.manual_backward(loss)
        if self.playing:
            self.playing.by_network[network].hand_over()
        if log_norm:
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            scaler = self.trainer.scaler  # of 16-mixed, which scales losses against underflow
            norm = nn.utils.get_total_norm(gradients) / (scaler.get_scale() if scaler else 1.0)
            self.means.add({f"gradient_norm/{network}": norm})
        if self.spares_hooks:
            with hooks.counted(optimizer) as own:
                hooks.take_step(own)
        elif isinstance(optimizer, LightningOptimizer):
            optimizer.step()
        else:
            self.trainer.strategy.optimizer_step(optimizer, do_nothing_closure, self)
        self.renew(network)
        named = {f"loss/{network}": loss} | {f"loss/{network}/{name}": term for name, term in terms.items()}
        self.means.add(named | (diagnostics or {}))

    def renew(self, network: str) -> None:
        """What a network's weights were rounded to is rounded anew, after they have changed."""
        forget_casts(self.device)
        if self.playing:
            self.playing.by_network[network].refresh()

    def freeze_discriminator(self, frozen: bool) -> None:
        """Spares, or asks for, gradients of the discriminator's weights."""
        copies = self.playing.by_network["discriminator"].copies if self.playing else ()
        for parameter in (*self.discriminator_parameters, *copies):
            parameter.requires_grad = not frozen

    def drawn(self, count: int, labels: Tensor | None = None, generator: Generator | None = None) -> Drawn:
        """What so many samples of a generator are made from, of the labels, (count,) or (count, K), if it takes any.

        Latents come from the prior, by the default random generator of the module's device; in training, those of all
        ranks are what one process would draw (gan_lightning.ranks).
        """
        generator = generator or self.generator
        latents = ranks.drawn(partial(self.draw_latents, generator.latent_dim), count)
        return Drawn(latents, labels if generator.classes else None)

    def draw_latents(self, latent_dim: int, count: int, source: torch.Generator | None) -> Tensor:
        """Latents (count, latent_dim) from the prior on the module's device; without a source, by its default one."""
        return self.latents.draw(count, latent_dim, self.device, generator=source)

    def scalar(self, value: float) -> Tensor:
        """A number on the module's device."""
        return torch.tensor(float(value), device=self.device)

    def require_fitting(self, real: Tensor, labels: Tensor | None) -> None:
        """Raises ValueError if the networks don't fit samples (N, ...) with labels, and warns of what is unwise."""
        count = max(1, 2 // self.discriminator.packing) * self.discriminator.packing
        end = last_iteration(self.trainer, self.critic_updates)
        moment = self.timetable.at(self.clock(0, len(real), end))
        told = None if labels is None else labels[:count]
        refuse_data(self.parts, self.adapter(moment.regularizers), real[:count], told)
        optimizer = self.trainer.optimizers[1]
        for caution in cautions(self.parts, Circumstances(optimizer, str(self.trainer.precision), real, served=True)):
            rank_zero_warn(caution)

    def report(self, to_loggers: bool = True) -> None:
        """Gives the means since the last report to the trainer's loggers, and to callbacks by `callback_metrics`.

        Not `to_loggers`, they are given to callbacks alone, and the means go on.
        """
        take = self.means.take if to_loggers else self.means.so_far
        means = take(lambda values: self.trainer.strategy.reduce(values, reduce_op="mean"))
        if not means:
            return
        for network, optimizer in zip(NETWORKS, self.trainer.optimizers, strict=True):
            means[f"learning_rate/{network}"] = float(optimizer.param_groups[0]["lr"])
        self.reported = means
        # Not by `self.log`, after which Lightning asks the device for the bar's values at every batch.
        self.trainer.callback_metrics.update({name: torch.tensor(value) for name, value in means.items()})
        self.trainer.progress_bar_metrics.update({name: means[name] for name in (f"loss/{each}" for each in NETWORKS)})
        for logger in self.trainer.loggers if to_loggers else ():
            logger.log_metrics(means, step=self.trainer.global_step)
