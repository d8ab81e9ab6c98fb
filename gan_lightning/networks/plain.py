"""Modules that know nothing of this package, as generators and discriminators: latents in, samples out, and so on."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import Labels


class PlainGenerator(Generator):
    """A module that maps latents (N, latent_dim) to samples (N, ...), and takes no labels."""

    def __init__(self, module: nn.Module, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.module = module

    def decode(self, inputs: Float[Tensor, "n {self.input_dim}"], labels: Labels | None) -> Float[Tensor, "n ..."]:
        samples: Tensor = self.module(inputs)
        return samples


class PlainDiscriminator(Discriminator):
    """A module that maps samples (N, ...) to a logit each: (N,), (N, 1) or (N, 1, 1, 1); no labels and no packs.

    Logits are any real number: a module that ends in a sigmoid gives probabilities, which losses don't take. Raises
    ValueError for outputs of another shape.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__(sample_shape=(1,))
        self.module = module

    def forward(self, samples: Float[Tensor, "n ..."], labels: Labels | None = None) -> Float[Tensor, " n"]:
        outputs: Tensor = self.module(samples)
        if outputs.shape[:1] != samples.shape[:1] or outputs.numel() != len(samples):
            raise ValueError(
                f"the discriminator gives outputs of shape {tuple(outputs.shape)} for {len(samples)} samples, but one"
                " logit each is wanted"
            )
        return outputs.reshape(-1).to(torch.promote_types(outputs.dtype, torch.float32))


def as_generator(module: nn.Module, latent_dim: int | None = None) -> Generator:
    """A module as a generator: itself if it is one. `latent_dim` is needed where neither the module's attribute of this
    name nor its first layer tells it.

    Raises ValueError where nothing does.
    """
    if isinstance(module, Generator):
        return module
    told = getattr(module, "latent_dim", None) if latent_dim is None else latent_dim
    width = first_width(module) if told is None else told
    if not isinstance(width, int):
        raise ValueError(
            f"{type(module).__name__} doesn't tell how many numbers its latents have; give latent_dim, or the module"
            " an attribute of this name"
        )
    return PlainGenerator(module, width)


def as_discriminator(module: nn.Module) -> Discriminator:
    """A module as a discriminator: itself if it is one."""
    return module if isinstance(module, Discriminator) else PlainDiscriminator(module)


def first_width(module: nn.Module) -> int | None:
    """How many numbers the first linear or convolutional layer of a module takes; None without any."""
    for layer in module.modules():
        for attribute in ("in_features", "in_channels"):
            if isinstance(width := getattr(layer, attribute, None), int):
                return width
    return None
