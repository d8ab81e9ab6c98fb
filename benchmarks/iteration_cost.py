"""What an iteration costs here, against the best plain loop over the same networks: CPU time, everything switched on.

    make bench
    python benchmarks/iteration_cost.py [--root DIR] [--blocks 25] [--only ring,tiny] [--threads 1] [OVERRIDE …]

A run of this project, with all that a user has by default, and plain loops take turns in one process, a block of
iterations each, so that a noisy machine treats them alike. The time is that of the thread that trains, on one thread of
torch. The loops are written out as a researcher would write them who knows how: images in memory as floats, fused Adam,
fakes of the critic's updates without a graph, real and fake in one call, no logging, no average. One has torch's own
setting of matrix products, "highest"; another has the run's. Printed are the medians of the blocks' ratios, with the
quartiles, and the ratio of all blocks together, which has the evaluations, pictures and checkpoints that are in a few
blocks only.

MNIST is read where it lies in `--root`; elsewhere random images of its shape take its place, which cost the same.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.nn import functional

from gan_lightning.config.compose import compose
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.data.toys import Ring
from gan_lightning.runs.hardware import silence, spare_cuda_lookups
from gan_lightning.runs.run import Prepared, prepare, train
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.training.hooks import callbacks_of

WARM_UP = 30
SHAPES = {"mnist": (1, 28, 28), "colour": (3, 32, 32), "tiny": (1, 8, 8), "ring": (2,)}
WIDTHS = {"mnist": 128, "tiny": 16}


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    loss: str  # wgan_gp or vanilla
    network: str  # mlp, toy or dcgan
    data: str  # a key of SHAPES
    iterations: int  # of a block

    @property
    def name(self) -> str:
        return f"{self.loss} {self.network} {self.data}"


CASES = (
    Case("wgan_gp", "mlp", "mnist", 50),
    Case("vanilla", "mlp", "mnist", 150),
    Case("wgan_gp", "dcgan", "colour", 4),
    Case("wgan_gp", "mlp", "tiny", 100),
    Case("vanilla", "mlp", "tiny", 300),
    Case("vanilla", "toy", "ring", 150),
)


def plain_mlp(latent_dim: int, shape: Sequence[int], width: int) -> tuple[nn.Module, nn.Module]:
    """z -> 128 -> 256 -> 512 -> 1024 -> image with batch normalisation, and image -> 512 -> 256 -> 128 -> 1."""
    numbers = int(np.prod(shape))
    layers: list[nn.Module] = []
    before = latent_dim
    for after in (width, 2 * width, 4 * width, 8 * width):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
        before = after
    generator = nn.Sequential(*layers, nn.Linear(before, numbers), nn.Tanh(), nn.Unflatten(1, tuple(shape)))
    layers, before = [nn.Flatten()], numbers
    for after in (4 * width, 2 * width, width):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2, inplace=True)]
        before = after
    return generator, nn.Sequential(*layers, nn.Linear(before, 1), nn.Flatten(0))


def plain_toy() -> tuple[nn.Module, nn.Module]:
    """Three hidden layers of 128 each, for points in the plane."""

    def hidden(activation: Callable[[], nn.Module]) -> list[nn.Module]:
        sizes = ((2, 128), (128, 128), (128, 128))
        return [layer for before, after in sizes for layer in (nn.Linear(before, after), activation())]

    generator = nn.Sequential(*hidden(partial(nn.ReLU, inplace=True)), nn.Linear(128, 2))
    discriminator = nn.Sequential(*hidden(partial(nn.LeakyReLU, 0.2, inplace=True)), nn.Linear(128, 1), nn.Flatten(0))
    return generator, discriminator


def plain_dcgan(latent_dim: int) -> tuple[nn.Module, nn.Module]:
    """For 3x32x32, with a critic that has no normalisation."""
    up = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)
    down = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)
    generator = nn.Sequential(
        *(nn.Linear(latent_dim, 256 * 16, bias=False), nn.Unflatten(1, (256, 4, 4))),
        *(nn.BatchNorm2d(256), nn.ReLU(inplace=True)),
        *(up(256, 128, bias=False), nn.BatchNorm2d(128), nn.ReLU(inplace=True)),
        *(up(128, 64, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)),
        *(up(64, 3), nn.Tanh()),
    )
    discriminator = nn.Sequential(
        *(down(3, 64), nn.LeakyReLU(0.2, inplace=True)),
        *(down(64, 128), nn.LeakyReLU(0.2, inplace=True)),
        *(down(128, 256), nn.LeakyReLU(0.2, inplace=True)),
        *(nn.Flatten(), nn.Linear(256 * 16, 1), nn.Flatten(0)),
    )
    return generator, discriminator


def plain_networks(case: Case, latent_dim: int) -> tuple[nn.Module, nn.Module]:
    if case.network == "dcgan":
        return plain_dcgan(latent_dim)
    return plain_toy() if case.network == "toy" else plain_mlp(latent_dim, SHAPES[case.data], WIDTHS[case.data])


def minibatches(samples: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Random minibatches of floats, for ever."""
    while True:
        for indices in torch.randperm(len(samples)).split(batch_size):
            if len(indices) == batch_size:
                yield samples[indices]


