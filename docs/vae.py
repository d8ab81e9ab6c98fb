"""z as a code and z as noise: a variational auto-encoder beside a GAN.

    python docs/vae.py                                      # draws docs/images/vae.png
    python docs/vae.py vae.safetensors                      # and leaves the decoder as a generator file
    python -m gan_lightning sample run=vae.safetensors      # which samples, walks and edits like any other

The auto-encoder is that of the course "Build Basic GANs" (Kingma and Welling 2014, arXiv:1312.6114): a discriminator of
the course 16 wide, whose outputs are a mean and a log-variance for each of 32 latents, and its generator 64 wide with a
sigmoid at the end. Adam at 2e-3 minimises, summed over a minibatch, the cross-entropy of the pixels in [0, 1] and the
divergence of the codes from the prior, KL(N(mean, variance) || N(0, 1)). The course passes 10 times over MNIST with
minibatches of 1,024. Here it is 40 times over scikit-learn's 1,500 digits enlarged to 28x28, with minibatches of 64.
The GAN is the default one, of perceptrons, with 64 latents and as many iterations as digits have by default.

The picture: held-out digits, their reconstructions from the mean of their codes, and a walk between two of those codes;
then what both generators make of noise, and a walk of the GAN's between two latents, which are nobody's code. Prints,
for both, metrics of 2,000 samples against the training images, and how well held-out images come back from their codes.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from gan_lightning import GANDataModule, Sampler, load_generator, train
from gan_lightning.data import Digits
from gan_lightning.metrics import ClassCoverage, Classifier, FrechetDistance, Metric, PrecisionRecall
from gan_lightning.networks import CourseDiscriminator, CourseGenerator
from gan_lightning.pictures import grid
from gan_lightning.samples import as_floats
from gan_lightning.sampling.drawing import decode
from gan_lightning.sampling.files import save_generator
from gan_lightning.watching.evaluator import Evaluator

PICTURE = Path(__file__).parent / "images" / "vae.png"
SHAPE = (1, 28, 28)
BATCH = 64
PASSES = 40
HELD_OUT = 297
SHOWN = 10  # images a row
SAMPLES = 2000
MEASURED: dict[str, Metric] = {"frechet": FrechetDistance(), "manifold": PrecisionRecall(), "classes": ClassCoverage()}
DECODER = {
    "_target_": "gan_lightning.networks.CourseGenerator",
    "latent_dim": 32,
    "sample_shape": list(SHAPE),
    "width": 64,
    "output_activation": "rescaled_sigmoid",  # pixels in [-1, 1], as everywhere here
}
PRIOR = {"_target_": "gan_lightning.sampling.Normal"}


class Code(NamedTuple):
    """The normal distribution of each image's code, N(mean, exp(log_variance)) in each latent: (N, Z) both."""

    mean: Tensor
    log_variance: Tensor

    def draw(self) -> Tensor:
        """A code (N, Z) for each image, differentiable in both (the paper's section 2.4)."""
        return self.mean + (self.log_variance / 2).exp() * torch.randn_like(self.mean)

    def divergence(self) -> Tensor:
        """KL(code || N(0, 1)) in nats, (N,): the paper's appendix B."""
        return (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).sum(1) / 2


