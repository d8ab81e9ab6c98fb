"""What a critic's value says about the Wasserstein-1 distance: two Gaussians on a line, whose distance is known.

    python docs/wasserstein_estimate.py

Critics are trained between N(m, s^2), the data, and N(0, s^2), a generator that stays as it is, by the module that
trains all GANs here; W1 = m. With a gradient penalty the gap of the critic's values, E f(x) - E f(G(z)), is W1 within a
few percent. With weights clipped to c the gap of a linear critic is c * W1, and a perceptron's a multiple that its
widths, its depth and c decide, at most c^layers times the product of its widths. Prints the estimates and draws them to
docs/images/wasserstein_estimate.png.

The two-sided penalty has a second optimum, the critic with its sign turned: where the first critic slopes downwards, it
is pushed to a slope of -1 before the data can turn it, and stays there. These critics start at slope 0, where the
penalty has no side. (The one-sided penalty of WGAN-LP has no such optimum.)
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.optim import Adam, RMSprop

from gan_lightning.losses.objectives import Wasserstein
from gan_lightning.losses.regularizers import GradientPenalty, WeightClipping, by_kind
from gan_lightning.networks.dirac import LinearDiscriminator
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.mlp import MLPDiscriminator
from gan_lightning.training.gan import GAN

PICTURE = Path(__file__).parent / "images" / "wasserstein_estimate.png"
DISTANCES = (0.25, 0.5, 0.75)
STD = 0.25
SAMPLES = 512
STEPS = 1000
WIDTH, BLOCKS = 64, 2
BOUND = 0.05


class Shifted(Generator):
    """Latents z (N, 1) -> mean + s * z: a generator that has nothing to learn."""

    def __init__(self, mean: float = 0.0) -> None:
        super().__init__(1)
        self.mean = torch.nn.Parameter(torch.tensor(mean))

    def decode(self, inputs: Tensor, labels: Tensor | None) -> Tensor:
        return self.mean + STD * inputs


class Critic(GAN):
    """The one module, of which only the discriminator's steps are taken."""

    def __init__(self, critic: Discriminator, optimizer: Any, regularizers: dict[str, Any]) -> None:
        super().__init__(Shifted(), critic, Wasserstein(), optimizer, optimizer, regularizers=regularizers)


def perceptron() -> Discriminator:
    """A critic whose value is 0 everywhere at first."""
    critic = MLPDiscriminator([1], hidden_dim=WIDTH, blocks=BLOCKS, growth=1)
    for parameter in critic.head.parameters():
        torch.nn.init.zeros_(parameter)
    return critic


def with_penalty() -> Critic:
    """WGAN-GP."""
    return Critic(perceptron(), partial(Adam, lr=1e-3, betas=(0.5, 0.9)), {"penalty": GradientPenalty(10.0)})


def clipped() -> Critic:
    """WGAN with clipping, the same perceptron."""
    return Critic(perceptron(), partial(RMSprop, lr=5e-4), {"clipping": WeightClipping(BOUND)})


def linear_clipped() -> Critic:
    """WGAN with clipping, f(x) = psi * x."""
    return Critic(LinearDiscriminator([1], psi=0.0), partial(RMSprop, lr=5e-4), {"clipping": WeightClipping(BOUND)})


METHODS = {"gradient penalty": with_penalty, "clipping": clipped, "clipping, linear": linear_clipped}


def estimate(mean: float, method: str, steps: int = STEPS) -> tuple[float, Discriminator]:
    """The gap of a trained critic, over 100,000 samples, and the critic."""
    torch.manual_seed(0)
    model = METHODS[method]()
    _, optimizer = model.configure_optimizers()
    for step in range(steps):
        model.discriminator_step(mean + STD * torch.randn(SAMPLES, 1), optimizer, number=step)
    for clipping in by_kind(model.regularizers).projections.values():
        clipping.project(model.discriminator)
    with torch.no_grad():
        noise = STD * torch.randn(100_000, 1)
        return float(model.discriminator(mean + noise).mean() - model.discriminator(noise).mean()), model.discriminator


def main() -> None:
    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    x = torch.linspace(-1, 2, 200).unsqueeze(1)
    left.plot(DISTANCES, DISTANCES, "k--", label="W1")
    for method in METHODS:
        found = [estimate(mean, method) for mean in DISTANCES]
        shares = "  ".join(f"{gap / mean:.4f}" for mean, (gap, _) in zip(DISTANCES, found, strict=True))
        print(f"{method:<17} estimate / W1 at W1 = {', '.join(map(str, DISTANCES))}:  {shares}")
        left.plot(DISTANCES, [gap for gap, _ in found], "o-", label=method)
        with torch.no_grad():
            right.plot(x, found[-1][1](x) - found[-1][1](x).mean(), label=method)
    left.set(xlabel="true W1", ylabel="the critic's estimate")
    right.set(xlabel="x", ylabel="f(x), centred", title=f"critics at W1 = {DISTANCES[-1]}")
    left.legend()
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
