"""DCGAN (Radford et al. 2016, arXiv:1511.06434) for images of any size from 8x8 up and any number of channels.

Strided convolutions with kernel 4, batch normalisation except at the images' side, ReLU in the generator and
LeakyReLU(0.2) in the discriminator, weights drawn from N(0, 0.02). Deviations from the paper, all for the sake of any
size: the number of stages is the number of halvings that leave at least four pixels (64x64 gives the paper's four,
28x28 and 8x8 give two and one), a generator whose stages overshoot the size is cropped in the middle, the first block
of the generator is a linear layer, and the discriminator's last convolution covers whatever is left.
"""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import Norm, OutputActivation, norm_2d, output_activation_layer
from gan_lightning.types import PositiveInt

SMALLEST = 8


def stages(height: int, width: int) -> int:
    """How often the smaller side can be halved with at least four pixels left: 8 -> 1, 28 -> 2, 32 -> 3, 64 -> 4."""
    if min(height, width) < SMALLEST:
        raise ValueError(f"DCGAN needs images of at least {SMALLEST}x{SMALLEST} pixels, got {height}x{width}")
    return (min(height, width) // 4).bit_length() - 1


def initialise(network: nn.Module) -> None:
    """Weights of convolutions and linear layers from N(0, 0.02), gains of normalisations from N(1, 0.02), no biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class DCGANGenerator(Generator):
    """Latents (N, latent_dim) -> images (N, C, H, W), in [-1, 1] with the default tanh.

    `width` is the number of channels before the image; each earlier stage has twice as many, at most 8 * width.
    """

    def __init__(
        self,
        latent_dim: PositiveInt,
        image_shape: Sequence[PositiveInt],
        width: PositiveInt = 64,
        norm: Norm = "batch",
        output_activation: OutputActivation = "tanh",
    ) -> None:
        super().__init__(latent_dim)
        channels, self.height, self.width = image_shape
        count = stages(self.height, self.width)
        base = (-(-self.height // 2**count), -(-self.width // 2**count))  # rounded up, so that cropping is enough
        widths = [width * min(2**stage, 8) for stage in reversed(range(count))]
        self.project = nn.Linear(latent_dim, widths[0] * base[0] * base[1], bias=norm != "batch")
        self.unflatten = nn.Unflatten(1, (widths[0], *base))
        layers: list[nn.Module] = [norm_2d(norm, widths[0]), nn.ReLU(inplace=True)]
        for now, after in itertools.pairwise(widths):
            layers += [nn.ConvTranspose2d(now, after, 4, stride=2, padding=1, bias=norm != "batch")]
            layers += [norm_2d(norm, after), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers, output_activation_layer(output_activation))
        initialise(self)

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(self.unflatten(self.project(latents)))
        top, left = (images.shape[2] - self.height) // 2, (images.shape[3] - self.width) // 2
        return images[:, :, top : top + self.height, left : left + self.width]


class DCGANDiscriminator(nn.Module):
    """Images (N, C, H, W) -> logits (N,).

    `width` is the number of channels after the first convolution; each next stage has twice as many, at most 8 * width.
    The first convolution is followed by no normalisation.
    """

    def __init__(self, image_shape: Sequence[PositiveInt], width: PositiveInt = 64, norm: Norm = "batch") -> None:
        super().__init__()
        channels, image_height, image_width = image_shape
        count = stages(image_height, image_width)
        widths = [width * min(2**stage, 8) for stage in range(count)]
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        for now, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(now, after, 4, stride=2, padding=1, bias=norm != "batch")]
            layers += [norm_2d(norm, after), nn.LeakyReLU(0.2, inplace=True)]
        remaining = (image_height >> count) * (image_width >> count)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * remaining, 1))
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits.squeeze(1)
