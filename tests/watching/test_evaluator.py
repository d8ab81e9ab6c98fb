"""Evaluating a generator: the same seed gives the same numbers, and the record says how they were made."""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import pytest
import torch

from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.sources import Digits
from gan_lightning.data.toys import Ring
from gan_lightning.errors import UserError
from gan_lightning.metrics.frechet import FrechetDistance, frechet_distance
from gan_lightning.metrics.identity import Identity
from gan_lightning.metrics.kernel import KernelDistance
from gan_lightning.metrics.memorisation import Memorisation
from gan_lightning.metrics.modes import ModeCoverage
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.pictures import to_pixels
from gan_lightning.samples import SampleSet, Units
from gan_lightning.sampling.drawing import decode
from gan_lightning.sampling.latents import Normal
from gan_lightning.training.critic_updates import CriticUpdates
from gan_lightning.watching.evaluator import Evaluator, differences, fingerprint

IMAGES = {"frechet": FrechetDistance()}


@cache
def digits():
    data = GANDataModule(Digits(), (1, 8, 8), 64, CriticUpdates(1), held_out=297, classes=10)
    data.setup()
    return data


def ring(seed=0):
    source = Ring(count=1000, seed=seed)
    return GANDataModule(source, (2,), 64, CriticUpdates(1), held_out=0.1)


@cache
def generator(shape=(1, 8, 8), classes=0):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MLPGenerator(
            4, shape, hidden_dim=16, blocks=1, classes=classes, label_input="concat" if classes else "none"
        ).eval()


def evaluator(data=None, metrics=None, samples=200, extractor=None, **options):
    return Evaluator(data or digits(), extractor or Identity(), metrics or IMAGES, samples, **options)


def measure(options=None, **others):
    return evaluator(**(options or {})).measure(generator(**others), Normal())


@dataclass(frozen=True)
class Counted:
    """Numbers that tell what the metric was given."""

    higher_is_better: ClassVar = {"share_of_nines": None, "count": None}
    slow: ClassVar = False

    def missing(self, real, fake):
        return None

    def measure(self, real, fake, seed=0):
        labels = real.labels if fake.labels is None else fake.labels
        return {"share_of_nines": (labels == 9).double().mean().item(), "count": float(len(fake))}


@dataclass(frozen=True)
class Noting:
    """Notes that it has measured."""

    noted: list

    higher_is_better: ClassVar = {"noted": None}
    slow: ClassVar = True

    def missing(self, real, fake):
        return None

    def measure(self, real, fake, seed=0):
        self.noted.append(True)
        return {"noted": 1.0}


class Conditioned:
    """Points whose conditions are their own number and its double."""

    def load(self):
        numbers = torch.arange(40.0)[:, None]
        units = Units((1.0, 1.0), (0.0, 0.0), ("a", "b"))
        return SampleSet(numbers, torch.cat([numbers, 2 * numbers], 1), conditions=units)


def test_conditions_follow_the_data_and_are_no_labels_for_metrics():
    measuring = evaluator(GANDataModule(Conditioned(), (1,), 4, CriticUpdates(1), classes=2), samples=200)
    network, asked = generator((1,), classes=2), []
    with network.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[1])):
        drawn = measuring.draw(network, Normal(), "cpu", lambda count: None)
    assert (drawn.labels, measuring.real.labels) == (None, None)
    (conditions,) = asked
    assert conditions.shape == (200, 2)
    assert torch.equal(2 * conditions[:, 0], conditions[:, 1])
    assert len(set(conditions[:, 0].tolist()) & set(range(40))) > 30


class Slow(Counted):
    slow: ClassVar = True


@dataclass(frozen=True)
class Known:
    """Identity features whose Fréchet distance has a name in the field."""

    learns: ClassVar = False

    def open(self, training, held_out, device="cpu"):
        return replace(Identity().open(training, held_out, device), known_as={"frechet_distance": "fid"})


