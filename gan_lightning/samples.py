"""Samples with their labels: what a source loads, a loader serves, networks are fed and metrics compare."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor


class SampleSet(NamedTuple):
    """Samples of one shape, and their labels if they have any.

    `samples` are images, uint8 (N, C, H, W) in 0 to 255 as they are stored or float32 in [-1, 1] as networks see them
    (`as_floats`), or vectors, float32 (N, d) in units of their own. They may be backed by a memory map. `labels` are
    int64 (N,) indices into `classes`, the class names in index order; without labels they are None and ().

    A round, what one iteration consumes, has a dimension more: k minibatches of B samples, (k, B, ...), and labels
    (k, B).
    """

    samples: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "SampleSet":
        """The same on a device."""
        labels = None if self.labels is None else self.labels.to(device, non_blocking=non_blocking)
        return self._replace(samples=self.samples.to(device, non_blocking=non_blocking), labels=labels)

    def take(self, rows: Int[Tensor, " m"] | Int[Tensor, "k b"]) -> "SampleSet":
        """Those at some rows (M,) or (k, B), where the samples are: (M, ...) or (k, B, ...)."""
        samples, labels = (None if t is None else _taken(t, rows) for t in (self.samples, self.labels))
        assert samples is not None
        return self._replace(samples=samples, labels=labels)

    def first(self, count: int) -> "SampleSet":
        """The first `count`."""
        return self._replace(samples=self.samples[:count], labels=None if self.labels is None else self.labels[:count])

    def as_floats(self) -> "SampleSet":
        """As networks see them: uint8 pixels as float32 in [-1, 1], vectors untouched."""
        return self._replace(samples=as_floats(self.samples))


def _taken(tensor: Shaped[Tensor, "n ..."], rows: Int[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    taken: Tensor = tensor.index_select(0, rows.flatten().to(tensor.device)).unflatten(0, rows.shape)
    return taken


def as_floats(samples: UInt8[Tensor, " *shape"] | Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """What networks see of samples: uint8 pixels as float32 in [-1, 1], 0 as -1 and 255 as 1; vectors untouched."""
    return samples.to(torch.float32).mul_(2 / 255).sub_(1) if samples.dtype == torch.uint8 else samples
