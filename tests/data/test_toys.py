"""Toy distributions: where their samples lie, how widely, and how often."""

import math

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from sklearn.datasets import make_swiss_roll

from gan_lightning.config.places import CONF
from gan_lightning.data.toys import Gaussian1d, Grid, PointMass, Ring, Sines, SwissRoll
from gan_lightning.seeds import mix

ALL = [Ring(count=50), Grid(count=50), SwissRoll(count=50), PointMass(count=50), Gaussian1d(count=50)]
MIXTURES = [Ring(modes=3, radius=2.0, std=0.3, count=30_000), Grid(side=2, spacing=3.0, std=0.2, count=30_000)]


class TestCentres:
    def test_of_a_ring(self):
        expected = [[2, 0], [-1, math.sqrt(3)], [-1, -math.sqrt(3)]]
        torch.testing.assert_close(Ring(modes=3, radius=2.0).centres, torch.tensor(expected), rtol=0, atol=1e-6)

    def test_pacgans_ring_is_on_the_unit_circle(self):
        centres = Ring().centres
        assert centres.shape == (8, 2)
        assert centres.dtype == torch.float32
        diagonal = 1 / math.sqrt(2)
        expected = [[1, 0], [diagonal, diagonal], [0, 1], [-diagonal, diagonal], [-1, 0]]
        torch.testing.assert_close(centres[:5], torch.tensor(expected), rtol=0, atol=1e-6)
        assert Ring().std == 0.01

    def test_of_a_grid(self):
        expected = [[-1.5, -1.5], [-1.5, 1.5], [1.5, -1.5], [1.5, 1.5]]
        assert Grid(side=2, spacing=3.0).centres.tolist() == expected

    def test_pacgans_grid(self):
        expected = [[x, y] for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]
        assert Grid().centres.tolist() == expected
        assert Grid().centres.dtype == torch.float32
        assert Grid().std == 0.05


class TestMixtures:
    @pytest.mark.parametrize("mixture", MIXTURES)
    def test_samples_surround_the_centre_of_their_label(self, mixture):
        """The bounds are five standard errors of a mean, a standard deviation and a correlation."""
        samples, labels, classes = mixture.load().samples, mixture.load().labels, mixture.load().classes
        assert samples.shape == (30_000, 2)
        assert samples.dtype == torch.float32
        assert labels.shape == (30_000,)
        assert labels.dtype == torch.int64
        assert classes == tuple(str(mode) for mode in range(len(mixture.centres)))
        for mode, centre in enumerate(mixture.centres):
            offsets = (samples[labels == mode] - centre).double()
            error = 5 / math.sqrt(len(offsets))
            assert (offsets.mean(0).abs() < error * mixture.std).all()
            assert ((offsets.std(0) / mixture.std - 1).abs() < error / math.sqrt(2)).all()
            assert torch.corrcoef(offsets.T)[0, 1].abs() < error

    @pytest.mark.parametrize("mixture", MIXTURES)
    def test_modes_are_equally_likely_and_in_random_order(self, mixture):
        labels, modes = mixture.load().labels, len(mixture.centres)
        share = 1 / modes
        deviation = 5 * math.sqrt(share * (1 - share) / len(labels))
        assert ((labels.bincount() / len(labels) - share).abs() < deviation).all()
        changes = (labels[1:] != labels[:-1]).double().mean()
        assert abs(changes - (1 - share)) < deviation

    def test_without_a_spread_samples_are_centres(self):
        sample_set = Ring(modes=5, std=0.0, count=40).load()
        assert torch.equal(sample_set.samples, Ring(modes=5).centres[sample_set.labels])


class TestOthers:
    def test_swiss_roll_is_scikit_learns_divided_by_seven_and_a_half(self):
        sample_set = SwissRoll(noise=0.5, count=40, seed=3).load()
        points = make_swiss_roll(40, noise=0.5, random_state=3)[0]
        expected = np.stack([points[:, 0], points[:, 2]], axis=1) / 7.5
        torch.testing.assert_close(sample_set.samples.double(), torch.from_numpy(expected), rtol=1e-6, atol=1e-6)
        assert (sample_set.labels, sample_set.classes) == (None, ())

    def test_swiss_roll_is_a_spiral(self):
        """Without noise the point at angle t lies at t (cos t, sin t), for t from 1.5 to 4.5 pi."""
        samples = 7.5 * SwissRoll(noise=0.0, count=2000).load().samples.double()
        radius = samples.norm(dim=1)
        assert radius.min() == pytest.approx(1.5 * math.pi, rel=0.02)
        assert radius.max() == pytest.approx(4.5 * math.pi, rel=0.02)
        torch.testing.assert_close(
            samples, torch.stack([radius * radius.cos(), radius * radius.sin()], 1), atol=1e-4, rtol=0
        )

    def test_point_mass(self):
        assert PointMass().load().samples.unique().tolist() == [0.0]
        sample_set = PointMass(dimensions=3, at=2, count=4).load()
        assert sample_set.samples.tolist() == [[2.0] * 3] * 4
        assert sample_set.samples.dtype == torch.float32
        assert sample_set.labels is None

    def test_gaussian(self):
        """Within five standard errors."""
        sample_set = Gaussian1d(mean=-1.0, std=2.0, count=20_000).load()
        assert sample_set.samples.shape == (20_000, 1)
        assert abs(sample_set.samples.mean() + 1) < 5 * 2 / math.sqrt(20_000)
        assert abs(sample_set.samples.std() / 2 - 1) < 5 / math.sqrt(40_000)
        assert sample_set.labels is None


