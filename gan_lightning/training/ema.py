"""Exponential moving average of a network's weights and buffers, on the iteration clock."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from gan_lightning.types import Fraction, check_ranges

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class EMA:
    """average <- d * average + (1 - d) * network after each iteration, with d = min(decay, (1 + t) / (10 + t)).

    t counts updates from 0, so that early averages follow the network instead of its initial weights (the ramp is that
    of TensorFlow's ExponentialMovingAverage). Floating-point buffers (the running statistics of batch normalisation)
    are averaged the same way: the average is evaluated with statistics that belong to its weights. Integer buffers
    are copied. `decay=0` makes the average equal to the network.
    """

    decay: Fraction = 0.999

    def __post_init__(self) -> None:
        check_ranges(self)

    def copy(self, network: Network) -> Network:
        """The network to average into: a copy in evaluation mode whose weights take no gradients."""
        return copy.deepcopy(network).requires_grad_(False).eval()

    def decay_at(self, update: int) -> float:
        """The factor d of the update with this number, counted from 0."""
        return min(self.decay, (1 + update) / (10 + update))

    def updater(self, average: nn.Module, network: nn.Module) -> Callable[[int], None]:
        """A function of the update's number that moves `average` towards `network`, in place.

        It holds on to their tensors, since walking through modules at each update would cost more than the update: make
        it once the networks are on their device.
        """
        targets = [*average.parameters(), *average.buffers()]
        sources = [*network.parameters(), *network.buffers()]
        pairs = list(zip(targets, sources, strict=True))
        averages = [a for a, _ in pairs if a.is_floating_point()]
        values = [n for _, n in pairs if n.is_floating_point()]
        counters = [(a, n) for a, n in pairs if not a.is_floating_point()]

        @torch.no_grad()
        def update(number: int) -> None:
            torch._foreach_lerp_(averages, values, 1 - self.decay_at(number))
            for a, n in counters:
                a.copy_(n)

        return update
