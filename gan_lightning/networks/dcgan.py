"""DCGAN (Radford et al. 2016, arXiv:1511.06434) for images of any size from 8x8 up and any number of channels.

Strided convolutions with kernel 4, batch normalisation except at the images' side, ReLU in the generator and
LeakyReLU(0.2) in the discriminator, weights drawn from N(0, 0.02). Deviations from the paper, all for the sake of any
size: the number of stages is the number of halvings that leave at least four pixels (64x64 gives the paper's four,
28x28 and 8x8 give two and one), a generator whose stages overshoot the size is cropped in the middle, the first block
of the generator is a linear layer, and the discriminator's last convolution covers whatever is left.

`upsampling` replaces the generator's transposed convolutions, whose checkerboards Odena, Dumoulin and Olah 2016
("Deconvolution and Checkerboard Artifacts", Distill) explain, by what they advise: resize, then a convolution.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

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
    norm_2d,
    output_activation_layer,
)
from gan_lightning.networks.resolution import base_size, crop, image_dimensions, stages
from gan_lightning.types import NonNegativeInt, PositiveInt

Upsampling = Literal["transposed", "nearest", "bilinear"]


def initialise(network: nn.Module) -> None:
    """Weights of convolutions and linear layers from N(0, 0.02), gains of normalisations from N(1, 0.02), no biases.

    Gains and biases that depend on a class stay as they are, 1 and 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def double(upsampling: Upsampling, channels: int, after: int, bias: bool) -> list[nn.Module]:
    """Layers (N, channels, H, W) -> (N, after, 2 H, 2 W)."""
    if upsampling == "transposed":
        return [nn.ConvTranspose2d(channels, after, 4, stride=2, padding=1, bias=bias)]
    if upsampling in ("nearest", "bilinear"):
        return [nn.Upsample(scale_factor=2, mode=upsampling), nn.Conv2d(channels, after, 3, padding=1, bias=bias)]
    raise ValueError(f"upsampling is {upsampling!r}; there are transposed, nearest, bilinear")


class DCGANGenerator(Generator):
    """Latents (N, latent_dim) -> images (N, C, H, W), in [-1, 1] with the default tanh.

    `width` is the number of channels before the image; each earlier stage has twice as many, at most 8 * width.
    `upsampling` is `transposed` (kernel 4, stride 2), or `nearest` or `bilinear` and then a convolution of kernel 3.
    """

    def __init__(
        self,
        latent_dim: PositiveInt,
        sample_shape: Sequence[PositiveInt],
        width: PositiveInt = 64,
        norm: Norm = "batch",
        upsampling: Upsampling = "transposed",
        output_activation: OutputActivation = "tanh",
        classes: NonNegativeInt = 0,
        label_input: GeneratorLabels = "none",
    ) -> None:
        super().__init__(latent_dim, classes, label_input)
        channels, *self.size = image_dimensions(sample_shape)
        base = base_size(*self.size)
        widths = [width * min(2**stage, 8) for stage in reversed(range(stages(*self.size)))]
        bias = norm != "batch"  # which takes it away again
        self.project = nn.Linear(self.input_dim, widths[0] * base[0] * base[1], bias=bias)
        self.unflatten = nn.Unflatten(1, (widths[0], *base))
        layers: list[nn.Module] = [norm_2d(norm, widths[0], self.norm_classes), nn.ReLU(inplace=True)]
        for now, after in itertools.pairwise(widths):
            layers += double(upsampling, now, after, bias)
            layers += [norm_2d(norm, after, self.norm_classes), nn.ReLU(inplace=True)]
        layers += double(upsampling, widths[-1], channels, bias=True)
        self.layers = LabelledSequential(*layers, output_activation_layer(output_activation))
        initialise(self)
        constrain_weights(self, norm)

    def decode(self, inputs: Float[Tensor, "n {self.input_dim}"], labels: Labels | None) -> Float[Tensor, "n c h w"]:
        images: Tensor = self.layers(self.unflatten(self.project(inputs)), labels)
        return crop(images, *self.size)


class DCGANDiscriminator(Discriminator):
    """Images (N, C, H, W) -> logits (N,), or (N, outputs); see `Discriminator` for packs and labels.

    `width` is the number of channels after the first convolution; each next stage has twice as many, at most 8 * width.
    The first convolution is followed by no normalisation. Its features are the last stage's map, flattened.
    """

    def __init__(
        self,
        sample_shape: Sequence[PositiveInt],
        width: PositiveInt = 64,
        norm: Norm = "batch",
        outputs: PositiveInt = 1,
        packing: PositiveInt = 1,
        classes: NonNegativeInt = 0,
        label_input: DiscriminatorLabels = "none",
    ) -> None:
        super().__init__(sample_shape, outputs, packing, classes, label_input)
        channels, height, image_width = image_dimensions(self.input_shape)
        count = stages(height, image_width)
        widths = [width * min(2**stage, 8) for stage in range(count)]
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        for now, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(now, after, 4, stride=2, padding=1, bias=norm != "batch")]
            layers += [norm_2d(norm, after), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        features = widths[-1] * (height >> count) * (image_width >> count)
        self.build_head(nn.Linear(features, outputs), features)
        initialise(self)
        constrain_weights(self, norm)

    def features(self, samples: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        features: Tensor = self.layers(samples)
        return features
