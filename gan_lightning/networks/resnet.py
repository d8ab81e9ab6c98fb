"""The residual networks of WGAN-GP and SNGAN, for images of any size from 8x8 up and any number of channels.

Gulrajani et al. 2017 (arXiv:1704.00028, appendix F; igul222/improved_wgan_training, gan_cifar_resnet.py) and Miyato et
al. 2018 (arXiv:1802.05957, appendix B.4; pfnet-research/sngan_projection) share the blocks: pre-activation residual
blocks of two 3x3 convolutions with ReLU; a generator that doubles by nearest neighbours before a block's first
convolution; a discriminator that halves by mean pooling after its last; shortcuts of 1x1 convolutions where the shape
changes; a first block of the discriminator without activation in front ("optimised"); Glorot's uniform weights, with
gain sqrt(2) for 3x3 convolutions inside blocks; a last, unconditional normalisation in front of the generator's image.

Where they differ, or depend on the size, in arguments and defaults here:

- WGAN-GP (32x32): width 128 for both networks, batch normalisation in the generator, none in the critic, mean pooling.
- SNGAN 32x32: width 256 for the generator and 128 for the discriminator, norm `spectral`, pooling `sum`.
- SNGAN 64x64 and 128x128: width 64 for both, norm `spectral`, pooling `sum`.

Channels and blocks by the number of stages (see `gan_lightning.networks.resolution`). Up to three (sides of 8 to 63,
the plan of 32x32 in both): `width` throughout; the discriminator has halving blocks until at most eight pixels a side
are left, at least one, and then two plain blocks. From four on (SNGAN's plans of 64x64 and 128x128): widths are
`width` at the image's side and twice as many a stage, at most 16 times; the discriminator has a block more than the
generator, the last a halving one with four stages (64x64 -> 2x2) and a plain one with more (128x128 -> 4x4).

Deviations: sizes that don't halve evenly are rounded up (the generator is cropped, the discriminator's last windows
are smaller); 1x1 convolutions stand at the smaller of their two resolutions, where they compute the same for less; a
convolution that batch normalisation follows has no bias; the head always has one (SNGAN's 32x32 net has none); either
network may have any norm, the discriminator at the places of WGAN-GP's layer normalisation.
"""

import itertools
from collections.abc import Sequence
from math import sqrt
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from gan_lightning.networks.discriminator import Discriminator, DiscriminatorLabels
from gan_lightning.networks.generator import Generator, GeneratorLabels
from gan_lightning.networks.layers import (
    LabelledSequential,
    Labels,
    Norm,
    OutputActivation,
    TakesLabels,
    constrain_weights,
    norm_2d,
    output_activation_layer,
)
from gan_lightning.networks.resolution import base_size, crop, image_dimensions, stages
from gan_lightning.types import NonNegativeInt, PositiveInt

Pooling = Literal["mean", "sum"]

MOST_WIDTHS = 16  # times `width`
SMALL = 3  # stages, up to which the plan is that of 32x32


