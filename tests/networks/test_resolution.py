"""Sizes of images and how often they are halved."""

import pytest
import torch

from gan_lightning.networks.resolution import (
    base_size,
    crop,
    image_dimensions,
    signal_dimensions,
    signal_stages,
    stages,
)


@pytest.mark.parametrize(
    ("height", "width", "count", "base"),
    [
        (8, 8, 1, (4, 4)),
        (15, 99, 1, (8, 50)),
        (16, 16, 2, (4, 4)),
        (28, 28, 2, (7, 7)),
        (31, 30, 2, (8, 8)),
        (32, 32, 3, (4, 4)),
        (64, 64, 4, (4, 4)),
        (64, 28, 2, (16, 7)),
        (256, 256, 6, (4, 4)),
    ],
)
def test_stages_and_base(height, width, count, base):
    assert stages(height, width) == stages(width, height) == count
    assert base_size(height, width) == base
    assert base_size(width, height) == base[::-1]


def test_the_base_grows_past_the_size_by_less_than_a_stage():
    for height in range(8, 140):
        (base, _), grown = base_size(height, height), 2 ** stages(height, height)
        assert 0 <= base * grown - height < grown
        assert 4 <= base <= 8


def test_crops_the_middle():
    images = torch.arange(2 * 3 * 6 * 7).view(2, 3, 6, 7)
    assert torch.equal(crop(images, 4, 4), images[:, :, 1:5, 1:5])
    assert torch.equal(crop(images, 6, 7), images)


def test_dimensions():
    assert image_dimensions([3, 8, 9]) == (3, 8, 9)
    with pytest.raises(ValueError, match=r"at least 8x8 pixels, got 9x7"):
        image_dimensions([3, 9, 7])
    with pytest.raises(ValueError, match=r"samples of shape \(2,\); use network=mlp or network=toy"):
        image_dimensions([2])
    with pytest.raises(ValueError, match=r"got signals .* of shape \(2, 64\); use network=conv1d or network=mlp"):
        image_dimensions([2, 64])


@pytest.mark.parametrize(
    ("length", "stride", "count"),
    [
        (8, 4, 1),
        (31, 4, 1),
        (127, 4, 1),
        (128, 4, 2),
        (256, 4, 2),
        (16384, 4, 5),
        (65536, 4, 6),
        (64, 2, 3),
        (63, 2, 2),
    ],
)
def test_stages_of_signals_leave_eight_steps(length, stride, count):
    assert signal_stages(length, stride) == count
    assert signal_dimensions([2, length]) == (2, length)
