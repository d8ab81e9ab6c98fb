"""Exponential moving average of a network's weights and buffers, on the iteration clock."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm

from gan_lightning.schedules import Scheduled
from gan_lightning.types import Fraction, NonNegativeFloat, check_ranges

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class EMA:
    """An exponential moving average of the generator: average <- d * average + (1 - d) * network, after each iteration.

    There are two ways to choose d:

    - `decay`: d = min(decay, (1 + t) / (10 + t)), where t counts updates from 0. Early averages follow the network
      instead of its initial weights (the ramp of TensorFlow's ExponentialMovingAverage). With `decay=0` the average
      equals the network.
    - `half_life`, in images of the generator's minibatches, which replaces `decay`: d = 0.5 ** (batch_size /
      half_life), without a ramp. The average then does not depend on the batch size (Karras et al. 2018). A schedule
      that starts at 0 is a ramp, as R3GAN's.

    Buffers: the running statistics of batch normalisation are averaged like weights, so that the average is evaluated
    with statistics of its own. Integer buffers are copied. So are spectral normalisation's singular vectors, because an
    average of unit vectors is no unit vector.
    """

    decay: Fraction | Scheduled = 0.999
    half_life: NonNegativeFloat | Scheduled | None = None

    def __post_init__(self) -> None:
        check_ranges(self)

    def copy(self, network: Network) -> Network:
        """The network to average into: a copy in evaluation mode whose weights take no gradients."""
        return copy.deepcopy(network).requires_grad_(False).eval()

    def decay_at(self, update: int, batch_size: int = 1) -> float:
        """The factor d of the update with this number, counted from 0, after a minibatch of so many images.

        Raises TypeError while the decay or the half-life is a schedule: take `part_at` a time first.
        """
        if isinstance(self.decay, Scheduled) or isinstance(self.half_life, Scheduled):
            raise TypeError("a scheduled average has no decay of its own")
        if self.half_life is None:
            return min(self.decay, (1 + update) / (10 + update))
        return float(0.5 ** (batch_size / self.half_life)) if self.half_life > 0 else 0.0

    def updater(self, average: nn.Module, network: nn.Module) -> Callable[[float], None]:
        """A function of the factor d that moves `average` towards `network`, in place.

        It holds on to their tensors, since walking through modules at each update would cost more than the update: make
        it once the networks are on their device.
        """
        vectors = {id(buffer) for buffer in singular_vectors(network)}
        targets = [*average.parameters(), *average.buffers()]
        sources = [*network.parameters(), *network.buffers()]
        pairs = list(zip(targets, sources, strict=True))
        averaged = [n.is_floating_point() and id(n) not in vectors for n in sources]
        averages = [a for (a, _), is_averaged in zip(pairs, averaged, strict=True) if is_averaged]
        values = [n for (_, n), is_averaged in zip(pairs, averaged, strict=True) if is_averaged]
        copies = [a for (a, _), is_averaged in zip(pairs, averaged, strict=True) if not is_averaged]
        copied = [n for (_, n), is_averaged in zip(pairs, averaged, strict=True) if not is_averaged]

        @torch.no_grad()
        def update(decay: float) -> None:
            torch._foreach_lerp_(averages, values, 1 - decay)
            if copied:
                torch._foreach_copy_(copies, copied)

        return update


def singular_vectors(network: nn.Module) -> list[torch.Tensor]:
    """The buffers in which spectral normalisation keeps its estimates of the first singular vectors."""
    normalised = [module for module in network.modules() if isinstance(module, _SpectralNorm)]
    return [buffer for module in normalised for buffer in module.buffers()]
