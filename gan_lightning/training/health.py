"""Watches a training: measures both networks on a fixed batch now and then, and says so where a known failure shows.

Nothing of the training changes by it: random generators, buffers, gradients and modes are as before.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.rounds import as_floats
from gan_lightning.losses.objectives import Objective
from gan_lightning.losses.regularizers import WeightClipping, gradient_norms, interpolate
from gan_lightning.seeds import mix, seed_generators
from gan_lightning.training.gan import GAN, NETWORKS
from gan_lightning.training.loggers import Events
from gan_lightning.training.samples import draw_latents
from gan_lightning.training.verdicts import Verdict, Watch, diverged
from gan_lightning.types import PositiveInt

log = logging.getLogger(__name__)

WATCHED = 0x4EA1  # keeps the fixed latents apart from every other use of the seed
SATURATED = 1e-3  # of the sigmoid's slope, which is 1/4 at most

Numbers = dict[str, Tensor]


class Samples(NamedTuple):
    """Real samples (N, ...) as networks see them, and their labels (N,) if they have any."""

    samples: Tensor
    labels: Tensor | None

    def to(self, device: torch.device) -> "Samples":
        return Samples(self.samples.to(device), None if self.labels is None else self.labels.to(device))


class HealthCheck(Callback):
    """Every `every` iterations (None: never) logs numbers under `health/`, and verdicts where `Watch` finds any.

    The numbers are of `count` samples each, always the same: training samples, held-out ones, and fakes of fixed
    latents and the training samples' labels, in whole packs (one at least). Gradients are taken of a minibatch at a
    time, so that measuring takes no more memory than training. Networks are in evaluation mode, the generator is the
    raw one. See `measure` for the tags. A verdict goes to the log, to TensorBoard's text `health` and to `verdicts`;
    with `on_alarm` "stop" it ends the training, after a checkpoint. Of several ranks the first one measures its own
    networks.
    """

    def __init__(
        self,
        data: GANDataModule,
        seed: int,
        every: PositiveInt | None = 500,
        count: PositiveInt = 256,
        on_alarm: Literal["warn", "stop"] = "warn",
    ) -> None:
        self.seed = seed
        self.every = every
        self.on_alarm = on_alarm
        self.watch = Watch()
        self.latest: dict[str, float] = {}
        self.stopped = False
        self.before: dict[str, list[Tensor]] = {}
        self.batch_size = data.batch_size
        if every is not None:
            self.real = training_samples(data, count)
            self.held_out = held_out_samples(data, count)

    @property
    def verdicts(self) -> list[Verdict]:
        """All that have been said, in their order; those of the earlier parts of a resumed run included."""
        return self.watch.verdicts

    def state_dict(self) -> dict[str, Any]:
        return {"watch": self.watch.state_dict(), "latest": self.latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.watch.load_state_dict(state_dict["watch"])
        self.latest = state_dict["latest"]

    def is_due(self, completed: int) -> bool:
        """Whether there is a measurement once so many iterations are complete."""
        return self.every is not None and completed % self.every == 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, GAN)
        if self.every is None or not trainer.is_global_zero:
            return
        seed = mix(self.seed, WATCHED)
        latents = draw_latents(pl_module.latents, pl_module.generator.latent_dim, len(self.real.samples), seed)
        self.latents = latents.to(pl_module.device)
        self.real, self.held_out = self.real.to(pl_module.device), self.held_out.to(pl_module.device)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        assert isinstance(pl_module, GAN)
        if trainer.is_global_zero and self.is_due(trainer.global_step + 1):
            self.before = weights(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GAN)
        iteration = trainer.global_step
        if not self.is_due(iteration):
            return
        alarm = False
        if trainer.is_global_zero:
            with undisturbed(pl_module, mix(self.seed, WATCHED, iteration)):
                part = self.batch_size // trainer.world_size
                tensors = measure(pl_module, self.real, self.held_out, self.latents, part)
            tensors |= update_ratios(self.before, weights(pl_module))
            self.before = {}
            values = torch.stack([value.detach().float() for value in tensors.values()]).tolist()
            self.latest = dict(zip(tensors, values, strict=True))
            for logger in trainer.loggers:
                logger.log_metrics({f"health/{name}": value for name, value in self.latest.items()}, step=iteration)
            verdict = self.watch.judge(self.latest, iteration)
            alarm = verdict is not None
            if verdict:
                announce(trainer, verdict)
        # Lightning stops each rank by its own flag, so that all have to be told.
        if self.on_alarm == "stop" and trainer.strategy.reduce_boolean_decision(alarm, all=False):
            self.stopped = trainer.should_stop = True

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Raised where numbers that are logged, or weights to be saved, are found not to be finite.
        if self.every is not None and isinstance(exception, FloatingPointError):
            announce(trainer, self.watch.say(diverged(str(exception)), trainer.global_step))


def announce(trainer: Trainer, verdict: Verdict) -> None:
    """Says a verdict in the log and in TensorBoard."""
    log.warning("%s", verdict.sentence)
    for logger in trainer.loggers:
        if isinstance(logger, Events):
            logger.experiment.add_text("health", verdict.sentence, verdict.iteration)


def training_samples(data: GANDataModule, count: int) -> Samples:
    """The first `count` samples that training sees, in whole packs; fewer if there are fewer."""
    stream, loaded, labels = data.stream, data.loaded, data.labels
    count = whole_packs(min(count, stream.minibatches_per_pass * stream.batch_size), data.packing)
    rows = stream.minibatches(0, -(-count // stream.batch_size)).flatten()[:count].to(loaded.device)
    return Samples(as_floats(loaded[rows]), None if labels is None else labels[rows])


def held_out_samples(data: GANDataModule, count: int) -> Samples:
    """`count` held-out samples, in whole packs; fewer, or none, if there are fewer."""
    held_out = data.held_out
    count = min(whole_packs(count, data.packing), len(held_out.samples) // data.packing * data.packing)
    rows = torch.linspace(0, len(held_out.samples) - 1, count).long()  # over all of them, which may be sorted by class
    return Samples(as_floats(held_out.samples[rows]), None if held_out.labels is None else held_out.labels[rows])


def whole_packs(count: int, packing: int) -> int:
    """The most samples up to `count` that fill packs, or one pack."""
    return max(1, count // packing) * packing


def weights(model: GAN) -> dict[str, list[Tensor]]:
    """A copy of both networks' weights."""
    return {name: [p.detach().clone() for p in getattr(model, name).parameters()] for name in NETWORKS}


