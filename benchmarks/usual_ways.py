"""What an iteration of WGAN-GP costs as it is usually written, against the best plain loop.

    python benchmarks/usual_ways.py [--blocks 8] [--iterations 20] [--threads 1]

Two ways. The LightningModule is that of tutorials: optimizers toggled, the fakes of the critic's step made with their
graph, real and fake scored in two calls, three values logged at each batch, a DataLoader of single images in memory.
The script is of the kind that PyTorch-GAN (eriklindernoren/PyTorch-GAN) has for each paper, and as it is run: pictures
resized and normalised one by one in a DataLoader without workers, latents from NumPy, the critic's loss sent back into
the generator too, the generator's into the critic's weights, losses read and printed at each generator step.

Each takes turns with the loop of `iteration_cost.py` over the same networks, so that its ratio divides those printed
there: both are CPU times of the thread that trains, a block each in turn. An iteration is five batches.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import torch
from iteration_cost import SHAPES, Case, plain_loop, plain_networks
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms

from gan_lightning.runs.hardware import silence, spare_cuda_lookups

CASE = Case("wgan_gp", "mlp", "mnist", 20)
LATENT_DIM, BATCH, N_CRITIC = 64, 64, 5


class UsualModule(LightningModule):
    """WGAN-GP, the generator at every fifth batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = plain_networks(CASE, LATENT_DIM)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        networks = (self.generator, self.discriminator)
        return [torch.optim.Adam(network.parameters(), lr=1e-4, betas=(0.5, 0.9)) for network in networks]

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        alpha = torch.rand(len(real), 1, 1, 1)
        mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        logits = self.discriminator(mixed)
        (gradient,) = torch.autograd.grad(logits, mixed, torch.ones_like(logits), create_graph=True)
        penalty: Tensor = ((gradient.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
        return penalty

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        (real,) = batch
        generator_optimizer, discriminator_optimizer = cast("list[LightningOptimizer]", self.optimizers())
        self.toggle_optimizer(discriminator_optimizer)
        fake = self.generator(torch.randn(len(real), LATENT_DIM))
        penalty = self.penalty(real, fake.detach())
        loss = self.discriminator(fake.detach()).mean() - self.discriminator(real).mean() + 10 * penalty
        discriminator_optimizer.zero_grad()
        self.manual_backward(loss)
        discriminator_optimizer.step()
        self.untoggle_optimizer(discriminator_optimizer)
        self.log_dict({"d_loss": loss, "penalty": penalty}, prog_bar=True)
        if (batch_idx + 1) % N_CRITIC == 0:
            self.toggle_optimizer(generator_optimizer)
            loss = -self.discriminator(self.generator(torch.randn(len(real), LATENT_DIM))).mean()
            generator_optimizer.zero_grad()
            self.manual_backward(loss)
            generator_optimizer.step()
            self.untoggle_optimizer(generator_optimizer)
            self.log("g_loss", loss, prog_bar=True)


class Turns(Callback):
    """Lets the plain loop train a block after each of the module's."""

    def __init__(self, iterations: int, loop: Callable[[int], None]) -> None:
        self.iterations, self.loop = iterations, loop
        self.ratios: list[float] = []
        self.started = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        done, rest = divmod(batch_idx + 1, self.iterations * N_CRITIC)
        if rest:
            return
        taken = time.thread_time() - self.started
        self.loop(1)
        started = time.thread_time()
        self.loop(self.iterations)
        if done > 1:  # the first block warms up
            self.ratios.append(taken / (time.thread_time() - started))
        self.started = time.thread_time()


class Pictures(Dataset[Tensor]):
    """Grey pictures as files give them, each made a tensor when it is asked for."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        size = pixels.shape[1]
        steps = [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        picture: Tensor = self.transform(Image.fromarray(self.pixels[index]))
        return picture


def usual_script(pixels: np.ndarray) -> Callable[[int], None]:
    """A function that trains so many iterations, written as a script for one paper is."""
    generator, discriminator = plain_networks(CASE, LATENT_DIM)
    adam = partial(torch.optim.Adam, lr=1e-4, betas=(0.5, 0.999))
    generator_optimizer, discriminator_optimizer = adam(generator.parameters()), adam(discriminator.parameters())
    loader = DataLoader(Pictures(pixels), BATCH, shuffle=True, drop_last=True)
    batches = (real for _ in itertools.count() for real in loader)

    def penalty(real: Tensor, fake: Tensor) -> Tensor:
        alpha = torch.tensor(np.random.random((len(real), 1, 1, 1)), dtype=torch.float32)
        mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        logits = discriminator(mixed)
        (gradient,) = torch.autograd.grad(logits, mixed, torch.ones_like(logits), create_graph=True, retain_graph=True)
        value: Tensor = ((gradient.view(len(real), -1).norm(2, dim=1) - 1) ** 2).mean()
        return value

    def run(iterations: int) -> None:
        for _ in range(iterations):
            for _ in range(N_CRITIC):
                real = next(batches)
                discriminator_optimizer.zero_grad()
                latents = torch.tensor(np.random.normal(0, 1, (len(real), LATENT_DIM)), dtype=torch.float32)
                fake = generator(latents)
                loss = discriminator(fake).mean() - discriminator(real).mean()
                loss = loss + 10 * penalty(real, fake.detach())
                loss.backward()
                discriminator_optimizer.step()
            generator_optimizer.zero_grad()
            of_generator = -discriminator(generator(latents)).mean()
            of_generator.backward()
            generator_optimizer.step()
            print(f"[D loss: {loss.item():f}] [G loss: {of_generator.item():f}]", file=sys.stderr)

    return run


def ratios_of_script(options: argparse.Namespace, loop: Callable[[int], None]) -> list[float]:
    """Those of its blocks to the loop's."""
    rng = np.random.default_rng(0)
    script = usual_script(rng.integers(0, 256, (10_000, *SHAPES[CASE.data][1:]), dtype=np.uint8))
    ratios = []
    for block in range(options.blocks + 1):
        seconds = []
        for way in (script, loop):
            way(1)
            started = time.thread_time()
            way(options.iterations)
            seconds.append(time.thread_time() - started)
        if block:  # the first warms up
            ratios.append(seconds[0] / seconds[1])
    return ratios


def ratios_of_module(options: argparse.Namespace, loop: Callable[[int], None], samples: Tensor) -> list[float]:
    """The same of the module's blocks."""
    turns = Turns(options.iterations, loop)
    batches = (options.blocks + 1) * options.iterations * N_CRITIC
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=1,
            callbacks=[turns],
            default_root_dir=folder,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        sampler = torch.utils.data.RandomSampler(samples, replacement=True, num_samples=batches * BATCH)
        trainer.fit(UsualModule(), DataLoader(TensorDataset(samples), BATCH, sampler=sampler))
    return turns.ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    silence()
    spare_cuda_lookups()
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    torch.set_num_threads(options.threads)
    samples = torch.rand(10_000, *SHAPES[CASE.data]) * 2 - 1
    loop = plain_loop(CASE, LATENT_DIM, samples, BATCH)
    ratios = {
        "a usual LightningModule": ratios_of_module(options, loop, samples),
        "a usual script": ratios_of_script(options, loop),
    }
    for way, each in ratios.items():
        low, middle, high = statistics.quantiles(each, n=4)
        print(f"{way} to plain: {middle:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
