"""Which parts work together: what theory, or their shapes, forbid is refused; what is unwise is warned of.

Each message gives the reason and the fix. Rules about one part alone stand in its constructor.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_lightning.losses.augmentations import Transformation
from gan_lightning.losses.heads import Head
from gan_lightning.losses.objectives import Objective
from gan_lightning.losses.regularizers import (
    Consistency,
    Penalty,
    Projection,
    Regularizer,
    WeightClipping,
    WeightPenalty,
    by_kind,
)
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import ends_in_sigmoid, uses_batch_statistics, uses_spectral_norm
from gan_lightning.samples import kind_of
from gan_lightning.sampling.latents import Prior
from gan_lightning.training.discriminator_adapter import DiscriminatorAdapter


class Parts(NamedTuple):
    """What has to work together."""

    generator: Generator
    discriminator: Discriminator
    objective: Objective
    regularizers: Mapping[str, Regularizer]
    heads: Mapping[str, Head]
    latents: Prior


# What can't be.


def refuse(parts: Parts) -> None:
    """Raises ValueError for the first combination that can't work."""
    for reason in refusals(parts):
        raise ValueError(reason)


def refusals(parts: Parts) -> Iterator[str]:
    """Why these parts can't work together, each reason with its fix."""
    yield from refusals_of_networks(parts)
    for name, regularizer in parts.regularizers.items():
        yield from refusals_of_regularizer(name, regularizer, parts.discriminator)
    for name, head in parts.heads.items():
        yield from refusals_of_head(name, head, parts)


def refusals_of_networks(parts: Parts) -> Iterator[str]:
    """Why the networks fit neither the objective and the heads nor each other."""
    generator, discriminator, objective = parts.generator, parts.discriminator, parts.objective
    width = 1 + sum(head.outputs for head in parts.heads.values())
    if discriminator.outputs != width:
        columns = "".join(f" and {head.outputs} for {name}" for name, head in parts.heads.items())
        yield (
            f"the discriminator gives {discriminator.outputs} numbers a sample, but the loss reads {width}: its logit"
            f"{columns}; set network.discriminator.outputs={width}, or leave it to the configuration"
        )
    if objective.needs_energy and not discriminator.energy:
        yield (
            f"{type(objective).__name__} needs a discriminator whose logit is minus an energy, never above zero, such"
            " as an auto-encoder's error; use network=mlp_autoencoder or dcgan_autoencoder"
        )
    if objective.needs_lipschitz and ends_in_sigmoid(discriminator):
        yield (
            f"{type(objective).__name__} needs a critic of any real value, but this one ends in a sigmoid, whose"
            " gradient vanishes; take the sigmoid away"
        )
    if discriminator.label_input != "none" and not generator.classes:
        yield (
            "the discriminator is told labels, but this generator takes none, so that fakes have no class; use"
            " conditioning=none, or a network whose generator takes labels"
        )


def refusals_of_regularizer(name: str, regularizer: Regularizer, discriminator: Discriminator) -> Iterator[str]:
    """Why a regularizer is none, or can't be applied to this discriminator."""
    packing = f"loss.packing={discriminator.packing}"
    if not isinstance(regularizer, Penalty | WeightPenalty | Projection | Transformation):
        yield f"regularizer.{name} is {regularizer!r}, which is no regularizer"
    if isinstance(regularizer, Penalty) and regularizer.per_sample and uses_batch_statistics(discriminator):
        yield (
            f"{name} penalises each sample's gradient, which a discriminator with batch normalisation doesn't"
            " have: its samples depend on each other; use network.discriminator.norm=none or layer"
        )
    if isinstance(regularizer, Consistency) and discriminator.packing > 1:
        yield f"{name} alters single samples, but {packing} shows packs; use loss.packing=1"
    if isinstance(regularizer, WeightClipping) and uses_spectral_norm(discriminator):
        yield (
            f"{name} clips weights that spectral normalisation rescales at once, so that the bound means nothing;"
            " use one of the two: 'regularizer=[]' or network.discriminator.norm=none"
        )


def refusals_of_head(name: str, head: Head, parts: Parts) -> Iterator[str]:
    """Why a head can't do its work."""
    classes, packing = parts.generator.classes, parts.discriminator.packing
    if head.needs_labels and not classes:
        yield (
            f"{name} names the labels of samples, but this generator is told none; use conditioning=auxiliary, with"
            " a network that takes labels"
        )
    if head.per_sample and packing > 1:
        yield f"{name} scores single samples, but loss.packing={packing} shows packs; use loss.packing=1"
    if head.needs_labels and classes not in (0, head.outputs):
        yield (
            f"{name} tells {head.outputs} classes apart, but the generator takes {classes}; set"
            f" heads.{name}.outputs={classes}, or leave it to the configuration"
        )


