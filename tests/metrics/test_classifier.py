"""The classifier of the data set's own classes: what it learns, that it is reproducible, and how it is kept."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gan_lightning.data.sources import Digits
from gan_lightning.data.toys import Sines
from gan_lightning.errors import UserError
from gan_lightning.metrics.classifier import Classifier, ClassifierNetwork, accuracy, train_classifier, weights_hash
from gan_lightning.metrics.extractor import FeatureNetwork
from gan_lightning.samples import SampleSet


def stripes(count, shape=(1, 8, 8), seed=0):
    """Noisy images, dark in the upper half (class 0) or in the lower (class 1)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = torch.randint(100, (count, *shape), generator=generator)
    half = shape[1] // 2
    images[labels == 0, :, half:] += 100
    images[labels == 1, :, :half] += 100
    return SampleSet(images.to(torch.uint8), labels)


def points(count, seed=0):
    """Vectors about (1000, 0) or (1004, 0), with a third dimension that is always the same."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    noise = torch.randn(count, 3, generator=generator) * torch.tensor([0.5, 0.5, 0.0])
    return SampleSet(noise + torch.tensor([1000.0, 0.0, 7.0]) + labels[:, None] * torch.tensor([4.0, 0.0, 0.0]), labels)


def waves(count, channels=1, length=40, seed=0):
    """Signals about 1000 of one or of three periods, at any phase."""
    toy = Sines((channels, length), (1.0, 3.0), noise=0.2, count=count, seed=seed).load()
    return SampleSet(toy.samples + 1000, toy.labels)


TRAINING, HELD_OUT = stripes(64), stripes(32, seed=1)


@pytest.fixture
def quick(tmp_path):
    return Classifier(steps=6, width=4, cache_dir=str(tmp_path / "kept"))


def opened(extractor, caplog, training=TRAINING, held_out=HELD_OUT):
    """The opened network, and whether it was trained for it."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        network = extractor.open(training, held_out)
    return network, "Training a classifier" in caplog.text


def files(extractor):
    return sorted(Path(extractor.cache_dir).iterdir())


def test_learns_digits():
    digits = Digits().load()
    rows = torch.randperm(len(digits.samples), generator=torch.Generator().manual_seed(0))
    training, held_out = rows[297:], rows[:297]
    network = train_classifier(digits.samples[training], digits.labels[training], 10, seed=0)
    assert accuracy(network, digits.samples[held_out], digits.labels[held_out]) >= 0.97


@pytest.mark.parametrize(
    ("training", "held_out"),
    [
        (TRAINING, HELD_OUT),
        (stripes(64, (3, 9, 13)), stripes(32, (3, 9, 13), seed=1)),
        (stripes(64, (2, 45, 32)), stripes(32, (2, 45, 32), seed=1)),
        (points(64), points(32, seed=1)),
        (waves(256), waves(32, seed=1)),
        (waves(256, 3, 301), waves(32, 3, 301, seed=1)),
    ],
    ids=["8x8", "9x13", "45x32", "vectors", "signals", "long signals"],
)
def test_learns_samples_of_any_shape(training, held_out):
    network = train_classifier(*training[:2], 2, seed=0, width=4)
    features, logits = network(held_out.samples)
    assert (features.shape, features.dtype, logits.shape) == ((32, 64), torch.float32, (32, 2))
    assert features.min() == 0
    assert torch.equal(logits, network.head(features))
    assert accuracy(network, *held_out[:2]) == 1


def test_accuracy_is_the_share_that_is_right():
    network = train_classifier(*TRAINING[:2], 2, seed=0, width=4)
    wrong = HELD_OUT.labels.clone()
    wrong[:8] = 1 - wrong[:8]
    assert accuracy(network, HELD_OUT.samples, wrong) == 0.75


