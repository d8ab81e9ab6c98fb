"""What theory says about simple cases, reproduced by the scripts in docs/ that draw it."""

import pytest
from docs_scripts import script

pytestmark = pytest.mark.slow

dirac, estimates = script("dirac_gan"), script("wasserstein_estimate")


@pytest.mark.parametrize("method", dirac.METHODS, ids=lambda method: method.name)
def test_the_dirac_gan_converges_where_mescheder_et_al_say(method) -> None:
    points = dirac.trajectory(method)
    assert points.shape == (dirac.STEPS + 1, 2)
    assert points[0].tolist() == [1, 1]
    end = dirac.distance(points)
    if method.converges:
        assert end < dirac.NEAR
    else:
        assert end > 4 * dirac.NEAR


def test_the_minimax_games_curve_is_a_circle() -> None:
    points = dirac.trajectory(dirac.METHODS[0], steps=300)
    radii = points.norm(dim=1)
    assert radii.min() > 1.2
    assert radii.max() < 1.7
    assert points[:, 0].min() < -1.2  # and it has gone round


def test_the_critic_with_a_penalty_estimates_the_distance() -> None:
    gap, _ = estimates.estimate(0.5, "gradient penalty")
    assert gap == pytest.approx(0.5, rel=0.05)


def test_the_clipped_critics_estimate_is_a_multiple_known_beforehand() -> None:
    gap, _ = estimates.estimate(0.5, "clipping, linear")
    assert gap == pytest.approx(estimates.BOUND * 0.5, rel=0.01)


def test_a_clipped_perceptrons_multiple_is_below_its_bound_and_far_from_one() -> None:
    most = estimates.BOUND ** (estimates.BLOCKS + 1) * estimates.WIDTH**estimates.BLOCKS
    gap, _ = estimates.estimate(0.5, "clipping")
    assert 0.5 * most < gap / 0.5 < most < 0.6