def refuse_data(parts: Parts, adapter: DiscriminatorAdapter, real: Tensor, told: Tensor | None = None) -> None:
    """Raises ValueError if the networks don't fit samples (N, ...) of the data, and labels that are `told` with them.

    N is a multiple of the packing. `adapter` is the discriminator behind the regularizers as they are at the start.
    """
    generator, discriminator = parts.generator, parts.discriminator
    for name, regularizer in parts.regularizers.items():
        transformation = getattr(regularizer, "transformation", regularizer)
        if isinstance(transformation, Transformation) and transformation.needs_images and real.ndim != 4:
            kind = kind_of(real.shape[1:])
            raise ValueError(f"{name} alters images, but the data set has {kind}; leave it out, or use instance_noise")
    labels = torch.zeros(len(real), dtype=torch.int64, device=real.device)
    if told is not None and told.is_floating_point():
        refuse_conditions(parts, told)
        labels = told
    modes = [(network, network.training) for network in (generator, discriminator)]
    for network, _ in modes:
        network.eval()  # which leaves running statistics as they are
    try:
        with torch.no_grad():
            latents = parts.latents.draw(len(real), generator.latent_dim, real.device)
            fake = tried(generator, "generator", latents, labels if generator.classes else None)
            if fake.shape != real.shape:
                raise ValueError(
                    f"the generator makes samples of shape {tuple(fake.shape[1:])}, but those of the data set have"
                    f" {tuple(real.shape[1:])}; set network.generator.sample_shape, or leave it to the configuration"
                )
            outputs = tried(discriminator, "discriminator", adapter.view(real), adapter.packed(labels))
    finally:
        for network, mode in modes:
            network.train(mode)
    count = len(real) // discriminator.packing
    shape = (count,) if discriminator.outputs == 1 else (count, discriminator.outputs)
    if outputs.shape != shape:
        raise ValueError(
            f"the discriminator's output for {count} inputs has shape {tuple(outputs.shape)}, expected {shape}"
        )


def refuse_conditions(parts: Parts, conditions: Tensor) -> None:
    """Raises ValueError where labels that are numbers, (N, K), are none for the networks or a head."""
    classes, found = parts.generator.classes, conditions.shape[1]
    if classes not in (0, found):
        raise ValueError(
            f"the data set has {found} conditions, but the generator takes {classes}; set"
            f" network.generator.classes={found}, or leave it to the configuration"
        )
    for name, head in parts.heads.items():
        if head.needs_labels:
            raise ValueError(
                f"{name} names classes, but the labels of the data set are numbers; leave it out, or use labels that"
                " are classes"
            )


