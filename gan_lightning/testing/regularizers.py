"""The contract of regularizers (gan_lightning.losses.Regularizer): of the kinds that one is of."""

from collections.abc import Callable
from dataclasses import Field, fields, replace
from itertools import product
from math import prod
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from gan_lightning.losses.augmentations import Transformation
from gan_lightning.losses.regularizers import Penalty, Projection, Regularizer, WeightPenalty
from gan_lightning.schedules import Clock, part_at
from gan_lightning.testing._contract import (
    attempt,
    copies,
    require,
    require_configurable,
    require_kind,
    require_object,
    require_record,
    require_scalar,
    require_scalars,
    require_unchanged,
    seeded,
)

_AnyPenalty = TypeVar("_AnyPenalty", Penalty, WeightPenalty)
_Penalised = tuple[Tensor, dict[str, Tensor]]

_KINDS = {"penalty": Penalty, "weight_penalty": WeightPenalty, "project": Projection, "transform": Transformation}
_IMAGES, _VECTORS = (3, 8, 8), (2,)
_BATCHES = ((1, torch.float32), (4, torch.float64), (4, torch.float32))
_HALFWAY = Clock(5, 5, 10, 10)  # where schedules are read
_WILD = 1e6  # far outside of any set that weights are moved back into


def check_regularizer(regularizer: Regularizer) -> None:
    """Raises AssertionError unless a regularizer can be trained with.

    It is a frozen dataclass of plain values, and of at least one kind. All that is random comes from torch's default
    generator; scheduled values are read in the middle of a run.

    Penalties, of samples and of weights: a scalar of float32 that is finite, not negative, the same under autocast,
    with a gradient to the discriminator's weights and none to samples; what they log is detached; `every` multiplies
    them, and a weight of 0 makes them 0. Those of samples take vectors, unless their transformation needs images, and
    images, one or several, and float64 too. Projections move wild weights in place, and moving them again changes
    nothing. Transformations keep shape and type, pass gradients, and do to a sample what they would beside any others.
    Arguments stay as they are but for the weights that are projected.
    """
    require_object(regularizer, "a regularizer")
    found = [name for name in _KINDS if hasattr(regularizer, name)]
    require(bool(found), regularizer, f"a regularizer, which has {', '.join(_KINDS)}", "an object without any of them")
    for name in found:
        require_kind(regularizer, f"a regularizer with `{name}`", _KINDS[name])
    require_configurable(regularizer)
    require_record(regularizer)
    part: object = part_at(regularizer, _HALFWAY)
    every = getattr(part, "every", 1)
    require(isinstance(every, int) and every >= 1, part, "`every` to be 1 or more", repr(every))
    transformation = getattr(part, "transformation", part)
    needs_images = isinstance(transformation, Transformation) and transformation.needs_images
    shapes = (_IMAGES,) if needs_images else (_VECTORS, _IMAGES)
    with seeded(0):
        if isinstance(part, Penalty):
            for shape, (count, dtype) in product(shapes, _BATCHES):
                _check_penalty(part, shape, count, dtype)
        if isinstance(part, WeightPenalty):
            _check_weight_penalty(part)
        if isinstance(part, Projection):
            _check_projection(part)
        if isinstance(part, Transformation):
            for shape, (count, dtype) in product(shapes, _BATCHES):
                _check_transformation(part, shape, count, dtype)