@pytest.mark.parametrize("samples", [TRAINING, points(64)], ids=["images", "vectors"])
def test_the_seed_decides_and_the_random_state_stays(samples):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    hashes = [weights_hash(train_classifier(*samples[:2], 2, seed, steps=4, width=4)) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert hashes[0] == hashes[1] != hashes[2]
    torch.manual_seed(4)
    assert weights_hash(train_classifier(*samples[:2], 2, 0, steps=4, width=4)) == hashes[0]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_trains_where_gradients_are_off(mode):
    expected = weights_hash(train_classifier(*points(64)[:2], 2, 0, steps=4, width=4))
    with mode():
        assert weights_hash(train_classifier(*points(64)[:2], 2, 0, steps=4, width=4)) == expected


def test_few_samples_are_not_passed_through_more_than_30_times():
    at_most = -(-30 * 64 // 128)
    hashes = [weights_hash(train_classifier(*TRAINING[:2], 2, 0, steps, 4)) for steps in (at_most - 1, at_most, 2000)]
    assert hashes[0] != hashes[1] == hashes[2]


def test_the_batch_size_is_nothing():
    network = train_classifier(*TRAINING[:2], 2, seed=0, steps=6, width=4)
    whole, parts = (FeatureNetwork("", network)(HELD_OUT.samples, batch_size=size) for size in (32, 5))
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_vectors_are_standardized():
    network = ClassifierNetwork((3,), 2)
    vectors = points(64).samples
    network.standardize(vectors)
    inside = (vectors - network.shift) / network.scale
    assert inside.mean(0).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert inside.std(0, correction=0).tolist() == pytest.approx([1, 1, 0], abs=1e-4)


def test_signals_are_standardized_by_channel():
    network = ClassifierNetwork((2, 40), 2)
    signals = waves(64, 2).samples * torch.tensor([[1.0], [5.0]])
    network.standardize(signals)
    inside = (signals - network.shift.view(-1, 1)) / network.scale.view(-1, 1)
    assert inside.mean((0, 2)).tolist() == pytest.approx([0, 0], abs=1e-3)
    assert inside.std((0, 2), correction=0).tolist() == pytest.approx([1, 1], abs=1e-3)


def test_is_trained_once(quick, caplog):
    first, trained = opened(quick, caplog)
    assert trained
    assert str(files(quick)[0]) in caplog.text
    state = torch.get_rng_state()
    again, trained = opened(quick, caplog)
    assert not trained
    assert torch.equal(torch.get_rng_state(), state)
    assert (again.name, again.sha256, again.facts) == (first.name, first.sha256, first.facts)
    assert torch.equal(again(HELD_OUT.samples)[0], first(HELD_OUT.samples)[0])
    assert not again.module.training
    assert not any(parameter.requires_grad for parameter in again.module.parameters())
    assert len(files(quick)) == 1


def test_says_how_good_it_is(quick):
    network = replace(quick, steps=2000).open(TRAINING, HELD_OUT)
    assert network.facts == {"trained on": 64, "accuracy": 1.0}
    assert network.sha256 == weights_hash(network.module)
    assert (network.resize, network.known_as) == ("none", {})


@pytest.mark.parametrize("labels", [None, torch.empty(0, dtype=torch.int64)], ids=["unlabelled", "empty"])
def test_accuracy_needs_held_out_labels(quick, labels):
    assert quick.open(TRAINING, SampleSet(HELD_OUT.samples[:0], labels)).facts == {"trained on": 64}


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 7},
        {"width": 5},
        {"seed": 1},
        {"training": SampleSet(TRAINING.samples, 1 - TRAINING.labels)},
        {"training": SampleSet(TRAINING.samples.flip(0), TRAINING.labels)},
        {"training": SampleSet(TRAINING.samples.view(64, 1, 4, 16), TRAINING.labels)},
        {"held_out": stripes(32, seed=2)},
    ],
    ids=["steps", "width", "seed", "labels", "samples", "shape", "held_out"],
)
def test_another_classifier_is_another_file(quick, caplog, change):
    opened(quick, caplog)
    sets = {name: change[name] for name in change if name in ("training", "held_out")}
    fields = {name: change[name] for name in change if name not in sets}
    assert opened(replace(quick, **fields), caplog, **sets)[1]
    assert len(files(quick)) == 2


def cut(file):
    file.write_bytes(file.read_bytes()[:-100])


def empty(file):
    file.write_bytes(b"")


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def lose_the_metadata(file):
    save_file(load_file(file), file)


def hold_another_network(file):
    save_file({"weight": torch.zeros(3)}, file)


def rewritten(file, convert=lambda tensor: tensor, facts="{}"):
    with safe_open(file, "pt") as stored:
        metadata = {**stored.metadata(), "facts": facts}
    save_file({name: convert(tensor) for name, tensor in load_file(file).items()}, file, metadata)


def hold_facts_that_are_no_numbers(file):
    rewritten(file, facts='{"accuracy": "[red]"}')


def hold_no_facts(file):
    rewritten(file, facts="[" * 100_000)


def hold_another_type(file):
    rewritten(file, lambda tensor: tensor.to(torch.complex64))


def be_a_folder(file):
    file.unlink()
    file.mkdir()


PLANTED = [hold_facts_that_are_no_numbers, hold_no_facts, hold_another_type]


@pytest.mark.parametrize(
    "damage",
    [cut, empty, flip_a_bit, lose_the_metadata, hold_another_network, *PLANTED, be_a_folder],
    ids=lambda each: each.__name__,
)
def test_a_damaged_file_is_trained_again(quick, caplog, damage):
    first, _ = opened(quick, caplog)
    damage(files(quick)[0])
    again, trained = opened(quick, caplog)
    assert trained
    assert again.sha256 == first.sha256
    assert len(files(quick)) == 1
    assert opened(quick, caplog)[1] == (damage is be_a_folder)


def test_goes_on_where_nothing_can_be_written(quick, caplog, tmp_path):
    (tmp_path / "kept").write_text("in the way")
    network, _ = opened(quick, caplog)
    assert network.facts["trained on"] == 64
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert str(tmp_path / "kept") in warning.getMessage()
    assert "trained again" in warning.getMessage()


def test_is_kept_in_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Classifier(steps=1, width=1).open(TRAINING, HELD_OUT)
    assert len(list((tmp_path / "gan_lightning" / "classifiers").glob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    ("labels", "what"), [(None, "no labels"), (torch.zeros(64, dtype=torch.int64), "a single class")]
)
def test_needs_classes(quick, labels, what):
    with pytest.raises(UserError, match=f"{what}: use extractor=identity"):
        quick.open(SampleSet(TRAINING.samples, labels), HELD_OUT)


@pytest.mark.parametrize("field", ["steps", "width"])
def test_ranges(field):
    with pytest.raises(ValueError, match=f"{field} must be at least 1 .*, got 0"):
        Classifier(**{field: 0})
