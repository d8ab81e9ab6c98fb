"""Drawing from a generator: fixed latents, labels, and samples in batches. torch and jaxtyping alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn

from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import Labels
from gan_lightning.samples import Conditions
from gan_lightning.sampling.conditions import draw_conditions
from gan_lightning.sampling.latents import Prior
from gan_lightning.seeds import mix


def draw_latents(prior: Prior, latent_dim: int, count: int, seed: int) -> Float[Tensor, "{count} {latent_dim}"]:
    """Latents (count, latent_dim) from a prior, on the CPU; the first k of a seed are the same for every count."""
    source = torch.Generator()
    return torch.cat([prior.draw(1, latent_dim, generator=source.manual_seed(mix(seed, k))) for k in range(count)])


def label_of_each(
    generator: Generator, count: int, conditions: Conditions | None = None, seed: int = 0
) -> Int[Tensor, " {count}"] | Float[Tensor, "{count} k"] | None:
    """Labels (count,) that go through the classes in turn, or conditions (count, K) as the data have them, by the seed;
    None for a generator without labels.
    """
    if not generator.classes:
        return None
    if conditions is not None:
        return draw_conditions(conditions, count, seed)
    return torch.arange(count) % generator.classes


@torch.no_grad()
def decode(
    generator: nn.Module,
    latents: Float[Tensor, "n latent_dim"],
    device: torch.device | str = "cpu",
    labels: Labels | None = None,
    batch_size: int = 256,
) -> Float32[Tensor, "n ..."]:
    """The samples of latents (N, latent_dim), and labels, in batches, on the CPU and in float32."""
    chunks = latents.split(batch_size)
    told = [None] * len(chunks) if labels is None else [chunk.to(device) for chunk in labels.split(batch_size)]
    with torch.autocast(torch.device(device).type, enabled=False):
        made = [generator(chunk.to(device), label) for chunk, label in zip(chunks, told, strict=True)]
    return torch.cat([samples.float().cpu() for samples in made])


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The evaluation mode, for as long as the context lasts."""
    mode = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(mode)
