"""Multi-layer perceptrons for small images and for plain vectors.

The shapes are those of the Coursera GAN specialisation's first assignment (generator z -> 128 -> 256 -> 512 -> 1024 ->
image, discriminator image -> 512 -> 256 -> 128 -> 1), with three deviations: images lie in [-1, 1] (tanh) instead of
[0, 1] (sigmoid), the output is reshaped to the image, and width, depth and normalisation are arguments.
"""

import itertools
from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import Norm, OutputActivation, norm_1d, output_activation_layer
from gan_lightning.types import PositiveInt


class MLPGenerator(Generator):
    """Latents (N, latent_dim) -> samples (N, *image_shape), in [-1, 1] with the default tanh.

    `blocks` blocks of Linear, normalisation, ReLU; the first is `hidden_dim` wide and each next one twice as wide.
    """

    def __init__(
        self,
        latent_dim: PositiveInt,
        image_shape: Sequence[PositiveInt],
        hidden_dim: PositiveInt = 128,
        blocks: PositiveInt = 4,
        norm: Norm = "batch",
        output_activation: OutputActivation = "tanh",
    ) -> None:
        super().__init__(latent_dim)
        self.image_shape = tuple(image_shape)
        widths = [latent_dim, *(hidden_dim * 2**block for block in range(blocks))]
        layers: list[nn.Module] = []
        for width, next_width in itertools.pairwise(widths):
            layers += [nn.Linear(width, next_width), norm_1d(norm, next_width), nn.ReLU(inplace=True)]
        layers += [nn.Linear(widths[-1], prod(self.image_shape)), output_activation_layer(output_activation)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        flat: Tensor = self.layers(latents)
        return flat.view(-1, *self.image_shape)


class MLPDiscriminator(nn.Module):
    """Samples (N, *image_shape) -> logits (N,).

    `blocks` blocks of Linear, normalisation, LeakyReLU(0.2); the last is `hidden_dim` wide and each earlier one twice
    as wide as its successor, so that the defaults give 512 -> 256 -> 128 -> 1.
    """

    def __init__(
        self,
        image_shape: Sequence[PositiveInt],
        hidden_dim: PositiveInt = 128,
        blocks: PositiveInt = 3,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        widths = [prod(image_shape), *(hidden_dim * 2**block for block in reversed(range(blocks)))]
        layers: list[nn.Module] = [nn.Flatten()]
        for width, next_width in itertools.pairwise(widths):
            layers += [nn.Linear(width, next_width), norm_1d(norm, next_width), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits.squeeze(1)
