"""The contract of sources of real samples (gan_lightning.data.Source)."""

from dataclasses import fields
from typing import Any, cast

import torch
from torch import Tensor

from gan_lightning.data.sources import Source
from gan_lightning.samples import SampleSet, Units, as_condition_units
from gan_lightning.testing._contract import (
    attempt,
    require,
    require_configurable,
    require_kind,
    require_record,
    require_unchanged,
    seeded,
)


def check_source(source: Source) -> None:
    """Raises AssertionError unless a source can be trained on.

    It is a frozen dataclass of plain values. `load` gives a `SampleSet` as that describes it: images (N, C, H, W),
    uint8 or float32 in [-1, 1], finite float32 signals (N, C, L) or such vectors (N, d), at least one; int64 labels
    (N,) within `classes`, or neither; or as labels finite float32 (N, K), and as `conditions` K names with their units.
    It gives the same each time, of an equal source too, and leaves torch's random numbers as they are. All samples are
    loaded, three times.
    """
    require_kind(source, "a source", Source)
    require_configurable(source)
    require_record(source)
    values = {field.name: getattr(source, field.name) for field in fields(cast("Any", source)) if field.init}
    rebuilt = attempt(source, "its constructor with its own fields", type(source), **values)
    require(bool(rebuilt == source), source, "an equal source from its own fields", repr(rebuilt))
    with seeded(0):
        state = torch.get_rng_state()
        first = _loaded(source, source)
        require_unchanged(source, "torch's random numbers", [state], [torch.get_rng_state()])
        for other in (source, rebuilt):
            torch.rand(1)
            require(_same(first, _loaded(source, other)), source, "the same samples each time", "others")


def _loaded(source: Source, other: Source) -> SampleSet:
    """What `other`, which equals the source, loads."""
    found: object = attempt(source, "load()", other.load)
    require(isinstance(found, SampleSet), source, "`load` to give a SampleSet", type(found).__name__)
    loaded = cast("SampleSet", found)
    _check_samples(source, loaded.samples)
    _check_labels(source, loaded)
    return loaded


def _check_samples(source: Source, samples: object) -> None:
    expected = "images, uint8 or float32 (N, C, H, W), signals, float32 (N, C, L), or vectors, float32 (N, d)"
    require(isinstance(samples, Tensor), source, expected, type(samples).__name__)
    assert isinstance(samples, Tensor)
    allowed = {4: (torch.uint8, torch.float32), 3: (torch.float32,), 2: (torch.float32,)}.get(samples.ndim, ())
    require(samples.dtype in allowed, source, expected, f"{samples.dtype} {tuple(samples.shape)}")
    require(samples.numel() > 0, source, "samples", f"none, shape {tuple(samples.shape)}")
    if samples.dtype == torch.float32:
        low, high = torch.aminmax(samples)
        require(bool((high - low).isfinite()), source, "finite samples", "others")
        fits = samples.ndim != 4 or bool(low >= -1 and high <= 1)
        require(fits, source, "images of float32 in [-1, 1]", f"{low:g} to {high:g}")


def _check_labels(source: Source, loaded: SampleSet) -> None:
    labels: object = loaded.labels
    names = isinstance(loaded.classes, tuple) and all(isinstance(name, str) for name in loaded.classes)
    require(names, source, "classes to be a tuple of names", repr(loaded.classes))
    if loaded.conditions is not None:
        _check_conditions(source, loaded, loaded.conditions)
        return
    require((labels is None) == (loaded.classes == ()), source, "both labels and classes, or neither", "one of them")
    if labels is None:
        return
    expected = f"labels to be int64 of shape ({len(loaded.samples)},)"
    require(isinstance(labels, Tensor), source, expected, type(labels).__name__)
    assert isinstance(labels, Tensor)
    fits = labels.dtype == torch.int64 and labels.shape == (len(loaded.samples),)
    require(fits, source, expected, f"{labels.dtype} {tuple(labels.shape)}")
    low, high = torch.aminmax(labels)
    inside = bool(low >= 0 and high < len(loaded.classes))
    require(inside, source, f"labels from 0 to {len(loaded.classes) - 1}", f"{low} to {high}")


def _check_conditions(source: Source, loaded: SampleSet, conditions: Units) -> None:
    labels: object = loaded.labels
    attempt(source, "its units of conditions", as_condition_units, conditions.plain())
    require(loaded.classes == (), source, "classes or conditions", "both")
    expected = f"labels to be finite, float32 of shape ({len(loaded.samples)}, {len(conditions.names)})"
    require(isinstance(labels, Tensor), source, expected, type(labels).__name__)
    assert isinstance(labels, Tensor)
    fits = labels.dtype == torch.float32 and labels.shape == (len(loaded.samples), len(conditions.names))
    require(fits and bool(labels.isfinite().all()), source, expected, f"{labels.dtype} {tuple(labels.shape)}")


def _same(one: SampleSet, other: SampleSet) -> bool:
    if one.labels is None or other.labels is None:
        same = one.labels is other.labels
    else:
        same = torch.equal(one.labels, other.labels)
    same = same and one.classes == other.classes and one.conditions == other.conditions
    return same and torch.equal(one.samples, other.samples)