class TestNumbers:
    def test_are_those_of_the_metric_on_quantized_samples(self):
        record = measure()
        under_way = evaluator()
        drawn = under_way.draw(generator(), Normal(), "cpu", lambda drawn: None)
        assert drawn.samples.dtype == torch.uint8
        expected = frechet_distance(digits().subset("train").samples.flatten(1) / 127.5 - 1, drawn.features)
        assert record["values"]["frechet_distance"] == pytest.approx(float(expected), rel=1e-5)
        images = decode(generator(), torch.zeros(1, 4))
        assert to_pixels(images).dtype == torch.uint8

    def test_come_from_the_seed_alone(self):
        torch.manual_seed(1)
        first = measure()
        torch.manual_seed(2)
        again, other = measure(), measure({"seed": 1})
        assert first["values"] == again["values"]
        assert first["values"] != other["values"]

    def test_leave_the_generators_of_random_numbers_alone(self):
        torch.manual_seed(5)
        state = torch.get_rng_state()
        measure({"repeats": 2})
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("batch_size", [1, 7, 200, 1000])
    def test_do_not_depend_on_the_batch_size(self, batch_size):
        record = measure({"batch_size": batch_size})
        assert record["values"]["frechet_distance"] == pytest.approx(measure()["values"]["frechet_distance"], rel=1e-6)
        assert record["protocol"] == measure()["protocol"]

    def test_leave_the_generator_in_its_mode(self):
        network = MLPGenerator(4, (1, 8, 8), hidden_dim=16, blocks=1)
        for mode in (True, False):
            network.train(mode)
            evaluator().measure(network, Normal())
            assert network.training is mode

    def test_have_the_fields_own_names_on_its_features_alone(self):
        known = evaluator(extractor=Known(), repeats=2)
        assert list(known.higher_is_better.items()) == [("fid", False)]
        record = known.measure(generator(), Normal())
        assert list(record["values"]) == list(record["intervals"]) == ["fid"]
        assert list(measure()["values"]) == ["frechet_distance"]

    def test_labels_follow_the_data(self):
        record = measure({"metrics": {"counted": Counted()}, "samples": 2000}, classes=10)
        share = (digits().subset("train").labels == 9).double().mean().item()
        assert record["values"]["share_of_nines"] == pytest.approx(share, abs=4 * math.sqrt(0.1 * 0.9 / 2000))
        assert record["values"]["count"] == 2000

    def test_what_does_not_apply_is_left_out_with_the_reason(self):
        record = measure({"metrics": {"modes": ModeCoverage(), **IMAGES}})
        assert list(record["values"]) == ["frechet_distance"]
        assert list(record["left_out"]) == ["modes"]
        assert record["left_out"]["modes"]

    def test_an_interval_that_halves_have_no_numbers_for(self):
        kernel = {"kernel": KernelDistance(subsets=1, size=2)}  # of which a half has one sample or none
        record = measure({"metrics": kernel, "repeats": 20})
        assert record["intervals"] == {"kernel_distance": [None, None]}
        assert record["left_out"] == {"kernel (its interval)": "halves of the samples have no kernel_distance"}

    def test_what_progress_raises_loses_no_evaluation_that_is_done(self):
        measured = []

        def interrupt(done):
            if measured:
                raise InterruptedError

        known = evaluator(metrics={"last": Noting(measured)})
        assert known.measure(generator(), Normal(), progress=interrupt)["values"] == {"noted": 1.0}

    def test_a_mixture_is_known_to_the_metrics(self):
        options = {"data": ring(), "metrics": {"modes": ModeCoverage()}}
        assert set(measure(options, shape=(2,))["values"]) == {"modes_covered", "high_quality_share", "reverse_kl"}

    def test_samples_that_are_not_finite(self):
        network = MLPGenerator(4, (1, 8, 8), hidden_dim=16, blocks=1)
        next(network.parameters()).data.fill_(torch.nan)
        with pytest.raises(FloatingPointError, match="generated samples are not finite"):
            evaluator().measure(network, Normal())

    def test_an_empty_split(self):
        empty = GANDataModule(Digits(), (1, 8, 8), 64, CriticUpdates(1))
        with pytest.raises(UserError, match="split is held_out, but nothing is held out"):
            evaluator(empty, split="held_out")

    def test_memorisation_needs_all_that_was_trained_on(self):
        memorisation = {"memorisation": Memorisation()}
        assert "copied_share" in measure({"metrics": memorisation})["values"]
        left_out = measure({"metrics": memorisation, "reference": 250})["left_out"]
        assert left_out == {"memorisation": "all training samples (reference=null)"}

    def test_copies_are_found(self):
        """Of a generator that has the training samples by heart."""
        measured = evaluator(metrics={"memorisation": Memorisation()})
        copies = measured.observe(digits().subset("train", 200))
        assert Memorisation().measure(measured.real, copies)["copied_share"] == 1

    def test_what_is_left_out_is_known_before(self):
        known = evaluator(metrics={"modes": ModeCoverage(), **IMAGES}, samples=60)
        assert set(known.left_out(generator(), Normal())) == {
            "modes_covered",
            "high_quality_share",
            "reverse_kl",
            "frechet_distance",
        }

    def test_intervals_hold_the_point(self):
        record = measure({"repeats": 8})
        low, high = record["intervals"]["frechet_distance"]
        assert low < record["values"]["frechet_distance"] < high
        assert measure()["intervals"] == {}

    def test_slow_metrics_have_no_intervals(self):
        assert measure({"metrics": {"slow": Slow()}, "repeats": 3})["intervals"] == {}
        assert measure({"metrics": {"quick": Counted()}, "repeats": 3})["intervals"]

    def test_progress_counts_all_that_takes_time(self):
        """Samples drawn, real ones observed at first, both in batches; a metric that measures, and one that can't."""
        measured = evaluator(batch_size=600, metrics={**IMAGES, "modes": ModeCoverage()})
        for real in [[600, 600, 300, 297], []]:
            told = []
            work = measured.work
            measured.measure(generator(), Normal(), progress=told.append)
            assert told == [200, *real, 200, 200]
            assert work == sum(told)

    def test_each_metric_measures_all_samples_and_their_halves_once(self, monkeypatch):
        asked = []
        original = Counted.measure

        def counted(metric, real, fake, seed=0):
            asked.append(len(fake))
            return original(metric, real, fake, seed)

        monkeypatch.setattr(Counted, "measure", counted)
        measure({"metrics": {"counted": Counted()}, "repeats": 3})
        assert asked == [200, 100, 100, 100]


