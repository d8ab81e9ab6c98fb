"""The networks of convolutions of the course "Build Basic GANs" (Coursera's GAN specialisation), weeks 2 to 4.

They are the course's layer by layer, so that weights of its own classes go into them (sampling/foreign.py), and so for
images of 28x28 pixels alone. The generator's transposed convolutions have no padding: kernels 3, 4, 3, 4 and strides
2, 1, 2, 2 take 1 -> 3 -> 6 -> 13 -> 28. The discriminator's three convolutions of kernel 4 and stride 2 take 28 -> 13
-> 5 -> 1, the last of them without a look at the map's last row and column, and its first block is normalised too.
Weights of convolutions are drawn from N(0, 0.02), and so are the gains of normalisations, whose mean is 1 in DCGAN.
Biases of convolutions stay as torch draws them, uniformly, though batch normalisation takes them away again.
"""

from collections.abc import Sequence

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
from gan_lightning.networks.resolution import UnfitSamples, image_dimensions
from gan_lightning.types import NonNegativeInt, PositiveInt

SIDE = 28  # pixels
LAST_MAP = 5  # pixels of the side that the discriminator's second block leaves


def course_channels(sample_shape: Sequence[int]) -> int:
    """The channels of images of the course's size. Raises UnfitSamples for any other samples."""
    channels, height, width = image_dimensions(sample_shape)
    if (height, width) != (SIDE, SIDE):
        raise UnfitSamples(
            f"the course's networks of convolutions are for images of {SIDE}x{SIDE} pixels, got {height}x{width}; use"
            f" dataset.image_size={SIDE}, or network=dcgan for any size from 8x8 up"
        )
    return channels


def initialise_around_zero(network: nn.Module) -> None:
    """Weights of convolutions and gains of normalisations from N(0, 0.02), where these have no class of their own."""
    drawn = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)
    for module in network.modules():
        if isinstance(module, drawn) and isinstance(module.weight, Tensor):
            nn.init.normal_(module.weight, 0.0, 0.02)


class CourseGenerator(Generator):
    """Latents (N, latent_dim) -> images (N, C, 28, 28), in [-1, 1] with the default tanh.

    `width` is the number of channels before the image; the first block has four times as many, the second twice.
    """

    def __init__(
        self,
        latent_dim: PositiveInt,
        sample_shape: Sequence[PositiveInt],
        width: PositiveInt = 64,
        norm: Norm = "batch",
        output_activation: OutputActivation = "tanh",
        classes: NonNegativeInt = 0,
        label_input: GeneratorLabels = "none",
    ) -> None:
        super().__init__(latent_dim, classes, label_input)
        channels = course_channels(sample_shape)

        def block(now: int, after: int, kernel: int, stride: int) -> nn.Module:
            up = nn.ConvTranspose2d(now, after, kernel, stride)
            return LabelledSequential(up, norm_2d(norm, after, self.norm_classes), nn.ReLU(inplace=True))

        self.layers = LabelledSequential(
            block(self.input_dim, 4 * width, kernel=3, stride=2),  # 3x3
            block(4 * width, 2 * width, kernel=4, stride=1),  # 6x6
            block(2 * width, width, kernel=3, stride=2),  # 13x13
            nn.Sequential(nn.ConvTranspose2d(width, channels, 4, stride=2), output_activation_layer(output_activation)),
        )
        initialise_around_zero(self)
        constrain_weights(self, norm)

    def decode(self, inputs: Float[Tensor, "n {self.input_dim}"], labels: Labels | None) -> Float[Tensor, "n c h w"]:
        images: Tensor = self.layers(inputs[:, :, None, None], labels)
        return images


class CourseDiscriminator(Discriminator):
    """Images (N, C, 28, 28) -> logits (N,), or (N, outputs); see `Discriminator` for packs and labels.

    `width` is the number of channels after the first convolution; the second has twice as many. `spectral` divides
    every weight by its largest singular value, beside whatever `norm` does to activations: with `norm` batch it is the
    course's SNGAN. Its features are the map of 5x5, flattened.
    """

    def __init__(
        self,
        sample_shape: Sequence[PositiveInt],
        width: PositiveInt = 64,
        norm: Norm = "batch",
        spectral: bool = False,
        outputs: PositiveInt = 1,
        packing: PositiveInt = 1,
        classes: NonNegativeInt = 0,
        label_input: DiscriminatorLabels = "none",
    ) -> None:
        super().__init__(sample_shape, outputs, packing, classes, label_input)
        channels = course_channels(self.input_shape)

        def block(now: int, after: int) -> nn.Module:
            return nn.Sequential(nn.Conv2d(now, after, 4, stride=2), norm_2d(norm, after), nn.LeakyReLU(0.2, True))

        self.layers = nn.Sequential(block(channels, width), block(width, 2 * width), nn.Flatten())
        last = (2 * width, LAST_MAP, LAST_MAP)
        convolution = nn.Conv2d(2 * width, outputs, 4, stride=2)
        self.build_head(
            nn.Sequential(nn.Unflatten(1, last), convolution, nn.Flatten()), features=2 * width * LAST_MAP**2
        )
        initialise_around_zero(self)
        constrain_weights(self, "spectral" if spectral else norm)

    def features(self, samples: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        features: Tensor = self.layers(samples)
        return features
