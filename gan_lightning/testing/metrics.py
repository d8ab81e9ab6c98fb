"""The contract of metrics (gan_lightning.metrics.Metric)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gan_lightning.metrics.observed import Metric, Mixture, Observed, spreads
from gan_lightning.testing._contract import (
    attempt,
    copies,
    require,
    require_configurable,
    require_kind,
    require_record,
    require_unchanged,
    seeded,
)

_CLASSES = 3
_CENTRES = torch.tensor([[0.0, 0.0], [4.0, 4.0], [8.0, 8.0]])
_TOLERANCE = 0.2  # of a number's range over all sets: some are about chance for all but copies


class _Sets(NamedTuple):
    """Real samples, and generated ones: of the same distribution, copies of the real ones, and far from any."""

    real: Observed
    alike: Observed
    copied: Observed
    far: Observed


def check_metric(metric: Metric) -> None:
    """Raises AssertionError unless a metric can be evaluated and its numbers compared.

    It is a frozen dataclass of plain values that can be hashed. It is tried on 60 vectors (N, 2) and on 60 images
    (N, 1, 4, 4) of three classes with all that metrics are given, of which it must be able to measure one: `missing`
    says None, and `measure` gives finite floats by the names in `higher_is_better`, of half of the samples too. They
    follow from the sets and the seed, whatever was measured before; the sets and torch's random numbers stay as they
    are. A number that has a better direction does not find samples far from the real ones better than samples of the
    same distribution (by more than a fifth of its range), and is not the same of copies, of such and of far ones.
    """
    require_kind(metric, "a metric", Metric)
    require_configurable(metric)
    require_record(metric)
    attempt(metric, "hash()", hash, metric)
    directions = metric.higher_is_better
    expected = "`higher_is_better` to map names to True, False or None"
    named = isinstance(directions, Mapping) and all(isinstance(name, str) for name in directions)
    require(named and bool(directions), metric, expected, repr(directions))
    known = all(value is None or isinstance(value, bool) for value in directions.values())
    require(known, metric, expected, repr(directions))
    unknown = set(spreads(metric)) - set(directions)
    require(not unknown, metric, "`spreads` to name numbers of `higher_is_better`", repr(sorted(unknown)))
    require(isinstance(metric.slow, bool), metric, "`slow` to be True or False", repr(metric.slow))
    reasons = []
    with seeded(0):
        for sets in (_sets(_vectors), _sets(_images)):
            reason: object = attempt(metric, "missing()", metric.missing, sets.real, sets.alike)
            require(reason is None or isinstance(reason, str), metric, "`missing` to give text or None", repr(reason))
            require(reason != "", metric, "`missing` to say what is missing", "an empty text")
            reasons.append(reason)
            if reason is None:
                _check_numbers(metric, sets)
                _check_directions(metric, sets)
    expected = "to measure vectors or images with features, logits and labels"
    require(None in reasons, metric, expected, " and ".join(f"'{reason} missing'" for reason in reasons))


def _vectors(count: int, far: bool) -> Observed:
    """Points about three centres, with features, logits and labels that follow from them."""
    labels = torch.arange(count) % _CLASSES
    samples = torch.randn(count, 2) + _CENTRES[labels] + (60 if far else 0)
    features = torch.cat([samples, samples.square() / 8, torch.randn(count, 1)], dim=1)
    return Observed(samples, features, -torch.cdist(samples, _CENTRES), labels, Mixture(_CENTRES, 1.0))


def _images(count: int, far: bool) -> Observed:
    """Images of three greys, with features, logits and labels that follow from them."""
    labels = torch.arange(count) % _CLASSES
    levels = torch.tensor([40.0, 90.0, 140.0])
    means = torch.full((count,), 235.0) if far else levels[labels]
    samples = (means[:, None, None, None] + 10 * torch.randn(count, 1, 4, 4)).clamp(0, 255).to(torch.uint8)
    features = samples.flatten(1)[:, :5].float() / 127.5 - 1
    logits = -(samples.float().mean((1, 2, 3))[:, None] - levels).abs() / 10
    return Observed(samples, features, logits, labels)


def _sets(make: object) -> _Sets:
    assert callable(make)
    real: Observed = make(60, False)
    real = replace(real, unseen=make(48, False))
    copied = replace(real.subset(torch.arange(48)), unseen=None, mixture=None)
    return _Sets(real, make(48, False), copied, make(48, True))


def _tensors(*sets: Observed) -> list[Tensor]:
    found = [each for one in sets for each in (one.samples, one.features, one.logits, one.labels)]
    return [tensor for tensor in found if tensor is not None]


def _measured(metric: Metric, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
    """Numbers, whose form is checked."""
    found: object = attempt(metric, "measure()", metric.measure, real, fake, seed)
    expected = f"`measure` to give a dict of {', '.join(metric.higher_is_better)}"
    fits = isinstance(found, dict) and set(found) == set(metric.higher_is_better)
    require(fits, metric, expected, ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__)
    assert isinstance(found, dict)
    for name, value in found.items():
        finite = isinstance(value, float) and abs(value) < float("inf")
        require(finite, metric, f"`{name}` to be a finite float", repr(value))
    return found


def _check_numbers(metric: Metric, sets: _Sets) -> None:
    """Numbers that the sets and the seed decide."""
    real, fake = sets.real, sets.alike
    assert real.unseen is not None
    state, before = torch.get_rng_state(), copies(*_tensors(real, real.unseen, fake))
    numbers = _measured(metric, real, fake)
    require_unchanged(metric, "torch's random numbers", [state], [torch.get_rng_state()])
    require_unchanged(metric, "the sets", before, _tensors(real, real.unseen, fake))
    torch.rand(1)
    again = _measured(metric, replace(real), fake)
    require(numbers == again, metric, "the same numbers of the same sets and seed", f"{numbers} and then {again}")
    fresh, after = _measured(metric, replace(real), fake, 1), _measured(metric, real, fake, 1)
    expected = "numbers that do not depend on what was measured before (see Observed.once)"
    require(fresh == after, metric, expected, f"{fresh} at first and {after} later")
    if not metric.slow:
        half = fake.subset(torch.arange(len(fake) // 2))
        if metric.missing(real, half) is None:
            _measured(metric, real, half)


def _check_directions(metric: Metric, sets: _Sets) -> None:
    """Better for samples of the same distribution than for those far away."""
    alike, copied, far = (_measured(metric, sets.real, fake) for fake in (sets.alike, sets.copied, sets.far))
    for name, higher in metric.higher_is_better.items():
        values = [numbers[name] for numbers in (alike, copied, far)]
        if higher is None:
            continue
        spread = max(values) - min(values)
        require(spread > 0, metric, f"`{name}` to tell samples near the real ones from those far away", values[0])
        lead = (far[name] - alike[name]) * (1 if higher else -1)
        expected = (
            f"`{name}`, of which {'higher' if higher else 'lower'} is better, to prefer samples near the real ones"
        )
        require(lead <= _TOLERANCE * spread, metric, expected, f"{far[name]:g} far away and {alike[name]:g} near them")
