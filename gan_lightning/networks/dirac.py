"""The Dirac-GAN (Mescheder et al. 2018, arXiv:1801.04406, definition 2.1): the smallest GAN there is.

A generator that makes one point, theta, a linear discriminator D(x) = psi * x, and data at zero. The gradients of both
are known in closed form, and with them which losses and regularizers converge (the paper's sections 2 and 3). The
paper's is one-dimensional; here theta and psi have as many numbers as a sample.
"""

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_lightning.networks.discriminator import Discriminator, DiscriminatorLabels
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import Labels
from gan_lightning.types import NonNegativeInt, PositiveInt


class DiracGenerator(Generator):
    """Latents (N, latent_dim), which it ignores -> samples (N, *sample_shape), all equal to its only parameter.

    `theta` is the parameter's first value in every dimension.
    """

    def __init__(self, latent_dim: PositiveInt, sample_shape: Sequence[PositiveInt], theta: float = 1.0) -> None:
        super().__init__(latent_dim)
        self.theta = nn.Parameter(torch.full(tuple(sample_shape), float(theta)))

    def decode(self, inputs: Float[Tensor, "n {self.input_dim}"], labels: Labels | None) -> Float[Tensor, "n ..."]:
        return self.theta.repeat(len(inputs), *[1] * self.theta.ndim)  # a copy, which an update of theta leaves alone


class LinearDiscriminator(Discriminator):
    """Samples (N, *sample_shape) -> logits (N,), or (N, outputs): D(x) = psi . x, without a bias.

    `psi` is the first value of all its weights. See `Discriminator` for packs and labels.
    """

    def __init__(
        self,
        sample_shape: Sequence[PositiveInt],
        psi: float = 1.0,
        outputs: PositiveInt = 1,
        packing: PositiveInt = 1,
        classes: NonNegativeInt = 0,
        label_input: DiscriminatorLabels = "none",
    ) -> None:
        super().__init__(sample_shape, outputs, packing, classes, label_input)
        features = prod(self.input_shape)
        head = nn.Linear(features, outputs, bias=False)
        nn.init.constant_(head.weight, psi)
        self.build_head(head, features)

    def features(self, samples: Float[Tensor, "n ..."]) -> Float[Tensor, "n features"]:
        return samples.flatten(1)
