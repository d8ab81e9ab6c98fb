"""Inception v3 of the Fréchet Inception distance against Pillow and torch-fidelity, with random weights."""

import math
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.models.inception import InceptionE

from gan_lightning.errors import UserError
from gan_lightning.metrics.inception import SHA256, URL, Inception, build_inception, resize
from gan_lightning.metrics.weights import file_hash
from gan_lightning.samples import SampleSet


def pictures(*shape, seed=0):
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def random_state():
    """Values for every tensor, of a size that neither fades nor grows through the layers, none of them as it starts."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in build_inception().state_dict().items():
        values = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            state[name] = values * math.sqrt(2 / tensor[0].numel())
        elif tensor.ndim == 0:
            state[name] = torch.tensor(0)
        else:
            state[name] = 0.1 * values + (1 if name.endswith(("bn.weight", "running_var")) else 0)
    return state


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(random_state(), file)
    return file


@pytest.fixture(scope="module")
def network(weights):
    samples = SampleSet(pictures(1, 3, 8, 8))
    return Inception(str(weights), file_hash(weights)).open(samples, samples)


def test_agrees_with_torch_fidelity(weights, network):
    images = pictures(2, 3, 299, 299)
    reference = FeatureExtractorInceptionV3("reference", ["2048", "logits_unbiased"], str(weights))
    expected_features, expected_logits = reference(images)
    features, logits = network(images)
    assert features.shape == (2, 2048)
    assert logits.shape == (2, 1008)
    assert expected_features.std() > 0.1
    torch.testing.assert_close(features, expected_features, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-4, atol=1e-4)


def test_the_last_block_takes_maxima_and_others_leave_out_the_padding():
    network = build_inception()
    ramp = torch.arange(9.0).view(1, 1, 3, 3)
    assert network.Mixed_7c.pool(ramp)[0, 0].tolist() == [[4, 5, 5], [7, 8, 8], [7, 8, 8]]
    for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b"):
        assert network.get_submodule(name).pool(ramp)[0, 0].tolist() == [[2, 2.5, 3], [3.5, 4, 4.5], [5, 5.5, 6]]
    assert isinstance(network.Mixed_7c, InceptionE)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (64, 48), (299, 299), (301, 640)], ids=str)
def test_resizes_as_pillow_does_floats(size):
    images = pictures(2, 3, *size)
    images[1] = 255 * (images[1] > 127)  # overshoots
    expected = [
        [
            np.asarray(Image.fromarray(channel.float().numpy()).resize((299, 299), Image.Resampling.BICUBIC))
            for channel in image
        ]
        for image in images
    ]
    resized = resize(images)
    assert (resized.shape, resized.dtype) == ((2, 3, 299, 299), torch.float32)
    torch.testing.assert_close(resized, torch.from_numpy(np.array(expected)).clamp(0, 255), rtol=0, atol=0.02)  # of 255
    assert resized.frac().count_nonzero() > 0 or size == (299, 299)


def test_grey_is_colour_that_is_equal(network):
    grey = pictures(1, 1, 28, 28)
    torch.testing.assert_close(network(grey), network(grey.expand(-1, 3, -1, -1)))


def test_inputs_are_centred_on_128(network):
    seen = []
    handle = network.module.network.Conv2d_1a_3x3.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(-1, -1, 8, 8))
    handle.remove()
    assert seen[0].shape == (1, 3, 299, 299)
    for channel, value in enumerate([-1.0, 0.0, 127 / 128]):
        torch.testing.assert_close(seen[0][:, channel], torch.full((1, 299, 299), value), rtol=0, atol=1e-5)


def test_protocol(weights, network):
    assert network.sha256 == file_hash(weights)
    assert (network.name, network.facts) == ("inception_v3_2015", {})
    assert "clean-fid" in network.resize
    assert network.known_as == {
        "frechet_distance": "fid",
        "kernel_distance": "kid",
        "kernel_distance_std": "kid_std",
        "classifier_score": "inception_score",
        "classifier_score_std": "inception_score_std",
    }
    assert not network.module.training
    assert not any(parameter.requires_grad for parameter in network.module.parameters())


def test_spends_no_random_numbers(weights):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    samples = SampleSet(pictures(1, 3, 8, 8))
    Inception(str(weights), file_hash(weights)).open(samples, samples)
    assert torch.equal(torch.get_rng_state(), state)


def refusal(extractor, samples=None):
    samples = pictures(1, 3, 8, 8) if samples is None else samples
    with pytest.raises(UserError) as caught:
        extractor.open(SampleSet(samples, None), SampleSet(samples, None))
    return str(caught.value)


def test_a_missing_file_is_fetched_by_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "gan_lightning" / "weights" / "pt_inception-2015-12-05-6726825d.pth"
    assert f"curl -fL --create-dirs -o {file} {URL}" in refusal(Inception())
    assert "-o '/no where/w.pth' https" in refusal(Inception("/no where/w.pth"))


def test_another_file_is_refused(weights):
    message = refusal(Inception(str(weights)))
    assert SHA256 in message
    assert file_hash(weights) in message
    assert str(weights) in message


@pytest.mark.parametrize(
    "content",
    [b"", b"not weights", pickle.dumps(print, 2), pickle.dumps([1], 2)],
    ids=["empty", "text", "code", "list"],
)
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    assert f"{file} does not hold the weights" in refusal(Inception(str(file), file_hash(file)))


def test_a_state_dict_of_another_network_is_refused(tmp_path):
    file = tmp_path / "weights.pth"
    torch.save({"fc.weight": torch.zeros(1000, 2048)}, file)
    assert "does not hold the weights" in refusal(Inception(str(file), file_hash(file)))


@pytest.mark.parametrize(
    ("samples", "kind"),
    [
        (torch.zeros(2, 2), "vectors"),
        (torch.zeros(2, 1, 9), "signals"),
        (pictures(1, 2, 8, 8), "images of 2 channels"),
    ],
    ids=["vectors", "signals", "two channels"],
)
def test_only_pictures(samples, kind):
    assert f"samples are {kind}" in refusal(Inception(), samples)