def _network(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> nn.Module:
    """A discriminator of samples (N, *shape), smooth and steep enough for one-sided penalties: logits (N,)."""
    with seeded(1):
        first = [nn.Conv2d(shape[0], shape[0], 3, padding=1)] if len(shape) == 3 else []
        network = nn.Sequential(*first, nn.Flatten(), nn.Linear(prod(shape), 8), nn.Softplus(), nn.Linear(8, 1))
        network.append(nn.Flatten(0))
        for parameter in network.parameters():
            nn.init.normal_(parameter)
    return network.to(dtype)


def _samples(shape: tuple[int, ...], count: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Unlike real and fake samples in [-1, 1]."""
    with seeded(2):
        real, fake = torch.rand(2, count, *shape, dtype=torch.float64).mul(2).sub(1).to(dtype)
        return real, fake.square()


def _check_penalty(part: Penalty, shape: tuple[int, ...], count: int, dtype: torch.dtype) -> None:
    require(isinstance(part.per_sample, bool), part, "`per_sample` to be True or False", repr(part.per_sample))
    network = _network(shape, dtype)
    real, fake = (samples.requires_grad_() for samples in _samples(shape, count, dtype))
    before = copies(real, fake, *network.parameters())
    seen: set[torch.dtype] = set()
    network.register_forward_hook(lambda module, inputs, logits: seen.add(logits.dtype))

    def measure(part: Penalty) -> object:
        return part.penalty(network, real, fake)

    value, _ = _measured(part, f"penalty of samples {tuple(real.shape)}", measure, dtype)
    require_unchanged(part, "samples and weights", before, [real, fake, *network.parameters()])
    _require_gradients(part, value, network)
    to_samples = torch.autograd.grad(value, [real, fake], allow_unused=True)
    cut = all(gradient is None for gradient in to_samples)
    require(cut, part, "no gradient from a penalty to its samples", "some")
    _check_laziness(part, measure, dtype)
    require(seen <= {dtype}, part, f"logits of {dtype} alone, also under autocast", ", ".join(map(str, seen)))


def _check_weight_penalty(part: WeightPenalty) -> None:
    network = _network(_IMAGES)
    before = copies(*network.parameters())

    def measure(part: WeightPenalty) -> object:
        return part.weight_penalty(network)

    value, _ = _measured(part, "weight_penalty", measure)
    require_unchanged(part, "weights", before, list(network.parameters()))
    _require_gradients(part, value, network)
    _check_laziness(part, measure, torch.float32)


def _measured(
    part: _AnyPenalty, what: str, measure: Callable[[_AnyPenalty], object], dtype: torch.dtype = torch.float32
) -> _Penalised:
    """A penalty and what it logs, whose form is checked."""
    with seeded(3):
        found = attempt(part, what, measure, part)
    is_pair = isinstance(found, tuple) and len(found) == 2
    require(is_pair, part, f"{what} to be a scalar and what is worth logging", type(found).__name__)
    value, details = cast("_Penalised", found)
    require_scalar(part, what, value, dtype)
    require(value.item() >= 0, part, f"{what} to be at least 0", value.item())
    for name, detail in require_scalars(part, f"what {what} logs", details).items():
        require(not detail.requires_grad, part, "what is logged to be detached", f"`{name}` with a graph")
    return value, details


def _init_fields(part: object) -> list[Field[Any]]:
    return [field for field in fields(cast("Any", part)) if field.init]


def _weights(part: object) -> list[str]:
    """The fields that weigh a penalty or a part of it."""
    return [field.name for field in _init_fields(part) if field.name == "weight" or field.name.endswith("_weight")]


def _replaced(part: _AnyPenalty, **values: float) -> _AnyPenalty:
    changed: _AnyPenalty = replace(cast("Any", part), **values)
    return changed


def _require_gradients(part: _AnyPenalty, value: Tensor, network: nn.Module) -> None:
    """A finite gradient that reaches weights, unless the penalty weighs nothing."""
    expected = "a gradient from the penalty to the discriminator's weights"
    require(value.requires_grad, part, expected, "a penalty without a graph")
    gradients = torch.autograd.grad(value, list(network.parameters()), retain_graph=True, allow_unused=True)
    found = [gradient for gradient in gradients if gradient is not None]
    require(all(gradient.isfinite().all() for gradient in found), part, f"{expected} to be finite", "one that is not")
    names = _weights(part)
    is_off = bool(names) and not any(getattr(part, name) for name in names)
    require(is_off or any(gradient.any() for gradient in found), part, expected, "none")


def _check_laziness(part: _AnyPenalty, measure: Callable[[_AnyPenalty], object], dtype: torch.dtype) -> None:
    """The same again, under autocast, less often, and without weight."""
    value, details = _measured(part, "the penalty", measure, dtype)
    again, _ = _measured(part, "the penalty", measure, dtype)
    same = torch.equal(value, again)
    require(same, part, "a penalty that torch's seed decides", f"{value.item():g} and then {again.item():g}")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, _ = _measured(part, "the penalty under autocast", measure, dtype)
    close = torch.allclose(half, value, rtol=1e-4)
    require(close, part, f"the penalty under autocast to be that without, {value.item():g}", f"{half.item():g}")
    if any(field.name == "every" for field in _init_fields(part)):
        lazy, unchanged = _measured(_replaced(part, every=3 * part.every), "the lazy penalty", measure, dtype)
        expected = f"a penalty three times {value.item():g} at a third of the steps"
        require(torch.allclose(lazy, 3 * value, rtol=1e-4), part, expected, f"{lazy.item():g}")
        require(unchanged == details, part, "the same to be logged whatever `every` is", unchanged)
    if names := _weights(part):
        nothing, _ = _measured(_replaced(part, **dict.fromkeys(names, 0.0)), "the penalty of weight 0", measure, dtype)
        require(not nothing, part, "a penalty of 0 for a weight of 0", f"{nothing.item():g}")


def _check_projection(part: Projection) -> None:
    """Weights that are the same tensors, moved, and that stay there."""
    network = _network(_IMAGES)
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.mul_(_WILD)
            parameter.grad = torch.ones_like(parameter)
    wild = copies(*parameters.values())
    result: object = cast("Any", attempt(part, "project()", part.project, network))
    require(result is None, part, "`project` to return nothing", type(result).__name__)
    held = all(parameter is parameters.get(name) for name, parameter in network.named_parameters())
    require(held, part, "`project` to move weights in place", "other tensors")
    require(all(p.requires_grad and p.is_leaf for p in parameters.values()), part, "weights to be trained", "others")
    gradients = [parameter.grad for parameter in parameters.values() if parameter.grad is not None]
    same = len(gradients) == len(wild) and all((gradient == 1).all() for gradient in gradients)
    require(same, part, "gradients to stay as they are", "others")
    require(torch.is_grad_enabled(), part, "gradients to stay switched on", "switched off")
    moved = any(not torch.equal(one, other) for one, other in zip(wild, parameters.values(), strict=True))
    require(moved, part, f"`project` to move weights as large as {_WILD:g}", "the same weights")
    finite = all(parameter.isfinite().all() for parameter in parameters.values())
    require(finite, part, "finite weights", "others")
    once = copies(*parameters.values())
    part.project(network)
    stay = all(torch.allclose(one, other, rtol=1e-5) for one, other in zip(once, parameters.values(), strict=True))
    require(stay, part, "a second projection to change nothing", "other weights")


def _check_transformation(part: Transformation, shape: tuple[int, ...], count: int, dtype: torch.dtype) -> None:
    require(isinstance(part.needs_images, bool), part, "`needs_images` to be True or False", repr(part.needs_images))
    samples, others = _samples(shape, count, dtype)
    before = copies(samples)
    result = _transformed(part, samples)
    require_unchanged(part, "samples", before, [samples])
    fits = (result.shape, result.dtype) == (samples.shape, dtype)
    got = f"{tuple(result.shape)} of {result.dtype}"
    require(fits, part, f"samples of shape {tuple(samples.shape)}, of {dtype}", got)
    require(bool(result.isfinite().all()), part, "finite samples", "others")
    require(torch.equal(result, _transformed(part, samples)), part, "samples that torch's seed decides", "others")
    beside = _transformed(part, torch.cat([samples[:1], others[1:]]))
    same = torch.allclose(beside[0], result[0], rtol=1e-5, atol=1e-6)
    require(same, part, "each sample to be changed by itself", "one that depends on others")
    leaf = samples.clone().requires_grad_()
    result = _transformed(part, leaf)
    require(result.requires_grad, part, "gradients to the samples, by which the generator learns", "none")
    (gradient,) = torch.autograd.grad(result.sum(), leaf)
    require(bool(gradient.isfinite().all()), part, "gradients to the samples to be finite", "others")
    require(count == 1 or bool(gradient.any()), part, "gradients to the samples that aren't 0", "zeros")


def _transformed(part: Transformation, samples: Tensor) -> Tensor:
    with seeded(4):
        result: object = attempt(part, f"transform of {tuple(samples.shape)}", part.transform, samples)
    require(isinstance(result, Tensor), part, "`transform` to give a tensor", type(result).__name__)
    return cast("Tensor", result)
