"""What the framework costs: one iteration here against hand-written loops over the same networks and images.

    python benchmarks/framework_cost.py [--loss wgan_gp] [--dataset digits] [--rounds 5] [OVERRIDE …]

Three contestants take turns for `--iterations` iterations, `--rounds` times, in one process, so that a noisy machine
treats them alike; printed are the medians and the ratios of each round:

    gan_lightning   this project's module and data in a Lightning Trainer, with its loggers, EMA and monitor
    bare loop       plain PyTorch: images in memory as floats, no Lightning, no logging, no EMA
    data loader     the same loop fed by a DataLoader over single images through a PIL transform, as many scripts are

The loops do what the module does: as many critic updates, the same optimizers, the same penalty.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Compose, Normalize, ToTensor

from gan_lightning.config.build import build
from gan_lightning.config.compose import compose
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.losses.regularizers import by_kind
from gan_lightning.runs.run import run_experiment
from gan_lightning.samples import as_floats
from gan_lightning.training.gan import GAN

WARM_UP = 50


class Pictures(Dataset[Tensor]):
    """Single images through PIL, as torchvision's data sets give them."""

    def __init__(self, images: Tensor) -> None:
        mode = "L" if images.shape[1] == 1 else "RGB"
        arrays = images.permute(0, 2, 3, 1).squeeze(-1).numpy()
        self.pictures = [Image.fromarray(array, mode) for array in arrays]
        self.transform = Compose([ToTensor(), Normalize([0.5], [0.5])])

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        image: Tensor = self.transform(self.pictures[index])
        return image


def minibatches(images: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Random minibatches of float images, for ever."""
    while True:
        for indices in torch.randperm(len(images)).split(batch_size):
            if len(indices) == batch_size:
                yield images[indices]


def for_ever(loader: DataLoader[Tensor]) -> Iterator[Tensor]:
    while True:
        yield from loader


def bare_loop(model: GAN, batches: Iterator[Tensor]) -> Callable[[int], None]:
    """The module's algorithm as a plain loop over its networks, objective and regularizers."""
    generator, discriminator, objective = model.generator, model.discriminator, model.objective
    generator_optimizer, discriminator_optimizer = model.configure_optimizers()
    adapter, regularizers = model.adapter(), by_kind(model.regularizers)
    latent_dim = generator.latent_dim

    def run(iterations: int) -> None:
        for iteration in range(iterations):
            for _ in range(model.critic_updates.updates(iteration)):
                for projection in regularizers.projections.values():
                    projection.project(discriminator)
                real = next(batches)
                with torch.no_grad():
                    fake = generator(model.latents.draw(len(real), latent_dim))
                of_real, of_fake = adapter.both_outputs(real, fake, None)
                loss = objective.discriminator(of_real.logits, of_fake.logits)["adversarial"]
                for penalty in regularizers.penalties.values():
                    loss = loss + penalty.penalty(discriminator, real, fake)[0]
                discriminator_optimizer.zero_grad()
                loss.backward()
                discriminator_optimizer.step()
            discriminator.requires_grad_(False)
            fake = generator(model.latents.draw(len(real), latent_dim))
            loss = objective.generator(discriminator(fake))["adversarial"]
            generator_optimizer.zero_grad()
            loss.backward()
            generator_optimizer.step()
            discriminator.requires_grad_(True)

    return run


def framework(config: DictConfig) -> float:
    """Seconds an iteration of a run of this project takes, its start and its end left out."""
    with tempfile.TemporaryDirectory() as folder:
        run = run_experiment(config, Path(folder))
        return run.metrics["progress/seconds"] / run.iteration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", default="vanilla")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options, overrides = parser.parse_known_args()
    overrides += [f"loss={options.loss}", f"dataset={options.dataset}", f"trainer.max_steps={options.iterations}"]
    overrides += ["trainer.enable_progress_bar=false", "loss.critic_updates.boost=0", "samples.every=1000000"]
    config = compose(Sources("train"), overrides, TRAINING)
    del config.hydra
    torch.set_num_threads(config.threads or torch.get_num_threads())  # for the loops as for the run
    data: GANDataModule = build(config, "data")
    images = data.loaded.samples
    loader = DataLoader(Pictures(images), data.batch_size, shuffle=True, drop_last=True)
    loops = {
        "bare loop": bare_loop(build(config, "model"), minibatches(as_floats(images), data.batch_size)),
        "data loader": bare_loop(build(config, "model"), for_ever(loader)),
    }
    times: dict[str, list[float]] = {"gan_lightning": [], **{name: [] for name in loops}}
    for loop in loops.values():
        loop(WARM_UP)
    for _ in range(options.rounds):
        times["gan_lightning"].append(framework(config))
        for name, loop in loops.items():
            started = time.perf_counter()
            loop(options.iterations)
            times[name].append((time.perf_counter() - started) / options.iterations)
    for name, seconds in times.items():
        ratios = [ours / other for ours, other in zip(times["gan_lightning"], seconds, strict=True)]
        print(
            f"{name:<14} {statistics.median(seconds) * 1000:7.2f} ms an iteration;"
            f" gan_lightning takes {statistics.median(ratios):.2f} of it ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
