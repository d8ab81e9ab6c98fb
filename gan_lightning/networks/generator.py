"""What every generator is: a network that knows the size of its latents, and how labels enter it."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_lightning.networks.layers import Labels, encoded

GeneratorLabels = Literal["none", "concat", "norm"]


class Generator(nn.Module):
    """Maps latents (N, latent_dim), and labels if it is conditional, to samples (N, ...).

    Labels are int64 (N,) in 0..classes-1; or conditions, float (N, classes), attributes and real numbers in about
    [-1, 1], of which a one-hot row means the class. `label_input` says how they enter: `concat` appends them, classes
    one-hot, to the latents; `norm` makes the gains and biases of the normalisation layers depend on them (conditional
    batch normalisation, de Vries et al. 2017, arXiv:1707.00683, as in SNGAN's projection paper). Subclasses implement
    `decode` for inputs (N, input_dim), and give their normalisation layers `norm_classes`, which is 0 unless labels
    enter there.
    """

    def __init__(self, latent_dim: int, classes: int = 0, label_input: GeneratorLabels = "none") -> None:
        super().__init__()
        if (label_input == "none") != (classes == 0):
            advice = "" if classes else "; without labels, use conditioning=none"
            raise ValueError(f"label_input is {label_input}, which doesn't fit classes={classes}{advice}")
        self.latent_dim = latent_dim
        self.classes = classes
        self.label_input = label_input
        self.input_dim = latent_dim + (classes if label_input == "concat" else 0)
        self.norm_classes = classes if label_input == "norm" else 0

    def forward(
        self, latents: Float[Tensor, "n {self.latent_dim}"], labels: Labels | None = None
    ) -> Float[Tensor, "n ..."]:
        if self.classes and labels is None:
            raise ValueError("a conditional generator needs labels")
        if self.label_input == "concat":
            assert labels is not None
            latents = torch.cat([latents, encoded(labels, latents.shape[0], self.classes, latents.dtype)], dim=1)
        return self.decode(latents, labels if self.label_input == "norm" else None)

    def decode(self, inputs: Float[Tensor, "n {self.input_dim}"], labels: Labels | None) -> Float[Tensor, "n ..."]:
        """Samples from inputs (N, input_dim); labels are given where normalisation layers depend on them."""
        raise NotImplementedError
