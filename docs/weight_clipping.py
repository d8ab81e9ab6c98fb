"""What weight clipping does to a critic, and a gradient penalty does not: figure 1 of WGAN-GP, Gulrajani et al. 2017.

    python docs/weight_clipping.py

The generator stays as it is: the data and Gaussian noise of unit variance. Critics are trained against it by the module
that trains all GANs here. Drawn to docs/images/weight_clipping.png are, after arXiv:1704.00028,

- the value surfaces of critics with clipped weights (above) and with a gradient penalty (below) on eight and 25
  Gaussians and the Swiss roll (its figure 1a): clipped, they are simple functions that miss the modes. The penalty has
  the weight of the paper's code, 0.1, so that slopes may well be above 1;
- the norm of the loss's gradient at the outputs of each layer of a critic of 12 layers on the Swiss roll (figure 1b,
  left): with clipping it grows or shrinks exponentially on its way back to the data;
- the weights of the surfaces' critics on the Swiss roll (figure 1b, right): clipped, they pile up at the bounds.

Prints the numbers. Deviations from the paper's code (igul222/improved_wgan_training, gan_toy.py): critics are 128 units
wide with LeakyReLU(0.2), not 512 with ReLU; 2,000 updates at learning rates of 1e-3 (Adam) and 5e-4 (RMSprop), not
500,000 at 1e-4 and 5e-5; each fake comes from another
sample than the real one it is paired with.
"""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn
from torch.optim import Adam, RMSprop

from gan_lightning.data.sources import Source
from gan_lightning.data.toys import Grid, Ring, SwissRoll
from gan_lightning.losses.objectives import Wasserstein
from gan_lightning.losses.regularizers import GradientPenalty, WeightClipping, by_kind
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.mlp import MLPDiscriminator
from gan_lightning.training.gan import GAN

PICTURE = Path(__file__).parent / "images" / "weight_clipping.png"
COUNT = 20_000
DATA: dict[str, Source] = {  # as in conf/dataset/
    "8 Gaussians": Ring(radius=1.414427, std=0.01414427, count=COUNT),
    "25 Gaussians": Grid(spacing=0.7072136, std=0.01768034, count=COUNT),
    "Swiss roll": SwissRoll(count=COUNT),
}
BATCH = 256
WIDTH = 128
STEPS, DEEP_STEPS = 2000, 300
BOUND = 0.01
BOUNDS = (0.1, 0.01, 0.001)
LAYERS = 12
SIDE = 80  # points of a surface


class Noisy(Generator):
    """Latents z (N, 2) -> x + scale * z, with x drawn from the data and a scale of 1, which nothing trains."""

    def __init__(self, data: Tensor) -> None:
        super().__init__(2)
        self.data = data
        self.scale = nn.Parameter(torch.ones(()))

    def decode(self, inputs: Tensor, labels: Tensor | None) -> Tensor:
        return self.data[torch.randint(len(self.data), (len(inputs),))] + self.scale * inputs


class Critic(GAN):
    """The one module, of which only the discriminator's steps are taken."""

    def __init__(
        self, data: Tensor, layers: int, optimizer: Any, regularizer: GradientPenalty | WeightClipping
    ) -> None:
        super().__init__(
            Noisy(data),
            perceptron(layers),
            Wasserstein(),
            optimizer,
            optimizer,
            regularizers={"lipschitz": regularizer},
        )


def perceptron(layers: int) -> Discriminator:
    """A critic of so many linear layers with He's initial weights, as in gan_toy.py, and biases of 0."""
    critic = MLPDiscriminator([2], hidden_dim=WIDTH, blocks=layers - 1, growth=1)
    for module in critic.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=0.2)
            nn.init.zeros_(module.bias)
    return critic


def clipped(data: Tensor, bound: float = BOUND, layers: int = 4) -> Critic:
    """A WGAN's critic of data (N, 2)."""
    return Critic(data, layers, partial(RMSprop, lr=bound / 20), WeightClipping(bound))


def penalised(data: Tensor, layers: int = 4) -> Critic:
    """A WGAN-GP's critic of data (N, 2)."""
    return Critic(data, layers, partial(Adam, lr=1e-3, betas=(0.5, 0.9)), GradientPenalty(0.1))


def train(model: Critic, data: Tensor, steps: int) -> Discriminator:
    """The critic after so many updates."""
    _, optimizer = model.configure_optimizers()
    for step in range(steps):
        model.discriminator_step(data[torch.randint(len(data), (BATCH,))], optimizer, number=step)
    for projection in by_kind(model.regularizers).projections.values():
        projection.project(model.discriminator)
    return model.discriminator