def tried(network: nn.Module, name: str, inputs: Tensor, labels: Tensor | None) -> Tensor:
    """What a network makes of inputs. Raises ValueError, with torch's reason, if they don't fit its layers."""
    try:
        outputs: Tensor = network(inputs, labels)
    except (RuntimeError, IndexError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(f"the {name} can't take inputs of shape {tuple(inputs.shape)}: {reason}") from error
    return outputs


# What is unwise.

ROUNDING = 1e-6  # of numbers that are scaled to [-1, 1]


class Circumstances(NamedTuple):
    """What else decides whether a combination is wise: the discriminator's optimizer, `trainer.precision`, samples
    (N, ...) of the data, the normalisation that the loss's recipe asks of the discriminator, if any, and whether the
    samples are as somebody else's loader has served them.
    """

    optimizer: Optimizer
    precision: str
    real: Tensor
    asked_norm: str | None = None
    served: bool = False


def cautions(parts: Parts, given: Circumstances) -> Iterator[str]:
    """What is likely to fail although it can be run, each reason with its fix."""
    for rule in CAUTIONS:
        if reason := rule(parts, given):
            yield reason


def clipping_with_momentum(parts: Parts, given: Circumstances) -> str | None:
    momentum = momentum_of(given.optimizer)
    clips = clippings(parts)
    if not clips or momentum <= 0:
        return None
    return (
        f"{clips[0]} with momentum ({type(given.optimizer).__name__}, {momentum:g}): the WGAN paper saw"
        " training become unstable (section 4), as old gradients push weights that were clipped since; use RMSprop"
        " as loss=wgan_clip does, or betas=[0,0.9]"
    )


def critic_without_bound(parts: Parts, given: Circumstances) -> str | None:
    is_bounded = clippings(parts) or gradient_penalties(parts) or uses_spectral_norm(parts.discriminator)
    if not parts.objective.needs_lipschitz or is_bounded:
        return None
    return (
        f"{type(parts.objective).__name__} with a critic that nothing keeps Lipschitz: its loss has no bound and its"
        " value no meaning; add 'regularizer=[gradient_penalty]' or network.discriminator.norm=spectral"
    )


def sigmoid_before_logits(parts: Parts, given: Circumstances) -> str | None:
    if parts.objective.needs_lipschitz or not ends_in_sigmoid(parts.discriminator):
        return None
    return (
        "the discriminator ends in a sigmoid, but losses take logits and apply it themselves: gradients vanish"
        " twice; take the sigmoid away"
    )


def recipe_without_spectral_norm(parts: Parts, given: Circumstances) -> str | None:
    if given.asked_norm != "spectral" or uses_spectral_norm(parts.discriminator):
        return None
    return (
        "the loss's recipe asks for a spectrally normalised discriminator, and this one isn't; use"
        " network.discriminator.norm=spectral with a network that has the choice"
    )


def penalty_in_half_precision(parts: Parts, given: Circumstances) -> str | None:
    penalties = gradient_penalties(parts)
    if not given.precision.startswith("16") or not penalties:
        return None
    return (
        f"trainer.precision={given.precision} with {penalties[0]}: penalties are computed in 32 bits, but the scaled"
        " loss around them overflows and steps are skipped; use trainer.precision=bf16-mixed or 32-true"
    )


def sigmoid_below_zero(parts: Parts, given: Circumstances) -> str | None:
    below_zero = given.real.ndim == 4 or (given.real.ndim == 3 and float(given.real.min()) < 0)
    if not below_zero or not ends_in_sigmoid(parts.generator):
        return None
    what, place, low = (
        ("pixels", "in [-1, 1]", "dark") if given.real.ndim == 4 else ("steps", "below 0 too", "negative")
    )
    return (
        f"the generator ends in a sigmoid, so that its {what} lie in [0, 1], but those of the data {place}: the"
        f" discriminator tells them by the {low} ones; use network.generator.output_activation=tanh"
    )


def tanh_for_pixels_from_zero(parts: Parts, given: Circumstances) -> str | None:
    low, high = map(float, given.real.aminmax())
    if not given.served or given.real.ndim != 4 or low < 0 or high > 1 or not ends_in_tanh(parts.generator):
        return None
    return (
        "the pixels of the data lie in [0, 1], but a generator that ends in tanh makes them in [-1, 1], and the"
        " discriminator tells them by the dark ones; serve 2 * pixels - 1, or uint8"
    )


def tanh_for_far_points(parts: Parts, given: Circumstances) -> str | None:
    reach = float(given.real.abs().max())
    if given.real.ndim == 4 or reach <= 1 + ROUNDING or not ends_in_tanh(parts.generator):
        return None
    return (
        "the generator ends in tanh, so that its samples lie in [-1, 1], but those of the data reach"
        f" {reach:.3g}; use network.generator.output_activation=none"
    )


CAUTIONS: tuple[Callable[[Parts, Circumstances], str | None], ...] = (
    clipping_with_momentum,
    critic_without_bound,
    sigmoid_before_logits,
    recipe_without_spectral_norm,
    penalty_in_half_precision,
    sigmoid_below_zero,
    tanh_for_pixels_from_zero,
    tanh_for_far_points,
)


def clippings(parts: Parts) -> list[str]:
    """The names of the regularizers that clip weights."""
    return [name for name, part in parts.regularizers.items() if isinstance(part, WeightClipping)]


def gradient_penalties(parts: Parts) -> list[str]:
    """The names of the penalties of gradients, which are each sample's own."""
    return [name for name, penalty in by_kind(parts.regularizers).penalties.items() if penalty.per_sample]


def momentum_of(optimizer: Optimizer) -> float:
    """The momentum of an optimizer, or the first beta of an Adam; 0 without."""
    defaults = optimizer.defaults
    return float(defaults["betas"][0] if "betas" in defaults else defaults.get("momentum", 0.0))


def ends_in_tanh(network: nn.Module) -> bool:
    """Whether the last module of a network is a tanh."""
    return isinstance(list(network.modules())[-1], nn.Tanh)
