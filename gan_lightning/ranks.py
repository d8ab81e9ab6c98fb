"""The processes that train together, one for each device: each has a rank, and its own share of every minibatch.

So that their number changes nothing, what a loss takes over a minibatch must be of all shares (`mean_of_ranks`,
`std_of_ranks`, `rows_of_ranks`), and what is drawn for one must be what a single process would draw for all of it, of
which each rank takes its rows (`drawn`, `drawn_like`). Both hold within `together`, where all ranks do the same, as in
a step of the training. Elsewhere, where one of them may measure something by itself, and in a single process, each of
these functions is of the caller's own samples alone.

All ranks have equally many samples of a minibatch. Gradients are averaged over ranks by DDP, so that a loss that is a
mean over samples needs nothing of this. Layers that look at a whole minibatch (batch normalisation) or draw (dropout)
do so for each rank by itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_lightning.seeds import mix, seed_generators


class Share(NamedTuple):
    """A process's place among those that train together, and the random generator that is in the same state in all."""

    rank: int
    ranks: int
    source: torch.Generator

    def rows(self, count: int) -> slice:
        """Its own rows of what all have, `count` of them."""
        return slice(self.rank * count, (self.rank + 1) * count)


_SHARE: ContextVar[Share | None] = ContextVar("share", default=None)


def place() -> tuple[int, int]:
    """This process's rank, and how many processes train together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


@contextmanager
def together(device: torch.device, *seed: int) -> Iterator[None]:
    """What all ranks do at once, with random numbers of a device that are a function of `seed`.

    torch's default generators, of which layers with dropout draw, have a seed of their own in each rank.
    """
    rank, ranks = place()
    seed_generators(mix(*seed, 0 if ranks == 1 else 1 + rank), device)
    source = torch.Generator(device).manual_seed(mix(*seed, 0)) if ranks > 1 else None
    token = _SHARE.set(None if source is None else Share(rank, ranks, source))
    try:
        yield
    finally:
        _SHARE.reset(token)


def drawn(draw: Callable[[int, torch.Generator | None], Tensor], count: int) -> Tensor:
    """This process's rows (count, ...) of what `draw(rows, source)` gives for all; None is torch's default source."""
    share = _SHARE.get()
    if share is None:
        return draw(count, None)
    return draw(count * share.ranks, share.source)[share.rows(count)]


def drawn_like(samples: Tensor, fill: Callable[..., Tensor]) -> Tensor:
    """Random numbers in the shape and type of samples (N, ...), by `fill(tensor, generator=...)`: Tensor.normal_."""

    def draw(count: int, source: torch.Generator | None) -> Tensor:
        times = count // max(1, len(samples))
        return fill(torch.empty_like(samples if times == 1 else torch.cat([samples] * times)), generator=source)

    return drawn(draw, len(samples))


class _Sum(torch.autograd.Function):
    """The sum over ranks. Its gradient is the sum of their gradients, and so is that one's."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        # Half precision would lose what the shares differ in, and not all backends add it up.
        total = value.to(torch.promote_types(value.dtype, torch.float32), copy=True).contiguous()
        torch.distributed.all_reduce(total)
        return total.to(value.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(value: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(value)
    return total


def mean_of_ranks(value: Tensor) -> Tensor:
    """The mean over ranks of a tensor of any shape, such as a mean over samples; any number of times differentiable."""
    share = _SHARE.get()
    return value if share is None else _summed(value) / share.ranks


def rows_of_ranks(rows: Tensor) -> Tensor:
    """The rows (N, ...) of all ranks one below the other, (ranks * N, ...); any number of times differentiable.

    Of a loss that every rank computes of all rows, DDP's mean of the gradients is the loss's own gradient.
    """
    share = _SHARE.get()
    if share is None:
        return rows
    above = rows.new_zeros(share.rank * len(rows), *rows.shape[1:])
    below = rows.new_zeros((share.ranks - 1 - share.rank) * len(rows), *rows.shape[1:])
    return _summed(torch.cat([above, rows, below]))


def std_of_ranks(values: Tensor) -> Tensor:
    """A scalar: the standard deviation (population form) of all entries of all ranks, which have equally many."""
    if _SHARE.get() is None:
        return values.std(correction=0)
    variances, means = rows_of_ranks(torch.stack(torch.var_mean(values, correction=0)).unsqueeze(0)).unbind(1)
    return (variances.mean() + means.var(correction=0)).sqrt()
