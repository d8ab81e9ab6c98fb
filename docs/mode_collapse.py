"""A GAN that makes one picture, and the one override that cures it.

    python docs/mode_collapse.py

Trains `experiment=mode_collapse`, a vanilla GAN on the digits whose generator has no normalisation, with the vanilla
loss, with packs of four (PacGAN, Lin et al. 2018, arXiv:1712.04086) and with the recipe of WGAN-GP (Gulrajani et al.
2017, arXiv:1704.00028), with three seeds each. A support vector machine on raw pixels, trained on all real images,
names the digit of each of 1,000 samples of the last generator. Prints the shares of the digits and the standard
deviation of the samples as a share of the real images', and draws docs/images/mode_collapse.png.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.svm import SVC
from torch import Tensor

from gan_lightning import load_generator, train
from gan_lightning.data.sources import Digits
from gan_lightning.pictures import grid
from gan_lightning.samples import as_floats

PICTURE = Path(__file__).parent / "images" / "mode_collapse.png"
METHODS = {"vanilla": (), "packs of four": ("loss.packing=4",), "WGAN-GP": ("loss=wgan_gp",)}
SEEDS = (0, 1, 2)
SHOWN = 36


@dataclass(frozen=True)
class Outcome:
    """Samples (1000, 1, 8, 8) of a run, the shares of the ten digits among them, and their spread.

    `spread` is the standard deviation of a pixel, averaged over pixels, as a share of the real images'.
    """

    samples: Tensor
    shares: list[float]
    spread: float


def spread(images: Tensor) -> float:
    """The standard deviation of a pixel of images (N, C, H, W), averaged over pixels."""
    return float(images.std(0).mean())


def train_classifier(images: Tensor, labels: Tensor) -> Any:
    """A support vector machine on the pixels of images (N, 1, 8, 8)."""
    return SVC().fit(images.flatten(1).numpy(), labels.numpy())


def outcome(folder: Path, classifier: Any, real: Tensor, *overrides: str) -> Outcome:
    """Trains the experiment with overrides, in a folder, and looks at its last generator."""
    run = train(
        "experiment=mode_collapse",
        *overrides,
        "compatibility_warnings=false",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
        f"hydra.run.dir={folder}",
    )
    samples = load_generator(run.folder, weights="raw").sample(1000, seed=0)
    digits = classifier.predict(samples.flatten(1).numpy())
    return Outcome(samples, (np.bincount(digits, minlength=10) / len(digits)).tolist(), spread(samples) / spread(real))


def main() -> None:
    torch.set_num_threads(1)
    data = Digits().load()
    assert data.labels is not None
    real = as_floats(data.samples)
    classifier = train_classifier(real, data.labels)
    figure = Figure(figsize=(9, 5.5), dpi=100, layout="constrained")
    rows = figure.subplots(2, len(METHODS), height_ratios=(3, 2), sharey="row")
    for (pictures, bars), (name, overrides) in zip(rows.T, METHODS.items(), strict=True):
        with tempfile.TemporaryDirectory() as folder:
            found = [outcome(Path(folder) / str(seed), classifier, real, *overrides, f"seed={seed}") for seed in SEEDS]
        for seed, result in zip(SEEDS, found, strict=True):
            shares = "  ".join(f"{share:.0%}" for share in result.shares)
            print(f"{name:<14} seed {seed}  shares of 0 to 9: {shares}  spread {result.spread:.2f}")
            bars.bar(np.arange(10) + (seed - 1) * 0.27, result.shares, width=0.27, label=f"seed {seed}")
        pictures.imshow(grid(found[0].samples[:SHOWN])[0], cmap="gray")
        pictures.set(title=name, xticks=[], yticks=[])
        bars.axhline(0.1, color="grey", linestyle=":")
        bars.set(xticks=range(10), xlabel="digit", ylim=(0, 1))
    rows[1, 0].set_ylabel("share of 1,000 samples")
    rows[1, 0].legend()
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
