"""What is edited: samples of a generator, their labels, and the attributes that there are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, NoReturn

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from gan_lightning.editing.attributes import Attributes, Data, Scores, joined, scores_of
from gan_lightning.errors import UserError
from gan_lightning.networks.layers import Labels
from gan_lightning.sampling.sampler import Label, Sampler

AT_ONCE = 64  # samples that gradients are taken of together


class Table(NamedTuple):
    """The names of columns, and rows of texts and numbers."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str | float, ...]]


class Edited(NamedTuple):
    """What an edit gives: a row of samples each (rows, columns, ...), on the CPU, their latents (rows, columns, d),
    None for what isn't made of any, and what can be said in numbers, if anything can.
    """

    samples: Tensor
    latents: Tensor | None
    table: Table | None = None


def no_data() -> NoReturn:
    """In the place of data that nobody has given."""
    raise UserError("attributes is classes, which are learnt from the generator's data set, but none is given.")


def no_pictures(path: str, count: int) -> NoReturn:
    """In the place of what reads pictures, where nobody has given it."""
    raise UserError(f"means.picture is {path}, but nothing is given that reads pictures; `seek` takes tensors.")


@dataclass(frozen=True)
class Scene:
    """`n` samples of a generator, drawn by `seed`, `label` and `truncation` as `Sampler.sample` draws them.

    `attributes` are the sources of attributes by name, modules of one's own among them (`scores_of`). `data` gives the
    samples that the generator was trained on, and those held out, to those that learn from them. `read` gives at most
    so many pictures of a file or a folder, by their names, in [-1, 1] and in the generator's shape.
    """

    sampler: Sampler
    n: int = 8
    seed: int = 0
    label: Label | None = None
    truncation: float | None = None
    attributes: Mapping[str, Attributes | nn.Module] = field(default_factory=dict)
    data: Data = no_data
    read: Callable[[str, int], Mapping[str, Tensor]] = no_pictures

    @cached_property
    def latents(self) -> Float[Tensor, "n latent_dim"]:
        """Those of the samples."""
        return self.sampler.draw(self.n, self.seed, self.truncation)

    @cached_property
    def labels(self) -> Labels | None:
        """Those of the samples."""
        return self.sampler.labels(self.n, self.label, self.seed)

    @cached_property
    def scores(self) -> Scores:
        """All attributes. Raises UserError for what the user can mend."""
        return joined(
            [
                scores_of(each, name, self.sampler)
                if isinstance(each, nn.Module)
                else each.open(self.sampler, self.data)
                for name, each in self.attributes.items()
            ]
        )

    def decoder(self, labels: Labels | None) -> Callable[[Tensor], Tensor]:
        """What makes samples (N, ...) of latents (N, d) on the generator's device, for gradients to pass through.

        Labels are those of as many latents, in their order.
        """
        device = self.sampler.device
        told = None if labels is None else labels.to(device)

        def decode(latents: Tensor) -> Tensor:
            with torch.autocast(torch.device(device).type, enabled=False):
                samples: Tensor = self.sampler.network(latents.to(device), told)
                return samples

        return decode

    def parts(self) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor]]]:
        """Latents (n, d) of AT_ONCE samples after the other, each with what decodes them."""
        latents = self.latents.split(AT_ONCE)
        labels = [None] * len(latents) if self.labels is None else list(self.labels.split(AT_ONCE))
        for each, told in zip(latents, labels, strict=True):
            yield each, self.decoder(told)

    def along(self, path: Float[Tensor, "stages n latent_dim"]) -> Float32[Tensor, "n stages ..."]:
        """The samples of latents (stages, n, d) on ways from the first n of the scene, with their labels: n rows."""
        stages, count = path.shape[:2]
        told = None if self.labels is None else self.labels[:count].repeat_interleave(stages, 0)
        samples: Tensor = self.sampler.decode(path.transpose(0, 1).flatten(0, 1), told).unflatten(0, (count, stages))
        return samples
