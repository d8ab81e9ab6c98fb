"""Networks of convolutions in one dimension, for signals of any length from 8 up and any number of channels.

WaveGAN's (Donahue et al. 2019, arXiv:1802.04208, appendix D; chrisdonahue/wavegan, wavegan.py), which are DCGAN's with
longer kernels: 25 steps, of stride 4; ReLU in the generator and LeakyReLU(0.2) in the discriminator; Glorot's uniform
weights and no biases at first. The stages are as many divisions by the stride as leave at least eight
steps, one at least: for 16,384 samples the paper's five, from 16 steps, where `width` 64 gives its channels too.

Deviations: sizes that don't divide evenly are rounded up, and the generator is cropped in the middle; either network
may be normalised, at the places of DCGAN's, and the generator is by default (theirs has no normalisation, and WGAN-GP's
loss; with the vanilla one it collapsed without); phase shuffle (section 3.3) moves each sample by a number of its own,
where the code moves all of a minibatch alike, and is left out in evaluation mode; channels end at 16 times `width`, as
far as the paper goes.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
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
    norm_of_signals,
    output_activation_layer,
)
from gan_lightning.networks.resolution import signal_dimensions, signal_stages
from gan_lightning.types import NonNegativeInt, PositiveInt

Lengthening = Literal["transposed", "nearest"]

WIDEST = 16  # times `width`


def require_kernel(kernel: int, stride: int) -> None:
    """Raises ValueError unless windows have a middle and leave no step out."""
    if stride < 2 or kernel % 2 == 0 or kernel < stride:
        raise ValueError(f"kernel must be odd, and stride from 2 up to it, got kernel={kernel} and stride={stride}")


def glorot(network: nn.Module) -> None:
    """Glorot's uniform weights for convolutions and linear layers, and no biases."""
    for module in network.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class PhaseShuffle(nn.Module):
    """Moves each of the activations (N, C, L) by up to `most` steps, drawn evenly; what comes in is the mirror image.

    So that a discriminator doesn't learn the phase of what strides leave behind. It does nothing in evaluation mode.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: Float[Tensor, "n c l"]) -> Float[Tensor, "n c l"]:
        last = x.shape[2] - 1
        most = min(self.most, last)
        if not self.training or most == 0:
            return x
        moves = torch.randint(-most, most + 1, (len(x), 1, 1), device=x.device)
        source = torch.arange(last + 1, device=x.device) - moves
        return x.gather(2, (last - (last - source.abs()).abs()).expand_as(x))


class Conv1dGenerator(Generator):
    """Latents (N, latent_dim) -> signals (N, C, L), in [-1, 1] with the default tanh.

    `width` is the number of channels before the signal; each earlier stage has twice as many. Each stage makes signals
    `stride` times as long, by windows of `kernel` steps: `transposed`, or the `nearest` step repeated and then a
    convolution. Raises ValueError for an even kernel, or one shorter than the stride.
    """

    def __init__(
        self,
        latent_dim: PositiveInt,
        sample_shape: Sequence[PositiveInt],
        width: PositiveInt = 64,
        kernel: PositiveInt = 25,
        stride: PositiveInt = 4,
        norm: Norm = "batch",
        upsampling: Lengthening = "transposed",
        output_activation: OutputActivation = "tanh",
        classes: NonNegativeInt = 0,
        label_input: GeneratorLabels = "none",
    ) -> None:
        super().__init__(latent_dim, classes, label_input)
        channels, self.length = signal_dimensions(sample_shape)
        require_kernel(kernel, stride)
        count = signal_stages(self.length, stride)
        base = -(-self.length // stride**count)
        widths = [width * min(2**stage, WIDEST) for stage in reversed(range(count))]
        bias = norm != "batch"  # which takes it away again
        self.project = nn.Linear(self.input_dim, widths[0] * base, bias=bias)
        self.unflatten = nn.Unflatten(1, (widths[0], base))
        layers: list[nn.Module] = [norm_of_signals(norm, widths[0], self.norm_classes), nn.ReLU(inplace=True)]
        for now, after in itertools.pairwise(widths):
            layers += lengthen(upsampling, now, after, kernel, stride, bias)
            layers += [norm_of_signals(norm, after, self.norm_classes), nn.ReLU(inplace=True)]
        layers += lengthen(upsampling, widths[-1], channels, kernel, stride, bias=True)
        self.layers = LabelledSequential(*layers, output_activation_layer(output_activation))
        glorot(self)
        constrain_weights(self, norm)

    def decode(self, inputs: Float[Tensor, "n {self.input_dim}"], labels: Labels | None) -> Float[Tensor, "n c l"]:
        signals: Tensor = self.layers(self.unflatten(self.project(inputs)), labels)
        return signals.narrow(2, (signals.shape[2] - self.length) // 2, self.length)


def lengthen(
    upsampling: Lengthening, channels: int, after: int, kernel: int, stride: int, bias: bool
) -> list[nn.Module]:
    """Layers (N, channels, L) -> (N, after, stride * L)."""
    half = kernel // 2
    if upsampling == "transposed":
        return [nn.ConvTranspose1d(channels, after, kernel, stride, half, output_padding=stride - 1, bias=bias)]
    if upsampling == "nearest":
        return [nn.Upsample(scale_factor=stride), nn.Conv1d(channels, after, kernel, padding=half, bias=bias)]
    raise ValueError(f"upsampling is {upsampling!r}; there are transposed, nearest")


class Conv1dDiscriminator(Discriminator):
    """Signals (N, C, L) -> logits (N,), or (N, outputs); see `Discriminator` for packs and labels.

    `width` is the number of channels after the first convolution; each next stage has twice as many. The first
    convolution is followed by no normalisation. `phase_shuffle` is how many steps activations are moved at most before
    each later convolution, in train mode (see `PhaseShuffle`). Its features are the last stage's activations,
    flattened. Raises ValueError for an even kernel, or one shorter than the stride.
    """

    def __init__(
        self,
        sample_shape: Sequence[PositiveInt],
        width: PositiveInt = 64,
        kernel: PositiveInt = 25,
        stride: PositiveInt = 4,
        norm: Norm = "none",
        phase_shuffle: NonNegativeInt = 2,
        outputs: PositiveInt = 1,
        packing: PositiveInt = 1,
        classes: NonNegativeInt = 0,
        label_input: DiscriminatorLabels = "none",
    ) -> None:
        super().__init__(sample_shape, outputs, packing, classes, label_input)
        channels, length = signal_dimensions(self.input_shape)
        require_kernel(kernel, stride)
        count = signal_stages(length, stride)
        widths = [width * min(2**stage, WIDEST) for stage in range(count)]
        half = kernel // 2
        layers: list[nn.Module] = [nn.Conv1d(channels, width, kernel, stride, half), nn.LeakyReLU(0.2, inplace=True)]
        for now, after in itertools.pairwise(widths):
            layers += [PhaseShuffle(phase_shuffle), nn.Conv1d(now, after, kernel, stride, half, bias=norm != "batch")]
            layers += [norm_of_signals(norm, after), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        features = widths[-1] * -(-length // stride**count)
        self.build_head(nn.Linear(features, outputs), features)
        glorot(self.layers)
        glorot(self.head)
        constrain_weights(self, norm)

    def features(self, samples: Float[Tensor, "n c l"]) -> Float[Tensor, "n features"]:
        features: Tensor = self.layers(samples)
        return features
