"""Regularizers of the discriminator: penalties on its gradients, logits and weights, and projections of its weights.

A regularizer is a frozen dataclass. It has one of

    penalty(critic, real, fake)   -> (Tensor, Terms)   a scalar to add to the discriminator's loss, weight included, and
                                                       what is worth logging (detached)
    weight_penalty(discriminator) -> (Tensor, Terms)   the same, of the weights alone
    project(discriminator)        -> None              changes the weights in place before a discriminator's step

or is a transformation of samples (gan_lightning.losses.augmentations). `critic` is a callable from a batch of samples
to one logit a sample, so that a penalty never hears of labels or of networks; `real` and `fake` have one shape,
(N, ...), and no gradient flows to either.

Penalties are lazy (Karras et al. 2020, arXiv:1912.04958, section 3.1): with `every` = k whoever trains adds them at
each k-th discriminator step only, and they count k times there, so that `weight` means the same for any k. A weight may
be a schedule; whoever trains replaces it by its value before use (gan_lightning.schedules.part_at).

Beside augmentations, a penalty is given samples as they were before, and a critic that augments them: what it
differentiates is D(T(x)) in x, where points between real and fake samples are mixed too. So do R1, R2 and WGAN-GP's
penalty in the official codes of StyleGAN2-ADA (NVlabs/stylegan2-ada, training/loss.py; R1 also in its PyTorch version),
and R1 and R2 in R3GAN's (brownvc/R3GAN, R3GAN/Trainer.py); that of DiffAugment (mit-han-lab/data-efficient-gans) has R1
both ways. The reason: it is the samples, and not what augmentations make of them, that the generator moves along this
gradient, so that its size there is what decides on stability. T is drawn anew, where those codes without lazy penalties
reuse the draw of the adversarial loss; the mean is the same. The sources of the other gradient penalties know no
augmentation; they follow. `of_augmented` asks for augmented samples instead, as bCR takes them in StyleGAN2-ADA's code.

Penalties run in float32 (float64 for such samples) also under autocast: half-precision gradients of gradients overflow,
and small differences of large logits vanish.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_lightning.losses.augmentations import Transformation
from gan_lightning.losses.piecewise import AsProducts
from gan_lightning.precision import gradients_precision, without_autocast
from gan_lightning.ranks import drawn_like, std_of_ranks
from gan_lightning.schedules import Scheduled, number, scheduled_fields
from gan_lightning.types import NonNegativeFloat, PositiveFloat, PositiveInt, check_ranges

Critic = Callable[[Tensor], Tensor]
Penalized = tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]


@runtime_checkable
class Penalty(Protocol):
    """A regularizer that adds a term to the discriminator's loss.

    `per_sample` says that it needs a critic whose logit of a sample depends on no other sample of the batch. Where
    there is an attribute `of_augmented` that is true, it is given samples after augmentations, and a critic of these.
    """

    per_sample: ClassVar[bool]

    @property
    def every(self) -> int: ...

    def penalty(
        self, critic: Critic, real: Float[Tensor, " n *shape"], fake: Float[Tensor, " n *shape"]
    ) -> Penalized: ...


@runtime_checkable
class WeightPenalty(Protocol):
    """A regularizer that adds a term of the discriminator's weights to its loss."""

    @property
    def every(self) -> int: ...

    def weight_penalty(self, discriminator: nn.Module) -> Penalized: ...


@runtime_checkable
class Projection(Protocol):
    """A regularizer that moves the discriminator's weights back into an allowed set."""

    def project(self, discriminator: nn.Module) -> None: ...


Regularizer = Penalty | WeightPenalty | Projection | Transformation


@dataclass(frozen=True)
class Regularizers:
    """Regularizers by name, sorted by what they do."""

    penalties: Mapping[str, Penalty]
    weight_penalties: Mapping[str, WeightPenalty]
    projections: Mapping[str, Projection]
    transformations: Mapping[str, Transformation]


def by_kind(regularizers: Mapping[str, Regularizer]) -> Regularizers:
    """Sorts regularizers; each keeps its place among those of its kind."""
    return Regularizers(
        {name: part for name, part in regularizers.items() if isinstance(part, Penalty)},
        {name: part for name, part in regularizers.items() if isinstance(part, WeightPenalty)},
        {name: part for name, part in regularizers.items() if isinstance(part, Projection)},
        {name: part for name, part in regularizers.items() if isinstance(part, Transformation)},
    )


