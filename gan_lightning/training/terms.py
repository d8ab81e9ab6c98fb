"""What each network minimises in a step, as a function of minibatches, networks and latents alone.

Nothing here draws latents, makes gradients or changes a weight, so that either function can be one compiled graph
(training/compiled.py).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_lightning.losses.heads import Drawn, Head
from gan_lightning.losses.objectives import Objective, Terms
from gan_lightning.losses.regularizers import Penalty, WeightPenalty, takes_gradients
from gan_lightning.networks.discriminator import pack
from gan_lightning.networks.generator import Generator
from gan_lightning.training.discriminator_adapter import DiscriminatorAdapter


class Play(NamedTuple):
    """What takes part in a step: the networks as they compute in it, and the penalties that are due.

    `exact` shows the discriminator in float32 where `adapter` shows its twin: to penalties that want it so. `weights`
    is the discriminator that is trained, whose weights are penalised.
    """

    objective: Objective
    heads: Mapping[str, Head]
    generator: Generator
    adapter: DiscriminatorAdapter
    exact: DiscriminatorAdapter
    weights: nn.Module
    penalties: Mapping[str, Penalty]
    weight_penalties: Mapping[str, WeightPenalty]


class OfDiscriminator(NamedTuple):
    """The terms of its loss, what is worth logging, and the mean logit of the real samples."""

    terms: Terms
    diagnostics: Terms
    real_mean: Tensor


class OfGenerator(NamedTuple):
    """The terms of its loss, and the logits (N,) of its fakes, without their graph."""

    terms: Terms
    fake_logits: Tensor


def discriminator_terms(play: Play, real: Tensor, labels: Tensor | None, drawn: Drawn) -> OfDiscriminator:
    """Of (N, ...) real samples with their labels, and of as many fakes."""
    adapter = play.adapter
    with torch.no_grad():
        fake = play.generator(*drawn).to(real.dtype)
        views = adapter.view(real), adapter.view(fake)
    packed_labels = adapter.packed(labels)
    of_real, of_fake = adapter.both_outputs(*views, packed_labels)
    terms = play.objective.discriminator(of_real.logits, of_fake.logits)
    for name, head in play.heads.items():
        terms |= head.discriminator(of_real.columns[name], of_fake.columns[name], labels, drawn)
    with torch.no_grad():
        diagnostics = {
            "discriminator/real": play.objective.score(of_real.logits).mean(),
            "discriminator/fake": play.objective.score(of_fake.logits).mean(),
        }
        for name, value in play.objective.diagnostics(of_real.logits, of_fake.logits).items():
            diagnostics[f"discriminator/{name}"] = value
    packs = pack(real, adapter.discriminator.packing), pack(fake, adapter.discriminator.packing)
    details: dict[str, Terms] = {}
    for name, penalty in play.penalties.items():
        of_augmented = getattr(penalty, "of_augmented", False)
        shown = adapter if takes_gradients(penalty) else play.exact
        critic = partial(shown.logits if of_augmented else shown.logits_through, labels=packed_labels)
        terms[name], details[name] = penalty.penalty(critic, *(views if of_augmented else packs))
    for name, weight_penalty in play.weight_penalties.items():
        terms[name], details[name] = weight_penalty.weight_penalty(play.weights)
    for name, detail in details.items():
        diagnostics |= {f"regularizer/{name}/{tag}": value for tag, value in detail.items()}
    return OfDiscriminator(terms, diagnostics, of_real.logits.detach().mean())


def generator_terms(play: Play, real: Tensor, labels: Tensor | None, drawn: Drawn) -> OfGenerator:
    """Of as many fakes as there are (N, ...) real samples, which an objective may compare them with."""
    adapter = play.adapter
    fake = play.generator(*drawn)
    packed_labels = adapter.packed(labels)
    real_logits = None
    if play.objective.uses_real:
        of_real, of_fake = adapter.both_outputs(adapter.view(real), adapter.view(fake), packed_labels)
        real_logits = of_real.logits
    else:
        of_fake = adapter.outputs(adapter.view(fake), packed_labels)
    terms = play.objective.generator(of_fake.logits, real_logits)
    for name, head in play.heads.items():
        terms |= head.generator(of_fake.columns[name], drawn)
    return OfGenerator(terms, of_fake.logits.detach())


class TermFunctions(NamedTuple):
    """Both."""

    discriminator: Callable[[Play, Tensor, Tensor | None, Drawn], OfDiscriminator]
    generator: Callable[[Play, Tensor, Tensor | None, Drawn], OfGenerator]


EAGER = TermFunctions(discriminator_terms, generator_terms)
