"""Samples with their labels: what a source loads, a loader serves, networks are fed and metrics compare."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Float64, Int, Shaped, UInt8
from torch import Tensor


class Units(NamedTuple):
    """What samples are in the numbers of the user's own files: `shift + scale * sample`.

    One scale and one shift for all, or one for each channel of images and signals, or each number of vectors. `names`
    are those of a table's columns, () elsewhere, and `label` is that of its labels' column. `whole` tells what has
    whole numbers alone, which samples get too: all of it, or each number of vectors; () is nothing.
    """

    scale: tuple[float, ...] = (1.0,)
    shift: tuple[float, ...] = (0.0,)
    names: tuple[str, ...] = ()
    whole: tuple[bool, ...] = ()
    label: str = ""

    def restore(self, samples: Float[Tensor, " n c *size"]) -> Float64[Tensor, " n c *size"]:
        """Samples as networks see them, (N, C, ...) or (N, d), in the numbers of the files, in double precision."""
        ones = [1] * (samples.ndim - 2)
        scale, shift = (torch.tensor(each, dtype=torch.float64).view(-1, *ones) for each in (self.scale, self.shift))
        numbers = samples.double() * scale + shift
        if not any(self.whole):
            return numbers
        rounded = numbers.round() + 0.0  # no -0
        return torch.where(torch.tensor(self.whole).view(-1, *ones), rounded, numbers)

    def plain(self) -> dict[str, Any]:
        """The same in plain containers, as `as_units` reads it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}


def as_units(value: Any) -> Units:
    """What `Units.plain` gave, of older runs without `whole` and `label`. Raises ValueError for anything else."""
    if not isinstance(value, Mapping):
        raise ValueError("the units are no scales, shifts and names")
    scale, shift, names, whole = (value.get(name, []) for name in ("scale", "shift", "names", "whole"))
    label = value.get("label", "")
    lists = all(isinstance(each, list) for each in (scale, shift, names, whole)) and isinstance(label, str)
    if not lists or not _are_units(scale, shift, names, whole, label):
        raise ValueError("the units are no scales, shifts and names")
    return Units(tuple(scale), tuple(shift), tuple(names), tuple(whole), label)


def _are_units(scale: list[Any], shift: list[Any], names: list[Any], whole: list[Any], label: str) -> bool:
    are_numbers = all(type(each) in (int, float) and abs(each) < float("inf") for each in (*scale, *shift))
    are_flags = all(type(each) is bool for each in whole)
    are_names = all(isinstance(name, str) for name in names)
    return are_numbers and are_flags and are_names and len(scale) == len(shift) > 0 and (not label or len(names) > 0)


Kind = Literal["vectors", "signals", "images"]
KINDS: dict[int, Kind] = {1: "vectors", 2: "signals", 3: "images"}  # by the dimensions of a sample's shape


def kind_of(shape: Sequence[int]) -> Kind:
    """What samples of a shape are: vectors (d,), signals (C, L), or images (C, H, W); of others, as images are."""
    return KINDS.get(len(shape), "images")


def as_condition_units(value: Any) -> Units:
    """The units of conditions, which all have names. Raises ValueError for anything else."""
    units = as_units(value)
    if not 0 < len(set(units.names)) == len(units.names) == len(units.scale) or min(units.scale) <= 0:
        raise ValueError("the conditions are no names with scales and shifts")
    return units


class Conditions(NamedTuple):
    """Conditions that are numbers, as the data have them: their names and units, and some `rows` (M, K), float32.

    The rows are a random sample of the training data's labels, so that what is drawn of them is distributed jointly.
    """

    units: Units
    rows: Tensor


class SampleSet(NamedTuple):
    """Samples of one shape, and their labels if they have any: classes, or conditions that are numbers.

    `samples` are images, uint8 (N, C, H, W) in 0 to 255 as they are stored or float32 in [-1, 1] as networks see them
    (`as_floats`), or vectors, float32 (N, d), or signals, float32 (N, C, L), in units of their own. They may be backed
    by a memory map. `labels` are int64 (N,) indices into `classes`, the class names in index order; without labels they
    are None and (). Conditions are float32 (N, K), each column from -1, its lowest, to 1, its highest; `conditions` are
    their names and units then, and `classes` are (). `units` tell what the samples are in the numbers of the user's
    files, where a source has scaled these.

    A round, what one iteration consumes, has a dimension more: k minibatches of B samples, (k, B, ...), and labels
    (k, B) or (k, B, K).
    """

    samples: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    units: Units | None = None
    conditions: Units | None = None

    def to(self, device: torch.device | str) -> "SampleSet":
        """The same on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return self._replace(samples=self.samples.to(device), labels=labels)

    def take(self, rows: Int[Tensor, " m"] | Int[Tensor, "k b"]) -> "SampleSet":
        """Those at some rows (M,) or (k, B), where the samples are: (M, ...) or (k, B, ...)."""
        samples, labels = (None if t is None else _taken(t, rows) for t in (self.samples, self.labels))
        assert samples is not None
        return self._replace(samples=samples, labels=labels)

    def first(self, count: int) -> "SampleSet":
        """The first `count`."""
        return self._replace(samples=self.samples[:count], labels=None if self.labels is None else self.labels[:count])

    def as_floats(self) -> "SampleSet":
        """As networks see them: uint8 pixels as float32 in [-1, 1], others untouched."""
        return self._replace(samples=as_floats(self.samples))


def _taken(tensor: Shaped[Tensor, "n ..."], rows: Int[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    taken: Tensor = tensor.index_select(0, rows.flatten().to(tensor.device))
    return taken.view(*rows.shape, *tensor.shape[1:])


def as_floats(samples: UInt8[Tensor, " *shape"] | Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """What networks see of samples: uint8 pixels as float32 in [-1, 1], 0 as -1 and 255 as 1; others untouched."""
    return samples.to(torch.float32).mul_(2 / 255).sub_(1) if samples.dtype == torch.uint8 else samples
