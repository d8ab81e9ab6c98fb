"""torchvision's classifiers as extractors: features and logits against the whole network, with random weights."""

import pytest
import torch
from torch import nn
from torchvision import models

from gan_lightning.errors import UserError
from gan_lightning.metrics.backbone import Backbone, Torchvision, build_classifier
from gan_lightning.metrics.weights import file_hash
from gan_lightning.samples import SampleSet

SMALL = "mobilenet_v3_small"


def pictures(*shape):
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("torchvision") / "weights.pth"
    torch.save(build_classifier(SMALL).state_dict(), file)
    return file


def opened(file, samples=None):
    samples = pictures(1, 3, 8, 8) if samples is None else samples
    return Torchvision(SMALL, str(file)).open(SampleSet(samples, None), SampleSet(samples, None))


@pytest.mark.parametrize(
    ("model", "dimensions"), [("resnet18", 512), (SMALL, 1024), ("shufflenet_v2_x0_5", 1024), ("swin_t", 768)]
)
def test_features_are_what_the_last_layer_sees(model, dimensions):
    whole = build_classifier(model).eval()
    heads = [part for part in whole.modules() if isinstance(part, nn.Linear)]
    seen = []
    heads[-1].register_forward_hook(lambda _, inputs, output: seen.extend((inputs[0], output)))
    transforms = models.get_model_weights(model).DEFAULT.transforms()
    images = pictures(2, 3, 40, 30)
    with torch.no_grad():
        expected = whole(transforms(images))
        features, logits = Backbone(whole, transforms).eval()(images)
    assert features.shape == (2, dimensions)
    assert features.std() > 0
    torch.testing.assert_close(seen[0], features)
    torch.testing.assert_close(seen[1], logits)
    torch.testing.assert_close(expected, logits)


def test_reads_the_file_and_says_so(weights):
    network = opened(weights)
    expected = build_classifier(SMALL).eval()
    expected.load_state_dict(torch.load(weights, weights_only=True))
    images = pictures(2, 3, 32, 32)
    transforms = models.get_model_weights(SMALL).DEFAULT.transforms()
    with torch.no_grad():
        torch.testing.assert_close(network(images)[1], expected(transforms(images)))
    assert (network.name, network.sha256) == (SMALL, file_hash(weights))
    assert network.resize == "256 pixels the shorter side, bilinear, antialiased; the middle 224x224"
    assert (network.facts, network.known_as) == ({}, {})
    assert not network.module.training
    assert not any(parameter.requires_grad for parameter in network.module.parameters())


def test_grey_is_colour_that_is_equal(weights):
    network = opened(weights)
    grey = pictures(2, 1, 28, 28)
    torch.testing.assert_close(network(grey), network(grey.expand(-1, 3, -1, -1)))


def test_spends_no_random_numbers(weights):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    opened(weights)
    assert torch.equal(torch.get_rng_state(), state)


def test_half_precision_files_are_read_in_full(tmp_path, weights):
    state = torch.load(weights, weights_only=True)
    file = tmp_path / "half.pth"
    torch.save({name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}, file)
    assert opened(file)(pictures(1, 3, 8, 8))[0].dtype == torch.float32


def test_inputs_are_transformed_as_for_the_published_weights():
    assert build_classifier("googlenet").transform_input


def refusal(extractor, samples=None):
    samples = pictures(1, 3, 8, 8) if samples is None else samples
    with pytest.raises(UserError) as caught:
        extractor.open(SampleSet(samples, None), SampleSet(samples, None))
    return str(caught.value)


def test_a_misspelt_model():
    assert "extractor.model=resnet_18 " in refusal(Torchvision("resnet_18"))
    assert "Did you mean resnet18?" in refusal(Torchvision("resnet_18"))
    assert "Did you mean" not in refusal(Torchvision("qqq"))


def test_a_model_without_a_linear_layer():
    assert "squeezenet1_1 has no linear layer" in refusal(Torchvision("squeezenet1_1"))


def test_a_missing_file_is_fetched_by_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    url = models.get_model_weights(SMALL).DEFAULT.url
    file = tmp_path / "gan_lightning" / "weights" / url.rsplit("/", 1)[1]
    assert refusal(Torchvision(SMALL)).endswith(f"curl -fL --create-dirs -o {file} {url}")


def test_weights_of_another_model(weights):
    assert f"{weights} does not hold the weights of this network" in refusal(Torchvision("resnet18", str(weights)))


def test_only_pictures():
    assert "samples are vectors" in refusal(Torchvision(SMALL), torch.zeros(2, 2))
