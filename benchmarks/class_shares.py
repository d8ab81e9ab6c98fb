"""Which classes a run's samples show, by a classifier trained on the real images of the run's data set.

    python benchmarks/class_shares.py RUN [RUN …]

The classifier is a support vector machine (radial basis functions, scikit-learn's defaults) on raw pixels, trained on
up to 10,000 real images; its accuracy on up to 2,000 held-out ones is printed first. Then, for each run, the shares of
the classes among 1,000 samples of seed 0.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from sklearn.svm import SVC
from torch import Tensor

from gan_lightning import load_generator
from gan_lightning.config.build import build
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.rounds import to_unit_range

TRAINING, HELD_OUT = 10_000, 2_000


def train_classifier(config: DictConfig) -> tuple[Any, float]:
    """A classifier of the config's data set, and its accuracy on real images it has not seen (0 to 1)."""
    data: GANDataModule = build(config, "data")
    images, labels = to_unit_range(data.loaded).flatten(1), data.labels
    if labels is None:
        raise SystemExit("the data set has no labels")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    held_out = order[: min(HELD_OUT, len(images) // 5)]
    training = order[len(held_out) :][:TRAINING]
    classifier = SVC().fit(images[training].numpy(), labels[training].numpy())
    return classifier, float(classifier.score(images[held_out].numpy(), labels[held_out].numpy()))


def class_shares(classifier: Any, samples: Tensor) -> dict[int, float]:
    """The share of each real class among samples (N, C, H, W)."""
    found = classifier.predict(samples.flatten(1).numpy())
    return {int(label): float((found == label).mean()) for label in classifier.classes_}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    classifier = None
    for run in parser.parse_args().runs:
        config = OmegaConf.load(run / "config.yaml")
        assert isinstance(config, DictConfig)
        if classifier is None:
            classifier, accuracy = train_classifier(config)
            print(f"accuracy on held-out real images: {accuracy:.3f}")
        shares = class_shares(classifier, load_generator(run).sample(1000, seed=0))
        print(f"{run}: " + "  ".join(f"{label}: {share:.1%}" for label, share in shares.items()))


if __name__ == "__main__":
    main()
