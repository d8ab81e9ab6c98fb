"""Directions of the latents that change samples most, out of the generator's weights alone."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.networks.generator import Generator

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)
FIRST = (nn.Linear, nn.Conv1d, nn.Conv2d, *TRANSPOSED)


def closed_form_directions(
    generator: Generator, count: int
) -> tuple[Float[Tensor, "{count} latent_dim"], Float[Tensor, " {count}"]]:
    """Unit vectors (count, latent_dim) and how much each is enlarged, (count,), the most first.

    SeFa (Shen and Zhou 2021, arXiv:2007.06600, equation 6): the eigenvectors of A^T A of the first layer's weights A,
    which are A's right singular vectors, with its singular values. Each has its largest entry positive. Raises
    UserError where there are fewer, and for a generator without a first layer.
    """
    weights = first_weights(generator)
    _, strengths, vectors = torch.linalg.svd(weights.double(), full_matrices=False)
    if count > len(vectors):
        raise UserError(f"means.count is {count}, but this generator has {len(vectors)} directions.")
    vectors = vectors[:count]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return (vectors * largest.sign()).float(), strengths[:count].float()


def first_weights(generator: Generator) -> Float[Tensor, "outputs latent_dim"]:
    """The weights by which the first layer meets the latents, without those of labels: (outputs, latent_dim), on the
    CPU.

    It is the first linear layer or convolution that takes as many numbers as the generator is given. Raises UserError
    if there is none.
    """
    for layer in generator.modules():
        if not isinstance(layer, FIRST):
            continue
        weight = layer.weight.detach().cpu()
        by_input = weight if isinstance(layer, TRANSPOSED) else weight.transpose(0, 1)
        if len(by_input) == generator.input_dim:
            return by_input.flatten(1).T[:, : generator.latent_dim]
    raise UserError(
        f"means is directions, which are those of the layer that takes the latents, but {type(generator).__name__} has"
        f" no linear layer or convolution of {generator.input_dim} inputs; means=attribute needs none."
    )
