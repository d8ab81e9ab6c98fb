"""The parts keep what gan_lightning asks of such parts, have known values, and train."""

from pathlib import Path

import pytest
import torch
from gan_lightning import load_generator, train
from gan_lightning.metrics import Observed
from gan_lightning.testing import (
    check_discriminator,
    check_generator,
    check_metric,
    check_objective,
    check_source,
)

from my_lab.data import TwoMoons
from my_lab.losses import Pearson
from my_lab.metrics import EnergyDistance
from my_lab.networks import ResidualDiscriminator, ResidualGenerator


@pytest.mark.parametrize("saturating", [False, True])
def test_the_objective(saturating: bool) -> None:
    check_objective(Pearson(saturating))


def test_the_objectives_values() -> None:
    """By hand: f*(2) = 2^2 / 4 + 2 = 3."""
    real, fake = torch.tensor([1.0]), torch.tensor([2.0])
    assert Pearson().discriminator(real, fake)["adversarial"] == 3 - 1
    assert Pearson().generator(fake)["adversarial"] == -2
    assert Pearson(saturating=True).generator(fake)["adversarial"] == -3
    assert Pearson().diagnostics(real, fake)["chi_squared"] == 1 - 3


@pytest.mark.parametrize("sample_shape", [(2,), (1, 4, 4)])
def test_the_networks(sample_shape: tuple[int, ...]) -> None:
    check_generator(ResidualGenerator(3, sample_shape, hidden_dim=8, blocks=1), sample_shape)
    check_discriminator(ResidualDiscriminator(sample_shape, hidden_dim=8, blocks=1), sample_shape)


def test_the_source() -> None:
    check_source(TwoMoons(count=100))


def test_the_metric() -> None:
    check_metric(EnergyDistance())


def test_the_metrics_value() -> None:
    """By hand, on the line: 2 * 2 between 0, 2 and 1, 5, less 2 and 4 within."""
    real, fake = (torch.tensor(points)[:, None] for points in ([0.0, 2.0], [1.0, 5.0]))
    found = EnergyDistance().measure(Observed(real, real), Observed(fake, fake))
    assert found["energy_distance"] == pytest.approx(2 * (1 + 5 + 1 + 3) / 4 - 2 - 4)


def test_they_train(tmp_path: Path) -> None:
    run = train(
        "loss=pearson",
        "dataset=moons",
        "dataset.source.count=1000",
        "network.generator.hidden_dim=8",
        "network.discriminator.hidden_dim=8",
        "metric=energy",
        "evaluation.every=3",
        "trainer.max_steps=3",
        "trainer.accelerator=cpu",
        f"hydra.run.dir={tmp_path / 'run'}",
        plugins=["my_lab"],
    )
    assert run.status == "finished"
    assert "loss/discriminator" in run.metrics
    assert load_generator(run.folder, plugins=["my_lab"]).sample(5).shape == (5, 2)