def plain_loop(
    case: Case,
    latent_dim: int,
    samples: Tensor,
    batch_size: int,
    networks: tuple[nn.Module, nn.Module] | None = None,
) -> Callable[[int], None]:
    """A function that trains so many iterations of a GAN of its own, or of `networks`, written out."""
    generator, discriminator = networks or plain_networks(case, latent_dim)
    batches = minibatches(samples, batch_size)
    adam = partial(torch.optim.Adam, lr=1e-4 if case.loss == "wgan_gp" else 2e-4, betas=(0.5, 0.9), fused=True)
    generator_optimizer, discriminator_optimizer = adam(generator.parameters()), adam(discriminator.parameters())
    ones, zeros = torch.ones(batch_size), torch.zeros(batch_size)
    entropy = functional.binary_cross_entropy_with_logits

    def penalty(real: Tensor, fake: Tensor) -> Tensor:
        epsilon = torch.rand(batch_size, *[1] * (real.ndim - 1))
        mixed = torch.lerp(fake, real, epsilon).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(mixed).sum(), mixed, create_graph=True)
        distances: Tensor = gradient.flatten(1).norm(dim=1) - 1
        return 10 * distances.square().mean()

    def discriminator_step() -> None:
        real = next(batches)
        with torch.no_grad():
            fake = generator(torch.randn(batch_size, latent_dim))
        of_real, of_fake = discriminator(torch.cat([real, fake])).chunk(2)
        if case.loss == "wgan_gp":
            loss = of_fake.mean() - of_real.mean() + penalty(real, fake)
        else:
            loss = entropy(of_real, ones) + entropy(of_fake, zeros)
        discriminator_optimizer.zero_grad()
        loss.backward()
        discriminator_optimizer.step()

    def generator_step() -> None:
        discriminator.requires_grad_(False)
        of_fake = discriminator(generator(torch.randn(batch_size, latent_dim)))
        loss = -of_fake.mean() if case.loss == "wgan_gp" else entropy(of_fake, ones)
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        discriminator.requires_grad_(True)

    def run(iterations: int) -> None:
        for _ in range(iterations):
            for _ in range(5 if case.loss == "wgan_gp" else 1):
                discriminator_step()
            generator_step()

    run.networks = (generator, discriminator)  # type: ignore[attr-defined]
    return run


class Turns(IterationCallback):
    """Lets plain loops train a block of iterations each after every block of the run's."""

    def __init__(
        self,
        iterations: int,
        loops: dict[str, Callable[[int], None]],
        clock: Callable[[], float] = time.thread_time,
        warm_up: int = WARM_UP,
    ) -> None:
        self.iterations, self.loops, self.clock, self.warm_up = iterations, loops, clock, warm_up
        self.seconds: dict[str, list[float]] = {name: [] for name in ("here", *loops)}

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        self.started = self.clock()

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        return (completed - self.warm_up) % self.iterations == 0

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        taken = self.clock() - self.started
        if trainer.global_step > self.warm_up:
            self.seconds["here"].append(taken)
        own = torch.get_float32_matmul_precision()
        for name, loop in self.loops.items():
            torch.set_float32_matmul_precision("highest" if name == "plain" else own)
            loop(1)  # which warms the caches again
            started = self.clock()
            loop(self.iterations)
            if trainer.global_step > self.warm_up:
                self.seconds[name].append(self.clock() - started)
        torch.set_float32_matmul_precision(own)
        self.started = self.clock()


