"""Classes that samples fall to, and what is learned from them."""

import math

import pytest
import torch
from torch import nn

from gan_lightning.metrics import classes
from gan_lightning.metrics.classes import ClassCoverage, ClassifierAccuracy, class_kl, class_shares
from gan_lightning.metrics.observed import Observed


def logits(*labels, of=4):
    return torch.eye(of)[list(labels)]


def observed(labels=None, scores=None, unseen=None, count=4):
    count = len(labels) if labels is not None else count
    return Observed(torch.zeros(count, 2), torch.zeros(count, 2), scores, labels, unseen=unseen)


def shares(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_shares():
    assert class_shares(logits(0, 0, 2, 3)).tolist() == [0.5, 0, 0.25, 0.25]


def test_kl_is_of_the_generated_from_the_real():
    assert class_kl(shares(1, 0), shares(0.25, 0.75)) == pytest.approx(math.log(4))
    assert class_kl(shares(0.5, 0.5), shares(0.25, 0.75)) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert class_kl(shares(0.3, 0.7), shares(0.3, 0.7)) == 0
    assert class_kl(shares(0.5, 0.5), shares(1, 0)) == math.inf
    assert class_kl(shares(1, 0), shares(1, 0)) == 0


def test_coverage():
    real = observed(torch.tensor([0, 1, 2, 3, 3, 3, 3, 3]))
    assert ClassCoverage().measure(real, observed(scores=logits(0, 0, 3, 3))) == {
        "classes_covered": 2,
        "class_kl": pytest.approx(0.5 * math.log(4) + 0.5 * math.log(0.8)),
        "smallest_class_share": 0.0,
    }
    uneven = ClassCoverage().measure(real, observed(scores=logits(0, 1, 2, 3, 3)))
    assert (uneven["classes_covered"], uneven["smallest_class_share"]) == (4, 0.2)


@pytest.mark.parametrize(
    ("labels", "scores", "lacks"),
    [
        (None, logits(0), "labels of classes"),
        (torch.arange(4), None, "logits of the data set's classes"),
        (torch.arange(3), logits(0), "real samples of each of 4 classes"),
        (torch.tensor([0, 1, 3]), logits(0), "real samples of each of 4 classes"),
        (torch.arange(4), logits(0, of=1008), "real samples of each of 1008 classes"),
        (torch.arange(4), logits(0), None),
    ],
    ids=["labels", "logits", "last class", "class", "other classes", "nothing"],
)
def test_coverage_lacks(labels, scores, lacks):
    assert ClassCoverage().missing(observed(labels), observed(scores=scores)) == lacks


class Threshold(nn.Module):
    """Class 1 for a first coordinate above 0."""

    def forward(self, samples):
        return samples, torch.stack([-samples[:, 0], samples[:, 0]], dim=1)


def test_accuracy_is_of_unseen_samples(monkeypatch):
    trained_on = []

    def train_classifier(*arguments):
        trained_on.append(arguments)
        return Threshold()

    monkeypatch.setattr(classes, "train_classifier", train_classifier)
    fake = Observed(torch.ones(5, 2), torch.zeros(5, 2), labels=torch.tensor([0, 1, 0, 1, 1]))
    unseen = Observed(
        torch.tensor([[1.0, 0], [2, 0], [-1, 0], [-2, 0]]), torch.zeros(4, 2), labels=torch.tensor([1, 1, 0, 2])
    )
    assert ClassifierAccuracy().measure(observed(unseen=unseen), fake, seed=3) == {"classifier_accuracy_score": 0.75}
    ((samples, labels, count, seed),) = trained_on
    assert samples is fake.samples
    assert labels is fake.labels
    assert (count, seed) == (3, 3)


def test_accuracy_falls_with_wrong_labels():
    """A classifier that is trained on labels the wrong way round is wrong about real samples."""
    drawn = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    right = (drawn[:, 0] > 0).long()
    real = observed(unseen=Observed(drawn[:100], drawn[:100], labels=right[:100]))
    scores = [
        ClassifierAccuracy().measure(real, Observed(drawn[100:], drawn[100:], labels=labels[100:]))
        for labels in (right, 1 - right)
    ]
    assert scores[0]["classifier_accuracy_score"] > 0.9
    assert scores[1]["classifier_accuracy_score"] < 0.1


@pytest.mark.parametrize(
    ("asked_for", "unseen", "lacks"),
    [
        (None, observed(torch.arange(4)), "labels of classes of generated samples"),
        (torch.arange(4), None, "unseen real samples with labels"),
        (torch.arange(4), observed(), "unseen real samples with labels"),
        (torch.arange(4), observed(torch.arange(4)), None),
    ],
    ids=["labels", "unseen", "unseen labels", "nothing"],
)
def test_accuracy_lacks(asked_for, unseen, lacks):
    assert ClassifierAccuracy().missing(observed(unseen=unseen), observed(asked_for)) == lacks
