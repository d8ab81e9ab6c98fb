"""The Fréchet distance against closed forms, and on covariances that have no inverse."""

import pytest
import torch
from jaxtyping import TypeCheckError

from gan_lightning.metrics.frechet import FrechetDistance, Moments, distance, frechet_distance, moments
from gan_lightning.metrics.observed import Observed


def features(count, dimensions, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator)
    return torch.randn(count, dimensions, generator=generator) @ mixing


def gaussian(mean, *variances):
    return Moments(torch.tensor(mean, dtype=torch.float64), torch.diag(torch.tensor(variances, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (gaussian([0.0], 1.0), gaussian([3.0], 1.0), 9),
        (gaussian([0.0], 4.0), gaussian([0.0], 9.0), 1),
        (gaussian([1.0, -1.0], 1.0, 16.0), gaussian([0.0, 1.0], 4.0, 9.0), 5 + 1 + 1),
        (gaussian([0.0, 0.0], 4.0, 0.0), gaussian([0.0, 0.0], 0.0, 9.0), 13),
        (gaussian([0.0, 0.0], 0.0, 0.0), gaussian([3.0, 4.0], 0.0, 0.0), 25),
    ],
    ids=["shifted", "scaled", "both", "on different lines", "points"],
)
def test_of_known_gaussians(one, other, expected):
    assert distance(one, other) == pytest.approx(expected, abs=1e-9)
    assert distance(other, one) == pytest.approx(expected, abs=1e-9)


def test_of_covariances_that_do_not_commute():
    """For 2 x 2 matrices tr((AB)^1/2) = sqrt(tr(AB) + 2 sqrt(det(AB))): here sqrt(9 + 2 sqrt(15))."""
    zero = torch.zeros(2, dtype=torch.float64)
    one = Moments(zero, torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64))
    other = Moments(zero, torch.diag(torch.tensor([5.0, 1.0], dtype=torch.float64)))
    product = one.covariance @ other.covariance
    shared = (product.trace() + 2 * product.det().sqrt()).sqrt().item()
    assert distance(one, other) == pytest.approx(4 + 6 - 2 * shared, abs=1e-12)


def test_moments_are_numpys():
    drawn = features(50, 3) + 1000
    mean, covariance = moments(drawn)
    assert covariance.dtype == torch.float64
    torch.testing.assert_close(mean, drawn.double().mean(0))
    torch.testing.assert_close(covariance, drawn.double().T.cov())


@pytest.mark.parametrize(("count", "dimensions"), [(500, 64), (65, 64), (20, 64), (500, 1)])
def test_of_a_set_with_itself(count, dimensions):
    """Also with fewer samples than features."""
    drawn = features(count, dimensions)
    assert frechet_distance(drawn, drawn) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(drawn, drawn + 0.5) == pytest.approx(0.25 * dimensions, rel=1e-4)


def test_of_sets_in_different_planes():
    """Without anything in common, nothing is saved by the trace of the root."""
    one, other = torch.zeros(100, 4), torch.zeros(100, 4)
    one[:, :2], other[:, 2:] = features(100, 2), features(100, 2, seed=1)
    (mean, covariance), (other_mean, other_covariance) = moments(one), moments(other)
    expected = (mean - other_mean).square().sum() + covariance.trace() + other_covariance.trace()
    assert frechet_distance(one, other) == pytest.approx(expected.item(), rel=1e-6)


def test_refuses_what_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 samples"):
        moments(torch.zeros(1, 3))


@pytest.mark.parametrize(("real", "fake", "lacks"), [(65, 65, False), (64, 65, True), (65, 64, True)])
def test_asks_for_more_samples_than_features(real, fake, lacks):
    real, fake = (Observed(torch.zeros(count, 2), torch.zeros(count, 64)) for count in (real, fake))
    assert FrechetDistance().missing(real, fake) == ("more samples than features (65 for 64)" if lacks else None)


def test_shapes_are_checked():
    with pytest.raises(TypeCheckError, match="parameter 'fake'"):
        frechet_distance(torch.zeros(5, 2), torch.zeros(5, 3))