def takes_gradients(penalty: Penalty) -> bool:
    """Whether a penalty computes with its critic by `input_gradients` alone, and so in any precision."""
    return isinstance(penalty, OfGradients)


LazyPenalty = TypeVar("LazyPenalty", Penalty, WeightPenalty)


def due(penalties: Mapping[str, LazyPenalty], number: int) -> Mapping[str, LazyPenalty]:
    """Those that a discriminator's `number`-th step has."""
    return {name: penalty for name, penalty in penalties.items() if number % penalty.every == 0}


@dataclass(frozen=True)
class Lazy:
    """What all penalties share: a weight, and the interval of discriminator steps at which they are due."""

    weight: NonNegativeFloat | Scheduled
    every: PositiveInt = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        check_ranges(self)

    def lazily(self, weight: NonNegativeFloat | Scheduled) -> float:
        """What a weight amounts to at a step where the penalty is due. Raises TypeError for a schedule."""
        return number(weight) * self.every


@dataclass(frozen=True)
class OfGradients(Lazy):
    """What penalties of each sample's gradient share, which they take by `input_gradients`."""

    per_sample: ClassVar[bool] = True


def in_full_precision(samples: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """The samples without their graph, in float32 at least."""
    return samples.detach().to(torch.promote_types(samples.dtype, torch.float32))


def input_gradients(critic: Critic, samples: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
    """d critic(x) / dx for each sample, all dimensions but the first flattened: shape (N, d), float32 or float64.

    What a critic computes under autocast within `rounding_gradients` is rounded; the gradient is float32 still.

    Differentiable with respect to the critic's weights (twice differentiable layers are asked for; batch normalisation
    mixes samples and voids the "each sample" above).
    """
    with gradients_precision(samples.device):
        samples = in_full_precision(samples)
        # The sum over the batch gives each sample its own gradient, since no sample's logit depends on another sample.
        if torch.compiler.is_compiling():
            with AsProducts():
                gradient: Tensor = torch.func.grad(lambda points: critic(points).sum())(samples)
        else:
            samples.requires_grad_()
            with AsProducts():
                logits = critic(samples)
            (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
        return gradient.flatten(1)


def gradient_norms(critic: Critic, samples: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """The Euclidean norm of each sample's `input_gradients`: shape (N,). Its own gradient at zero is zero, not NaN."""
    norms: Tensor = torch.linalg.vector_norm(input_gradients(critic, samples), dim=1)
    return norms


def interpolate(real: Float[Tensor, " n *shape"], fake: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *shape"]:
    """Points on the straight lines between real and fake samples, at one uniform position a sample (not a pixel)."""
    epsilon = drawn_like(real.new_empty(len(real), *[1] * (real.ndim - 1)), Tensor.uniform_)
    return torch.lerp(fake, real, epsilon)


def perturb(real: Float[Tensor, " n *shape"], scale: float) -> Float[Tensor, " n *shape"]:
    """DRAGAN's points about real samples x: x + a * scale * std * u, with a uniform in [0, 1] a sample, u an entry.

    `std` is the standard deviation over all entries of the batch (population form, as in NumPy), whichever devices have
    them.
    """
    far = real + scale * std_of_ranks(real) * drawn_like(real, Tensor.uniform_)
    return interpolate(far, real)


@dataclass(frozen=True)
class GradientPenalty(OfGradients):
    """Gulrajani et al. 2017 (arXiv:1704.00028), equation 3 and algorithm 1: weight * E (|grad f(x_hat)| - target)^2.

    Two-sided, on `interpolate`d points, with the target 1 of the paper. The critic must not use batch statistics
    (section 4 of the paper).
    """

    weight: NonNegativeFloat | Scheduled = 10.0
    target: NonNegativeFloat = 1.0

    def penalty(self, critic: Critic, real: Float[Tensor, " n *shape"], fake: Float[Tensor, " n *shape"]) -> Penalized:
        norms = gradient_norms(critic, interpolate(real, fake))
        loss = self.lazily(self.weight) * (norms - self.target).square().mean()
        return loss, {"gradient_norm": norms.detach().mean()}


@dataclass(frozen=True)
class LipschitzPenalty(OfGradients):
    """WGAN-LP (Petzka et al. 2018, arXiv:1709.08894): weight * E max(0, |grad f(x_hat)| - 1)^2.

    One-sided: slopes below 1, which the optimal critic may well have off the lines of transport, cost nothing. On
    `interpolate`d points, one of the paper's choices, so that it differs from `GradientPenalty` in nothing else.
    """

    weight: NonNegativeFloat | Scheduled = 10.0

    def penalty(self, critic: Critic, real: Float[Tensor, " n *shape"], fake: Float[Tensor, " n *shape"]) -> Penalized:
        norms = gradient_norms(critic, interpolate(real, fake))
        return self.lazily(self.weight) * torch.relu(norms - 1).square().mean(), {
            "gradient_norm": norms.detach().mean()
        }


@dataclass(frozen=True)
class ZeroCenteredPenalty(OfGradients):
    """0-GP (Thanh-Tung et al. 2019, arXiv:1902.03984): weight * E |grad D(x_hat)|^2 on `interpolate`d points.

    The gradient is that of the logit, with the paper's weight 100 and no factor 1/2.
    """

    weight: NonNegativeFloat | Scheduled = 100.0

    def penalty(self, critic: Critic, real: Float[Tensor, " n *shape"], fake: Float[Tensor, " n *shape"]) -> Penalized:
        return squared_gradients(critic, interpolate(real, fake), self.lazily(self.weight))


@dataclass(frozen=True)
class R1(OfGradients):
    """Mescheder et al. 2018 (arXiv:1801.04406), equation 9: weight / 2 * E |grad D(x)|^2 on real samples.

    Conventions differ: the paper's gamma / 2 is also R3GAN's and StyleGAN2's, while the paper's official code
    (LMescheder/GAN_stability, reg_param) has no 1/2, so that its 10 is 20 here.
    """

    weight: NonNegativeFloat | Scheduled = 10.0

    def penalty(self, critic: Critic, real: Float[Tensor, " n *shape"], fake: Float[Tensor, " n *shape"]) -> Penalized:
        return squared_gradients(critic, real, self.lazily(self.weight) / 2)


@dataclass(frozen=True)
class R2(OfGradients):
    """Mescheder et al. 2018, equation 10: weight / 2 * E |grad D(G(z))|^2 on fakes; `R1` says which codes halve it.

    R3GAN (Huang et al. 2024, arXiv:2501.05441) has both, with one weight.
    """

    weight: NonNegativeFloat | Scheduled = 10.0

    def penalty(self, critic: Critic, real: Float[Tensor, " n *shape"], fake: Float[Tensor, " n *shape"]) -> Penalized:
        return squared_gradients(critic, fake, self.lazily(self.weight) / 2)


def squared_gradients(critic: Critic, samples: Float[Tensor, "n ..."], weight: float) -> Penalized:
    """weight * E |grad critic(x)|^2, without a root on the way to it, and the mean norm."""
    squares = input_gradients(critic, samples).square().sum(1)
    return weight * squares.mean(), {"gradient_norm": squares.detach().sqrt().mean()}


@dataclass(frozen=True)
class DRAGAN(OfGradients):
    """Kodali et al. 2017 (arXiv:1705.07215): weight * E (|grad D(x_hat)| - target)^2 about real samples.

    Two-sided as `GradientPenalty`, but at points `perturb`ed from real samples. The paper's text adds Gaussian noise;
    we follow its official code (kodalinaveen3/DRAGAN): uniform noise of up to `scale` = 0.5 standard deviations of the
    minibatch, never negative, and a uniform share of it for each sample, with target 1 and weight 10.
    """

    weight: NonNegativeFloat | Scheduled = 10.0
    scale: PositiveFloat = 0.5
    target: NonNegativeFloat = 1.0

    def penalty(self, critic: Critic, real: Float[Tensor, " n *shape"], fake: Float[Tensor, " n *shape"]) -> Penalized:
        norms = gradient_norms(critic, perturb(real, self.scale))
        loss = self.lazily(self.weight) * (norms - self.target).square().mean()
        return loss, {"gradient_norm": norms.detach().mean()}


@dataclass(frozen=True)
class Consistency(Lazy):
    """CR-GAN (Zhang et al. 2020, arXiv:1910.12027): weight * E (D(x) - D(T(x)))^2 on real samples.

    T is `transformation`, drawn anew each time; gradients flow through both logits. `fake_weight` above 0 adds the same
    on fakes: balanced consistency regularization, bCR (Zhao et al. 2021, arXiv:2002.04724), which uses 10
    for both. Logs the unweighted means. Beside augmentations, x is what the adversarial loss is of, already augmented,
    and T comes on top, as in NVlabs/stylegan2-ada (training/loss.py) for bCR.

    Raises ValueError if the transformation holds a schedule, which nobody would replace by its value.
    """

    weight: NonNegativeFloat | Scheduled = 10.0
    transformation: Transformation = field(kw_only=True)
    fake_weight: NonNegativeFloat | Scheduled = field(default=0.0, kw_only=True)
    per_sample: ClassVar[bool] = False
    of_augmented: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if names := scheduled_fields(self.transformation):
            raise ValueError(f"a schedule can't stand within a regularizer's transformation ({', '.join(names)})")

    def penalty(self, critic: Critic, real: Float[Tensor, " n *shape"], fake: Float[Tensor, " n *shape"]) -> Penalized:
        squares = self.mean_square(critic, real)
        loss, details = self.lazily(self.weight) * squares, {"consistency_real": squares.detach()}
        if number(self.fake_weight) > 0:
            squares = self.mean_square(critic, fake)
            loss = loss + self.lazily(self.fake_weight) * squares
            details["consistency_fake"] = squares.detach()
        return loss, details

    def mean_square(self, critic: Critic, samples: Float[Tensor, "n ..."]) -> Float[Tensor, ""]:
        """E (D(x) - D(T(x)))^2."""
        with without_autocast(samples.device):
            samples = in_full_precision(samples)
            return (critic(samples) - critic(self.transformation.transform(samples))).square().mean()


@dataclass(frozen=True)
class OrthogonalRegularization(Lazy):
    """BigGAN's orthogonal regularization (Brock et al. 2019, arXiv:1809.11096), equation 3, of the discriminator.

    weight * the sum over layers of |W W^T * (1 - I)|^2 (Frobenius norm), with W the layer's `weight` of shape
    (out, ...) flattened to (out, d): filters shall be orthogonal, of any length. With `diagonal` it is equation 2,
    |W W^T - I|^2 (after Brock et al. 2017, arXiv:1609.07093, which sums absolute values), and lengths shall be 1.
    Weights of rank below 2 (biases, gains) are left out. A normalised layer is measured by the weight that it applies.
    The paper applies 1e-4 to the generator; its official code adds half of this gradient.

    Raises ValueError if no layer has such a weight.
    """

    weight: NonNegativeFloat | Scheduled = 1e-4
    diagonal: bool = False

    def weight_penalty(self, discriminator: nn.Module) -> Penalized:
        # Reading a weight under torch's spectral_norm advances its power iteration by a step, which only sharpens it.
        weights = [getattr(module, "weight", None) for module in discriminator.modules()]
        squares = [self.distance(weight) for weight in weights if isinstance(weight, Tensor) and weight.ndim >= 2]
        if not squares:
            raise ValueError("the discriminator has no layer whose weight is a matrix")
        total = torch.stack(squares).sum()
        return self.lazily(self.weight) * total, {"orthogonality": total.detach()}

    def distance(self, weight: Float[Tensor, " out in ..."]) -> Float[Tensor, ""]:
        """The squared Frobenius norm above, of one layer's weight."""
        with without_autocast(weight.device):
            rows = weight.flatten(1)
            rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
            products = rows @ rows.T  # (out, out)
            wanted = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
            return (products - (wanted if self.diagonal else wanted * products)).square().sum()


@dataclass(frozen=True)
class WeightClipping:
    """Arjovsky et al. 2017, algorithm 1: every weight of the critic is clamped to [-bound, bound].

    The paper's listing clamps after each critic step; its official code (martinarjovsky/WassersteinGAN, main.py) clamps
    before each one, and so does this class: each critic step starts inside the bound, and the critic that teaches the
    generator has left it by at most one step. Parameters are clamped, biases and normalisation gains included, as
    there; buffers are not.
    """

    bound: PositiveFloat = 0.01

    def __post_init__(self) -> None:
        check_ranges(self)

    @torch.no_grad()
    def project(self, discriminator: nn.Module) -> None:
        parameters: list[Tensor] = list(discriminator.parameters())
        torch._foreach_clamp_min_(parameters, -self.bound)
        torch._foreach_clamp_max_(parameters, self.bound)
