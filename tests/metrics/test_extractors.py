"""What is true of every extractor of conf/extractor/, and the samples themselves as features."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from gan_lightning.config.check import ALLOWED
from gan_lightning.config.places import CONF
from gan_lightning.metrics.extractor import FeatureNetwork
from gan_lightning.metrics.identity import Identity
from gan_lightning.samples import SampleSet

FILES = {file.stem: OmegaConf.load(file) for file in sorted((CONF / "extractor").glob("*.yaml"))}
EXTRACTORS = {name: instantiate(content, _execution_whitelist_=ALLOWED) for name, content in FILES.items()}


def test_all_are_there():
    assert set(EXTRACTORS) == {"classifier", "identity", "inception", "torchvision"}


@pytest.mark.parametrize("name", EXTRACTORS)
def test_is_of_plain_values(name):
    extractor = EXTRACTORS[name]
    assert set(FILES[name]) - {"_target_"} == {field.name for field in fields(extractor)}
    assert extractor == type(extractor)(), "the file's values are the constructor's"
    with pytest.raises((FrozenInstanceError, TypeError)):
        extractor.seed = 1


def test_raw_images_are_scaled_and_flat():
    images = torch.tensor([[0, 51, 204, 255], [255, 0, 0, 255]], dtype=torch.uint8).view(2, 1, 2, 2)
    network = Identity().open(SampleSet(images, None), SampleSet(images, None))
    features, logits = network(images)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, torch.tensor([[-1, -0.6, 0.6, 1], [1, -1, -1, 1]]))
    assert logits is None
    assert (network.name, network.sha256, network.resize, network.facts, network.known_as) == (
        "identity",
        "",
        "none",
        {},
        {},
    )


def test_raw_vectors_are_as_they_are():
    vectors = torch.tensor([[0.5, -300.0], [1e-3, 7.0]])
    features, logits = Identity().open(SampleSet(vectors, None), SampleSet(vectors, None))(vectors)
    assert torch.equal(features, vectors)
    assert logits is None


def test_signals_are_flat():
    signals = torch.tensor([[[0.5, -300.0], [1e-3, 7.0]]])
    features, logits = Identity().open(SampleSet(signals, None), SampleSet(signals, None))(signals)
    assert torch.equal(features, signals.flatten(1))
    assert logits is None


class Counting(nn.Module):
    """Notes how many samples it is given at once."""

    def __init__(self):
        super().__init__()
        self.counts = []

    def forward(self, samples):
        self.counts.append(len(samples))
        return samples.flatten(1).float(), None


@pytest.mark.parametrize(("asked", "at_once", "counts"), [(256, 256, [10]), (4, 256, [4, 4, 2]), (8, 3, [3, 3, 3, 1])])
def test_large_networks_take_fewer_samples_at_once(asked, at_once, counts):
    module = Counting()
    features, _ = FeatureNetwork("counting", module, at_once=at_once)(torch.arange(10).view(10, 1), asked)
    assert module.counts == counts
    assert features.flatten().tolist() == list(range(10))


def test_no_rounding_to_tf32(monkeypatch):
    seen = []
    monkeypatch.setattr(Counting, "forward", lambda self, samples: (seen.append(tf32()) or samples.float(), None))
    before = tf32()
    FeatureNetwork("counting", Counting())(torch.zeros(1, 1))
    assert (seen, tf32()) == ([False], before)


def tf32():
    return torch.backends.cudnn.allow_tf32
