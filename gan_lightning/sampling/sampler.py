"""A trained generator, ready to sample from."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import Labels
from gan_lightning.plugins import granted
from gan_lightning.samples import Conditions, Units
from gan_lightning.sampling.conditions import with_asked
from gan_lightning.sampling.drawing import decode, draw_latents, label_of_each
from gan_lightning.sampling.files import Weights, load
from gan_lightning.sampling.latents import Normal, Prior, TruncatablePrior
from gan_lightning.suggest import did_you_mean

MOST_NAMED = 20  # classes in a message
Label = int | str | Mapping[str, float]  # a class by number or name, or conditions by name


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
        conditions: Conditions | None = None,
    ) -> None:
        self.network = network.to(device).eval()
        self.latents = latents or Normal()
        self.device = device
        self.iteration = iteration  # that the weights are of
        self.classes = tuple(classes)  # their names, where they are known
        self.units = units  # that lead from samples to the numbers of the data set's files, if it has scaled these
        self.conditions = conditions  # where labels are numbers

    def sample(
        self, n: int, seed: int = 0, label: Label | None = None, truncation: float | None = None
    ) -> Float32[Tensor, "{n} ..."]:
        """Images (n, C, H, W) in [-1, 1], signals (n, C, L) or vectors (n, d), on the CPU; the same arguments give the
        same samples.

        `label` is the class of all of them, by number or name, for a conditional generator; without it the classes
        take turns. Where labels are conditions, it has some by name, in the units of the data set's files, such as
        {"age": 30}; the others are drawn as the data have them.

        `truncation` is the largest number in their latents (`truncated_normal`): a lower one makes samples more alike,
        and with some generators better.
        """
        return self.decode(self.draw(n, seed, truncation), self.labels(n, label, seed))

    def decode(self, latents: Float[Tensor, "n latent_dim"], labels: Labels | None = None) -> Float32[Tensor, "n ..."]:
        """The samples (n, ...) of latents (n, latent_dim) and labels, on the CPU."""
        return decode(self.network, latents, self.device, labels)

    def interpolate(
        self, seeds: Sequence[int], frames: int, label: Label | None = None, truncation: float | None = None
    ) -> Float32[Tensor, "{(len(seeds)-1)*frames} ..."]:
        """A walk from each seed's first latent to the next one's: ((len(seeds) - 1) * frames, ...) samples.

        Latents on the way are as likely as those at its ends (see `Prior.path`). Each row starts at its seed and ends
        just at the next. A conditional generator keeps to one class, by default the first, or to the conditions that
        the first seed draws.
        """
        ends = torch.cat([self.draw(1, seed, truncation) for seed in seeds])
        walk = torch.cat([self.latents.path(a, b, frames) for a, b in itertools.pairwise(ends)])
        first = self.labels(1, label, seeds[0])  # of classes in turn, the first too
        return self.decode(walk, None if first is None else first.repeat_interleave(len(walk), 0))

    def labels(self, n: int, label: Label | None, seed: int = 0) -> Int[Tensor, " {n}"] | Float[Tensor, "{n} k"] | None:
        """A label each of n samples: `label`, or all classes in turn; conditions that it doesn't name by the seed.

        None for a generator without any. Raises UserError for a class or a condition that there isn't.
        """
        classes, drawn = self.network.classes, label_of_each(self.network, n, self.conditions, seed)
        if label is None:
            return drawn
        if not classes:
            raise UserError(f"label is {label}, but this generator was trained without labels (conditioning=none).")
        if self.conditions is not None:
            assert drawn is not None
            return with_asked(drawn, self.conditions, as_mapping(label, self.conditions))
        if isinstance(label, Mapping):
            raise UserError(f"label is {dict(label)}, but this generator has classes; name one, such as label=0.")
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

    def draw(self, n: int, seed: int = 0, truncation: float | None = None) -> Float[Tensor, "{n} latent_dim"]:
        """The latents (n, latent_dim) of `sample`, on the CPU. Raises UserError for a prior that can't be truncated."""
        latents = draw_latents(self.latents, self.network.latent_dim, n, seed)
        if truncation is None:
            return latents
        if not isinstance(self.latents, TruncatablePrior):
            raise UserError(
                f"truncation is {truncation:g}, but the prior of this generator, {type(self.latents).__name__}, can't"
                " be truncated: it has no truncate; use truncation=null."
            )
        return self.latents.truncate(latents, truncation)


def as_mapping(label: Label, known: Conditions) -> Mapping[str, float]:
    """A label that names conditions. Raises UserError for any other."""
    if isinstance(label, Mapping):
        return label
    names, highest = known.units.names, known.units.shift[0] + known.units.scale[0]
    raise UserError(
        f"label is {label}, but this generator's conditions are {', '.join(names[:MOST_NAMED])}; give some by name, as"
        f" in 'label={{{names[0]}: {highest:g}}}'."
    )


def load_generator(
    run: str | Path, weights: Weights = "ema", device: str = "cpu", plugins: Sequence[str] = ()
) -> Sampler:
    """The generator of a run's folder, or of a generator.safetensors file (which has the last average only).

    `weights` are the last average, the last raw ones, or the average of checkpoints/best.ckpt. `plugins` are packages
    that the network may come from, beside this one and those that are trusted anyway (gan_lightning/plugins.py). Raises
    UserError if there is none, if it is damaged, or if the device isn't there.
    """
    generator, latents, iteration, classes, units, conditions = load(run, weights, granted(plugins))
    if device != "cpu" and not getattr(torch, torch.device(device).type).is_available():
        raise UserError(f"device is {device}, which this machine doesn't have; use device=cpu.")
    return Sampler(generator, latents, device, iteration, classes, units, conditions)
