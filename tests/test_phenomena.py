"""What docs/phenomena.md says, on shortened runs of the scripts in docs/ that draw it."""

from pathlib import Path

import pytest
import torch
from docs_scripts import script

from gan_lightning import train
from gan_lightning.data.sources import Digits
from gan_lightning.samples import as_floats

pytestmark = pytest.mark.slow

vanishing, clipping = script("vanishing_gradients"), script("weight_clipping")
quality, collapse = script("loss_and_quality"), script("mode_collapse")


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    """All of them, (1797, 1, 8, 8), in [-1, 1]."""
    return as_floats(Digits().load().samples)


# Vanishing gradients.


def test_the_minimax_gradient_vanishes_and_the_others_do_not(digits) -> None:
    (generator,) = vanishing.generators(digits, passes=[1])
    points = vanishing.towards_optimality(generator, digits, steps=150)
    at_40, end = (next(point for point in points if point.step >= step) for step in (40, 150))
    largest = max(point.norms["minimax"] for point in points)
    assert end.norms["minimax"] < largest / 100
    assert end.norms["non-saturating"] > at_40.norms["non-saturating"]
    penalised = [point.norms["Wasserstein, gradient penalty"] for point in points if point.step >= 40]
    assert max(penalised) < 2 * min(penalised)
    assert points[0].fake_score == pytest.approx(0.5, abs=0.1)
    assert end.fake_score < 1e-3
    assert end.accuracy > 0.999


@pytest.mark.parametrize(("saturating", "low", "high"), [("true", 0, 1e-2), ("false", 1, 1e3)])
def test_the_experiments_gradient_vanishes_in_the_minimax_game_alone(
    tmp_path: Path, saturating: str, low: float, high: float
) -> None:
    run = train(
        "experiment=vanishing_gradients",
        f"loss.saturating={saturating}",
        "trainer.max_steps=15",
        "evaluation.every=null",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert low < run.metrics["gradient_norm/generator"] < high


# Mode collapse.


def test_without_normalisation_all_samples_become_one(tmp_path: Path, digits) -> None:
    labels = Digits().load().labels
    result = collapse.outcome(
        tmp_path / "run",
        collapse.train_classifier(digits, labels),
        digits,
        "trainer.max_steps=100",
        "evaluation.every=null",
    )
    assert sum(result.shares) == pytest.approx(1)
    assert max(result.shares) > 0.9
    assert result.spread < 0.2


# Weight clipping.


def test_clipping_makes_gradients_explode_or_vanish_with_depth() -> None:
    norms = clipping.deep(clipping.points("Swiss roll"), steps=30)
    first_to_last = {name: values[0] / values[-1] for name, values in norms.items()}
    assert all(len(values) == clipping.LAYERS for values in norms.values())
    assert first_to_last["clipped to 0.1"] > 1e6
    assert first_to_last["clipped to 0.01"] < 1e-6
    assert first_to_last["clipped to 0.001"] < 1e-15
    assert 0.01 < first_to_last["gradient penalty"] < 100


def test_clipped_weights_pile_up_at_the_bounds_and_the_critic_is_flat() -> None:
    data = clipping.points("25 Gaussians")
    clipped = clipping.train(clipping.clipped(data), data, steps=200)
    assert clipping.share_at_bounds(clipped) > 0.8
    assert clipping.steepness(clipped, data) < 0.05
    penalised = clipping.train(clipping.penalised(data), data, steps=200)
    assert clipping.weights(penalised).abs().max() > 10 * clipping.BOUND
    assert clipping.steepness(penalised, data) > 0.5


# Loss and quality.


@pytest.mark.parametrize(
    ("recipe", "least", "most"),
    [(quality.RECIPES[0], 0.15, 0.5), (quality.RECIPES[1], 0, 0.1)],
    ids=["wgan_gp", "vanilla"],
)
def test_only_the_wasserstein_estimate_falls_as_soon_as_samples_improve(recipe, least: float, most: float) -> None:
    (_, said, distance), (_, said_later, distance_later) = quality.training(recipe, iterations=20, every=10)
    assert distance_later < 0.9 * distance
    assert least < 1 - said_later / said < most


def test_the_distance_of_matched_samples() -> None:
    real = torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    assert quality.wasserstein(real, real.flip(0)) == pytest.approx(0)
    assert quality.wasserstein(real, real + torch.tensor([3.0, 4.0])) == pytest.approx(5)


def test_the_correlation_is_pearsons() -> None:
    assert quality.correlation([(0, 1.0, 3.0), (1, 2.0, 5.0), (2, 3.0, 7.0)]) == pytest.approx(1)
    assert quality.correlation([(0, 1.0, 1.0), (1, 2.0, 0.0), (2, 3.0, 1.0)]) == pytest.approx(0, abs=1e-6)
