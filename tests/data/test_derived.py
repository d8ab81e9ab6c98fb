"""Stacked MNIST and the digits with a long tail."""

import numpy as np
import pytest
import torch
from set_files import write_set

from gan_lightning.data.derived import ImbalancedDigits, StackedMNIST
from gan_lightning.data.sources import Digits
from gan_lightning.errors import UserError


class TestStackedMNIST:
    @pytest.fixture
    def digits(self, tmp_path, monkeypatch):
        """MNIST's training images (12, 28, 28), all different, and their labels."""
        (images, labels), _ = write_set(tmp_path, "MNIST", monkeypatch)
        return images[:, 0], labels

    def test_channels_are_digits_and_classes_their_decimals(self, tmp_path, digits):
        images, labels = digits
        stacked = StackedMNIST(str(tmp_path), count=300).load()
        assert stacked.samples.shape == (300, 3, 28, 28)
        assert stacked.samples.dtype == torch.uint8
        assert stacked.labels.dtype == torch.int64
        indices = {image.tobytes(): index for index, image in enumerate(images)}
        chosen = np.array([[indices[channel.tobytes()] for channel in image] for image in stacked.samples.numpy()])
        hundreds, tens, ones = labels[chosen].T
        assert np.array_equal(stacked.labels.numpy(), 100 * hundreds + 10 * tens + ones)

    def test_all_triples_are_as_likely(self, tmp_path, digits):
        """900 draws of 12 images: 75 of each +- 8.3; five of these are allowed. Channels agree in a twelfth."""
        images, _ = digits
        stacked = StackedMNIST(str(tmp_path), count=900).load().samples
        for channel in range(3):
            counts = [
                (stacked[:, channel] == torch.from_numpy(image)).flatten(1).all(1).sum().item() for image in images
            ]
            assert sum(counts) == 900
            assert all(abs(count - 75) < 5 * 8.3 for count in counts)
        for first, second in [(0, 1), (0, 2), (1, 2)]:
            alike = (stacked[:, first] == stacked[:, second]).flatten(1).all(1).sum().item()
            assert abs(alike - 75) < 5 * 8.3

    def test_its_splits_share_no_digit(self, tmp_path, digits):
        trained, tested = (StackedMNIST(str(tmp_path), 300, split=split).load().samples for split in ("train", "test"))
        images = {image.tobytes() for image in digits[0]}
        assert {channel.numpy().tobytes() for channel in trained.flatten(0, 1)} <= images
        assert not {channel.numpy().tobytes() for channel in tested.flatten(0, 1)} & images

    def test_classes_are_a_thousand(self, tmp_path, digits):
        classes = StackedMNIST(str(tmp_path), count=2).load().classes
        assert len(classes) == 1000
        assert (classes[0], classes[7], classes[123], classes[999]) == ("000", "007", "123", "999")

    def test_other_seeds_give_other_samples(self, tmp_path, digits):
        first, other = (StackedMNIST(str(tmp_path), count=50, seed=seed).load() for seed in (0, 1))
        assert not torch.equal(first.samples, other.samples)

    def test_default_size_is_pacgans(self, tmp_path):
        assert StackedMNIST(str(tmp_path)).count == 128_000

    def test_what_mnist_lacks_is_said(self, tmp_path):
        with pytest.raises(UserError, match="where MNIST is not there"):
            StackedMNIST(str(tmp_path)).load()


class TestImbalancedDigits:
    def test_shares_fall_exponentially(self):
        """174 * 0.05 ** (k / 9), rounded."""
        counts = ImbalancedDigits().load().labels.bincount()
        assert counts.tolist() == [174, 125, 89, 64, 46, 33, 24, 17, 12, 9]

    @pytest.mark.parametrize(
        ("ratio", "expected"),
        [
            (1.0, [174] * 10),
            (0.5, [174, 161, 149, 138, 128, 118, 110, 101, 94, 87]),
            (1e-9, [174, 17, 2, 1, 1, 1, 1, 1, 1, 1]),  # none dies out
        ],
    )
    def test_other_ratios(self, ratio, expected):
        assert ImbalancedDigits(ratio=ratio).load().labels.bincount().tolist() == expected

    def test_images_are_the_digits_in_their_order_each_at_most_once(self):
        everything, some = Digits().load(), ImbalancedDigits(ratio=0.3).load()
        assert some.classes == everything.classes
        pairs = [
            (image.numpy().tobytes(), label) for image, label in zip(some.samples, some.labels.tolist(), strict=True)
        ]
        remaining = iter(
            (image.numpy().tobytes(), label)
            for image, label in zip(everything.samples, everything.labels.tolist(), strict=True)
        )
        assert all(pair in remaining for pair in pairs)  # consumes what is passed over

    def test_other_seeds_give_other_samples(self):
        first, other = (ImbalancedDigits(seed=seed).load() for seed in (0, 1))
        assert not torch.equal(first.samples, other.samples)
        assert torch.equal(first.labels.bincount(), other.labels.bincount())

    @pytest.mark.parametrize("ratio", [0.0, -0.5, 1.1])
    def test_impossible_ratios(self, ratio):
        with pytest.raises(ValueError, match=f"ratio must be above 0 and at most 1, got {ratio}"):
            ImbalancedDigits(ratio=ratio)
