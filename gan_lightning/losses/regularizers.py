"""Regularizers of the discriminator: penalties on its gradients, and projections of its weights.

A regularizer is a frozen dataclass. It has either or both of

    penalty(critic, real, fake) -> (Tensor, Terms)   a scalar to add to the discriminator's loss, weight included, and
                                                     what is worth logging (detached)
    project(discriminator)      -> None              changes the weights in place before a discriminator's step

`critic` is a callable from a batch of samples to one logit a sample, so that a regularizer never hears of labels or of
networks; `real` and `fake` have one shape, (N, ...), and `fake` carries no gradient to the generator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gan_lightning.types import NonNegativeFloat, PositiveFloat, check_ranges

Critic = Callable[[Tensor], Tensor]


@runtime_checkable
class Penalty(Protocol):
    """A regularizer that adds a term to the discriminator's loss.

    `per_sample` says that it needs a critic whose logit of a sample depends on no other sample of the batch.
    """

    per_sample: ClassVar[bool]

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]: ...


@runtime_checkable
class Projection(Protocol):
    """A regularizer that moves the discriminator's weights back into an allowed set."""

    def project(self, discriminator: nn.Module) -> None: ...


def gradient_norms(critic: Critic, samples: Tensor) -> Tensor:
    """The Euclidean norm of d critic(x) / dx for each sample, over all dimensions but the first: shape (N,), float32.

    Differentiable with respect to the critic's weights (twice differentiable layers are asked for; batch normalisation
    mixes samples and voids the "each sample" above). Runs in float32 also under autocast: half-precision gradients of
    gradients overflow. The norm's own gradient at zero is zero, not NaN.
    """
    with torch.autocast(samples.device.type, enabled=False):
        samples = samples.detach().to(torch.promote_types(samples.dtype, torch.float32)).requires_grad_(True)
        # The sum over the batch gives each sample its own gradient, since no sample's logit depends on another sample.
        (gradient,) = torch.autograd.grad(critic(samples).sum(), samples, create_graph=True)
        norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return norms


def interpolate(real: Tensor, fake: Tensor) -> Tensor:
    """Points on the straight lines between real and fake samples, at one uniform position a sample (not a pixel)."""
    epsilon = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
    return torch.lerp(fake, real, epsilon)


@dataclass(frozen=True)
class GradientPenalty:
    """Gulrajani et al. 2017 (arXiv:1704.00028), equation 3 and algorithm 1: weight * E (|grad f(x_hat)| - 1)^2.

    Two-sided, on `interpolate`d points. The critic must not use batch statistics (section 4 of the paper).
    """

    weight: NonNegativeFloat = 10.0
    per_sample: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        norms = gradient_norms(critic, interpolate(real, fake))
        return self.weight * (norms - 1).square().mean(), {"gradient_norm": norms.detach().mean()}


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
