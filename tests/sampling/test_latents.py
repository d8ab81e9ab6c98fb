"""Priors: their shapes, ranges and layouts, whose randomness they use, and how pictures' latents are drawn."""

import pytest
import torch
from jaxtyping import TypeCheckError

from gan_lightning import Sampler, UserError
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.sampling.drawing import draw_latents
from gan_lightning.sampling.latents import Coded, Normal, Uniform

MANY = 20_000
PRIORS = [Normal(), Uniform(), Uniform(0.25), Coded(), Coded((3, 2), 0), Coded((), 4), Coded((1,), 0)]


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("prior", PRIORS)
def test_shape_and_source(prior):
    drawn = prior.draw(7, 15, generator=source(1))
    assert drawn.shape == (7, 15)
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn, prior.draw(7, 15, generator=source(1)))
    assert not torch.equal(drawn, prior.draw(7, 15, generator=source(2)))
    torch.manual_seed(3)
    by_default = prior.draw(7, 15)
    torch.manual_seed(3)
    assert torch.equal(by_default, prior.draw(7, 15))
    before = torch.get_rng_state()
    prior.draw(7, 15, generator=source(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_normal():
    drawn = Normal().draw(MANY, 3, generator=source())
    torch.testing.assert_close(drawn.mean(0), torch.zeros(3), rtol=0, atol=0.03)
    torch.testing.assert_close(drawn.T.cov(), torch.eye(3), rtol=0, atol=0.04)
    assert drawn.abs().max() > 3.5


@pytest.mark.parametrize("bound", [1.0, 0.25, 3.0])
def test_uniform(bound):
    drawn = Uniform(bound).draw(MANY, 3, generator=source())
    assert -bound <= drawn.min() < -0.99 * bound
    assert 0.99 * bound < drawn.max() <= bound
    torch.testing.assert_close(drawn.mean(0), torch.zeros(3), rtol=0, atol=0.03 * bound)
    torch.testing.assert_close(drawn.T.cov(), torch.eye(3) * bound**2 / 3, rtol=0, atol=0.03 * bound**2)


def test_codes_are_the_last_columns():
    """Noise, a class of four, a class of two, and two numbers."""
    prior = Coded((4, 2), 2)
    assert prior.width == 8
    drawn = prior.draw(MANY, 11, generator=source())
    noise, first, second, numbers = drawn.split([3, 4, 2, 2], dim=1)
    torch.testing.assert_close(noise.T.cov(), torch.eye(3), rtol=0, atol=0.04)
    for code, classes in ((first, 4), (second, 2)):
        assert set(code.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(code.sum(1), torch.ones(MANY))
        torch.testing.assert_close(code.mean(0), torch.full((classes,), 1 / classes), rtol=0, atol=0.02)
    assert -1 <= numbers.min() < -0.99
    assert 0.99 < numbers.max() <= 1
    torch.testing.assert_close(numbers.var(0), torch.full((2,), 1 / 3), rtol=0, atol=0.02)
    everything = torch.cat([noise, first[:, :1], second[:, :1], numbers], dim=1)
    correlations = everything.T.corrcoef() - torch.eye(7)
    assert correlations.abs().max() < 0.04  # parts of the latents are independent


def test_codes_without_noise():
    assert Coded((4,), 1).draw(3, 5).shape == (3, 5)


def test_codes_need_room():
    with pytest.raises(ValueError, match=r"^latents of 7 numbers have no room for codes of 8; use a larger network"):
        Coded((4, 2), 2).draw(3, 7)


@pytest.mark.parametrize("build", [lambda: Uniform(0), lambda: Uniform(-1), lambda: Coded((3,), -1)])
def test_values_out_of_range(build):
    with pytest.raises(ValueError, match=r"^(bound|continuous) must be"):
        build()


@pytest.mark.parametrize("prior", PRIORS)
def test_latents_of_pictures_begin_alike_for_every_count(prior):
    many = draw_latents(prior, 15, 9, seed=4)
    assert many.shape == (9, 15)
    for count in (1, 2, 8):
        assert torch.equal(draw_latents(prior, 15, count, seed=4), many[:count])
    assert not torch.equal(draw_latents(prior, 15, 9, seed=5), many)
    assert len(many.unique(dim=0)) == 9


def test_latents_of_pictures_have_the_priors_distribution():
    drawn = draw_latents(Uniform(2.0), 3, 3000, seed=1)
    assert drawn.abs().max() <= 2
    torch.testing.assert_close(drawn.T.cov(), torch.eye(3) * 4 / 3, rtol=0, atol=0.1)


def test_shapes_are_checked():
    with pytest.raises(TypeCheckError, match="parameter 'end'"):
        Normal().path(torch.ones(2), torch.ones(3), 4)


def test_a_truncated_normal_is_what_is_drawn_within_the_threshold():
    """Against draws of which those beyond it are left out; and each keeps its rank."""
    drawn = Normal().draw(MANY, 2, generator=source())
    truncated = Normal().truncate(drawn, 0.7)
    assert truncated.dtype == torch.float32
    kept = Normal().draw(4 * MANY, 2, generator=source(1))
    kept = kept[kept.abs().amax(1) <= 0.7]
    shares = torch.linspace(0, 1, 21)
    torch.testing.assert_close(truncated.quantile(shares, 0), kept.quantile(shares, 0), rtol=0, atol=0.03)
    assert torch.equal(truncated[:, 0].argsort(stable=True), drawn[:, 0].argsort(stable=True))
    assert 0.69 < truncated.abs().max() <= 0.7
    torch.testing.assert_close(Normal().truncate(drawn, 9.0), drawn)
    assert Normal().truncate(torch.full((1, 1), 9.0), 1.0) == 1  # none beyond, however rare


def test_other_priors_truncated():
    drawn = Uniform(2.0).draw(MANY, 2, generator=source())
    assert torch.equal(Uniform(2.0).truncate(drawn, 0.5), drawn / 4)
    assert torch.equal(Uniform(2.0).truncate(drawn, 3.0), drawn)
    drawn = Coded((3,), 1).draw(9, 6, generator=source())
    truncated = Coded((3,), 1).truncate(drawn, 0.5)
    assert torch.equal(truncated[:, :2], Normal().truncate(drawn[:, :2], 0.5))
    assert torch.equal(truncated[:, 2:5], drawn[:, 2:5])
    assert torch.equal(truncated[:, 5], drawn[:, 5] / 2)
    with pytest.raises(ValueError, match="threshold must be above 0, got -1"):
        Normal().truncate(drawn, -1)


def test_truncated_samples():
    torch.manual_seed(0)
    sampler = Sampler(MLPGenerator(3, [2], hidden_dim=4))
    assert torch.equal(sampler.sample(5, seed=1), sampler.sample(5, seed=1, truncation=None))
    latents = Normal().truncate(sampler.draw(5, seed=1), 0.5)
    assert torch.equal(sampler.sample(5, seed=1, truncation=0.5), sampler.decode(latents))
    walk = sampler.interpolate([1, 2], 4, truncation=0.5)
    torch.testing.assert_close(walk[:1], sampler.decode(latents[:1]))

    class Own:
        draw, path = Normal.draw, Normal.path

    with pytest.raises(
        UserError, match=r"^truncation is 0\.5, but the prior of this generator, Own, can't be truncated"
    ):
        Sampler(sampler.network, Own()).sample(1, truncation=0.5)
