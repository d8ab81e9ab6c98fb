"""Rounds of minibatches: what one iteration consumes, indexed out of memory as a pure function of its number."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gan_lightning.seeds import mix


class Schedule(Protocol):
    """How many minibatches each iteration draws."""

    def steps(self, iteration: int) -> int: ...

    def steps_before(self, iteration: int) -> int: ...

    def iterations(self, minibatches: int) -> int: ...


class Round(NamedTuple):
    """The real samples of one iteration: k minibatches of B samples.

    `images` has shape (k, B, C, H, W) and lies in [-1, 1], or is vectors (k, B, d) in their own units; `labels` has
    shape (k, B), or is None without labels.
    """

    images: Tensor
    labels: Tensor | None


class MinibatchStream:
    """Minibatches of indices, numbered from 0, each pass over the data in an order of its own.

    Minibatch j belongs to pass j // minibatches_per_pass; the order of a pass depends on the seed and the pass alone.
    The samples that do not fill a last minibatch are left out of that pass (others in each). With `rows` (size,), the
    indices are these, of a larger set.
    """

    def __init__(self, size: int, batch_size: int, seed: int, rows: Tensor | None = None) -> None:
        self.size = size
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.minibatches_per_pass = size // batch_size
        self._pass = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def minibatch(self, number: int) -> Tensor:
        """The indices (batch_size,) of one minibatch."""
        data_pass, place = divmod(number, self.minibatches_per_pass)
        if data_pass != self._pass:
            generator = torch.Generator().manual_seed(mix(self.seed, data_pass))
            order = torch.randperm(self.size, generator=generator)
            self._order, self._pass = order if self.rows is None else self.rows[order], data_pass
        return self._order[place * self.batch_size : (place + 1) * self.batch_size]

    def minibatches(self, first: int, count: int) -> Tensor:
        """The indices (count, batch_size) of consecutive minibatches."""
        return torch.stack([self.minibatch(number) for number in range(first, first + count)])


def to_unit_range(pixels: Tensor) -> Tensor:
    """uint8 pixels 0..255 as float32 in [-1, 1]: 0 is -1 and 255 is 1."""
    return pixels.to(torch.float32).mul_(2 / 255).sub_(1)


def as_floats(samples: Tensor) -> Tensor:
    """What networks see of samples: uint8 pixels as float32 in [-1, 1], float32 vectors untouched."""
    return to_unit_range(samples) if samples.dtype == torch.uint8 else samples


class RoundLoader:
    """An endless iterable of `Round`s that starts at the iteration that `start()` names when it is first asked.

    It has no state: a run that is resumed at iteration t gets the rounds that an uninterrupted one would get. `images`
    (uint8 images or float32 vectors) may lie on the training device, or stay in host memory or on disk, from where each
    round is fetched. With several ranks every rank takes its own columns of each minibatch.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None,
        stream: MinibatchStream,
        schedule: Schedule,
        device: torch.device,
        start: Callable[[], int] = lambda: 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.images = images
        self.labels = labels
        self.stream = stream
        self.schedule = schedule
        self.device = device
        self.start = start
        share = stream.batch_size // ranks
        self.columns = slice(rank * share, (rank + 1) * share)

    def __iter__(self) -> Iterator[Round]:
        iteration = self.start()
        while True:
            yield self.round(iteration)
            iteration += 1

    def round(self, iteration: int) -> Round:
        """The minibatches of one iteration."""
        first, count = self.schedule.steps_before(iteration), self.schedule.steps(iteration)
        indices = self.stream.minibatches(first, count)[:, self.columns].to(self.images.device)
        flat = indices.flatten()
        images = self.images.index_select(0, flat).unflatten(0, indices.shape)
        labels = None if self.labels is None else self.labels.index_select(0, flat).unflatten(0, indices.shape)
        return Round(
            as_floats(images.to(self.device, non_blocking=True)),
            None if labels is None else labels.to(self.device, non_blocking=True),
        )
