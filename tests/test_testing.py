"""The contract tests: each of their assertions against a part that breaks it, and what they leave as it was.

The parts of this package are checked with them in the tests of their rooms.
"""

import ast
import copy
import itertools
import random
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from gan_lightning import testing
from gan_lightning.losses.augmentations import InstanceNoise
from gan_lightning.losses.objectives import BEGAN, ObjectiveDefaults
from gan_lightning.losses.regularizers import R1, OrthogonalRegularization, WeightClipping
from gan_lightning.metrics.observed import Observed
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.samples import SampleSet, Units
from gan_lightning.schedules import Linear
from gan_lightning.testing import (
    check_discriminator,
    check_generator,
    check_metric,
    check_objective,
    check_regularizer,
    check_source,
)

PACKAGE = Path(testing.__file__).parent
NAN, INFINITY = float("nan"), float("inf")
COUNTER = itertools.count()


@dataclass(frozen=True)
class Logistic(ObjectiveDefaults):
    """An objective without a fault."""

    scale: float = 1.0

    def discriminator(self, real_logits, fake_logits):
        return {"real": self.scale * softplus(-real_logits).mean(), "fake": self.scale * softplus(fake_logits).mean()}

    def generator(self, fake_logits, real_logits=None):
        return {"fake": softplus(-fake_logits).mean()}


@dataclass(frozen=True)
class Flat:
    """A penalty of samples without a fault."""

    weight: Any = 2.0
    every: int = 1
    per_sample: ClassVar[Any] = False

    def penalty(self, critic, real, fake):
        with torch.autocast("cpu", enabled=False):
            square = critic(real.detach()).square().mean()
        return self.every * self.weight * square, {"square": square.detach()}


@dataclass(frozen=True)
class Shrinking:
    """A projection without a fault."""

    def project(self, discriminator):
        with torch.no_grad():
            for parameter in discriminator.parameters():
                parameter.clamp_(-1, 1)


@dataclass(frozen=True)
class Doubling:
    """A transformation without a fault."""

    needs_images: ClassVar[Any] = False

    def transform(self, samples):
        return 2 * samples


class Points(nn.Module):
    """A generator of points without a fault, and no Generator."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, latents):
        return self.layer(latents)


class Critic(nn.Module):
    """A discriminator of points without a fault, and no Discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, samples):
        return self.layer(samples)


@dataclass(frozen=True)
class MeanDistance:
    """A metric without a fault."""

    power: float = 1.0
    higher_is_better: ClassVar[Any] = {"mean_distance": False}
    slow: ClassVar[Any] = False

    def missing(self, real, fake):
        return None

    def measure(self, real, fake, seed=0):
        of_real = real.once("mean", lambda: real.features.mean(0))
        return {"mean_distance": float((of_real - fake.features.mean(0)).norm() ** self.power)}


@dataclass(frozen=True)
class Line:
    """A source without a fault."""

    count: int = 4

    def load(self):
        return SampleSet(torch.arange(2.0 * self.count).view(-1, 2), torch.arange(self.count) % 2, ("even", "odd"))


CHECKS = {
    Logistic: check_objective,
    BEGAN: check_objective,
    Flat: check_regularizer,
    OrthogonalRegularization: check_regularizer,
    Shrinking: check_regularizer,
    Doubling: check_regularizer,
    Points: lambda part: check_generator(part, (2,), 3),
    Generator: lambda part: check_generator(part, (2,)),
    Critic: lambda part: check_discriminator(part, (2,)),
    Discriminator: lambda part: check_discriminator(part, (2,)),
    MeanDistance: check_metric,
    Line: check_source,
}


class Fault(NamedTuple):
    """A part, or what makes it, the check that it fails, and some words of what that says."""

    check: Callable[[Any], None]
    make: Callable[[], object]
    words: str


def named(base: type, name: str = "", **members: Any) -> type:
    """A public class of this module with other members than its base has; functions take the base's arguments."""
    name = name or f"{base.__name__}{next(COUNTER)}"
    kind = type(name, (base,), {"__module__": __name__, **members})
    globals()[name] = kind
    return kind


def fault(base: type, words: str, name: str = "", **members: Any) -> Fault:
    kind = named(base, name, **members)
    made = kind if base not in (Generator, Discriminator) else lambda: kind(*((3,) if base is Generator else ((2,),)))
    return Fault(CHECKS[base], made, words)


def given(check: Callable[[Any], None], part: object, words: str) -> Fault:
    return Fault(check, lambda: part, words)


