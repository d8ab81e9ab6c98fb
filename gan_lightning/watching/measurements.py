"""Numbers by which the health of a training can be read off both networks, on a fixed batch.

Nothing of the training changes by it: random generators, buffers, gradients and modes are as before (`undisturbed`).

| below `health/` | what it is |
| --- | --- |
| `accuracy/real`, `/held_out`, `/fake` * | shares classified correctly: by the objective's boundary or, without one, |
| | by the middle between the mean logits of training samples and of fakes |
| `overfitting_gap` * | `accuracy/real` less `accuracy/held_out` |
| `ranking` * | how often a training sample's logit is above a fake's |
| `logit_range` | the largest logit of training samples and fakes less the smallest |
| `saturated` | share of these logits where the sigmoid's slope is below 1e-3; of objectives that have one |
| `wasserstein_estimate` | mean logit of training samples less that of fakes; for Lipschitz critics |
| `clipped` | share of weights that weight clipping is about to set to its bound |
| `critic_gradient/real`, `/fake`, `/interpolate` | `/mean` and `/max` norm of a logit's gradient in the sample |
| `gradient_norm/generator`, and `/LAYER` below it | of the objective's loss (not the heads') in the weights |
| `loss_slope` | of this loss in the fakes' logits, absolute, summed: 1 for -E f |
| `diversity` | mean distance of two fakes over that of two training samples, unless those are all the same |
| `coverage` | how many training samples are a fake's nearest, over how many are another training sample's; |
| | of images and signals |
| `update_ratio/NETWORK` | norm of the change of all weights in an iteration, over that of the weights |
| `non_finite/NETWORK` | 1 if a weight, or what the network makes of the batch, is not finite |

* Left out of energies (BEGAN wants fakes to be reconstructed better), where training samples are all the same, and
for `held_out` where nothing is held out.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from gan_lightning.losses.objectives import Objective
from gan_lightning.losses.regularizers import WeightClipping, gradient_norms, interpolate
from gan_lightning.samples import SampleSet
from gan_lightning.seeds import seed_generators
from gan_lightning.training.discriminator_adapter import DiscriminatorAdapter
from gan_lightning.training.gan import GAN
from gan_lightning.training.timetable import NETWORKS

SATURATED = 1e-3  # of the sigmoid's slope, which is 1/4 at most

Measured = dict[str, Tensor]


def measure(
    model: GAN, adapter: DiscriminatorAdapter, real: SampleSet, held_out: SampleSet, latents: Tensor, at_once: int
) -> Measured:
    """Scalars by tag: of training samples, held-out ones, and as many fakes of latents (N, latent_dim) as the former.

    All but `update_ratio`. Samples are floats on the model's device, in whole packs. `adapter` is the discriminator as
    it has seen samples in the last iteration. Gradients are taken of `at_once` samples at a time, and the generator's
    of the first so many alone.
    """
    packing = model.discriminator.packing
    labels = adapter.packed(real.labels)
    at_once = whole_packs(min(at_once, len(latents)), packing)
    measured = generator_gradients(model, adapter, real.first(at_once), latents[:at_once])
    with torch.no_grad():
        fake = model.generator(latents, real.labels if model.generator.classes else None)
        real_view, fake_view = adapter.view(real.samples), adapter.view(fake)
        real_logits, fake_logits = adapter.logits(real_view, labels), adapter.logits(fake_view, labels)
    measured |= critic_gradients(adapter, real_view, fake_view, labels, at_once // packing)
    with torch.no_grad():
        distance = mean_distance(real.samples)
        can_classify = not model.objective.needs_energy and bool(distance > 0)
        measured |= classification(model.objective, real_logits, fake_logits, can_classify)
        if len(held_out.samples) and can_classify:
            logits = adapter.logits(adapter.view(held_out.samples), adapter.packed(held_out.labels))
            measured["accuracy/held_out"] = share(logits > boundary(model.objective, real_logits, fake_logits))
            measured["overfitting_gap"] = measured["accuracy/real"] - measured["accuracy/held_out"]
        for clipping in model.regularizers.values():
            if isinstance(clipping, WeightClipping):
                flat = torch.cat([parameter.flatten() for parameter in model.discriminator.parameters()])
                measured["clipped"] = share(flat.abs() >= clipping.bound)
        if distance > 0:
            measured["diversity"] = mean_distance(fake) / distance
            if fake.ndim > 2:  # points between tight modes share few nearest neighbours, however many modes they go to
                measured["coverage"] = coverage(fake, real.samples)
        measured["non_finite/generator"] = non_finite(fake, *model.generator.parameters())
        measured["non_finite/discriminator"] = non_finite(real_logits, fake_logits, *model.discriminator.parameters())
    return measured


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


def share(marks: Tensor) -> Tensor:
    """How many of the booleans are true, 0 to 1."""
    return marks.float().mean()


def boundary(objective: Objective, real_logits: Tensor, fake_logits: Tensor) -> Tensor | float:
    """The logit above which a sample counts as classified as real."""
    fixed = objective.boundary()
    return (real_logits.mean() + fake_logits.mean()) / 2 if fixed is None else fixed


def classification(objective: Objective, real_logits: Tensor, fake_logits: Tensor, can_classify: bool) -> Measured:
    """What the logits (N,) of training samples and of fakes tell of the discriminator."""
    both = torch.cat([real_logits, fake_logits])
    measured = {"logit_range": both.max() - both.min()}
    if can_classify:
        limit = boundary(objective, real_logits, fake_logits)
        measured["accuracy/real"] = share(real_logits > limit)
        measured["accuracy/fake"] = share(fake_logits <= limit)
        measured["ranking"] = share(real_logits[:, None] > fake_logits)
    if objective.is_probability:
        scores = objective.score(both)
        measured["saturated"] = share(scores * (1 - scores) < SATURATED)
    if objective.needs_lipschitz:
        measured["wasserstein_estimate"] = real_logits.mean() - fake_logits.mean()
    return measured


def generator_gradients(model: GAN, adapter: DiscriminatorAdapter, real: SampleSet, latents: Tensor) -> Measured:
    """Norms of the gradient of the objective's generator loss, in the fakes' logits and in the weights."""
    labels = adapter.packed(real.labels)
    with torch.no_grad():
        real_logits = adapter.logits(adapter.view(real.samples), labels)
    fake = model.generator(latents, real.labels if model.generator.classes else None)
    fake_logits = adapter.logits(adapter.view(fake), labels)
    loss = torch.stack(list(model.objective.generator(fake_logits, real_logits).values())).sum()
    named = {name: weight for name, weight in model.generator.named_parameters() if weight.requires_grad}
    slopes, *gradients = torch.autograd.grad(loss, [fake_logits, *named.values()], allow_unused=True)
    layers: dict[str, list[Tensor]] = {}
    for name, gradient in zip(named, gradients, strict=True):
        if gradient is not None:
            layers.setdefault(layer_of(name), []).append(gradient)
    measured = {f"gradient_norm/generator/{layer}": nn.utils.get_total_norm(own) for layer, own in layers.items()}
    total = nn.utils.get_total_norm(list(measured.values()))
    return {"loss_slope": slopes.abs().sum(), "gradient_norm/generator": total, **measured}


def layer_of(parameter: str) -> str:
    """The name of the layer that has a parameter of this name, which may be reparametrised."""
    layer = parameter.partition(".parametrizations.")[0]
    return layer if layer != parameter else parameter.rpartition(".")[0] or parameter


def critic_gradients(
    adapter: DiscriminatorAdapter, real: Tensor, fake: Tensor, labels: Tensor | None, at_once: int
) -> Measured:
    """Mean and largest norm of the logit's gradient at real views, at fake ones and between."""
    measured: Measured = {}
    for place, points in (("real", real), ("fake", fake), ("interpolate", interpolate(real, fake))):
        norms = gradient_norms_in_chunks(adapter, points, labels, at_once)
        measured |= {f"critic_gradient/{place}/mean": norms.mean(), f"critic_gradient/{place}/max": norms.max()}
    return measured