@contextmanager
def undisturbed(model: GAN, seed: int) -> Iterator[None]:
    """Evaluation mode, and random numbers of a seed; afterwards modes and random generators are as they were."""
    modules = [*model.generator.modules(), *model.discriminator.modules()]
    modes = [module.training for module in modules]
    with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        seed_generators(seed, model.device)
        model.generator.eval()
        model.discriminator.eval()
        try:
            yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode


def measure(model: GAN, real: Samples, held_out: Samples, latents: Tensor, part: int) -> Numbers:
    """Scalars by tag, of training samples, held-out ones, and as many fakes of latents (N, latent_dim) as the former.

    Gradients are taken of `part` samples at a time, and the generator's of the first `part` alone.

    `accuracy/real`, `/held_out`, `/fake`: shares that the discriminator judges rightly, by the objective's boundary or,
    where it has none, by the middle between the mean logits of training samples and of fakes. `overfitting_gap`: that
    of training samples less that of held-out ones. `ranking`: how often a training sample's logit is above a fake's.
    These are left out of energies (BEGAN wants fakes to be reconstructed better), and where training samples are all
    the same.
    `logit_range`: the largest of these two's logits less the smallest. `saturated`: the share of them where the
    sigmoid's slope is below 1e-3, if the objective has one. `wasserstein_estimate`: mean logit of training samples less
    that of fakes, if the objective needs a Lipschitz critic. `clipped`: the share of weights that weight clipping is
    about to set to its bound. `critic_gradient/real`, `/fake`, `/interpolate`, each `/mean` and `/max`: norm of a
    logit's gradient in the sample. `gradient_norm/generator`, and `/LAYER` below it: of the objective's loss (not the
    heads') in the weights; `loss_slope`: of this loss in the fakes' logits, absolute, summed: 1 for -E f. `diversity`:
    mean distance of two fakes relative to that of two training samples, unless those are all the same.
    `non_finite/generator`, `/discriminator`: 1 if a weight, or what the network makes of the batch, is not finite.
    """
    labels = model.packed_labels(real.labels)
    part = whole_packs(min(part, len(latents)), model.discriminator.packing)
    few = Samples(real.samples[:part], None if real.labels is None else real.labels[:part])
    numbers = generator_gradients(model, few, latents[:part])
    with torch.no_grad():
        fake = model.generator(latents, real.labels if model.generator.classes else None)
        real_view, fake_view = model.view(real.samples), model.view(fake)
        real_logits, fake_logits = model.critic(real_view, labels), model.critic(fake_view, labels)
    numbers |= critic_gradients(model, real_view, fake_view, labels, part // model.discriminator.packing)
    with torch.no_grad():
        distance = mean_distance(real.samples)
        can_judge = not model.objective.needs_energy and bool(distance > 0)
        numbers |= judgements(model.objective, real_logits, fake_logits, can_judge)
        if len(held_out.samples) and can_judge:
            logits = model.critic(model.view(held_out.samples), model.packed_labels(held_out.labels))
            numbers["accuracy/held_out"] = share(logits > boundary(model.objective, real_logits, fake_logits))
            numbers["overfitting_gap"] = numbers["accuracy/real"] - numbers["accuracy/held_out"]
        for _, clipping in model.of_kind(WeightClipping):
            flat = torch.cat([parameter.flatten() for parameter in model.discriminator.parameters()])
            numbers["clipped"] = share(flat.abs() >= clipping.bound)
        if distance > 0:
            numbers["diversity"] = mean_distance(fake) / distance
        numbers["non_finite/generator"] = non_finite(fake, *model.generator.parameters())
        numbers["non_finite/discriminator"] = non_finite(real_logits, fake_logits, *model.discriminator.parameters())
    return numbers


def share(marks: Tensor) -> Tensor:
    """How many of the booleans are true, 0 to 1."""
    return marks.float().mean()


def boundary(objective: Objective, real_logits: Tensor, fake_logits: Tensor) -> Tensor | float:
    """The logit above which a sample counts as judged to be real."""
    fixed = objective.boundary()
    return (real_logits.mean() + fake_logits.mean()) / 2 if fixed is None else fixed


def judgements(objective: Objective, real_logits: Tensor, fake_logits: Tensor, can_judge: bool) -> Numbers:
    """What the logits (N,) of training samples and of fakes tell of the discriminator."""
    both = torch.cat([real_logits, fake_logits])
    numbers = {"logit_range": both.max() - both.min()}
    if can_judge:
        limit = boundary(objective, real_logits, fake_logits)
        numbers["accuracy/real"] = share(real_logits > limit)
        numbers["accuracy/fake"] = share(fake_logits <= limit)
        numbers["ranking"] = share(real_logits[:, None] > fake_logits)
    if objective.is_probability:
        scores = objective.score(both)
        numbers["saturated"] = share(scores * (1 - scores) < SATURATED)
    if objective.needs_lipschitz:
        numbers["wasserstein_estimate"] = real_logits.mean() - fake_logits.mean()
    return numbers


def generator_gradients(model: GAN, real: Samples, latents: Tensor) -> Numbers:
    """Norms of the gradient of the objective's generator loss, in the fakes' logits and in the weights."""
    labels = model.packed_labels(real.labels)
    with torch.no_grad():
        real_logits = model.critic(model.view(real.samples), labels)
    fake = model.generator(latents, real.labels if model.generator.classes else None)
    fake_logits = model.critic(model.view(fake), labels)
    loss = torch.stack(list(model.objective.generator(fake_logits, real_logits).values())).sum()
    named = {name: weight for name, weight in model.generator.named_parameters() if weight.requires_grad}
    slopes, *gradients = torch.autograd.grad(loss, [fake_logits, *named.values()], allow_unused=True)
    layers: dict[str, list[Tensor]] = {}
    for name, gradient in zip(named, gradients, strict=True):
        if gradient is not None:
            layers.setdefault(layer_of(name), []).append(gradient)
    numbers = {f"gradient_norm/generator/{layer}": nn.utils.get_total_norm(own) for layer, own in layers.items()}
    total = nn.utils.get_total_norm(list(numbers.values()))
    return {"loss_slope": slopes.abs().sum(), "gradient_norm/generator": total, **numbers}


def layer_of(parameter: str) -> str:
    """The name of the layer that has a parameter of this name, which may be reparametrised."""
    layer = parameter.partition(".parametrizations.")[0]
    return layer if layer != parameter else parameter.rpartition(".")[0] or parameter


def critic_gradients(model: GAN, real: Tensor, fake: Tensor, labels: Tensor | None, part: int) -> Numbers:
    """Mean and largest norm of the logit's gradient at real samples, at fakes and between, of `part` at a time."""
    numbers: Numbers = {}
    for place, points in (("real", real), ("fake", fake), ("interpolate", interpolate(real, fake))):
        norms = gradient_norms_of_parts(model, points, labels, part)
        numbers |= {f"critic_gradient/{place}/mean": norms.mean(), f"critic_gradient/{place}/max": norms.max()}
    return numbers


def gradient_norms_of_parts(model: GAN, points: Tensor, labels: Tensor | None, part: int) -> Tensor:
    """The Euclidean norm (N,) of the logit's gradient at each of the points (N, ...), of `part` of them at a time."""
    told = [None] * -(-len(points) // part) if labels is None else labels.split(part)
    pairs = zip(points.split(part), told, strict=True)
    return torch.cat([gradient_norms(partial(model.critic, labels=label), some).detach() for some, label in pairs])


def update_ratios(before: Mapping[str, list[Tensor]], after: Mapping[str, list[Tensor]]) -> Numbers:
    """`update_ratio/NETWORK`: the norm of the change of all weights in an iteration, over that of the weights."""
    return {
        f"update_ratio/{name}": nn.utils.get_total_norm([b - a for a, b in zip(before[name], after[name], strict=True)])
        / nn.utils.get_total_norm(before[name])
        for name in before
    }


def mean_distance(samples: Tensor) -> Tensor:
    """Mean Euclidean distance of two different ones of the samples (N, ...)."""
    flat = samples.flatten(1)
    # By differences: the faster product of matrices gives equal samples distances above 0.
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.sum() / max(1, len(flat) * (len(flat) - 1))


def non_finite(*tensors: Tensor) -> Tensor:
    """1 if any entry is NaN or infinite, else 0."""
    return torch.stack([~tensor.isfinite().all() for tensor in tensors]).any().float()
