"""R3GAN's networks (Huang et al. 2024, arXiv:2501.05441; official code brownvc/R3GAN, R3GAN/Networks.py).

Residual networks without any normalisation. A stage works at one resolution and has `blocks` blocks

    x + W3 a(W2 a(W1 x)),    W1 1x1, W2 3x3 in groups, W3 1x1,    a(y) = LeakyReLU(0.2)(y + bias),

`expansion` times wider inside than outside; no other layer has a bias. Between stages images are doubled or halved by
the filter [1, 2, 1] (with nearest neighbours: [1, 3, 3, 1], bilinear), and a 1x1 convolution changes the channels where
they differ. The generator starts with a learned map (their 4x4) times a linear function of the latents, the
discriminator ends with a learned map per channel. The generator has no last activation.

Weights start from N(0, gain^2 / inputs), with gain 1 outside of blocks. In blocks (fix-up, Zhang et al. 2019,
arXiv:1901.09321) W1 and W2 have LeakyReLU's gain times L^(-1/4), where L is the network's number of blocks, and W3 is
zero: at first both networks are linear.

Channels: `width` up to the fourth stage (32x32 with a 4x4 map), and half as many with each further doubling, as in
their presets (768 for CIFAR-10; 768 and 384 for FFHQ-64). Their two blocks a stage, expansion 2, and groups of 16
channels are the defaults.

Deviations: any number of channels (theirs: three) and any size from 8x8 up (theirs: 4 times a power of two), by maps of
what the stages leave over (7x7 for 28x28) and a crop of the generator's images; labels of the generator come one-hot
beside the latents (theirs embeds them linearly first, in as many numbers as the latents, before a layer that is linear
too); a projecting discriminator has the plain logit beside the inner product (theirs: only that, after a linear layer);
no stage has a precision of its own (theirs runs the larger ones in bfloat16; here that is the trainer's business).
"""

import itertools
from collections.abc import Sequence
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from gan_lightning.networks.discriminator import Discriminator, DiscriminatorLabels
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import Labels, OutputActivation, output_activation_layer
from gan_lightning.networks.resolution import base_size, crop, image_dimensions, stages
from gan_lightning.types import NonNegativeInt, PositiveInt

SLOPE = 0.2
FULL_STAGES = 4


