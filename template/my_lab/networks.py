"""Perceptrons with residual blocks: plain torch modules, whose constructors a configuration calls."""

from collections.abc import Sequence
from math import prod

from gan_lightning.types import PositiveInt
from torch import Tensor, nn


class Residual(nn.Module):
    """Features (N, width) -> the same plus what two layers make of them."""

    def __init__(self, width: PositiveInt) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, features: Tensor) -> Tensor:
        change: Tensor = self.layers(features)
        return features + change


class ResidualGenerator(nn.Module):
    """Latents (N, latent_dim) -> samples (N, *sample_shape), of any real value."""

    def __init__(
        self,
        latent_dim: PositiveInt,
        sample_shape: Sequence[PositiveInt],
        hidden_dim: PositiveInt = 128,
        blocks: PositiveInt = 2,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim),
            *(Residual(hidden_dim) for _ in range(blocks)),
            nn.SiLU(),
            nn.Linear(hidden_dim, prod(sample_shape)),
            nn.Unflatten(1, tuple(sample_shape)),
        )

    def forward(self, latents: Tensor) -> Tensor:
        samples: Tensor = self.layers(latents)
        return samples


class ResidualDiscriminator(nn.Module):
    """Samples (N, *sample_shape) -> a logit each, (N, 1)."""

    def __init__(
        self, sample_shape: Sequence[PositiveInt], hidden_dim: PositiveInt = 128, blocks: PositiveInt = 2
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(sample_shape), hidden_dim),
            *(Residual(hidden_dim) for _ in range(blocks)),
            nn.SiLU(),
            nn.Linear(hidden_dim, 1),
        )

    def forward(self, samples: Tensor) -> Tensor:
        logits: Tensor = self.layers(samples)
        return logits