def fails(*_: object, **__: object) -> None:
    raise RuntimeError("out of\nluck")


def in_place(tensor: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return tensor.add_(1)


def adversarial(change):
    """A discriminator's terms that are those of Logistic, gone through a change of their sum."""
    return lambda self, real, fake: {"sum": change(softplus(-real).mean() + softplus(fake).mean(), real, fake)}


def generated(change):
    return lambda self, fake, real=None: {"fake": change(softplus(-fake).mean(), fake, real)}


def constructor(*names):
    """A class's `__init__` whose parameters are those of a function's source."""
    scope: dict[str, Any] = {}
    exec(f"def __init__(self, {', '.join(names)}): pass", scope)
    return scope["__init__"]


OWN_DICT: dict[str, torch.Tensor] = {}


def one_dict(self, real, fake):
    OWN_DICT["sum"] = (softplus(-real) + softplus(fake)).mean()
    return OWN_DICT


@dataclass
class Thawed(ObjectiveDefaults):
    discriminator = Logistic.discriminator
    generator = Logistic.generator


@dataclass(frozen=True, eq=False)
class Unequal(ObjectiveDefaults):
    discriminator = Logistic.discriminator
    generator = Logistic.generator


OF_ALL = [
    given(check_objective, Logistic, r"^Logistic is a class; expected an objective, such as Logistic\(\.\.\.\)\.$"),
    given(check_regularizer, Flat, "is a class"),
    given(lambda part: check_generator(part, (2,), 3), Points, "is a class"),
    given(check_objective, nn.Linear(1, 1), "expected an objective, which has `discriminator`, got an object without"),
    given(check_metric, Line(), "expected a metric, which has `missing`"),
    given(check_source, Doubling(), "expected a source, which has `load`"),
    fault(Logistic, "a public class at the top of its module, .*, got test_testing._Hidden", "_Hidden"),
    fault(Logistic, "a public class at the top of its module", __qualname__="Outer.Inner"),
    fault(Logistic, r"takes each parameter by name, got `\*scales`", __init__=constructor("*scales")),
    fault(Logistic, r"takes each parameter by name, got `\*\*scales`", __init__=constructor("**scales")),
    fault(
        Logistic, "a type for each parameter of its constructor, got none for `scale`", __init__=constructor("scale=1")
    ),
    given(check_objective, Thawed(), "expected a frozen dataclass"),
    given(check_objective, Logistic(torch.ones(())), "fields of plain values .*, got Tensor for `scale`"),
    given(check_objective, Logistic([{"a": object()}]), "fields of plain values"),
    given(check_objective, Unequal(), "expected a copy equal to it"),
    fault(Logistic, r"a copy of it raised|copy of it raised RuntimeError \(out of luck\)", __deepcopy__=fails),
]

OF_OBJECTIVES = [
    fault(Logistic, "`uses_real` to be True or False, got 1", uses_real=1),
    fault(Logistic, r"discriminator's terms of logits \(1,\) raised RuntimeError \(out of luck\)", discriminator=fails),
    fault(Logistic, r"the generator's terms of logits \(1,\) raised", generator=fails),
    fault(Logistic, "in a dict, got Tensor", discriminator=lambda self, real, fake: real.mean()),
    fault(Logistic, "by name, got the key 0", discriminator=lambda self, real, fake: {0: real.mean()}),
    fault(Logistic, "to be a tensor of shape .*, got float", generator=generated(lambda total, *_: total.item())),
    fault(Logistic, r"of shape \(\), got shape \(1,\)", generator=generated(lambda total, *_: total[None])),
    fault(Logistic, "`sum`, to be finite, got nan", discriminator=adversarial(lambda total, *_: total * NAN)),
    fault(Logistic, "to be torch.float64, got torch.float32", generator=generated(lambda total, *_: total.float())),
    fault(Logistic, "the generator's terms of .*, got none", generator=lambda self, fake, real=None: {}),
    fault(
        Logistic, "the logits to stay", discriminator=adversarial(lambda total, real, _: total + in_place(real).sum())
    ),
    fault(
        Logistic,
        "the discriminator's loss to follow from its arguments",
        discriminator=adversarial(lambda total, *_: total + torch.rand(())),
    ),
    fault(
        Logistic,
        "the generator's loss of float32 to be that of float64",
        generator=generated(lambda total, *_: total + (total.dtype == torch.float32)),
    ),
    fault(Logistic, "got a loss without a graph", discriminator=adversarial(lambda total, *_: total.detach())),
    fault(
        Logistic,
        "from the discriminator's loss to the logits of real samples, got none",
        discriminator=lambda self, real, fake: {"sum": softplus(fake).mean() - real.detach().mean()},
    ),
    fault(
        Logistic,
        "logits of fake samples to be finite",
        generator=generated(lambda total, fake, _: total + (0 * fake).abs().sqrt().mean()),
    ),
    fault(Logistic, "a dict of its own for each call", discriminator=one_dict),
    fault(Logistic, "as uses_real=True says, got the same", uses_real=True),
    fault(
        Logistic,
        "as uses_real=False says",
        generator=generated(lambda total, _, real: total if real is None else total + real.mean()),
    ),
    fault(Logistic, "the generator's terms raised TypeError", generator=lambda self, fake, real: {"f": -fake.mean()}),
    fault(
        Logistic,
        "to be finite, got inf",
        generator=lambda self, fake, real=None: {"f": (1 + (-fake).exp()).log().mean()},
    ),
    fault(Logistic, r"boundary\(\) raised", boundary=fails),
    fault(Logistic, "a finite number or None, got '0'", boundary=lambda self: "0"),
    fault(Logistic, "a finite number or None, got nan", boundary=lambda self: NAN),
    fault(
        Logistic,
        "a discriminator's loss that is lower for higher logits of real samples than of fakes",
        discriminator=lambda self, real, fake: {"sum": softplus(real).mean() + softplus(-fake).mean()},
    ),
    fault(
        Logistic,
        "a generator's loss that is lower for higher logits of fakes, got 0.69",
        generator=lambda self, fake, real=None: {"fake": softplus(fake).mean()},
    ),
    fault(Logistic, r"score of logits \(1,\) raised", score=fails),
    fault(Logistic, "the logits that are scored to stay", score=lambda self, logits: in_place(logits)),
    fault(Logistic, "a score that is a tensor, got list", score=lambda self, logits: logits.tolist()),
    fault(Logistic, r"a score of the logits' shape, \(1,\), got \(\)", score=lambda self, logits: logits.mean()),
    fault(Logistic, "a finite score", score=lambda self, logits: logits / 0),
    fault(Logistic, "the logits' sigmoid", is_probability=True),
    fault(Logistic, "diagnostics of logits .* raised", diagnostics=fails),
    fault(Logistic, "that are diagnosed to stay", diagnostics=lambda self, real, fake: {"r": in_place(real).mean()}),
    fault(
        Logistic,
        "diagnostics without a graph, got one for `a`",
        diagnostics=lambda self, real, fake: {"a": torch.zeros((), requires_grad=True)},
    ),
]


def advances(change):
    def advance(self, real_mean, fake_mean):
        with torch.no_grad():
            self.k.add_(0.1)
        change(self, real_mean)

    return advance


def counts(self, real_mean, fake_mean):
    """Moves what is in no buffer."""
    self.k.fill_(0.5)
    self.seen = getattr(self, "seen", 0) + 1


OF_STATES = [
    fault(Logistic, "a torch module, as it has `advance`", advance=fails),
    fault(BEGAN, "a copy of it raised", __deepcopy__=fails),
    fault(BEGAN, r"no optimizer moves, got 1 parameters", __init__=lambda self: parameterised(self)),
    fault(
        BEGAN,
        "buffers that hold its state, got none",
        __init__=lambda self: unbuffered(self),
        diagnostics=Logistic.diagnostics,
    ),
    fault(BEGAN, r"advance\(\) raised", advance=fails),
    fault(BEGAN, "move its buffers in place", advance=advances(lambda self, _: setattr(self, "k", self.k + 0.1))),
    fault(BEGAN, "a state without a graph, got one for k", advance=lambda self, real, fake: self.k.sub_(real)),
    fault(BEGAN, "`advance` to move its state", advance=lambda self, real, fake: None),
    fault(BEGAN, "diagnostics from before `advance`", diagnostics=lambda self, real, fake: {"k": self.k}),
    fault(
        BEGAN,
        "its state_dict to hold its state",
        advance=counts,
        discriminator=lambda self, real, fake: {"sum": (self.k + getattr(self, "seen", 0)) * fake.mean() - real.mean()},
    ),
]


def parameterised(self):
    BEGAN.__init__(self)
    self.extra = nn.Parameter(torch.zeros(()))


def unbuffered(self):
    BEGAN.__init__(self)
    del self.k
    self.k = 0.5


def penalises(change, log=lambda square: square.detach()):
    """A penalty that is Flat's, gone through a change."""

    def penalty(self, critic, real, fake):
        with torch.autocast("cpu", enabled=False):
            square = critic(real.detach()).square().mean()
        return change(self, self.every * self.weight * square, critic, real), {"square": log(square)}

    return penalty


def of_half(self, critic, real, fake):
    square = critic(real.detach()).square().mean().to(real.dtype)
    return self.every * self.weight * square, {}


def of_half_always(self, critic, real, fake):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return of_half(self, critic, real, fake)


def logs_lazily(self, critic, real, fake):
    total, _ = Flat.penalty(self, critic, real, fake)
    return total, {"square": total.detach()}


def on_weights(change):
    def weight_penalty(self, discriminator):
        weights = [parameter.square().sum() for parameter in discriminator.parameters()]
        return change(self.weight * self.every * torch.stack(weights).sum(), discriminator), {}

    return weight_penalty


OF_PENALTIES = [
    given(check_regularizer, Logistic(), "a regularizer, which has penalty, .*, got an object without any of them"),
    given(check_regularizer, named(Doubling, penalty=fails)(), "a regularizer with `penalty`, which has `every`"),
    fault(Flat, "`per_sample` to be True or False, got None", per_sample=None),
    fault(Flat, r"penalty of samples \(1, 2\) raised", penalty=fails),
    fault(Flat, "a scalar and what is worth logging, got Tensor", penalty=lambda self, critic, *_: critic(_[0]).mean()),
    fault(Flat, "to be at least 0, got -", penalty=penalises(lambda self, total, *_: -total)),
    fault(Flat, "to be torch.float64, got torch.float32", penalty=penalises(lambda self, total, *_: total.float())),
    fault(
        Flat,
        "what is logged to be detached, got `square`",
        penalty=penalises(lambda self, total, *_: total, lambda square: square),
    ),
    fault(
        Flat,
        "samples and weights to stay",
        penalty=penalises(lambda self, total, critic, real: total + 0 * in_place(real).detach().sum()),
    ),
    fault(Flat, "got a penalty without a graph", penalty=penalises(lambda self, total, *_: total.detach())),
    fault(
        Flat,
        "to the discriminator's weights to be finite",
        penalty=penalises(lambda self, total, *_: total + (0 * total).sqrt()),
    ),
    fault(
        Flat,
        "from the penalty to the discriminator's weights, got none",
        penalty=penalises(lambda self, total, critic, real: 0 * total + self.weight),
    ),
    fault(
        Flat,
        "no gradient from a penalty to its samples",
        penalty=penalises(lambda self, total, critic, real: total + self.weight * self.every * real.square().sum()),
    ),
    fault(Flat, "that torch's seed decides", penalty=penalises(lambda self, total, *_: total * (1 + random.random()))),
    fault(Flat, "under autocast to be that without", penalty=of_half),
    fault(Flat, "logits of torch.float32 alone, also under autocast", penalty=of_half_always),
    given(check_regularizer, Flat(every=0), "`every` to be 1 or more, got 0"),
    fault(
        Flat,
        "a penalty three times .* at a third of the steps",
        penalty=penalises(lambda self, total, *_: total / self.every),
    ),
    fault(Flat, "the same to be logged whatever `every` is", penalty=logs_lazily),
    fault(Flat, "a penalty of 0 for a weight of 0", penalty=penalises(lambda self, total, *_: total + self.every)),
    fault(
        OrthogonalRegularization,
        "weights to stay",
        weight_penalty=on_weights(lambda total, network: total + 0 * in_place(network[0].bias).detach().sum()),
    ),
    fault(OrthogonalRegularization, "weight_penalty raised", weight_penalty=fails),
]


def fills(bias):
    bias.data.fill_(INFINITY)


def replaces(self, discriminator):
    discriminator[0].weight = nn.Parameter(discriminator[0].weight.detach().clamp(-1, 1))


def projects(change):
    """A projection that is Shrinking's, and something more."""

    def project(self, discriminator):
        Shrinking.project(self, discriminator)
        return change(discriminator)

    return project


@torch.no_grad()
def halves(self, discriminator):
    for parameter in discriminator.parameters():
        parameter.div_(2)


def transforms(change):
    return lambda self, samples: change(2 * samples, samples)


OF_OTHERS = [
    fault(Shrinking, r"project\(\) raised", project=fails),
    fault(Shrinking, "`project` to return nothing, got Sequential", project=projects(lambda network: network)),
    fault(Shrinking, "to move weights in place", project=replaces),
    fault(Shrinking, "weights to be trained", project=projects(lambda network: network.requires_grad_(False) and None)),
    fault(Shrinking, "gradients to stay as they are", project=projects(lambda network: network.zero_grad())),
    fault(
        Shrinking, "gradients to stay switched on", project=projects(lambda _: torch.set_grad_enabled(False) and None)
    ),
    fault(Shrinking, "to move weights as large as 1e\\+06", project=lambda self, network: None),
    fault(Shrinking, "finite weights", project=projects(lambda network: fills(network[0].bias))),
    fault(Shrinking, "a second projection to change nothing", project=halves),
    fault(Doubling, "`needs_images` to be True or False, got 0", needs_images=0),
    fault(Doubling, r"transform of \(1, 2\) raised", transform=fails),
    fault(Doubling, "`transform` to give a tensor, got list", transform=transforms(lambda result, _: result.tolist())),
    fault(Doubling, "samples to stay", transform=transforms(lambda result, samples: result + 0 * in_place(samples))),
    fault(
        Doubling, r"of shape \(1, 2\), .*, got \(1, 4\)", transform=transforms(lambda result, _: result.repeat(1, 2))
    ),
    fault(Doubling, "of torch.float64, got .*torch.float32", transform=transforms(lambda result, _: result.float())),
    fault(Doubling, "finite samples", transform=transforms(lambda result, _: result / 0)),
    fault(Doubling, "torch's seed decides", transform=transforms(lambda result, _: result + random.random())),
    fault(Doubling, "changed by itself", transform=transforms(lambda result, samples: result - samples.mean())),
    fault(Doubling, "by which the generator learns, got none", transform=transforms(lambda result, _: result.detach())),
    fault(Doubling, "to be finite", transform=transforms(lambda result, samples: result + (0 * samples).sqrt())),
    fault(Doubling, "that aren't 0, got zeros", transform=transforms(lambda result, _: result - result)),
]


class Labelled(nn.Module):
    """A generator of points without a fault that takes labels."""

    latent_dim, classes = 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.embedding = nn.Linear(3, 2), nn.Embedding(2, 2)

    def forward(self, latents, labels):
        return self.layer(latents) + self.embedding(labels)


class Reinitialised(Points):
    def __deepcopy__(self, memo):
        return type(self)()


class Named(Generator):
    def decode(self, inputs, labels):
        return inputs[:, :2]


class Scored(Discriminator):
    """Gives a column where it is to give numbers."""

    def __init__(self, sample_shape: tuple[int, ...]) -> None:
        super().__init__(sample_shape)
        self.layer = nn.Linear(2, 1)

    def forward(self, samples, labels=None):
        return self.layer(samples)


CHECKS |= {
    Labelled: lambda part: check_generator(part, (2,)),
    Reinitialised: CHECKS[Points],
    Scored: CHECKS[Discriminator],
}


def forward(change):
    """A generator that is Points', gone through a change; it is told its latents too."""
    return lambda self, latents: change(self.layer(latents), self)


def not_one(self, latents):
    if len(latents) == 2:
        raise RuntimeError("two")
    return self.layer(latents)


def unused(self):
    Points.__init__(self)
    self.other = nn.Parameter(torch.zeros(2))


def without_parameters(self):
    Points.__init__(self)
    self.layer.requires_grad_(False)


def loads_nothing(self, state, *_, **__):
    return None


OF_NETWORKS = [
    given(CHECKS[Points], Line(), "a generator, a torch module"),
    given(CHECKS[Critic], Line(), "a discriminator, a torch module"),
    given(CHECKS[Critic], Critic, "is a class"),
    given(lambda part: check_generator(part, (2,)), Points(), "a latent_dim, its own or an argument, got None"),
    given(lambda part: check_generator(part, (2,), 4), MLPGenerator(3, (2,)), "a latent_dim of 4, got 3"),
    fault(Generator, "a constructor that takes each parameter by name", __init__=constructor("*sizes")),
    fault(Discriminator, "a type for each parameter", __init__=constructor("shape")),
    fault(Points, "a copy of it raised", __deepcopy__=fails),
    fault(Points, r"the training mode with 2 inputs \(2, 3\) raised RuntimeError \(two\)", forward=not_one),
    fault(Points, "its inputs to stay", forward=lambda self, latents: self.layer(in_place(latents))),
    fault(Points, r"a tensor of shape \(2, 2\) in training mode, got tuple", forward=forward(lambda x, _: (x, x))),
    fault(Points, r"a tensor of shape \(2, 2\) .*, got \(2,\)", forward=forward(lambda x, _: x.mean(1))),
    fault(Points, "outputs of float32, got torch.float64", forward=forward(lambda x, _: x.double())),
    fault(Points, "finite outputs", forward=forward(lambda x, _: x * NAN)),
    fault(Points, "parameters that are trained, got none", __init__=without_parameters),
    fault(Points, "got outputs without a graph", forward=forward(lambda x, _: x.detach())),
    fault(Points, "a gradient to each of its parameters, got none to other", __init__=unused),
    fault(Points, "finite gradients, got others to layer", forward=forward(lambda x, _: x + (0 * x).abs().sqrt())),
    fault(Points, "the same outputs of the same inputs", forward=forward(lambda x, _: x + torch.rand_like(x))),
    fault(Points, "depend on no other input of the batch", forward=forward(lambda x, _: x - x.mean(0))),
    fault(
        Labelled,
        "outputs that depend on labels, got the same",
        forward=lambda self, latents, labels: self.layer(latents) + self.embedding(0 * labels),
    ),
    fault(
        Labelled,
        "depend on their own label alone",
        forward=lambda self, latents, labels: (
            self.layer(latents) + self.embedding(labels).mean(0)
            if len(labels) == 4
            else self.layer(latents) + self.embedding(torch.tensor([0, 1, 0, 1])).mean(0)
        ),
    ),
    given(CHECKS[Points], Reinitialised(), "a copy that does the same"),
    fault(Points, "a copy apart from it", __deepcopy__=lambda self, memo: self),
    fault(Points, "outputs that its parameters decide", forward=lambda self, z: z[:, :2] + 0 * self.layer(z)),
    fault(Points, "load_state_dict of its own state_dict raised", load_state_dict=fails),
    fault(Points, "a state_dict that holds all its weights", load_state_dict=loads_nothing),
    given(CHECKS[Discriminator], Scored((2,)), r"a tensor of shape \(2,\) in training mode, got \(2, 1\)"),
    fault(Critic, r"of shape \(2,\) or \(2, 1\) in", forward=lambda self, samples: samples + self.layer(samples)),
    fault(
        Critic,
        "gradients to the samples, by which the generator learns, got none",
        forward=lambda self, samples: self.layer(samples.detach()),
    ),
    fault(
        Critic,
        "by which the generator learns, to be finite",
        forward=lambda self, x: self.layer(x) + (0 * x).abs().sqrt().sum(1, keepdim=True),
    ),
    fault(
        Critic,
        "logits of at most 0, as energy=True says, got",
        energy=True,
        forward=lambda self, samples: self.layer(samples).square(),
    ),
]


def measures(change):
    return lambda self, real, fake, seed=0: change(MeanDistance.measure(self, real, fake)["mean_distance"], real, fake)


def once_for_all_seeds(self, real, fake, seed=0):
    return {"mean_distance": real.once("any", lambda: MeanDistance.measure(self, real, fake)["mean_distance"] + seed)}


def spoils(value, real, fake):
    in_place(fake.features)
    return {"mean_distance": value}


def draws(value, real, fake):
    torch.rand(1)
    return {"mean_distance": value}


OF_METRICS = [
    fault(MeanDistance, r"hash\(\) raised TypeError", __hash__=None),
    fault(MeanDistance, "`higher_is_better` to map names", higher_is_better=["mean_distance"]),
    fault(MeanDistance, "`higher_is_better` to map names", higher_is_better={"mean_distance": "lower"}),
    fault(MeanDistance, "`slow` to be True or False", slow=None),
    fault(MeanDistance, r"`spreads` to name numbers of `higher_is_better`, got \['other'\]", spreads=("other",)),
    fault(MeanDistance, r"missing\(\) raised", missing=fails),
    fault(MeanDistance, "to give text or None, got False", missing=lambda self, real, fake: False),
    fault(MeanDistance, "to say what is missing", missing=lambda self, real, fake: ""),
    fault(MeanDistance, "got 'luck missing' and 'luck missing'", missing=lambda self, real, fake: "luck"),
    fault(MeanDistance, r"measure\(\) raised", measure=fails),
    fault(MeanDistance, "a dict of mean_distance, got other", measure=measures(lambda value, *_: {"other": value})),
    fault(MeanDistance, "a dict of mean_distance, got float", measure=measures(lambda value, *_: value)),
    fault(MeanDistance, "to be a finite float, got nan", measure=measures(lambda value, *_: {"mean_distance": NAN})),
    fault(MeanDistance, "torch's random numbers to stay", measure=measures(draws)),
    fault(MeanDistance, "the sets to stay", measure=measures(spoils)),
    fault(
        MeanDistance,
        "the same numbers of the same sets and seed",
        measure=measures(lambda value, *_: {"mean_distance": value + random.random()}),
    ),
    fault(MeanDistance, "what was measured before", measure=once_for_all_seeds),
    fault(MeanDistance, "to tell samples near", measure=measures(lambda *_: {"mean_distance": 1.0})),
    fault(
        MeanDistance,
        "`mean_distance`, of which higher is better, to prefer samples near the real ones",
        higher_is_better={"mean_distance": True},
    ),
]


def loads(**changes):
    """A source that is Line's, with other samples, labels or classes."""
    return lambda self: Line.load(self)._replace(**changes)


def conditioned(**changes):
    """The same with one condition in place of classes."""
    given = {"labels": torch.zeros(4, 1), "classes": (), "conditions": Units((1.0,), (0.0,), ("age",))}
    return loads(**given | changes)


class Conditioned(Line):
    load = conditioned()


def loads_other(self):
    return Line.load(self)._replace(samples=torch.full((4, 2), float(next(COUNTER))))


def draws_globally(self):
    torch.rand(1)
    return Line.load(self)


def clipped(self, count: int = 4):
    object.__setattr__(self, "count", count + 1)


OF_SOURCES = [
    fault(Line, "its constructor with its own fields raised", __init__=constructor("length: int = 4")),
    fault(Line, "an equal source from its own fields", __init__=clipped),
    fault(Line, r"load\(\) raised", load=fails),
    fault(Line, "`load` to give a SampleSet, got Tensor", load=lambda self: torch.zeros(2)),
    fault(Line, "got list", load=loads(samples=[0.0])),
    fault(Line, "vectors, float32 .*, got torch.float64", load=loads(samples=torch.zeros(4, 2, dtype=torch.float64))),
    fault(Line, "vectors, float32 .*, got torch.uint8", load=loads(samples=torch.zeros(4, 2, dtype=torch.uint8))),
    fault(Line, "expected samples, got none", load=loads(samples=torch.zeros(0, 2))),
    fault(Line, "finite samples", load=loads(samples=torch.tensor([[NAN, 1.0]]))),
    fault(Line, r"of float32 in \[-1, 1\], got 2 to 2", load=loads(samples=torch.full((4, 1, 2, 2), 2.0))),
    fault(Line, "a tuple of names", load=loads(classes=["even", "odd"])),
    fault(Line, "both labels and classes, or neither", load=loads(labels=None)),
    fault(Line, r"int64 of shape \(4,\), got list", load=loads(labels=[0, 1, 0, 1])),
    fault(Line, r"int64 of shape \(4,\), got torch.float32", load=loads(labels=torch.zeros(4))),
    fault(Line, "labels from 0 to 1, got 0 to 2", load=loads(labels=torch.tensor([0, 1, 2, 0]))),
    fault(Line, "units of conditions raised", load=conditioned(conditions=Units((1.0,), (0.0,)))),
    fault(Line, "classes or conditions, got both", load=conditioned(classes=("even", "odd"))),
    fault(Line, r"float32 of shape \(4, 1\), got list", load=conditioned(labels=[[0.0]] * 4)),
    fault(Line, r"float32 of shape \(4, 1\), got torch.int64", load=conditioned(labels=torch.zeros(4, 1).long())),
    fault(Line, r"finite, float32 of shape \(4, 1\)", load=conditioned(labels=torch.full((4, 1), NAN))),
    fault(Line, "the same samples each time", load=loads_other),
    fault(Line, "torch's random numbers to stay", load=draws_globally),
]

FAULTS = [
    *(*OF_ALL, *OF_OBJECTIVES, *OF_STATES, *OF_PENALTIES, *OF_OTHERS),
    *(*OF_NETWORKS, *OF_METRICS, *OF_SOURCES),
]


@pytest.fixture(autouse=True)
def _seed():
    """The same weights each time."""
    torch.manual_seed(0)


@pytest.mark.parametrize("planted", FAULTS, ids=lambda planted: re.sub(r"\W+", " ", planted.words).strip()[:60])
def test_a_fault_is_told_in_one_sentence(planted):
    part = planted.make()
    with pytest.raises(AssertionError, match=planted.words) as caught:
        planted.check(part)
    assert torch.is_grad_enabled()
    message = str(caught.value)
    name = part.__name__ if isinstance(part, type) else type(part).__name__
    assert message.startswith(name)
    assert message.endswith(".")
    assert "\n" not in message


def test_checks_are_all_that_is_public():
    kinds = ("discriminator", "generator", "metric", "objective", "regularizer", "source")
    assert dir(testing) == [f"check_{kind}" for kind in kinds]


def called_in(path: Path) -> dict[tuple[str, int], range]:
    """The calls of a module that raise AssertionError by themselves, by file and first line, each with its lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = ("require", "attempt", "require_unchanged")
    found = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in names]
    return {(path.name, call.lineno): range(call.lineno, (call.end_lineno or 0) + 1) for call in found}


def test_every_assertion_is_triggered():
    """By one of the faults, at least."""
    expected = {key: lines for path in PACKAGE.glob("*.py") for key, lines in called_in(path).items()}
    reached = set()
    for planted in FAULTS:
        part = planted.make()
        try:
            planted.check(part)
        except AssertionError as error:
            frames = traceback.extract_tb(error.__traceback__)
            reached |= {(Path(frame.filename).name, frame.lineno) for frame in frames if str(PACKAGE) in frame.filename}
    assert [key for key, lines in expected.items() if not any((key[0], line) in reached for line in lines)] == []
    assert len(expected) > 100


SOUND = [
    (check_objective, Logistic()),
    (check_regularizer, Flat()),
    (check_regularizer, Flat(0.0)),
    (check_regularizer, Flat(Linear(1.0, 0.0), every=2)),
    (check_regularizer, R1(Linear(0.0, 0.0))),
    (check_regularizer, Shrinking()),
    (check_regularizer, Doubling()),
    (check_metric, MeanDistance()),
    (check_source, Line()),
    (check_source, Conditioned()),
    (lambda part: check_generator(part, (2,), 3), Points()),
    (lambda part: check_generator(part, (1, 2, 2), 3), nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (1, 2, 2)))),
    (lambda part: check_generator(part, (2,)), Labelled()),
    (lambda part: check_generator(part, [2], 3), MLPGenerator(3, (2,), hidden_dim=4, classes=1, label_input="norm")),
    (lambda part: check_discriminator(part, (2,)), Critic()),
    (lambda part: check_discriminator(part, (1, 2, 2)), nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0))),
    (lambda part: check_discriminator(part, [2]), MLPDiscriminator((2,), hidden_dim=4, norm="batch", packing=2)),
    (
        lambda part: check_discriminator(part, [2]),
        MLPDiscriminator((2,), hidden_dim=4, packing=2, classes=2, label_input="projection"),
    ),
]


@pytest.mark.parametrize(("check", "part"), SOUND, ids=lambda value: type(value).__name__)
def test_sound_parts_pass_and_stay_as_they_are(check, part):
    before = copy.deepcopy(part)
    state = torch.get_rng_state()
    with torch.no_grad():
        assert check(part) is None
    assert torch.equal(torch.get_rng_state(), state)
    if isinstance(part, nn.Module):
        assert part.training
        for name, value in before.state_dict().items():
            assert torch.equal(value, part.state_dict()[name])
        assert all(parameter.grad is None for parameter in part.parameters())
    else:
        assert part == before


def test_a_state_is_advanced_on_a_copy():
    objective = BEGAN()
    check_objective(objective)
    assert objective.k.item() == 0


def test_a_script_may_check_its_own_classes(monkeypatch):
    kind = named(Doubling, "OfAScript", __module__="__main__")
    monkeypatch.setattr(sys.modules["__main__"], "OfAScript", kind, raising=False)
    check_regularizer(kind())


def test_metrics_of_one_kind_of_samples():
    """One that takes images alone is measured on those."""

    def missing(self, real: Observed, fake: Observed) -> str | None:
        return None if fake.samples.ndim == 4 else "images"

    seen = []

    def measure(self, real, fake, seed=0):
        seen.append(fake.samples.dtype)
        return MeanDistance.measure(self, real, fake)

    check_metric(named(MeanDistance, missing=missing, measure=measure)())
    assert set(seen) == {torch.uint8}


def test_transformations_of_images_alone():
    def transform(self, samples):
        assert samples.ndim == 4
        return 2 * samples

    check_regularizer(named(Doubling, needs_images=True, transform=transform)())
    with pytest.raises(AssertionError, match=r"transform of \(1, 2\) raised AssertionError"):
        check_regularizer(named(Doubling, transform=transform)())


def test_regularizers_of_several_kinds_are_checked_for_each():
    both = named(Doubling, project=fails)
    with pytest.raises(AssertionError, match=r"project\(\) raised"):
        check_regularizer(both())
    check_regularizer(named(Doubling, project=Shrinking.project)())
    assert InstanceNoise() != WeightClipping()
