"""Minibatches of any loader, gathered to what an iteration takes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_lightning.samples import SampleSet, as_floats

Batch = SampleSet | Tensor | Sequence[Tensor]
Saved = list[tuple[Tensor, Tensor | None]]


class Minibatch(NamedTuple):
    """Real samples (N, ...) as networks see them, and their labels, if any: classes (N,), or numbers (N, K)."""

    samples: Tensor
    labels: Tensor | None = None


class Gathered:
    """What has come of the minibatches of the next iteration.

    A loader of this package serves rounds, all minibatches of an iteration at once; any other serves one at a time:
    a tensor, or a pair of samples and labels, such as a DataLoader over a torchvision data set has. Samples are uint8
    pixels, or floats as networks see them. Of a minibatch that can't be shared out to packs of `packing` samples, the
    last few samples are left out.
    """

    def __init__(self, packing: int = 1) -> None:
        self.packing = packing
        self.waiting: list[Minibatch] = []

    def add(self, batch: Batch, needed: int) -> list[Minibatch] | None:
        """The minibatches of the next iteration, which takes `needed` of them; None while some are still to come.

        Raises ValueError for batches of another kind.
        """
        if isinstance(batch, SampleSet):
            told = [None] * len(batch.samples) if batch.labels is None else batch.labels
            return [Minibatch(*pair) for pair in zip(batch.samples, told, strict=True)]
        minibatch = read(batch)
        kept = len(minibatch.samples) // self.packing * self.packing
        if kept:
            labels = None if minibatch.labels is None else minibatch.labels[:kept]
            self.waiting.append(Minibatch(minibatch.samples[:kept], labels))
        if len(self.waiting) < needed:
            return None
        complete, self.waiting = self.waiting[:needed], self.waiting[needed:]
        return complete

    def state_dict(self) -> Saved:
        """The minibatches that wait, for a checkpoint."""
        return [(each.samples.cpu(), None if each.labels is None else each.labels.cpu()) for each in self.waiting]

    def load_state_dict(self, state: Saved, device: torch.device) -> None:
        self.waiting = [
            Minibatch(samples.to(device), None if labels is None else labels.to(device)) for samples, labels in state
        ]


def read(batch: Any) -> Minibatch:
    """A batch of any loader. Raises ValueError if it is neither samples nor a pair of samples and labels."""
    parts = [batch] if isinstance(batch, Tensor) else batch
    is_read = isinstance(parts, list | tuple) and 1 <= len(parts) <= 2 and all(isinstance(p, Tensor) for p in parts)
    if not is_read:
        raise ValueError(
            f"a batch is a {described(batch)}, but a tensor of samples, or a pair of samples and labels, is wanted"
        )
    samples, labels = (*parts, None)[:2]
    if samples.ndim < 2 or not (samples.dtype == torch.uint8 or samples.is_floating_point()):
        raise ValueError(
            f"a batch has samples of shape {tuple(samples.shape)} and {samples.dtype}, but (N, ...) of uint8 pixels, or"
            " floats, are wanted"
        )
    are_conditions = labels is not None and labels.ndim == 2 and len(labels) == len(samples)
    are_labels = labels is not None and labels.shape == samples.shape[:1] and not labels.is_floating_point()
    told = labels.long() if are_labels else labels.float() if are_conditions else None
    floats = as_floats(samples)
    return Minibatch(floats.float() if floats.dtype == torch.float64 else floats, told)


def described(batch: Any) -> str:
    """What a batch is, for people."""
    inner = f" of {', '.join(type(part).__name__ for part in batch)}" if isinstance(batch, list | tuple) else ""
    return f"{type(batch).__name__}{inner}"
