"""A trained generator, ready to sample from."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.networks.generator import Generator
from gan_lightning.plugins import granted
from gan_lightning.samples import Units
from gan_lightning.sampling.drawing import class_of_each, decode, draw_latents
from gan_lightning.sampling.files import Weights, load
from gan_lightning.sampling.latents import Normal, Prior
from gan_lightning.suggest import did_you_mean

MOST_NAMED = 20  # classes in a message


class Sampler:
    """A trained generator with what it takes to sample from it; nothing of the training or the data is needed."""

    def __init__(
        self,
        network: Generator,
        latents: Prior | None = None,
        device: str = "cpu",
        iteration: int | None = None,
        classes: Sequence[str] = (),
        units: Units | None = None,
    ) -> None:
        self.network = network.to(device).eval()
        self.latents = latents or Normal()
        self.device = device
        self.iteration = iteration  # that the weights are of
        self.classes = tuple(classes)  # their names, where they are known
        self.units = units  # that lead from samples to the numbers of the data set's files, if it has scaled these

    def sample(self, n: int, seed: int = 0, label: int | str | None = None) -> Float32[Tensor, "{n} ..."]:
        """Images (n, C, H, W) in [-1, 1], signals (n, C, L) or vectors (n, d), on the CPU; the same arguments give the
        same samples.

        `label` is the class of all of them, by number or name, for a conditional generator; without it the classes
        take turns.
        """
        return decode(self.network, self._draw(n, seed), self.device, self.labels(n, label))

    def interpolate(
        self, seeds: Sequence[int], frames: int, label: int | str | None = None
    ) -> Float32[Tensor, "{(len(seeds)-1)*frames} ..."]:
        """A walk from each seed's first latent to the next one's: ((len(seeds) - 1) * frames, ...) samples.

        Latents on the way are as likely as those at its ends (see `Prior.path`). Each row starts at its seed and ends
        just at the next. A conditional generator keeps to one class, by default the first.
        """
        ends = torch.cat([self._draw(1, seed) for seed in seeds])
        walk = torch.cat([self.latents.path(a, b, frames) for a, b in itertools.pairwise(ends)])
        labels = self.labels(len(walk), 0 if label is None and self.network.classes else label)
        return decode(self.network, walk, self.device, labels)

    def labels(self, n: int, label: int | str | None) -> Int[Tensor, " {n}"] | None:
        """A label each of n samples: `label`, or all classes in turn; None for a generator without any.

        Raises UserError for a class that there isn't.
        """
        classes = self.network.classes
        if label is None:
            return class_of_each(self.network, n)
        if not classes:
            raise UserError(f"label is {label}, but this generator was trained without labels (conditioning=none).")
        if isinstance(label, str):
            label = self._number(label)
        if not 0 <= label < classes:
            raise UserError(f"label is {label}, but this generator's classes are 0 to {classes - 1}.")
        return torch.full((n,), label)

    def _number(self, name: str) -> int:
        """The number of the class of that name. Raises UserError if there is none."""
        if name in self.classes:
            return self.classes.index(name)
        last = self.network.classes - 1
        shown = [*self.classes[:MOST_NAMED], *(["..."] if len(self.classes) > MOST_NAMED else [])]
        known = f"classes are {', '.join(shown)}" if shown else f"file has no names of classes, only 0 to {last}"
        raise UserError(f"label is {name}, but this generator's {known}.{did_you_mean(name, self.classes)}")

    def _draw(self, n: int, seed: int) -> Float[Tensor, "{n} latent_dim"]:
        return draw_latents(self.latents, self.network.latent_dim, n, seed)


def load_generator(
    run: str | Path, weights: Weights = "ema", device: str = "cpu", plugins: Sequence[str] = ()
) -> Sampler:
    """The generator of a run's folder, or of a generator.safetensors file (which has the last average only).

    `weights` are the last average, the last raw ones, or the average of checkpoints/best.ckpt. `plugins` are packages
    that the network may come from, beside this one and those that are trusted anyway (gan_lightning/plugins.py). Raises
    UserError if there is none, if it is damaged, or if the device isn't there.
    """
    generator, latents, iteration, classes, units = load(run, weights, granted(plugins))
    if device != "cpu" and not getattr(torch, torch.device(device).type).is_available():
        raise UserError(f"device is {device}, which this machine doesn't have; use device=cpu.")
    return Sampler(generator, latents, device, iteration, classes, units)
