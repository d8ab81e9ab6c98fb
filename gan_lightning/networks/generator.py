"""What every generator is: a network that knows the size of its latents."""

from torch import nn


class Generator(nn.Module):
    """Maps latents (N, latent_dim) ~ N(0, I) to samples (N, ...)."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
