"""What a notebook uses: train with overrides, load a run's generator, sample."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from omegaconf import OmegaConf
from torch import Tensor

from gan_lightning.commands.experiment import Run, run_experiment
from gan_lightning.commands.folders import find_generator
from gan_lightning.commands.train import SCHEMA, plan
from gan_lightning.config.build import build
from gan_lightning.config.compose import Sources, compose, without_hydra
from gan_lightning.errors import UserError
from gan_lightning.networks.generator import Generator
from gan_lightning.run_folder import LAST
from gan_lightning.training.checkpoint import read_checkpoint, read_generator
from gan_lightning.training.samples import decode, draw_latents

__all__ = ["Run", "Sampler", "UserError", "load_generator", "train"]


def train(*overrides: str) -> Run:
    """Trains as `python -m gan_lightning OVERRIDES…` does, in this process, and returns the run.

    Relative paths are relative to the current folder. Raises UserError for a mistake in the overrides, before anything
    is trained, and FloatingPointError if training diverges.
    """
    sources, planned = plan(Sources("train"), list(overrides), multirun=False)
    config = compose(sources, planned, SCHEMA)
    folder = Path(config.hydra.run.dir)
    try:
        return run_experiment(without_hydra(config), folder, overrides)
    except SystemExit as end:  # Lightning's answer to a second Ctrl-C, which would end a notebook's kernel
        raise KeyboardInterrupt from end


class Sampler:
    """A trained generator with what it takes to sample from it; nothing of the training or the data is needed."""

    def __init__(self, network: Generator, device: str = "cpu") -> None:
        self.network = network.to(device).eval()
        self.device = device

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Images (n, C, H, W) in [-1, 1], on the CPU; the same n and seed give the same images."""
        return decode(self.network, draw_latents(self.network, n, seed), self.device)

    def interpolate(self, seeds: Sequence[int], steps: int) -> Tensor:
        """A walk from each seed's first latent to the next one's: ((len(seeds) - 1) * steps, C, H, W) in [-1, 1].

        Spherical interpolation (White 2016, arXiv:1609.04468): a straight line would pass through latents that are
        shorter than nearly all that the generator has seen. Each row starts at its seed and ends just at the next.
        """
        ends = torch.cat([draw_latents(self.network, 1, seed) for seed in seeds])
        return decode(self.network, torch.cat([slerp(a, b, steps) for a, b in itertools.pairwise(ends)]), self.device)


def slerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """`steps` points on the arc from one latent (d,) to another, both included, with lengths in between: (steps, d)."""
    cosine = torch.dot(start, end) / (start.norm() * end.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    t = torch.linspace(0, 1, steps).unsqueeze(1)
    if torch.sin(angle) < 1e-6:  # the same direction, or opposite ones, between which there is no one arc
        return torch.lerp(start, end, t)
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)


def load_generator(run: str | Path, weights: Literal["ema", "raw"] = "ema", device: str = "cpu") -> Sampler:
    """The generator of a run's folder, or of a generator.safetensors file (which has the average only).

    Raises UserError if there is none, or if it is damaged.
    """
    file = find_generator(str(run))
    config, tensors = read_generator(file)
    if weights == "raw":
        state = read_checkpoint(file.parent / LAST)["state_dict"]
        prefix = "generator."
        tensors = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    network: Generator = build(OmegaConf.create({"generator": config}), "generator")
    network.load_state_dict(tensors)
    if device != "cpu" and not getattr(torch, torch.device(device).type).is_available():
        raise UserError(f"device is {device}, which this machine doesn't have; use device=cpu.")
    return Sampler(network, device)