class TestSines:
    def test_have_a_frequency_each_and_any_phase(self):
        waves = Sines((1, 100), frequencies=(1, 4.0, 7), noise=0.0, count=3000).load()
        spectra = torch.fft.rfft(waves.samples[:, 0].double())
        assert torch.tensor([1, 4, 7])[waves.labels].tolist() == spectra.abs().argmax(1).tolist()
        torch.testing.assert_close(spectra.abs().amax(1), torch.full((3000,), 0.8 * 50).double(), rtol=1e-5, atol=0)
        assert waves.classes == ("1", "4", "7")
        shares = torch.bincount(waves.labels) / 3000
        assert (shares - 1 / 3).abs().max() < 5 * math.sqrt(2 / 9 / 3000)
        phases = spectra.gather(1, spectra.abs().argmax(1, keepdim=True)).angle() / (2 * math.pi) % 1
        assert (torch.histc(phases, 10, 0, 1) - 300).abs().max() < 5 * math.sqrt(270)

    def test_further_channels_are_a_quarter_of_a_period_ahead(self):
        waves = Sines((3, 40), frequencies=(2.0,), noise=0.0, count=5).load().samples
        torch.testing.assert_close(waves[:, 1:, :-5], waves[:, :-1, 5:], atol=1e-5, rtol=0)
        torch.testing.assert_close(waves[:, 2], -waves[:, 0], atol=1e-5, rtol=0)

    def test_noise_is_added(self):
        calm, noisy = (Sines(count=500, noise=noise).load().samples for noise in (0.0, 0.5))
        assert (noisy - calm).std().item() == pytest.approx(0.5, rel=0.02)

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ({"sample_shape": (1, 8, 8)}, r"signals, sample_shape=\[C,L\], got \[1, 8, 8\]"),
            ({"frequencies": ()}, "at least one"),
            ({"frequencies": (1.0, 0.0)}, "frequencies must be above 0"),
            ({"count": 0}, "count must be at least 1"),
        ],
    )
    def test_impossible_ones(self, arguments, told):
        with pytest.raises(ValueError, match=told):
            Sines(**arguments)

    def test_conf_has_the_defaults(self):
        content = OmegaConf.to_container(OmegaConf.load(CONF / "dataset" / "sines.yaml"), resolve=False)
        source = {key: value for key, value in content["source"].items() if key != "_target_"}
        source |= {"sample_shape": tuple(content["sample_shape"]), "frequencies": tuple(source["frequencies"])}
        assert Sines(**source) == Sines()
        assert content["classes"] == len(Sines().frequencies)


@pytest.mark.parametrize("toy", ALL, ids=lambda toy: type(toy).__name__)
class TestAll:
    def test_has_as_many_vectors_as_asked_for(self, toy):
        samples = toy.load().samples
        assert (len(samples), samples.ndim) == (50, 2)
        assert type(toy)().count == 100_000

    def test_no_counts_below_one(self, toy):
        with pytest.raises(ValueError, match=r"count must be at least 1 .*, got 0"):
            type(toy)(count=0)


@pytest.mark.parametrize("kind", [Ring, Grid, SwissRoll, Gaussian1d, Sines])
def test_other_seeds_give_other_samples(kind):
    first, second = (kind(count=20, seed=seed).load().samples for seed in (0, 1))
    assert not torch.equal(first, second)


def test_noise_is_not_what_latents_of_the_same_seed_are():
    samples = Gaussian1d(mean=0.0, std=1.0, count=20, seed=4).load().samples
    assert not torch.equal(samples, torch.randn(20, 1, generator=torch.Generator().manual_seed(4)))
    assert torch.equal(samples, torch.randn(20, 1, generator=torch.Generator().manual_seed(mix(4))))


@pytest.mark.parametrize("arguments", [{"modes": 0}, {"radius": 0.0}, {"std": -0.1}, {"seed": -1}])
def test_impossible_rings(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value:g}"):
        Ring(**arguments)


@pytest.mark.parametrize(
    ("name", "length", "original", "divisor"),
    [("gaussians8", "radius", (2, 0.02), 1.414), ("gaussians25", "spacing", (2, 0.05), 2.828)],
)
def test_conf_has_gan_toys_geometry(name, length, original, divisor):
    source = OmegaConf.load(CONF / "dataset" / f"{name}.yaml").source
    assert (source[length], source.std) == pytest.approx([value / divisor for value in original], rel=1e-6)


def test_conf_has_pacgans_geometry():
    for name, kind in [("ring", Ring), ("grid", Grid)]:
        source = OmegaConf.to_container(OmegaConf.load(CONF / "dataset" / f"{name}.yaml").source)
        assert kind(**{key: value for key, value in source.items() if key != "_target_"}) == kind()
