"""Samples and their labels, together wherever they go."""

import pytest
import torch
from jaxtyping import TypeCheckError

from gan_lightning.samples import SampleSet, Units, as_floats, as_units

IMAGES = torch.arange(24, dtype=torch.uint8).view(6, 1, 2, 2)
SET = SampleSet(IMAGES, 10 * torch.arange(6), ("a", "b"))


@pytest.mark.parametrize("rows", [torch.tensor([3, 0]), torch.tensor([[5, 1], [1, 0]])])
def test_rows_are_taken_with_their_labels(rows):
    taken = SET.take(rows)
    assert torch.equal(taken.samples, IMAGES[rows])
    assert torch.equal(taken.labels, 10 * rows)
    assert taken.classes == SET.classes
    assert SampleSet(IMAGES).take(rows).labels is None


def test_the_first():
    few = SET.first(2)
    assert torch.equal(few.samples, IMAGES[:2])
    assert few.labels.tolist() == [0, 10]
    assert SampleSet(IMAGES).first(2).labels is None


def test_moving():
    moved = SET.to("meta")
    assert moved.samples.device.type == moved.labels.device.type == "meta"
    assert SampleSet(IMAGES).to("meta").labels is None


def test_the_ends_of_the_range_are_exact():
    assert as_floats(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_every_level():
    pixels = torch.arange(256, dtype=torch.uint8)
    values = as_floats(pixels)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.double(), pixels.double() / 127.5 - 1, rtol=0, atol=2e-7)
    assert (values.diff() > 0).all()
    assert values.abs().max() == 1
    assert torch.equal(pixels, torch.arange(256, dtype=torch.uint8))  # untouched


def test_vectors_stay():
    vectors = torch.tensor([[0.0, -7.5], [255.0, 1e-3]])
    assert torch.equal(as_floats(vectors), torch.tensor([[0.0, -7.5], [255.0, 1e-3]]))
    assert torch.equal(SampleSet(vectors).as_floats().samples, vectors)
    assert torch.equal(SET.as_floats().samples, as_floats(IMAGES))


def test_types_are_checked():
    with pytest.raises(TypeCheckError, match="parameter 'samples'"):
        as_floats(torch.zeros(2, 3, dtype=torch.int64))


def test_whole_numbers_are_restored_as_such():
    units = Units((2.0, 0.5), (10.0, -1.0), ("a", "b"), (True, False))
    restored = units.restore(torch.tensor([[-5.1, 0.25], [0.3, -1.0]])).tolist()
    assert restored == [[0, -0.875], [11, -1.5]]
    assert str(restored[0][0]) == "0.0"
    levels = Units((127.5,), (127.5,), whole=(True,)).restore(torch.tensor([[[[0.01, 0.5]]]]))
    assert levels.flatten().tolist() == [129, 191]


def test_units_of_runs_before_whole_numbers_and_labels():
    """What such a run has saved is read, and its samples are as they were."""
    units = as_units({"scale": [2.0], "shift": [10.0], "names": ["a"]})
    assert units == Units((2.0,), (10.0,), ("a",))
    assert units.restore(torch.tensor([[0.25]])).item() == 10.5


def test_units_there_and_back():
    units = Units((2.0, 1.0), (10.0, 3.0), ("a", "b"), (True, False), "kind")
    assert as_units(units.plain()) == units
    for key, wrong in (("whole", [1, 0]), ("whole", "yes"), ("label", None), ("names", [1]), ("shift", [0.0])):
        with pytest.raises(ValueError, match="the units are no scales"):
            as_units({**units.plain(), key: wrong})
