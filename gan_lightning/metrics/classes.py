"""Which classes generated samples fall to, and whether a classifier can be trained on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from gan_lightning.metrics.classifier import train_classifier
from gan_lightning.metrics.extractor import FeatureNetwork
from gan_lightning.metrics.matrices import as_matrix, check_finite
from gan_lightning.metrics.observed import Observed


def class_shares(logits: Float[Tensor, "n k"]) -> Float64[Tensor, " k"]:
    """The share of samples with logits (N, K) that fall to each class, by the largest logit: (K,), float64."""
    logits = as_matrix(logits, "logits")
    return torch.bincount(logits.argmax(1), minlength=logits.shape[1]).double() / len(logits)


def class_kl(generated: Float[Tensor, " k"], real: Float[Tensor, " k"]) -> float:
    """KL(generated || real) in nats of two distributions of classes (K,): infinite for a generated class without share
    among the real ones.

    The order of Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, table 2, and of PacGAN. Samples of the real
    distribution itself have about (K - 1) / 2N, and more for the classifier's mistakes.
    """
    return float((torch.special.xlogy(generated, generated) - torch.special.xlogy(generated, real)).sum())


@dataclass(frozen=True)
class ClassCoverage:
    """How many classes have a generated sample, how unevenly they have them, and the share of the smallest.

    Classes are those of a classifier of the real labels, which must know each of them.
    """

    higher_is_better: ClassVar[Mapping[str, bool | None]] = {
        "classes_covered": True,
        "class_kl": False,
        "smallest_class_share": True,
    }
    slow: ClassVar[bool] = False

    def missing(self, real: Observed, fake: Observed) -> str | None:
        if real.labels is None:
            return "labels of classes"
        if fake.logits is None or not fake.own_classes:
            return "logits of the data set's classes"
        classes = fake.logits.shape[1]
        known = real.labels.unique()
        return None if torch.equal(known, torch.arange(classes)) else f"real samples of each of {classes} classes"

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        assert real.labels is not None
        assert fake.logits is not None
        shares = class_shares(fake.logits)
        of_real = torch.bincount(real.labels, minlength=len(shares)).double() / len(real)
        return {
            "classes_covered": float((shares > 0).sum()),
            "class_kl": class_kl(shares, of_real),
            "smallest_class_share": float(shares.min()),
        }


def trained_accuracy(samples: Tensor, labels: Int64[Tensor, " n"], unseen: Observed | None, seed: int) -> float:
    """The share of unseen real samples that a classifier gets right that is trained on samples (N, ...) with labels."""
    assert unseen is not None
    assert unseen.labels is not None
    check_finite(samples, "generated samples")
    classes = 1 + int(torch.cat([labels, unseen.labels]).max())
    network = FeatureNetwork("", train_classifier(samples, labels, classes, seed))
    _, logits = network(unseen.samples)
    assert logits is not None
    return float((logits.argmax(1) == unseen.labels).double().mean())


def mixture_accuracy(real: Observed, fake: Observed, share: float, seed: int) -> float:
    """The same of a classifier that is trained on a mixture, of which a share of 0 to 1 are real samples.

    Mixtures have as many samples as the smaller of the two sets, whatever the share: a real one more is a generated one
    less. Which ones, and the classifier's weights, are drawn by the seed.
    """
    assert real.labels is not None
    assert fake.labels is not None
    count = min(len(real), len(fake))
    source = torch.Generator().manual_seed(seed)
    own = torch.randperm(len(real), generator=source)[: round(share * count)]
    made = torch.randperm(len(fake), generator=source)[: count - len(own)]
    samples = torch.cat([real.samples[own], fake.samples[made].to(real.samples.dtype)])
    return trained_accuracy(samples, torch.cat([real.labels[own], fake.labels[made]]), real.unseen, seed)


@dataclass(frozen=True)
class ClassifierAccuracy:
    """Classification accuracy score, 0 to 1: a classifier is trained on generated samples with the labels that they
    were asked for, and tested on real ones that the generator wasn't trained on.

    Ravuri & Vinyals 2019, arXiv:1905.10887, section 3, with a small network in place of the paper's ResNet-50.
    """

    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"classifier_accuracy_score": True}
    slow: ClassVar[bool] = True

    def missing(self, real: Observed, fake: Observed) -> str | None:
        if fake.labels is None:
            return "labels of classes of generated samples"
        return None if real.unseen and real.unseen.labels is not None else "unseen real samples with labels"

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        assert fake.labels is not None
        return {"classifier_accuracy_score": trained_accuracy(fake.samples, fake.labels, real.unseen, seed)}