def gradient_norms_in_chunks(
    adapter: DiscriminatorAdapter, points: Tensor, labels: Tensor | None, at_once: int
) -> Tensor:
    """The Euclidean norm (N,) of the logit's gradient at each of the points (N, ...), of `at_once` at a time."""
    told = [None] * -(-len(points) // at_once) if labels is None else labels.split(at_once)
    pairs = zip(points.split(at_once), told, strict=True)
    return torch.cat([gradient_norms(partial(adapter.logits, labels=own), some).detach() for some, own in pairs])


def update_ratios(before: Mapping[str, list[Tensor]], after: Mapping[str, list[Tensor]]) -> Measured:
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


def coverage(fake: Tensor, real: Tensor) -> Tensor:
    """How many of the real samples (N, ...) are nearest to one of the fakes (N, ...), over how many are nearest to
    another real one: about 1 for fakes of the same distribution, and 0.2 for those of a fifth of it.
    """
    flat_fake, flat_real = fake.flatten(1), real.flatten(1)
    own = torch.cdist(flat_real, flat_real).fill_diagonal_(torch.inf)
    return nearest(torch.cdist(flat_fake, flat_real)) / nearest(own)


def nearest(distances: Tensor) -> Tensor:
    """How many columns of distances (N, M) hold the least of a row."""
    return (torch.bincount(distances.argmin(1), minlength=distances.shape[1]) > 0).sum()


def non_finite(*tensors: Tensor) -> Tensor:
    """1 if any entry is NaN or infinite, else 0."""
    return torch.stack([~tensor.isfinite().all() for tensor in tensors]).any().float()
