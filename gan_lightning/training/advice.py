"""What theory, or the parts' shapes, forbid to combine: refused by `refuse`, or only advised against by `advise`.

Each message gives the reason and the fix. Rules about one part alone stand in its constructor.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_lightning.losses.augmentations import Transformation
from gan_lightning.losses.heads import Head
from gan_lightning.losses.objectives import Objective
from gan_lightning.losses.regularizers import Consistency, Penalty, Projection, WeightClipping, WeightPenalty
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import ends_in_sigmoid, uses_batch_statistics, uses_spectral_norm


def refuse(
    generator: Generator,
    discriminator: Discriminator,
    objective: Objective,
    regularizers: Mapping[str, Any],
    heads: Mapping[str, Head],
) -> None:
    """Raises ValueError for the first combination that can't work."""
    for reason in refusals(generator, discriminator, objective, regularizers, heads):
        raise ValueError(reason)


def refusals(
    generator: Generator,
    discriminator: Discriminator,
    objective: Objective,
    regularizers: Mapping[str, Any],
    heads: Mapping[str, Head],
) -> Iterator[str]:
    """Why these parts can't work together, each reason with its fix."""
    width = 1 + sum(head.outputs for head in heads.values())
    if discriminator.outputs != width:
        parts = "".join(f" and {head.outputs} for {name}" for name, head in heads.items())
        yield (
            f"the discriminator gives {discriminator.outputs} numbers a sample, but the loss reads {width}: its logit"
            f"{parts}; set network.discriminator.outputs={width}, or leave it to the configuration"
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
    for name, part in regularizers.items():
        if not isinstance(part, Penalty | WeightPenalty | Projection | Transformation):
            yield f"regularizer.{name} is {part!r}, which is no regularizer"
        if isinstance(part, Penalty) and part.per_sample and uses_batch_statistics(discriminator):
            yield (
                f"{name} penalises each sample's gradient, which a discriminator with batch normalisation doesn't"
                " have: its samples depend on each other; use network.discriminator.norm=none or layer"
            )
        if isinstance(part, Consistency) and discriminator.packing > 1:
            packing = f"loss.packing={discriminator.packing}"
            yield f"{name} alters single samples, but {packing} shows packs; use loss.packing=1"
        if isinstance(part, WeightClipping) and uses_spectral_norm(discriminator):
            yield (
                f"{name} clips weights that spectral normalisation rescales at once, so that the bound means nothing;"
                " use one of the two: 'regularizer=[]' or network.discriminator.norm=none"
            )
    for name, head in heads.items():
        if head.needs_labels and not generator.classes:
            yield (
                f"{name} names the labels of samples, but this generator is told none; use conditioning=auxiliary, with"
                " a network that takes labels"
            )
        if head.per_sample and discriminator.packing > 1:
            packing = f"loss.packing={discriminator.packing}"
            yield f"{name} judges single samples, but {packing} shows packs; use loss.packing=1"
        if head.needs_labels and generator.classes not in (0, head.outputs):
            yield (
                f"{name} tells {head.outputs} classes apart, but the generator takes {generator.classes}; set"
                f" heads.{name}.outputs={generator.classes}, or leave it to the configuration"
            )


def refuse_data(model: Any, real: Tensor) -> None:
    """Raises ValueError if the networks don't fit samples (N, ...) of the data; N is a multiple of the packing."""
    generator, discriminator = model.generator, model.discriminator
    for name, part in model.regularizers.items():
        transformation = getattr(part, "transformation", part)
        if isinstance(transformation, Transformation) and transformation.needs_images and real.ndim != 4:
            raise ValueError(f"{name} alters images, but the data set has vectors; leave it out, or use instance_noise")
    labels = torch.zeros(len(real), dtype=torch.int64)
    modes = [(network, network.training) for network in (generator, discriminator)]
    for network, _ in modes:
        network.eval()  # which leaves running statistics as they are
    try:
        with torch.no_grad():
            latents = model.latents.draw(len(real), generator.latent_dim)
            fake = generator(latents, labels if generator.classes else None)
            if fake.shape != real.shape:
                raise ValueError(
                    f"the generator makes samples of shape {tuple(fake.shape[1:])}, but those of the data set have"
                    f" {tuple(real.shape[1:])}; set network.generator.image_shape, or leave it to the configuration"
                )
            outputs = discriminator(model.view(real), model.packed_labels(labels))
    finally:
        for network, mode in modes:
            network.train(mode)
    count = len(real) // discriminator.packing
    shape = (count,) if discriminator.outputs == 1 else (count, discriminator.outputs)
    if outputs.shape != shape:
        raise ValueError(
            f"the discriminator's output for {count} inputs has shape {tuple(outputs.shape)}, expected {shape}"
        )


def advise(
    model: Any, discriminator_optimizer: Optimizer, precision: str, real: Tensor, asked_norm: str | None = None
) -> Iterator[str]:
    """What is likely to fail although it can be run, each reason with its fix.

    `real` are samples of the data, `asked_norm` is what the loss's recipe asks of the discriminator.
    """
    generator, discriminator, objective = model.generator, model.discriminator, model.objective
    regularizers = model.regularizers
    clips = [name for name, part in regularizers.items() if isinstance(part, WeightClipping)]
    # Of gradients, which are each sample's own.
    penalties = [name for name, part in regularizers.items() if isinstance(part, Penalty) and part.per_sample]
    momentum = momentum_of(discriminator_optimizer)
    if clips and momentum > 0:
        yield (
            f"{clips[0]} with momentum ({type(discriminator_optimizer).__name__}, {momentum:g}): the WGAN paper saw"
            " training become unstable (section 4), as old gradients push weights that were clipped since; use RMSprop"
            " as loss=wgan_clip does, or betas=[0,0.9]"
        )
    if objective.needs_lipschitz and not (clips or penalties or uses_spectral_norm(discriminator)):
        yield (
            f"{type(objective).__name__} with a critic that nothing keeps Lipschitz: its loss has no bound and its"
            " value no meaning; add 'regularizer=[gradient_penalty]' or network.discriminator.norm=spectral"
        )
    if not objective.needs_lipschitz and ends_in_sigmoid(discriminator):
        yield (
            "the discriminator ends in a sigmoid, but losses take logits and apply it themselves: gradients vanish"
            " twice; take the sigmoid away"
        )
    if asked_norm == "spectral" and not uses_spectral_norm(discriminator):
        yield (
            "the loss's recipe asks for a spectrally normalised discriminator, and this one isn't; use"
            " network.discriminator.norm=spectral with a network that has the choice"
        )
    if precision.startswith("16") and penalties:
        yield (
            f"trainer.precision={precision} with {penalties[0]}: penalties are computed in 32 bits, but the scaled loss"
            " around them overflows and steps are skipped; use trainer.precision=bf16-mixed or 32-true"
        )
    if real.ndim == 4 and ends_in_sigmoid(generator):
        yield (
            "the generator ends in a sigmoid, so that its pixels lie in [0, 1], but those of the data in [-1, 1]: the"
            " discriminator tells them by the dark ones; use network.generator.output_activation=tanh"
        )
    if real.ndim == 2 and float(real.abs().max()) > 1 and ends_in_tanh(generator):
        yield (
            "the generator ends in tanh, so that its samples lie in [-1, 1], but those of the data reach"
            f" {float(real.abs().max()):.3g}; use network.generator.output_activation=none"
        )


def momentum_of(optimizer: Optimizer) -> float:
    """The momentum of an optimizer, or the first beta of an Adam; 0 without."""
    defaults = optimizer.defaults
    return float(defaults["betas"][0] if "betas" in defaults else defaults.get("momentum", 0.0))


def ends_in_tanh(network: nn.Module) -> bool:
    """Whether the last module of a network is a tanh."""
    return isinstance(list(network.modules())[-1], nn.Tanh)
