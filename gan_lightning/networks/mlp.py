"""Multi-layer perceptrons for small images and for plain vectors.

The shapes are those of the Coursera GAN specialisation's first assignment (generator z -> 128 -> 256 -> 512 -> 1024 ->
image, discriminator image -> 512 -> 256 -> 128 -> 1), with three deviations: images lie in [-1, 1] (tanh) instead of
[0, 1] (sigmoid), the output is reshaped to the image, and width, growth, depth and normalisation are arguments. The
first is undone inside the networks by a `rescaled_sigmoid` and `unit_interval`: images stay in [-1, 1] everywhere else.
With `growth` 1 they are the perceptrons of constant width that papers use for points in the plane.
"""

from collections.abc import Sequence
from math import prod
from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from gan_lightning.networks.discriminator import Discriminator, DiscriminatorLabels
from gan_lightning.networks.generator import Generator, GeneratorLabels
from gan_lightning.networks.layers import (
    LabelledSequential,
    Labels,
    Norm,
    OutputActivation,
    constrain_weights,
    norm_1d,
    output_activation_layer,
)
from gan_lightning.types import NonNegativeInt, PositiveInt, Range

Depth = Annotated[int, Range(low=1, high=256)]  # each block may double the width


class MLPGenerator(Generator):
    """Latents (N, latent_dim) -> samples (N, *sample_shape), in [-1, 1] with the default tanh.

    `blocks` blocks of Linear, normalisation, ReLU; the first is `hidden_dim` wide and each next one `growth` times as
    wide.
    """

    def __init__(
        self,
        latent_dim: PositiveInt,
        sample_shape: Sequence[PositiveInt],
        hidden_dim: PositiveInt = 128,
        blocks: Depth = 4,
        growth: PositiveInt = 2,
        norm: Norm = "batch",
        output_activation: OutputActivation = "tanh",
        classes: NonNegativeInt = 0,
        label_input: GeneratorLabels = "none",
    ) -> None:
        super().__init__(latent_dim, classes, label_input)
        self.sample_shape = tuple(sample_shape)
        layers: list[nn.Module] = []
        width = self.input_dim
        for block in range(blocks):
            next_width = hidden_dim * growth**block
            layers += [nn.Linear(width, next_width), norm_1d(norm, next_width, self.norm_classes)]
            layers += [nn.ReLU(inplace=True)]
            width = next_width
        layers += [nn.Linear(width, prod(self.sample_shape)), output_activation_layer(output_activation)]
        self.layers = LabelledSequential(*layers)
        constrain_weights(self, norm)

    def decode(self, inputs: Float[Tensor, "n {self.input_dim}"], labels: Labels | None) -> Float[Tensor, "n ..."]:
        flat: Tensor = self.layers(inputs, labels)
        return flat.view(-1, *self.sample_shape)


class MLPDiscriminator(Discriminator):
    """Samples (N, *sample_shape) -> logits (N,), or (N, outputs); see `Discriminator` for packs and labels.

    `blocks` blocks of Linear, normalisation, LeakyReLU(0.2); the last is `hidden_dim` wide and each earlier one
    `growth` times as wide as its successor, so that the defaults give 512 -> 256 -> 128 -> 1. `unit_interval` brings
    samples in [-1, 1] to [0, 1] first, as the assignment's discriminator sees them.
    """

    def __init__(
        self,
        sample_shape: Sequence[PositiveInt],
        hidden_dim: PositiveInt = 128,
        blocks: Depth = 3,
        growth: PositiveInt = 2,
        norm: Norm = "none",
        outputs: PositiveInt = 1,
        packing: PositiveInt = 1,
        classes: NonNegativeInt = 0,
        label_input: DiscriminatorLabels = "none",
        unit_interval: bool = False,
    ) -> None:
        super().__init__(sample_shape, outputs, packing, classes, label_input)
        self.unit_interval = unit_interval
        layers: list[nn.Module] = [nn.Flatten()]
        width = prod(self.input_shape)
        for block in reversed(range(blocks)):
            next_width = hidden_dim * growth**block
            layers += [nn.Linear(width, next_width), norm_1d(norm, next_width), nn.LeakyReLU(0.2, inplace=True)]
            width = next_width
        self.layers = nn.Sequential(*layers)
        self.build_head(nn.Linear(width, outputs), width)
        constrain_weights(self, norm)

    def forward(self, samples: Float[Tensor, "n ..."], labels: Tensor | None = None) -> Float[Tensor, "n ..."]:
        return super().forward((samples + 1) / 2 if self.unit_interval else samples, labels)

    def features(self, samples: Float[Tensor, "n ..."]) -> Float[Tensor, "n features"]:
        features: Tensor = self.layers(samples)
        return features