def points(name: str) -> Tensor:
    """The data (20000, 2) of a name."""
    torch.manual_seed(0)
    return DATA[name].load().samples


def gradient_norms(critic: Discriminator, data: Tensor) -> list[float]:
    """The norm of the loss's gradient at the outputs of each layer, from the data's side to the value's.

    Taken in float64: float32 would round the smallest to 0.
    """
    critic, data = deepcopy(critic).double(), data.double()
    outputs: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _, __, output: outputs.append(output))
        for module in critic.modules()
        if isinstance(module, nn.Linear)
    ]
    real = data[:BATCH]
    values = critic(torch.cat([real, data[-BATCH:] + torch.randn(BATCH, 2, dtype=data.dtype)]))
    (loss,) = Wasserstein().discriminator(*values.chunk(2)).values()
    for hook in hooks:
        hook.remove()
    return [float(gradient.norm()) for gradient in torch.autograd.grad(loss, outputs)]


def share_at_bounds(critic: Discriminator, bound: float = BOUND) -> float:
    """The share of weights within a hundredth of the bound from one of them, 0 to 1."""
    return float((weights(critic).abs() > 0.99 * bound).float().mean())


def weights(critic: Discriminator) -> Tensor:
    """All weights and biases."""
    return nn.utils.parameters_to_vector(critic.parameters()).detach()


def steepness(critic: Discriminator, data: Tensor) -> float:
    """The mean norm of the value's gradient at interpolates of data and generator, where the penalty wants 1."""
    fake = data[-BATCH:] + torch.randn(BATCH, 2)
    at = torch.lerp(fake, data[:BATCH], torch.rand(BATCH, 1)).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(at).sum(), at)
    return float(slopes.norm(dim=1).mean())


def deep(data: Tensor, steps: int = DEEP_STEPS, bounds: Sequence[float] = BOUNDS) -> dict[str, list[float]]:
    """The gradient norms of critics of 12 layers, clipped and with a penalty, by name."""
    torch.manual_seed(0)
    models = {f"clipped to {bound}": clipped(data, bound, LAYERS) for bound in bounds}
    models["gradient penalty"] = penalised(data, LAYERS)
    return {name: gradient_norms(train(model, data, steps), data) for name, model in models.items()}


def draw_surface(axes: Any, critic: Discriminator, data: Tensor) -> None:
    """The critic's values, as contours, under 300 real points."""
    line = torch.linspace(-3, 3, SIDE)
    with torch.no_grad():
        surface = critic(torch.cartesian_prod(line, line)).view(SIDE, SIDE).T
    axes.contour(line, line, surface, 12, cmap="viridis", linewidths=0.8)
    axes.plot(*data[:300].T, ".", color="darkorange", markersize=2)
    axes.set(aspect="equal", xticks=[], yticks=[])


def main() -> None:
    figure = Figure(figsize=(9, 10), dpi=90, layout="constrained")
    above, below, bottom = figure.subplots(3, 3)
    critics = {}
    for name, top, low in zip(DATA, above, below, strict=True):
        data = points(name)
        for axes, method, model in (
            (top, "weights clipped", clipped(data)),
            (low, "gradient penalty", penalised(data)),
        ):
            critics[method] = train(model, data, STEPS)
            draw_surface(axes, critics[method], data)
            axes.set(title=f"{name}: {method}")
            print(
                f"{name:<13} {method:<17} mean slope between data and generator {steepness(critics[method], data):.2g}"
            )
    data = points("Swiss roll")
    for name, norms in deep(data).items():
        print(f"12 layers, {name:<17} gradient norm at the first layer {norms[0]:.1e}, at the last {norms[-1]:.1e}")
        bottom[0].plot(range(1, LAYERS + 1), norms, "o-", markersize=3, label=name)
    bottom[0].set(
        yscale="log", xlabel="layer of 12", ylabel="norm of the loss's gradient", title="critics of 12 layers"
    )
    bottom[0].legend(fontsize="small")
    for axes, (method, critic) in zip(bottom[1:], critics.items(), strict=True):
        axes.hist(weights(critic).numpy(), bins=60)
        axes.set(xlabel="weight", title=f"Swiss roll: {method}", yscale="log")
    print(f"share of the clipped weights at the bounds: {share_at_bounds(critics['weights clipped']):.2f}")
    figure.savefig(PICTURE)
    Image.open(PICTURE).quantize(64).save(PICTURE, optimize=True)  # a third of the size


if __name__ == "__main__":
    main()