def convolution(channels: int, after: int, kernel: int, gain: float = 1.0, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the size, with Glorot's uniform weights times a gain."""
    layer = nn.Conv2d(channels, after, kernel, padding=kernel // 2, bias=bias)
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def linear(features: int, outputs: int) -> nn.Linear:
    """A linear layer with Glorot's uniform weights."""
    layer = nn.Linear(features, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


# ReLU is not in place: without a normalisation in front it would change what the shortcut reads.
class UpBlock(TakesLabels):
    """Activations (N, channels, H, W), and labels (N,) for conditional normalisation -> (N, after, 2 H, 2 W)."""

    def __init__(self, channels: int, after: int, norm: Norm, classes: int = 0) -> None:
        super().__init__()
        self.residual = LabelledSequential(
            norm_2d(norm, channels, classes),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            convolution(channels, after, 3, sqrt(2), bias=norm != "batch"),
            norm_2d(norm, after, classes),
            nn.ReLU(),
            convolution(after, after, 3, sqrt(2)),
        )
        self.shortcut = nn.Sequential(convolution(channels, after, 1), nn.Upsample(scale_factor=2))

    def forward(self, x: Float[Tensor, "n c h w"], labels: Labels | None = None) -> Float[Tensor, "n after 2*h 2*w"]:
        activations: Tensor = self.residual(x, labels) + self.shortcut(x)
        return activations


class DownBlock(nn.Module):
    """Activations (N, channels, H, W) -> (N, after, H, W), or (N, after, H / 2, W / 2), rounded up, if it pools."""

    def __init__(self, residual: nn.Module, channels: int, after: int, pool: bool) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = nn.Identity() if channels == after and not pool else convolution(channels, after, 1)
        self.pool = nn.AvgPool2d(2, ceil_mode=True) if pool else nn.Identity()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n after _ _"]:
        activations: Tensor = self.pool(self.residual(x)) + self.shortcut(self.pool(x))
        return activations


def first_block(channels: int, after: int) -> DownBlock:
    """The "optimised" block that starts a discriminator: from images, without activation or normalisation in front."""
    residual = nn.Sequential(convolution(channels, after, 3, sqrt(2)), nn.ReLU(), convolution(after, after, 3, sqrt(2)))
    return DownBlock(residual, channels, after, pool=True)


def later_block(channels: int, after: int, norm: Norm, pool: bool) -> DownBlock:
    """A pre-activation block."""
    residual = nn.Sequential(
        norm_2d(norm, channels),
        nn.ReLU(),
        convolution(channels, channels, 3, sqrt(2), bias=norm != "batch"),
        norm_2d(norm, channels),
        nn.ReLU(),
        convolution(channels, after, 3, sqrt(2)),
    )
    return DownBlock(residual, channels, after, pool)


def generator_widths(width: int, count: int) -> list[int]:
    """The channels of the base and after each of `count` stages; see the module's docstring."""
    if count <= SMALL:
        return [width] * (count + 1)
    return [width * min(2**stage, MOST_WIDTHS) for stage in reversed(range(count + 1))]


def discriminator_blocks(width: int, height: int, image_width: int) -> list[tuple[int, bool]]:
    """The channels after each block and whether it pools; see the module's docstring."""
    count = stages(height, image_width)
    if count <= SMALL:
        halvings = max((min(height, image_width) - 1).bit_length() - 3, 1)  # leave at most eight pixels
        return [(width, True)] * halvings + [(width, False)] * 2
    pools = count + 1 if count == SMALL + 1 else count
    return [(width * min(2**block, MOST_WIDTHS), block < pools) for block in range(count + 1)]


class ResNetGenerator(Generator):
    """Latents (N, latent_dim) -> images (N, C, H, W), in [-1, 1] with the default tanh.

    `width` is the number of channels before the image; see the module's docstring for those of earlier stages.
    """

    def __init__(
        self,
        latent_dim: PositiveInt,
        sample_shape: Sequence[PositiveInt],
        width: PositiveInt = 128,
        norm: Norm = "batch",
        output_activation: OutputActivation = "tanh",
        classes: NonNegativeInt = 0,
        label_input: GeneratorLabels = "none",
    ) -> None:
        super().__init__(latent_dim, classes, label_input)
        channels, *self.size = image_dimensions(sample_shape)
        base = base_size(*self.size)
        widths = generator_widths(width, stages(*self.size))
        self.project = linear(self.input_dim, widths[0] * base[0] * base[1])
        self.unflatten = nn.Unflatten(1, (widths[0], *base))
        self.layers = LabelledSequential(
            *(UpBlock(now, after, norm, self.norm_classes) for now, after in itertools.pairwise(widths)),
            norm_2d(norm, widths[-1]),
            nn.ReLU(),
            convolution(widths[-1], channels, 3),
            output_activation_layer(output_activation),
        )
        constrain_weights(self, norm)

    def decode(self, inputs: Float[Tensor, "n {self.input_dim}"], labels: Labels | None) -> Float[Tensor, "n c h w"]:
        images: Tensor = self.layers(self.unflatten(self.project(inputs)), labels)
        return crop(images, *self.size)


class ResNetDiscriminator(Discriminator):
    """Images (N, C, H, W) -> logits (N,), or (N, outputs); see `Discriminator` for packs and labels.

    `width` is the number of channels after the first block; see the module's docstring for those of later ones. Its
    features are the last block's activations after a ReLU, averaged (`mean`) or added up (`sum`) over all positions.
    """

    def __init__(
        self,
        sample_shape: Sequence[PositiveInt],
        width: PositiveInt = 128,
        norm: Norm = "none",
        pooling: Pooling = "mean",
        outputs: PositiveInt = 1,
        packing: PositiveInt = 1,
        classes: NonNegativeInt = 0,
        label_input: DiscriminatorLabels = "none",
    ) -> None:
        super().__init__(sample_shape, outputs, packing, classes, label_input)
        if pooling not in ("mean", "sum"):
            raise ValueError(f"pooling is {pooling!r}; there are mean, sum")
        channels, *size = image_dimensions(self.input_shape)
        plan = discriminator_blocks(width, *size)
        blocks = [first_block(channels, plan[0][0])]
        blocks += [later_block(now, after, norm, pool) for (now, _), (after, pool) in itertools.pairwise(plan)]
        self.layers = nn.Sequential(*blocks)
        self.pooling = pooling
        self.build_head(linear(plan[-1][0], outputs), plan[-1][0])
        constrain_weights(self, norm)

    def features(self, samples: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        activations = relu(self.layers(samples))
        return activations.mean((2, 3)) if self.pooling == "mean" else activations.sum((2, 3))
