"""What is true of every extractor of conf/extractor/, and the samples themselves as features."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from gan_lightning.config.check import ALLOWED
from gan_lightning.config.compose import CONF
from gan_lightning.metrics.extractor import Labelled
from gan_lightning.metrics.raw import Raw

FILES = {file.stem: OmegaConf.load(file) for file in sorted((CONF / "extractor").glob("*.yaml"))}
EXTRACTORS = {name: instantiate(content, _execution_whitelist_=ALLOWED) for name, content in FILES.items()}


def test_all_are_there():
    assert set(EXTRACTORS) == {"classifier", "inception", "raw", "torchvision"}


@pytest.mark.parametrize("name", EXTRACTORS)
def test_is_of_plain_values(name):
    extractor = EXTRACTORS[name]
    assert set(FILES[name]) - {"_target_"} == {field.name for field in fields(extractor)}
    assert extractor == type(extractor)(), "the file's values are the constructor's"
    with pytest.raises((FrozenInstanceError, TypeError)):
        extractor.seed = 1


def test_raw_images_are_scaled_and_flat():
    images = torch.tensor([[0, 51, 204, 255], [255, 0, 0, 255]], dtype=torch.uint8).view(2, 1, 2, 2)
    network = Raw().open(Labelled(images, None), Labelled(images, None))
    features, logits = network(images)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, torch.tensor([[-1, -0.6, 0.6, 1], [1, -1, -1, 1]]))
    assert logits is None
    assert (network.name, network.sha256, network.resize, network.facts, network.known_as) == (
        "raw",
        "",
        "none",
        {},
        {},
    )


def test_raw_vectors_are_as_they_are():
    vectors = torch.tensor([[0.5, -300.0], [1e-3, 7.0]])
    features, logits = Raw().open(Labelled(vectors, None), Labelled(vectors, None))(vectors)
    assert torch.equal(features, vectors)
    assert logits is None
