"""Classifiers along mixtures of real and generated samples: what they are trained on, and what is kept of it."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_lightning import train
from gan_lightning.commands import mixture
from gan_lightning.metrics import classes
from gan_lightning.metrics.observed import Observed


def observed(count: int, shift: float, unseen: Observed | None = None) -> Observed:
    """Points of two classes at -2 and 2, moved by `shift`."""
    labels = torch.arange(count) % 2
    samples = (4.0 * labels - 2 + shift).unsqueeze(1) + torch.randn(
        count, 1, generator=torch.Generator().manual_seed(count)
    ) / 4
    return Observed(samples, samples, labels=labels, unseen=unseen)


def test_a_mixture_has_its_share_of_real_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(classes, "trained_accuracy", lambda *told: given.append(told) or 0.5)
    real, fake = observed(30, 0), observed(20, 100)
    for share in (0.0, 0.25, 1.0):
        assert classes.mixture_accuracy(real, fake, share, seed=3) == 0.5
    for (samples, labels, _, seed), own in zip(given, (0, 5, 20), strict=True):
        assert (len(samples), int((samples < 50).sum()), seed) == (20, own, 3)
        # Each sample keeps its label, and none is there twice.
        assert len(samples.unique()) == 20
        for sample, label in zip(samples, labels, strict=True):
            source = real if sample < 50 else fake
            assert source.labels is not None
            assert source.labels[(source.samples == sample).flatten()].tolist() == [label]


def test_the_curve_falls_with_wrong_labels(tmp_path: Path) -> None:
    """Generated samples of the other class's place: none of them is right, and real ones are."""
    real, fake = observed(64, 0, unseen=observed(40, 0)), observed(64, 0)
    assert fake.labels is not None
    wrong = Observed(fake.samples, fake.features, labels=1 - fake.labels)
    points = mixture.curve(real, wrong, [0.0, 1.0], classifiers=2, seed=1)
    assert [point.share for point in points] == [0, 1]
    assert points[0].accuracy < 0.1
    assert points[1].accuracy > 0.9
    assert points == mixture.curve(real, wrong, [0.0, 1.0], classifiers=2, seed=1)
    protocol = {"samples": 64, "reference": 64, "split": "train", "seed": 1}
    mixture.save(points, {"weights": "ema", "iteration": 7, "protocol": protocol}, 2, tmp_path)
    with (tmp_path / "augmentation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [tuple(float(row[name]) for name in ("real", "accuracy", "low", "high")) for row in rows] == points
    assert (tmp_path / "augmentation.png").read_bytes()[:4] == b"\x89PNG"
    assert mixture.told(points, tmp_path / "run", 2).startswith("run: accuracy of classifiers (2 seeds)")


QUICK = ("samples=40", "reference=60", "intervals=0", "metric=[sliced]", "extractor=identity", "classifiers=2")


def test_evaluate_draws_it(command: Callable[..., Any], tiny: tuple[str, ...], here: Path) -> None:
    options = ("conditioning=concat", "trainer.max_steps=1", "trainer.enable_progress_bar=false")
    train(*tiny, *options, f"hydra.run.dir={here / 'run'}")
    outcome = command("evaluate", "run=run", *QUICK, "shares=[0,1]")
    assert outcome.status == 0
    assert "run: accuracy of classifiers (2 seeds) by their share of real samples" in outcome.err
    head, *rows = (here / "run" / "augmentation.csv").read_text().splitlines()
    assert head == "real,accuracy,low,high,weights,iteration,samples,reference,split,seed,classifiers"
    assert [row.split(",", 4)[-1] for row in rows] == ["ema,1,40,60,train,0,2"] * 2
    (here / "run" / "augmentation.png").unlink()
    (here / "run" / "augmentation.csv").unlink()
    (here / "run" / "augmentation.csv").mkdir()
    outcome = command("evaluate", "run=run", *QUICK, "shares=[1]")
    assert outcome.status == 0
    assert "run can't be written to (Is a directory): its mixtures are not kept." in outcome.err
    assert "40 samples of seed 0" in outcome.out


def test_intervals_are_of_accuracies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Student's t would go beyond 0 and 1."""
    found = iter([1.0, 0.5, 0.0, 0.5])
    monkeypatch.setattr(mixture, "mixture_accuracy", lambda *told: next(found))
    points = mixture.curve(observed(4, 0), observed(4, 0), [0.0, 1.0], classifiers=2, seed=1)
    assert [(each.low, each.high) for each in points] == [(0, 1), (0, 1)]


def test_without_labels_it_is_left_out(command: Callable[..., Any], run: Path) -> None:
    outcome = command("evaluate", f"run={run}", *QUICK, "shares=[0.5]")
    assert outcome.status == 0
    assert "shares are left out: labels of classes of generated samples." in outcome.err
    assert not (run / "augmentation.csv").exists()


@pytest.mark.parametrize("wrong", ["shares=[0,2]", "shares=half", "classifiers=1"])
def test_mistakes(command: Callable[..., Any], wrong: str) -> None:
    outcome = command("evaluate", "run=nowhere", wrong)
    assert outcome.status == 2
    assert wrong.partition("=")[0] in outcome.err
