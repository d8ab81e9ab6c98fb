"""Whose loss says how good the samples are: figures 3 and 4 of WGAN, Arjovsky et al. 2017, on the digits.

    python docs/loss_and_quality.py

A WGAN-GP and a vanilla GAN of the same perceptrons are trained on the digits by their papers' recipes, but both with 20
discriminator updates for one of the generator's, so that the discriminator is always close to its optimum. Along the
way are taken, of all 1,797 images and as many samples, the critic's estimate of the Wasserstein-1 distance and the
lower bound of the Jensen-Shannon divergence that the vanilla discriminator's loss L amounts to, log 2 - L / 2 (figure 4
of arXiv:1701.07875). Samples are measured by the Wasserstein-1 distance of 512 of them to 512 images in the space of
pixels, found exactly as the cheapest assignment (the paper looks at them). Prints how what the losses say falls while
the distance does, and the correlation over a training, and draws docs/images/loss_and_quality.png.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import log
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.optim import Adam

from gan_lightning.data.sources import Digits
from gan_lightning.losses.objectives import Objective, Vanilla, Wasserstein
from gan_lightning.losses.regularizers import GradientPenalty
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.samples import as_floats
from gan_lightning.training.gan import GAN

PICTURE = Path(__file__).parent / "images" / "loss_and_quality.png"
SHAPE = (1, 8, 8)
BATCH = 64
N_CRITIC = 20
ITERATIONS = 200
EVERY = 10
MATCHED = 512


@dataclass(frozen=True)
class Recipe:
    """A loss as in conf/loss/, and what its discriminator's loss, a number, says about the distance."""

    name: str
    says: str
    objective: Objective
    optimizer: Any
    distance_of: Callable[[float], float]
    regularizers: dict[str, Any] = field(default_factory=dict)


RECIPES = (
    Recipe(
        "WGAN-GP",
        "the critic's estimate of W1",
        Wasserstein(),
        partial(Adam, lr=1e-4, betas=(0.5, 0.9)),
        lambda loss: -loss,
        {"penalty": GradientPenalty(10.0)},
    ),
    Recipe(
        "vanilla",
        "bound of the JS divergence, nats",
        Vanilla(),
        partial(Adam, lr=2e-4, betas=(0.5, 0.999)),
        lambda loss: log(2) - loss / 2,
    ),
)


def wasserstein(real: Tensor, fake: Tensor) -> float:
    """The Wasserstein-1 distance of two sets of as many samples (N, ...) each, by Euclidean distances."""
    costs = torch.cdist(real.flatten(1), fake.flatten(1))
    return float(costs[linear_sum_assignment(costs.numpy())].mean())


def shuffled_digits() -> Tensor:
    """The digits (1797, 1, 8, 8), in [-1, 1], in the order of seed 0, which it sets."""
    torch.manual_seed(0)
    images = as_floats(Digits().load().samples)
    return images[torch.randperm(len(images))]


def training(recipe: Recipe, iterations: int = ITERATIONS, every: int = EVERY) -> list[tuple[int, float, float]]:
    """The iteration, what the loss says and the distance of the samples, every so many iterations."""
    images = shuffled_digits()
    model = GAN(
        MLPGenerator(64, SHAPE),
        MLPDiscriminator(SHAPE),
        recipe.objective,
        recipe.optimizer,
        recipe.optimizer,
        regularizers=recipe.regularizers,
    )
    generator_optimizer, discriminator_optimizer = model.configure_optimizers()
    found = []
    for iteration in range(1, iterations + 1):
        for _ in range(N_CRITIC):
            real = images[torch.randint(len(images), (BATCH,))]
            model.discriminator_step(real, discriminator_optimizer)
        model.generator_step(real, generator_optimizer)
        if iteration % every == 0:
            with torch.no_grad():
                fake = model.generator(*model.drawn(len(images)))
                of_real, of_fake = model.adapter().both_outputs(images, fake, None)
                (loss,) = recipe.objective.discriminator(of_real.logits, of_fake.logits).values()
            found.append((iteration, recipe.distance_of(float(loss)), wasserstein(images[:MATCHED], fake[:MATCHED])))
    return found


def correlation(found: list[tuple[int, float, float]]) -> float:
    """Pearson's correlation of what a loss says and the distance, -1 to 1."""
    _, said, distances = zip(*found, strict=True)
    return float(torch.corrcoef(torch.tensor([said, distances]))[0, 1])


def floor() -> float:
    """The distance of 512 images to 512 other ones: what the best samples would have."""
    images = shuffled_digits()
    return wasserstein(images[:MATCHED], images[MATCHED : 2 * MATCHED])


def main() -> None:
    best = floor()
    print(f"distance of real images to others: {best:.2f}")
    figure = Figure(figsize=(11, 4), dpi=100, layout="constrained")
    for axes, recipe in zip(figure.subplots(1, 2), RECIPES, strict=True):
        found = training(recipe)
        print(f"{recipe.name}: correlation with the samples' distance {correlation(found):.2f}")
        for iteration, said, distance in (found[0], found[len(found) // 4 - 1], found[-1]):
            print(f"  iteration {iteration:>3}: {recipe.says} {said:.2f}, distance of the samples {distance:.2f}")
        iterations, saids, distances = zip(*found, strict=True)
        axes.plot(iterations, saids, "o-", markersize=3, color="tab:blue")
        axes.set(xlabel="iteration", ylim=(0, None), title=f"{recipe.name}: correlation {correlation(found):.2f}")
        axes.set_ylabel(recipe.says, color="tab:blue")
        beside = axes.twinx()
        beside.plot(iterations, distances, "o-", markersize=3, color="tab:red")
        beside.axhline(best, color="tab:red", linestyle=":")
        beside.text(iterations[-1], best, "real images", color="tab:red", ha="right", va="bottom")
        beside.set(ylim=(0, None))
        beside.set_ylabel("distance of 512 samples, W1", color="tab:red")
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