def scaled(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    """A layer with weights drawn from N(0, gain^2 / inputs), where `inputs` feed each of its outputs."""
    weight = layer.get_parameter("weight")
    nn.init.normal_(weight, 0.0, gain / sqrt(weight[0].numel()))
    return layer


class BiasedActivation(nn.Module):
    """LeakyReLU(0.2) of activations (N, channels, H, W) plus a bias per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return leaky_relu(x + self.bias.view(-1, 1, 1), SLOPE)


class Block(nn.Module):
    """A residual block for activations (N, channels, H, W); `depth` is the network's number of blocks.

    Where it has fewer than `group_width` channels inside, they are one group.
    """

    def __init__(self, channels: int, expansion: int, group_width: int, depth: int) -> None:
        super().__init__()
        inside = channels * expansion
        group_width = min(group_width, inside)
        if inside % group_width:
            raise ValueError(f"{inside} channels, {expansion} times {channels}, don't make groups of {group_width}")
        gain = sqrt(2 / (1 + SLOPE**2)) * depth**-0.25
        last = nn.Conv2d(inside, channels, 1, bias=False)
        nn.init.zeros_(last.weight)
        self.residual = nn.Sequential(
            scaled(nn.Conv2d(channels, inside, 1, bias=False), gain),
            BiasedActivation(inside),
            scaled(nn.Conv2d(inside, inside, 3, padding=1, groups=inside // group_width, bias=False), gain),
            BiasedActivation(inside),
            last,
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        activations: Tensor = x + self.residual(x)
        return activations


class Resample(nn.Module):
    """Doubles or halves activations (N, C, H, W) bilinearly, by the filter [1, 3, 3, 1]; zero beyond the borders."""

    kernel: Tensor

    def __init__(self, up: bool) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        kernel = torch.outer(taps, taps) / (16 if up else 64)  # doubling puts three zeros beside each value
        self.register_buffer("kernel", kernel, persistent=False)
        self.up = up

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c _ _"]:
        kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)
        resample = conv_transpose2d if self.up else conv2d
        resampled: Tensor = resample(x, kernel, stride=2, padding=1, groups=x.shape[1])
        return resampled


def transition(channels: int, after: int, up: bool) -> list[nn.Module]:
    """Layers between stages; channels change at the lower resolution."""
    change = [] if channels == after else [scaled(nn.Conv2d(channels, after, 1, bias=False))]
    return [*change, Resample(up)] if up else [Resample(up), *change]


def stage_widths(width: int, count: int) -> list[int]:
    """The channels of the stages that `count` doublings separate, the smallest images first."""
    halvings = max(count + 1 - FULL_STAGES, 0)
    if width % 2**halvings:
        raise ValueError(f"width={width} can't be halved {halvings} times, as images this large ask for")
    return [width // 2 ** max(stage + 1 - FULL_STAGES, 0) for stage in range(count + 1)]


class R3GANGenerator(Generator):
    """Latents (N, latent_dim) -> images (N, C, H, W), around [-1, 1]: with the default there is no last activation.

    With `classes`, labels (N,) enter one-hot beside the latents. `width`, `blocks`, `expansion` and `group_width` are
    the channels of the smallest stages, the blocks a stage, and within blocks the growth of the channels and how many
    of them make a group. Raises ValueError if the channels can't be grouped or halved so.
    """

    def __init__(
        self,
        latent_dim: PositiveInt,
        sample_shape: Sequence[PositiveInt],
        width: PositiveInt = 768,
        blocks: PositiveInt = 2,
        expansion: PositiveInt = 2,
        group_width: PositiveInt = 16,
        output_activation: OutputActivation = "none",
        classes: NonNegativeInt = 0,
    ) -> None:
        super().__init__(latent_dim, classes, "concat" if classes else "none")
        channels, *self.size = image_dimensions(sample_shape)
        widths = stage_widths(width, stages(*self.size))
        depth = blocks * len(widths)
        self.basis = nn.Parameter(torch.randn(width, *base_size(*self.size)))
        self.modulate = scaled(nn.Linear(self.input_dim, width, bias=False))
        layers: list[nn.Module] = [Block(width, expansion, group_width, depth) for _ in range(blocks)]
        for now, after in itertools.pairwise(widths):
            layers += transition(now, after, up=True)
            layers += [Block(after, expansion, group_width, depth) for _ in range(blocks)]
        layers += [scaled(nn.Conv2d(widths[-1], channels, 1, bias=False)), output_activation_layer(output_activation)]
        self.layers = nn.Sequential(*layers)

    def decode(self, inputs: Float[Tensor, "n {self.input_dim}"], labels: Labels | None) -> Float[Tensor, "n c h w"]:
        images: Tensor = self.layers(self.basis * self.modulate(inputs)[:, :, None, None])
        return crop(images, *self.size)


class R3GANDiscriminator(Discriminator):
    """Images (N, C, H, W) -> logits (N,), or (N, outputs); see `Discriminator` for packs and labels.

    Its features are one number a channel of the last stage. For the arguments see `R3GANGenerator`.
    """

    def __init__(
        self,
        sample_shape: Sequence[PositiveInt],
        width: PositiveInt = 768,
        blocks: PositiveInt = 2,
        expansion: PositiveInt = 2,
        group_width: PositiveInt = 16,
        outputs: PositiveInt = 1,
        packing: PositiveInt = 1,
        classes: NonNegativeInt = 0,
        label_input: DiscriminatorLabels = "none",
    ) -> None:
        super().__init__(sample_shape, outputs, packing, classes, label_input)
        channels, height, image_width = image_dimensions(self.input_shape)
        count = stages(height, image_width)
        widths = stage_widths(width, count)[::-1]
        depth = blocks * len(widths)
        layers: list[nn.Module] = [scaled(nn.Conv2d(channels, widths[0], 1, bias=False))]
        for now, after in itertools.pairwise(widths):
            layers += [Block(now, expansion, group_width, depth) for _ in range(blocks)]
            layers += transition(now, after, up=False)
        layers += [Block(width, expansion, group_width, depth) for _ in range(blocks)]
        remaining = (height >> count, image_width >> count)
        layers += [scaled(nn.Conv2d(width, width, remaining, groups=width, bias=False)), nn.Flatten()]
        self.layers = nn.Sequential(*layers)
        self.build_head(scaled(nn.Linear(width, outputs, bias=False)), width)
        if label_input == "projection":
            nn.init.normal_(self.embedding.weight, 0.0, 1 / sqrt(width * classes))  # as theirs

    def features(self, samples: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        features: Tensor = self.layers(samples)
        return features