def overrides_of(case: Case, root: Path | None, folder: Path) -> list[str]:
    """The data and the networks of a case; images that aren't there are made up in the folder."""
    if case.data == "ring":
        return ["dataset=ring"]
    network = [f"network={case.network}"]
    if case.data == "tiny":
        widths = [f"network.{each}.hidden_dim={WIDTHS['tiny']}" for each in ("generator", "discriminator")]
        return ["dataset=digits", *network, *widths]
    if case.data == "mnist" and root is not None and (root / "MNIST").is_dir():
        return ["dataset=mnist", f"dataset.root={root}", *network]
    shape = SHAPES[case.data]
    file = folder / f"{case.data}.npy"
    np.save(file, np.random.default_rng(0).integers(0, 256, (10000, *shape), dtype=np.uint8))
    return ["dataset=array", f"dataset.root={file}", f"dataset.sample_shape={list(shape)}", *network]


def real_samples(case: Case, prepared: Prepared) -> Tensor:
    """The run's own data as floats."""
    if case.data == "ring":
        return Ring().load().samples
    return prepared.parts.data.loaded.as_floats().samples


def measure(case: Case, options: argparse.Namespace, overrides: Sequence[str]) -> dict[str, list[float]]:
    """The seconds an iteration of each contestant, block by block."""
    with tempfile.TemporaryDirectory() as folder:
        steps = WARM_UP + options.blocks * case.iterations
        given = [f"loss={case.loss}", *overrides_of(case, options.root, Path(folder)), f"threads={options.threads}"]
        given += [f"trainer.max_steps={steps}", "trainer.accelerator=cpu", *overrides]
        config = compose(Sources("train"), given, TRAINING)
        del config.hydra
        turns = run_in_turns(case, config, Path(folder) / "run")
    return {name: [each / case.iterations for each in seconds] for name, seconds in turns.seconds.items()}


def run_in_turns(case: Case, config: DictConfig, folder: Path) -> Turns:
    folder.mkdir()
    prepared = prepare(config, folder)
    assert isinstance(prepared, Prepared)
    model, data = prepared.parts.model, prepared.parts.data
    samples = real_samples(case, prepared)
    kinds = ("plain", "plain, same setting")
    loops = {name: plain_loop(case, model.generator.latent_dim, samples, data.batch_size) for name in kinds}
    for loop in loops.values():
        plain = [[p.shape for p in each.parameters()] for each in loop.networks]  # type: ignore[attr-defined]
        assert plain == [[p.shape for p in each.parameters()] for each in (model.generator, model.discriminator)]
    turns = Turns(case.iterations, loops)
    callbacks_of(prepared.trainer).append(turns)
    train(config, folder, prepared)
    return turns


def row(case: Case, seconds: dict[str, list[float]]) -> str:
    here = seconds["here"]
    cells = [case.name, f"{statistics.median(here) * 1000:.2f}"]
    for name, others in seconds.items():
        if name != "here":
            ratios = [ours / other for ours, other in zip(here, others, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            cells += [f"{middle:.3f} ({low:.3f} to {high:.3f})", f"{sum(here) / sum(others):.3f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="where MNIST lies")
    parser.add_argument("--blocks", type=int, default=25)
    parser.add_argument("--only", default="", help="the rows whose names have one of these words")
    parser.add_argument("--threads", type=int, default=1)
    options, overrides = parser.parse_known_args()
    silence()
    spare_cuda_lookups()
    words = options.only.split(",")
    print("| run | ms | to plain | all | to plain, same setting | all |\n| --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        if any(word in case.name for word in words):
            print(row(case, measure(case, options, overrides)), flush=True)


if __name__ == "__main__":
    main()
