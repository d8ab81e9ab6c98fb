"""The classifier score where it is known."""

import math

import pytest
import torch

from gan_lightning.metrics.observed import Observed
from gan_lightning.metrics.score import ClassifierScore, classifier_scores


def certain(*classes, of=4, logit=40.0):
    return logit * torch.eye(of)[list(classes)]


def test_is_the_number_of_classes_at_best():
    assert classifier_scores(certain(0, 1, 2, 3), 1).item() == pytest.approx(4)
    assert classifier_scores(certain(0, 1, 0, 1), 1).item() == pytest.approx(2)


@pytest.mark.parametrize("logits", [certain(2, 2, 2), torch.zeros(3, 4)], ids=["one class", "unsure"])
def test_is_one_at_worst(logits):
    assert classifier_scores(logits, 1).item() == pytest.approx(1)


def test_worked_out_by_hand():
    """p = (3/4, 1/4) and (1/4, 3/4), each against (1/2, 1/2)."""
    logits = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)]])
    expected = math.exp(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert classifier_scores(logits, 1).item() == pytest.approx(expected)


def test_takes_logits_of_any_size():
    """A softmax that is 0 in float64 adds nothing."""
    assert classifier_scores(certain(0, 1, 2, 3, logit=1e4), 1).item() == pytest.approx(4)


def test_parts_are_shuffled():
    """In the order of classes, each part would have one class, and the score 1."""
    logits = certain(*[0] * 50, *[1] * 50, *[2] * 50, *[3] * 50)
    scores = classifier_scores(logits, 4)
    assert (scores > 3.5).all()
    assert torch.equal(scores, classifier_scores(logits, 4))
    assert not torch.equal(scores, classifier_scores(logits, 4, seed=1))


@pytest.mark.parametrize(
    ("logits", "lacks"),
    [(None, "logits of classes"), (torch.zeros(9, 4), "a sample for each of 10 splits"), (torch.zeros(10, 4), None)],
    ids=["no logits", "too few", "enough"],
)
def test_lacks(logits, lacks):
    sets = Observed(torch.zeros(10, 2)[: None if logits is None else len(logits)], torch.zeros(10, 2), logits)
    assert ClassifierScore().missing(sets, sets) == lacks
