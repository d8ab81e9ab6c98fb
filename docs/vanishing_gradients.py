"""What the generator's gradient becomes as the discriminator gets better, after Arjovsky and Bottou 2017.

    python docs/vanishing_gradients.py

A vanilla GAN of perceptrons is trained on the digits for 1, 10 and 25 passes over them. Then the generator stays as it
is, and a new discriminator is trained against it towards optimality, as in figures 2 and 3 of the paper
(arXiv:1701.04862), and so is a critic of the same shape with a gradient penalty. On the way the norm of the generator's
gradient is measured, under the minimax and the non-saturating loss of the discriminator and the Wasserstein loss of the
critic. Prints the norms, and draws them to docs/images/vanishing_gradients.png. Deviations from the paper: perceptrons
on 8x8 digits, not a DCGAN, and a larger learning rate (5e-4) towards optimality, for the CPU.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Adam

from gan_lightning.data.sources import Digits
from gan_lightning.losses.objectives import Objective, Vanilla, Wasserstein
from gan_lightning.losses.regularizers import GradientPenalty
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.samples import as_floats
from gan_lightning.training.gan import GAN

PICTURE = Path(__file__).parent / "images" / "vanishing_gradients.png"
PASSES = (1, 10, 25)  # over the digits, before the generator is fixed
STEPS = 1000  # of a discriminator against a fixed generator
BATCH = 64
FIXED_BATCH = 128  # against a fixed generator: a steadier way to the optimum
WIDTH = 64  # of that discriminator's last layer, half of the usual
MEASURED = 256  # fakes, the same at each measurement
SHAPE = (1, 8, 8)

TRAINING = partial(Adam, lr=2e-4, betas=(0.5, 0.999))
OPTIMALITY = partial(Adam, lr=5e-4, betas=(0.5, 0.9))
LOSSES: dict[str, Objective] = {
    "minimax": Vanilla(saturating=True),
    "non-saturating": Vanilla(),
    "Wasserstein, gradient penalty": Wasserstein(),
}


@dataclass(frozen=True)
class Point:
    """What is measured after so many steps: gradient norms by loss, the mean of D(G(z)) and of the accuracy of D."""

    step: int
    norms: dict[str, float]
    fake_score: float
    accuracy: float


def minibatches(images: Tensor, count: int, size: int = BATCH) -> Iterator[Tensor]:
    """Random samples (size, 1, 8, 8), with replacement."""
    for _ in range(count):
        yield images[torch.randint(len(images), (size,))]


def generators(images: Tensor, passes: Sequence[int] = PASSES) -> list[Generator]:
    """The generator of one vanilla training after so many passes over the images (N, 1, 8, 8)."""
    torch.manual_seed(0)
    model = GAN(MLPGenerator(64, SHAPE), MLPDiscriminator(SHAPE), Vanilla(), TRAINING, TRAINING)
    generator_optimizer, discriminator_optimizer = model.configure_optimizers()
    iterations = [round(n * len(images) / BATCH) for n in passes]
    found = []
    for iteration, real in enumerate(minibatches(images, iterations[-1]), start=1):
        model.discriminator_step(real, discriminator_optimizer)
        model.generator_step(real, generator_optimizer)
        if iteration in iterations:
            found.append(deepcopy(model.generator))
    return found


def gradient_norm(generator: Generator, critic: nn.Module, objective: Objective, latents: Tensor) -> float:
    """The Euclidean norm of the generator's gradient at all its weights."""
    (loss,) = objective.generator(critic(generator(latents))).values()
    return float(nn.utils.get_total_norm(torch.autograd.grad(loss, list(generator.parameters()))))


def towards_optimality(generator: Generator, images: Tensor, steps: int = STEPS) -> list[Point]:
    """The measurements along the training of a new discriminator and a new critic against a fixed generator."""
    torch.manual_seed(1)
    classifier = GAN(generator, MLPDiscriminator(SHAPE, WIDTH), Vanilla(), OPTIMALITY, OPTIMALITY)
    critic = GAN(
        generator,
        MLPDiscriminator(SHAPE, WIDTH),
        Wasserstein(),
        OPTIMALITY,
        OPTIMALITY,
        regularizers={"penalty": GradientPenalty(10.0)},
    )
    optimizers = [model.configure_optimizers()[1] for model in (classifier, critic)]
    networks = [classifier.discriminator, classifier.discriminator, critic.discriminator]
    latents = torch.randn(MEASURED, generator.latent_dim)
    every = max(1, steps // 25)
    points = []
    for step, real in enumerate(minibatches(images, steps + 1, FIXED_BATCH)):
        if step % every == 0:
            norms = {
                name: gradient_norm(generator, network, objective, latents)
                for (name, objective), network in zip(LOSSES.items(), networks, strict=True)
            }
            with torch.no_grad():
                fake, true = classifier.discriminator(generator(latents)), classifier.discriminator(images)
            accuracy = (float((fake < 0).float().mean()) + float((true > 0).float().mean())) / 2
            points.append(Point(step, norms, float(fake.sigmoid().mean()), accuracy))
        for model, optimizer in zip((classifier, critic), optimizers, strict=True):
            model.discriminator_step(real, optimizer, number=step)
    return points


def main() -> None:
    images = as_floats(Digits().load().samples)
    figure = Figure(figsize=(12, 6), dpi=100, layout="constrained")
    rows = figure.subplots(2, len(PASSES), sharex=True, sharey="row")
    for column, passes, generator in zip(rows.T, PASSES, generators(images), strict=True):
        points = towards_optimality(generator, images)
        steps = [point.step for point in points]
        norms, scores = column
        print(f"generator after {passes} passes; {points[-1].step} discriminator steps on:")
        for name in LOSSES:
            values = [point.norms[name] for point in points]
            print(f"  {name:<30} gradient norm {values[0]:.2g} at first, at most {max(values):.2g}, {values[-1]:.2g}")
            norms.plot(steps, values, label=name)
        print(f"  D(G(z)) {points[-1].fake_score:.1g}, accuracy {points[-1].accuracy:.4f}")
        scores.plot(steps, [point.fake_score for point in points], color="black", label="mean D(G(z))")
        scores.plot(steps, [1 - point.accuracy for point in points], "r.", label="share that D gets wrong, if any")
        norms.set(yscale="log", title=f"generator after {passes} pass{'es' * (passes > 1)} over the data")
        scores.set(yscale="log", xlabel="discriminator steps, generator fixed")
    rows[0, 0].set(ylabel="norm of the generator's gradient")
    rows[0, 0].legend(loc="lower left")
    rows[1, 0].legend(loc="lower left")
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
