"""Which GANs converge on the simplest problem there is: the table of Mescheder et al. 2018, from this package's parts.

    python docs/dirac_gan.py

The data are a point at 0, the generator is a point theta and the discriminator D(x) = psi * x (arXiv:1801.04406,
definition 2.1), so that a training is a curve in the plane (theta, psi), and (0, 0) is its only equilibrium. Each
method starts at (1, 1) and takes alternating gradient steps of the module that trains all GANs here, with plain
gradient descent. Prints where each ends, and draws the curves to docs/images/dirac_gan.png, after the paper's figure 3.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import SGD

from gan_lightning.losses.augmentations import InstanceNoise
from gan_lightning.losses.objectives import Objective, Vanilla, Wasserstein
from gan_lightning.losses.regularizers import R1, GradientPenalty, WeightClipping
from gan_lightning.networks.dirac import DiracGenerator, LinearDiscriminator
from gan_lightning.training.gan import GAN

PICTURE = Path(__file__).parent / "images" / "dirac_gan.png"
STEPS = 600
RATE = 0.1
NEAR = 0.05  # of the equilibrium, from which all start at a distance of 1.41
SAMPLES = 2  # a minibatch; all are equal, but for instance noise
NOISY = 4096


@dataclass(frozen=True)
class Method:
    """A row of the table. `converges` is what the paper says (its sections 2 and 3, and figure 3).

    The non-saturating GAN's curve does shrink, but slower than any exponential: its Jacobian has imaginary eigenvalues.
    """

    name: str
    objective: Objective
    converges: bool
    regularizers: dict[str, Any] = field(default_factory=dict)
    n_critic: int = 1
    samples: int = SAMPLES


METHODS = (
    Method("GAN (minimax)", Vanilla(saturating=True), False),
    Method("GAN (non-saturating)", Vanilla(), False),
    Method("WGAN", Wasserstein(), False),
    Method("WGAN, clipped", Wasserstein(), False, {"clip": WeightClipping(1.0)}, n_critic=5),
    Method("WGAN-GP", Wasserstein(), False, {"gradient_penalty": GradientPenalty(0.1)}, n_critic=5),
    Method(
        "GAN (minimax), instance noise", Vanilla(saturating=True), True, {"noise": InstanceNoise(0.7)}, samples=NOISY
    ),
    Method("GAN (minimax), R1", Vanilla(saturating=True), True, {"r1": R1(1.0)}),
    Method("GAN (non-saturating), R1", Vanilla(), True, {"r1": R1(1.0)}),
)


def trajectory(method: Method, steps: int = STEPS) -> Tensor:
    """The points (theta, psi) of a training: (steps + 1, 2)."""
    torch.manual_seed(0)
    descent = partial(SGD, lr=RATE)
    model = GAN(
        DiracGenerator(1, [1]),
        LinearDiscriminator([1]),
        method.objective,
        descent,
        descent,
        regularizers=method.regularizers,
    )
    generator_optimizer, discriminator_optimizer = model.configure_optimizers()
    real = torch.zeros(method.samples, 1)
    weights = [*model.generator.parameters(), *model.discriminator.parameters()]
    points = [nn.utils.parameters_to_vector(weights).detach()]
    for step in range(steps):
        for update in range(method.n_critic):
            model.discriminator_step(real, discriminator_optimizer, number=step * method.n_critic + update)
        model.generator_step(real, generator_optimizer)
        points.append(nn.utils.parameters_to_vector(weights).detach())
    return torch.stack(points)


def distance(points: Tensor) -> float:
    """The largest distance from the equilibrium in the last tenth of a training."""
    return float(points[-len(points) // 10 :].norm(dim=1).max())


def main() -> None:
    figure = Figure(figsize=(12, 6.4), dpi=100, layout="constrained")
    for axes, method in zip(figure.subplots(2, 4).flat, METHODS, strict=True):
        points = trajectory(method)
        end = distance(points)
        found = "converges" if end < NEAR else "does not converge"
        print(f"{method.name:<40} {found:<18} distance at the end {end:.2g}")
        axes.plot(points[:, 0], points[:, 1], linewidth=0.5)
        axes.plot(1, 1, "o", color="black", markersize=4)
        axes.plot(0, 0, "+", color="red", markersize=10)
        axes.set(
            title=f"{method.name}\n{found}", xlabel="theta", ylabel="psi", aspect="equal", xlim=(-2, 2), ylim=(-2, 2)
        )
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
