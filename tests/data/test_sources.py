"""The bundled digits."""

import torch
from sklearn.datasets import load_digits

from gan_lightning.data.sources import Digits


def test_digits_spread_sixteen_levels_over_a_byte() -> None:
    sample_set, original = Digits().load(), load_digits()
    assert sample_set.samples.shape == (1797, 1, 8, 8)
    assert sample_set.samples.dtype == torch.uint8
    for level, expected in [(0, 0), (1, 16), (5, 80), (15, 239), (16, 255)]:  # round(level * 15.9375)
        pixels = sample_set.samples[:, 0][torch.from_numpy(original.images == level)]
        assert len(pixels) > 0
        assert set(pixels.tolist()) == {expected}
    assert sample_set.labels is not None
    assert sample_set.labels.dtype == torch.int64
    assert sample_set.labels.tolist() == original.target.tolist()
    assert sample_set.classes == tuple("0123456789")