class VAE(nn.Module):
    """An encoder and a decoder of images (N, 1, 28, 28) in [-1, 1]."""

    def __init__(self, latent_dim: int = 32, encoder_width: int = 16, decoder_width: int = 64) -> None:
        super().__init__()
        self.encoder = CourseDiscriminator(SHAPE, width=encoder_width, outputs=2 * latent_dim)
        self.decoder = CourseGenerator(latent_dim, SHAPE, decoder_width, output_activation="rescaled_sigmoid")

    def encode(self, images: Tensor) -> Code:
        """The distribution of each image's code."""
        return Code(*self.encoder(images).chunk(2, dim=1))

    def losses(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-entropy of the pixels and the divergence of the codes, nats summed over the minibatch."""
        code = self.encode(images)
        decoded = self.decoder(code.draw())
        pixels = binary_cross_entropy((decoded + 1) / 2, (images + 1) / 2, reduction="sum")
        return pixels, code.divergence().sum()


def minibatches(images: Tensor, passes: int) -> Iterator[Tensor]:
    """Each pass in an order of its own; what doesn't fill a minibatch is left out of it."""
    for _ in range(passes):
        yield from images[torch.randperm(len(images))].split(BATCH)[: len(images) // BATCH]


def train_vae(images: Tensor, passes: int = PASSES) -> VAE:
    """An auto-encoder of images in [-1, 1], from seed 0."""
    torch.manual_seed(0)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
    for minibatch in minibatches(images, passes):
        pixels, divergence = model.losses(minibatch)
        optimizer.zero_grad()
        (pixels + divergence).backward()
        optimizer.step()
    return model.eval()


def train_gan(folder: Path, *overrides: str) -> Sampler:
    """The default GAN, trained on the same images."""
    run = train(
        *("dataset=digits", "dataset.image_size=28", "trainer.accelerator=cpu", "threads=1", "samples.every=null"),
        *("evaluation.every=null", "health.every=null", "dashboard.every=null", "trainer.enable_progress_bar=false"),
        *overrides,
        f"hydra.run.dir={folder}",
    )
    return load_generator(run.folder)


def save(model: VAE, file: Path, iteration: int) -> None:
    """Writes the decoder as a generator whose latents are drawn from the prior of the codes."""
    save_generator(model.decoder, {"generator": DECODER, "latents": PRIOR}, file, iteration)


@torch.no_grad()
def error(model: VAE, images: Tensor) -> float:
    """The mean squared error of pixels, in [0, 1], of images that are decoded from the mean of their codes."""
    return float(((model.decoder(model.encode(images).mean) - images) / 2).square().mean())


@torch.no_grad()
def rows(model: VAE, sampler: Sampler, gan: Sampler, held_out: Tensor) -> dict[str, Tensor]:
    """The rows of the picture, (10, 1, 28, 28) each, by what they are."""
    shown = held_out[:SHOWN]
    codes = model.encode(shown).mean
    walk = sampler.latents.path(codes[0], codes[1], SHOWN - 1)
    return {
        "held-out images": shown,
        "decoded from their codes": model.decoder(codes),
        "VAE: from one code to another": decode(sampler.network, torch.cat([walk, codes[1:2]]), sampler.device),
        "VAE: of noise": sampler.sample(SHOWN),
        "GAN: of noise": gan.sample(SHOWN),
        "GAN: from noise to noise": gan.interpolate([0, 1], SHOWN),
    }


def draw(shown: dict[str, Tensor], path: Path) -> None:
    """The rows below each other, each with its name, as a PNG."""
    figure = Figure(figsize=(7.2, 0.52 * len(shown)), dpi=100, layout="compressed")
    for axes, (title, images) in zip(figure.subplots(len(shown), 1), shown.items(), strict=True):
        axes.imshow(grid(images, columns=len(images))[0].numpy(), cmap="gray", vmin=0, vmax=255)
        axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9)
        axes.set(xticks=[], yticks=[])
    figure.savefig(path)
    with Image.open(path) as drawn:
        drawn.convert("L").quantize(32).save(path, optimize=True)


def main(arguments: list[str], passes: int = PASSES, picture: Path = PICTURE) -> None:
    torch.set_num_threads(1)
    data = GANDataModule(Digits(), SHAPE, BATCH, held_out=HELD_OUT)
    data.setup("fit")
    images, held_out = (as_floats(data.subset(split).samples) for split in ("train", "held_out"))
    model = train_vae(images, passes)
    sampler = Sampler(model.decoder)
    with tempfile.TemporaryDirectory() as folder:
        gan = train_gan(Path(folder) / "run")
    evaluator = Evaluator(data, Classifier(), MEASURED, SAMPLES)
    for name, each in (("VAE", sampler), ("GAN", gan)):
        values = evaluator.measure(each.network, each.latents)["values"]
        print(f"{name}: " + ", ".join(f"{metric} {value:.3g}" for metric, value in values.items()))
    with torch.no_grad():
        nats = float(model.encode(held_out).divergence().mean())
    print(f"held-out images from their codes: mean squared error {error(model, held_out):.4f}; from the mean training")
    print(f"image: {float(((images.mean(0) - held_out) / 2).square().mean()):.4f}; a code has {nats:.1f} nats")
    draw(rows(model, sampler, gan, held_out), picture)
    if arguments:
        save(model, Path(arguments[0]), passes * (len(images) // BATCH))


if __name__ == "__main__":
    main(sys.argv[1:])
