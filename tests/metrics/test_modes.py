"""Mode metrics on samples whose modes can be counted by hand."""

import math

import pytest
import torch

from gan_lightning.metrics.modes import (
    ModeCoverage,
    high_quality_share,
    is_high_quality,
    modes_covered,
    nearest_modes,
    reverse_kl,
)
from gan_lightning.metrics.observed import Mixture, Observed

CENTRES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
# Two good ones at the first centre, one just inside and one just outside of 3 sigma at the second, one far from all
# (nearest: the third).
SAMPLES = torch.tensor([[0.1, 0.0], [0.0, -0.2], [10.0, 0.29], [10.22, 0.22], [3.0, 8.0]])
STD = 0.1


def test_nearest():
    indices, distances = nearest_modes(SAMPLES, CENTRES)
    assert indices.tolist() == [0, 0, 1, 1, 2]
    expected = torch.tensor([0.1, 0.2, 0.29, math.hypot(0.22, 0.22), math.hypot(3, 2)])
    torch.testing.assert_close(distances, expected)


def test_quality_is_a_euclidean_distance_of_three_sigma():
    assert is_high_quality(SAMPLES, CENTRES, STD).tolist() == [True, True, True, False, False]
    assert high_quality_share(SAMPLES, CENTRES, STD) == pytest.approx(0.6)
    assert high_quality_share(SAMPLES, CENTRES, 2 * STD) == pytest.approx(0.8)


def test_a_mode_counts_only_with_a_good_sample():
    assert modes_covered(SAMPLES, CENTRES, STD) == 2
    assert modes_covered(SAMPLES[3:], CENTRES, STD) == 0
    assert modes_covered(CENTRES, CENTRES, STD) == 4


def test_reverse_kl():
    # Shares 2/5, 2/5, 1/5, 0 against a quarter each.
    expected = 0.4 * math.log(1.6) * 2 + 0.2 * math.log(0.8)
    assert reverse_kl(SAMPLES, CENTRES) == pytest.approx(expected)
    assert reverse_kl(CENTRES, CENTRES) == pytest.approx(0)
    assert reverse_kl(CENTRES[:1], CENTRES) == pytest.approx(math.log(4))


def test_the_mixtures_own_samples():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, 2, generator=generator)
    samples = CENTRES[torch.arange(20_000) % 4] + STD * noise
    assert high_quality_share(samples, CENTRES, STD) == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    assert modes_covered(samples, CENTRES, STD) == 4
    assert reverse_kl(samples, CENTRES) == pytest.approx(0)


def test_of_a_mixture_that_is_known():
    features = torch.zeros(5, 1)
    real, fake = Observed(SAMPLES, features, mixture=Mixture(CENTRES, STD)), Observed(SAMPLES, features)
    assert ModeCoverage().missing(real, fake) is None
    assert ModeCoverage().missing(fake, real) == "a known mixture of Gaussians"
    assert ModeCoverage().measure(real, fake) == {
        "modes_covered": 2.0,
        "high_quality_share": pytest.approx(0.6),
        "reverse_kl": pytest.approx(reverse_kl(SAMPLES, CENTRES)),
    }
