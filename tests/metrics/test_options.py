"""What is true of every metric of conf/metric/, found by listing the folder."""

from dataclasses import fields, replace

import pytest
import torch
from omegaconf import OmegaConf
from own_parts import own_parts

from gan_lightning.config.build import build
from gan_lightning.config.places import CONF
from gan_lightning.metrics.observed import Mixture, Observed
from gan_lightning.testing import check_metric

CLASSES = 3
FILES = {file.stem: OmegaConf.load(file) for file in sorted((CONF / "metric").glob("*.yaml"))}
METRICS = {name: build(content, name) for name, content in FILES.items()}


def drawn(count, seed, shift=0.0, unseen=None):
    """Points about two centres, with features, logits and labels that follow from them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    samples = torch.randn(count, 2, generator=generator) + 4 * labels.unsqueeze(1) + shift
    features = torch.cat([samples, samples.square(), torch.randn(count, 1, generator=generator)], dim=1)
    centres = torch.tensor([[0.0, 0.0], [4.0, 4.0], [8.0, 8.0]])
    return Observed(samples, features, -torch.cdist(samples, centres), labels, Mixture(centres, 1.0), unseen)


REAL, FAKE = drawn(60, 1, unseen=drawn(45, 2)), drawn(48, 3, shift=0.3)
NAMES = pytest.mark.parametrize("name", METRICS)


def test_all_are_there():
    assert set(METRICS) == {
        "accuracy",
        "classes",
        "density_coverage",
        "frechet",
        "kernel",
        "memorisation",
        "modes",
        "precision_recall",
        "score",
        "sliced",
        "wasserstein",
    }
    assert {type(metric) for metric in METRICS.values()} == own_parts("metrics", "measure", "higher_is_better")
    numbers = [number for metric in METRICS.values() for number in metric.higher_is_better]
    assert len(set(numbers)) == len(numbers)


@NAMES
def test_keeps_the_contract(name):
    check_metric(METRICS[name])


@NAMES
def test_has_the_files_values(name):
    metric = METRICS[name]
    assert list(FILES[name]) == [name]
    assert set(FILES[name][name]) - {"_target_"} == {field.name for field in fields(metric)}
    assert metric == type(metric)(), "the file's values are the constructor's"


# What depends on which samples fall into a random part depends on their order too.
@pytest.mark.parametrize("name", [name for name in METRICS if name not in ("accuracy", "score", "kernel")])
def test_the_order_of_samples_is_nothing(name):
    numbers = METRICS[name].measure(REAL, FAKE)
    orders = [torch.randperm(len(each), generator=torch.Generator().manual_seed(9)) for each in (REAL, FAKE)]
    shuffled = METRICS[name].measure(REAL.subset(orders[0]), FAKE.subset(orders[1]))
    expected = pytest.approx(numbers, rel=1e-9, abs=1e-9)
    if name == "wasserstein":  # of 48 of the 60 real samples
        shuffled = METRICS[name].measure(REAL.subset(torch.arange(48).flip(0)), FAKE.subset(orders[1]))
        expected = pytest.approx(METRICS[name].measure(REAL.subset(torch.arange(48)), FAKE), rel=1e-9)
    assert shuffled == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@NAMES
def test_what_is_not_finite_is_refused(name, value):
    spoilt = FAKE.subset(torch.arange(48))
    for values in (spoilt.samples, spoilt.features, spoilt.logits):
        values[7, 0] = value
    with pytest.raises(ValueError, match="must be finite: 1 of"):
        METRICS[name].measure(REAL, spoilt)


@pytest.mark.parametrize(
    ("name", "field"), [(name, field.name) for name, metric in METRICS.items() for field in fields(metric)]
)
def test_ranges(name, field):
    with pytest.raises(ValueError, match=f"{field} must be at least 1.*, got 0"):
        replace(METRICS[name], **{field: 0})
