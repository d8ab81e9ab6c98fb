"""Rounds of minibatches: what one iteration consumes, indexed out of memory as a pure function of its number."""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from gan_lightning.data.ahead import ask_for
from gan_lightning.samples import SampleSet
from gan_lightning.seeds import mix


class RoundSizes(Protocol):
    """How many minibatches each iteration draws: one for each update of the discriminator."""

    def updates(self, iteration: int) -> int: ...

    def updates_before(self, iteration: int) -> int: ...

    def iterations(self, minibatches: int) -> int: ...


class MinibatchStream:
    """Minibatches of indices, numbered from 0, each pass over the data in an order of its own.

    Minibatch j belongs to pass j // minibatches_per_pass; the order of a pass depends on the seed and the pass alone.
    The samples that do not fill a last minibatch are left out of that pass (others in each). With `rows` (size,), the
    indices are these, of a larger set. They lie on the `device`, where each pass's order is sent once.
    """

    def __init__(
        self, size: int, batch_size: int, seed: int, rows: Tensor | None = None, device: torch.device | None = None
    ) -> None:
        self.size = size
        self.device = device or torch.device("cpu")
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
            order = order if self.rows is None else self.rows[order]
            self._order, self._pass = sent(order, self.device), data_pass
        return self._order[place * self.batch_size : (place + 1) * self.batch_size]

    def minibatches(self, first: int, count: int) -> Tensor:
        """The indices (count, batch_size) of consecutive minibatches."""
        return torch.stack([self.minibatch(number) for number in range(first, first + count)])

    def on(self, device: torch.device) -> "MinibatchStream":
        """The same on another device."""
        return MinibatchStream(self.size, self.batch_size, self.seed, self.rows, device)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device, for which the host doesn't wait: CUDA copies in the background from pinned memory alone."""
    is_far = device.type == "cuda" and tensor.device.type == "cpu"
    return (tensor.pin_memory() if is_far else tensor).to(device, non_blocking=True)


class RoundLoader:
    """An endless iterable of rounds that starts at the iteration that `start()` names when it is first asked.

    A round is a SampleSet of the k minibatches of B samples of one iteration, as networks see them: (k, B, ...). The
    loader has no state: a run that is resumed at iteration t gets the rounds that an uninterrupted one would get.
    `data`, as it is stored, may lie on the training device, or stay in host memory or on disk, from where each round is
    fetched. With several ranks every rank takes its own columns of each minibatch. With `asks` the system is asked for
    the next round's samples, mapped from a file, before this one is trained on.
    """

    def __init__(
        self,
        data: SampleSet,
        stream: MinibatchStream,
        sizes: RoundSizes,
        device: torch.device,
        start: Callable[[], int] = lambda: 0,
        rank: int = 0,
        ranks: int = 1,
        asks: bool = False,
    ) -> None:
        self.asks = asks
        self.data = data._replace(classes=(), units=None, conditions=None)
        self.stream = stream.on(data.samples.device)
        self.sizes = sizes
        self.device = device
        self.start = start
        share = stream.batch_size // ranks
        self.columns = slice(rank * share, (rank + 1) * share)

    def __iter__(self) -> Iterator[SampleSet]:
        iteration = self.start()
        self._ask(iteration)
        while True:
            taken = self.round(iteration)
            iteration += 1
            self._ask(iteration)
            yield taken

    def round(self, iteration: int) -> SampleSet:
        """The minibatches of one iteration."""
        taken = self.data.take(self._rows(iteration))
        labels = None if taken.labels is None else sent(taken.labels, self.device)
        return taken._replace(samples=sent(taken.samples, self.device), labels=labels).as_floats()

    def _rows(self, iteration: int) -> Tensor:
        """Where the samples of one iteration are, (k, B)."""
        first, count = self.sizes.updates_before(iteration), self.sizes.updates(iteration)
        return self.stream.minibatches(first, count)[:, self.columns]

    def _ask(self, iteration: int) -> None:
        if self.asks:
            ask_for(self.data.samples, self._rows(iteration))