class TestProtocol:
    def test_says_how_the_numbers_were_made(self):
        protocol = measure({"split": "held_out", "reference": 100, "seed": 3, "repeats": 4})["protocol"]
        assert protocol == {
            "samples": 200,
            "reference": 100,
            "split": "held_out",
            "data": fingerprint(digits().subset("held_out", 100)),
            "extractor": "identity",
            "extractor_sha256": "",
            "extractor_facts": {},
            "resize": "none",
            "pixels": "8 bits",
            "dtype": "float32 features, float64 metrics",
            "seed": 3,
            "interval": "95 %, 4 half-samples",
            "metrics": {"frechet": {}},
            "weights": "ema",
        }

    def test_weights(self):
        for weights, named in (("ema", "ema"), ("best", "ema"), ("raw", "raw")):
            record = evaluator().measure(generator(), Normal(), weights)
            assert (record["weights"], record["protocol"]["weights"]) == (weights, named)

    def test_differences_are_named_with_their_values(self):
        one, other = {"samples": 3, "data": "a", "seed": 0}, {"samples": 3, "data": "b"}
        assert differences([one, one]) == {}
        assert differences([one, other, one]) == {"data": ["a", "b", "a"], "seed": [0, None, 0]}

    def test_a_set_is_known_by_its_content(self):
        base = SampleSet(torch.arange(6, dtype=torch.uint8).view(3, 1, 1, 2), torch.tensor([0, 1, 1]), ("a", "b"))
        assert fingerprint(base) == fingerprint(base._replace(samples=base.samples.clone()))
        others = [
            base._replace(samples=base.samples.flip(0)),
            base._replace(samples=base.samples.view(3, 1, 2, 1)),
            base._replace(labels=torch.tensor([1, 1, 0])),
            base._replace(labels=None),
        ]
        assert len({fingerprint(each) for each in [base, *others]}) == 5


def test_a_record_says_which_way_its_numbers_are_better():
    """For who reads it without the metrics; of a number that is neither, and of one that was left out, nothing."""
    metrics = {"modes": ModeCoverage(), "frechet": FrechetDistance(), "memorisation": Memorisation()}
    tool = evaluator(ring(), metrics)
    record = tool.measure(generator((2,)), Normal())
    expected = {name: higher for name, higher in tool.higher_is_better.items() if name in record["values"]}
    assert {None, True, False} <= set(expected.values())
    ways = {name: {"higher": True, "lower": False}.get(record["better"].get(name)) for name in record["values"]}
    assert ways == expected
