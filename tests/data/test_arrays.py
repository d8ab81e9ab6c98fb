"""Arrays of one's own: what they become, the way back to their numbers, and what is refused with what was found."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gan_lightning import UserError
from gan_lightning.data.arrays import Array, noted, units_seen
from gan_lightning.samples import SampleSet, Units

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 3, 4, 5)).astype(np.uint8)
SIGNALS = RANDOM.normal([[[100.0]], [[0.5]]], [[[5.0]], [[0.01]]], (2, 9, 7)).transpose(1, 0, 2)  # two channels of 7
POINTS = np.array([[1000.0, -0.5], [2000.0, 0.25], [1250.0, 0.5]])


def saved(folder: Path, array: Any) -> str:
    np.save(folder / "a.npy", array)
    return str(folder / "a.npy")


def loaded(folder: Path, array: Any, shape: list[int], **others: Any) -> SampleSet:
    return Array(saved(folder, array), shape, **others).load()


def message(folder: Path, array: Any, shape: list[int], **others: Any) -> str:
    with pytest.raises(UserError) as caught:
        loaded(folder, array, shape, **others)
    return str(caught.value).replace(str(folder), "DIR")


@pytest.mark.parametrize("stored", [IMAGES, IMAGES.transpose(0, 2, 3, 1), IMAGES.reshape(6, -1)])
def test_images_of_bytes_stay_as_they_are(tmp_path: Path, stored: Any) -> None:
    samples = loaded(tmp_path, stored, [3, 4, 5]).samples
    assert samples.dtype == torch.uint8
    assert np.array_equal(samples.numpy(), IMAGES)


def test_grey_images_need_no_dimension_for_it(tmp_path: Path) -> None:
    assert np.array_equal(loaded(tmp_path, IMAGES[:, 1], [1, 4, 5]).samples.numpy(), IMAGES[:, 1:2])


def test_bytes_are_mapped_and_never_written(tmp_path: Path) -> None:
    samples = loaded(tmp_path, IMAGES, [3, 4, 5]).samples
    before = (tmp_path / "a.npy").read_bytes()
    assert samples.data_ptr() % 4096 != 0 or samples.untyped_storage().nbytes() == IMAGES.nbytes
    samples.zero_()
    assert (tmp_path / "a.npy").read_bytes() == before


@pytest.mark.parametrize(("levels", "low", "high"), [("data", 100, 4100), ([0, 8000], 0, 8000)])
def test_levels_of_images_there_and_back(tmp_path: Path, levels: Any, low: float, high: float) -> None:
    stored = np.array([100, 1100, 2100, 4100], np.uint16).reshape(2, 1, 1, 2)
    found = loaded(tmp_path, stored, [1, 1, 2], range=levels)
    expected = (stored.astype(float) - low) / (high - low) * 2 - 1
    np.testing.assert_allclose(found.samples.numpy(), expected, atol=1e-6)
    assert found.units is not None
    np.testing.assert_allclose(found.units.restore(found.samples).numpy(), stored, rtol=1e-6)


def test_levels_beyond_the_range_are_cut_off_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = loaded(tmp_path, IMAGES, [3, 4, 5], range=[0, 100]).samples
    count = int((IMAGES > 100).sum())
    assert int((samples == 1).sum()) == count + int((IMAGES == 100).sum())
    assert f"{count} of {IMAGES.size} pixels of {tmp_path}/a.npy lie beyond 0 and 100" in caplog.text


@pytest.mark.parametrize("levels", ["data", "standard", [0, 1000], None])
def test_vectors_there_and_back(tmp_path: Path, levels: Any) -> None:
    found = loaded(tmp_path, POINTS, [2], range=levels)
    if levels == "data":
        assert found.samples.tolist() == [[-1, -1], [1, 0.5], [-0.5, 1]]
    elif levels == "standard":
        torch.testing.assert_close(found.samples.mean(0), torch.zeros(2))
        torch.testing.assert_close(found.samples.std(0, correction=0), torch.ones(2))
    elif levels is None:
        assert found.samples.tolist() == POINTS.tolist()
    else:
        torch.testing.assert_close(found.samples[:, 0], torch.tensor([1.0, 3.0, 1.5]))
    assert found.units is not None
    np.testing.assert_allclose(found.units.restore(found.samples).numpy(), POINTS, atol=1e-4)


@pytest.mark.parametrize("stored", [SIGNALS, SIGNALS.transpose(0, 2, 1), SIGNALS.reshape(9, -1)])
def test_signals_have_their_channels_first(tmp_path: Path, stored: Any) -> None:
    found = loaded(tmp_path, stored, [2, 7], range=None)
    assert found.samples.dtype == torch.float32
    np.testing.assert_allclose(found.samples.numpy(), SIGNALS, rtol=1e-6)


def test_signals_of_one_channel_need_no_dimension_for_it(tmp_path: Path) -> None:
    found = loaded(tmp_path, SIGNALS[:, 1], [1, 7], range=None)
    np.testing.assert_allclose(found.samples.numpy(), SIGNALS[:, 1:], rtol=1e-6)


@pytest.mark.parametrize("levels", ["data", "standard", [0, 1000], None])
def test_signals_there_and_back_in_the_units_of_each_channel(tmp_path: Path, levels: Any) -> None:
    found = loaded(tmp_path, SIGNALS, [2, 7], range=levels)
    each = found.samples.transpose(0, 1).flatten(1)
    if levels == "data":
        assert torch.stack(each.aminmax(dim=1)).tolist() == [pytest.approx([-1, -1]), pytest.approx([1, 1])]
    elif levels == "standard":
        torch.testing.assert_close(each.mean(1), torch.zeros(2), atol=1e-4, rtol=0)
        torch.testing.assert_close(each.std(1, correction=0), torch.ones(2))
    elif levels is None:
        np.testing.assert_allclose(found.samples.numpy(), SIGNALS, rtol=1e-6)
    else:
        assert float(each.min()) == pytest.approx(SIGNALS.min() / 500 - 1)
    assert found.units is not None
    assert len(found.units.scale) == (2 if levels in ("data", "standard") else 1)
    np.testing.assert_allclose(found.units.restore(found.samples).numpy(), SIGNALS, atol=1e-4)


def test_signals_beyond_the_range_are_kept(tmp_path: Path) -> None:
    assert float(loaded(tmp_path, SIGNALS, [2, 7], range=[0, 1]).samples.max()) > 100


def test_a_column_that_is_the_same_everywhere_is_restored(tmp_path: Path) -> None:
    for levels in ("data", "standard"):
        found = loaded(tmp_path, np.array([[1.0, 7.0], [2.0, 7.0]]), [2], range=levels)
        assert found.samples[:, 1].tolist() == [0, 0]
        assert found.units is not None
        assert found.units.restore(torch.tensor([[0.3, 0.9]]))[0, 1] == 7


def test_more_samples_than_are_looked_at_together(tmp_path: Path) -> None:
    points = RANDOM.normal([5, -100], [2, 30], (10_000, 2))
    found = loaded(tmp_path, points, [2], range="standard")
    assert found.units is not None
    np.testing.assert_allclose(found.units.shift, points.mean(0))
    np.testing.assert_allclose(found.units.scale, points.std(0))
    np.testing.assert_allclose(found.samples.numpy(), (points - points.mean(0)) / points.std(0), atol=1e-5)


def test_npz_and_its_labels(tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", x=POINTS, y=np.array([10, 2, 10]), z=POINTS)
        found = Array(str(tmp_path / "a.npz"), [2], key="x", labels="y", range=None).load()
        assert found.samples.tolist() == POINTS.tolist()
        assert found.classes == ("2", "10")
        assert found.labels is not None
        assert found.labels.tolist() == [1, 0, 1]


def test_pt_and_labels_in_a_file_beside_it(tmp_path: Path) -> None:
    images = torch.from_numpy(IMAGES)
    np.save(tmp_path / "l.npy", np.array(["cat", "dog", "cat", "cat", "dog", "eel"]))
    for content in (images, {"images": images, "name": "x"}, [images]):
        torch.save(content, tmp_path / "a.pt")
        found = Array(str(tmp_path / "a.pt"), [3, 4, 5], labels="l.npy").load()
        assert torch.equal(found.samples, images)
        assert found.classes == ("cat", "dog", "eel")
        assert found.labels is not None
        assert found.labels.tolist() == [0, 1, 0, 0, 1, 2]


@pytest.mark.parametrize(
    ("array", "shape", "told"),
    [
        (np.array([[1, 2], [3]], object), [2], "shape (2,) and type object: of objects, such as rows of different"),
        (np.array(["a", "b"]), [1], "shape (2,) and type <U1; expected whole or real numbers"),
        (np.zeros((2, 3), complex), [3], "type complex128; expected whole or real"),
        (np.zeros((0, 3)), [3], "shape (0, 3) and type float64: there is nothing in it"),
        (np.zeros((2, 3, 4)), [3], "shape (2, 3, 4) and type float64, while dataset.sample_shape is [3]"),
        (np.zeros((2, 5, 4, 4)), [3, 4, 6], "shape (2, 5, 4, 4) and type float64, while dataset.sample_shape is"),
        (np.zeros((2, 3, 4)), [3, 5], "shape (2, 3, 4) and type float64, while dataset.sample_shape is [3, 5]"),
        (np.zeros((2, 8)), [1, 9], "(N, L) for signals, all of that length, dataset.sample_shape=[C,L]"),
        (np.zeros((2, 3, 4)), [1, 2, 3, 4], "while dataset.sample_shape is [1, 2, 3, 4]; expected (N, C, H, W)"),
        (np.full((2, 2, 4), np.nan), [2, 4], "16 NaN and 0 infinite numbers, in 2 of 2 samples"),
        (np.array([[1, np.nan], [np.inf, np.nan], [1, 2]]), [2], "2 NaN and 1 infinite numbers, in 2 of 3 samples"),
    ],
)
def test_what_is_no_data_set_is_told_as_it_was_found(tmp_path: Path, array: Any, shape: Any, told: str) -> None:
    text = message(tmp_path, array, shape)
    assert text.startswith("dataset.root is DIR/a.npy, which has ")
    assert told in text
    assert "\n" not in text


def test_levels_that_do_not_fit_images(tmp_path: Path) -> None:
    stored = np.zeros((2, 1, 4, 4), np.float32) + 2
    assert "dataset.range is standard, but images" in message(tmp_path, stored, [1, 4, 4], range="standard")
    assert "32 of 32 pixels" in message(tmp_path, stored, [1, 4, 4], range=None)
    with pytest.raises(ValueError, match="LOW below HIGH"):
        Array("a", [2], range=(1.0, 1.0))


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (np.zeros(2, int), "shape (2,) and type int64; expected one label for each of 3 samples"),
        (np.zeros((3, 4), int), "shape (3, 4) and type int64; expected one label"),
        (np.array(["a", "b", None]), "shape (3,) and type object: of objects"),
        (np.array([0.5, 1, 2]), "type float64; expected whole numbers or texts"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, labels: Any, told: str) -> None:
    np.save(tmp_path / "l.npy", labels)
    text = message(tmp_path, POINTS, [2], labels="l.npy")
    assert text.startswith("dataset.labels is l.npy, which has an array of ")
    assert told in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "which has x (3, 2) of float64, y (3, 2) of float64; dataset.key=NAME chooses one"),
        ({"key": "xx"}, "dataset.key is xx, but DIR/a.npz has x (3, 2) of float64, y (3, 2) of float64. Did you mean"),
        ({"key": "x", "labels": "z"}, "dataset.labels is z, which is neither an array of DIR/a.npz (x, y) nor a file"),
    ],
)
def test_arrays_are_named(tmp_path: Path, options: Any, told: str) -> None:
    np.savez(tmp_path / "a.npz", x=POINTS, y=POINTS)
    with pytest.raises(UserError, match=re.escape(told.replace("DIR", str(tmp_path)))):
        Array(str(tmp_path / "a.npz"), [2], **options).load()


def test_files_that_are_none(tmp_path: Path) -> None:
    whole = Path(saved(tmp_path, POINTS)).read_bytes()
    torch.save({"x": Path("code")}, tmp_path / "code.pt")
    for name, content, told in (
        ("none.npy", None, "but there is no such file; expected a .npy, .npz or .pt file"),
        ("text.npy", b"1,2,3", r"neither .npy nor .npz nor .pt by its content\.$"),
        ("text.csv", b"1,2,3", "nor .pt by its content; dataset=table reads CSV and Parquet"),
        ("cut.npy", whole[:-8], r"can't be read \(it is cut off: 48 bytes are announced, and 40 are there\)"),
        ("head.npy", whole[:20], "can't be read"),
        ("zip.npz", b"PK\x03\x04 and more", "can't be read"),
        ("text.pt", b"1,2,3", "can't be read"),
        ("code.pt", (tmp_path / "code.pt").read_bytes(), "can't be read"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=told):
            Array(str(tmp_path / name), [2]).load()
    with pytest.raises(UserError, match="which is no file"):
        Array(str(tmp_path), [2]).load()


def test_bytes_that_come_later_have_the_scale_of_before(tmp_path: Path) -> None:
    facts = Array(saved(tmp_path, IMAGES.astype(np.int16) // 2), [3, 4, 5]).load_with_facts()[1]
    later = Array(saved(tmp_path, IMAGES // 2 + 1), [3, 4, 5], seen=facts, changed="accept").load()
    assert later.units is not None
    assert noted(later.units, tmp_path) == facts["units"]
    restored = later.units.restore(later.samples).numpy()
    np.testing.assert_allclose(restored, np.clip(IMAGES // 2 + 1, 0, (IMAGES // 2).max()), atol=1e-4)


def test_units_as_runs_noted_them_first(tmp_path: Path) -> None:
    """As a mapping, with none of what tables have."""
    units = {"scale": [2.0, 1.0], "shift": [1000.0, 0.0], "names": []}
    found = loaded(tmp_path, POINTS, [2], seen={"samples": 3, "units": units})
    assert found.samples.tolist() == [[0, -0.5], [500, 0.25], [125, 0.5]]


def test_units_are_noted_as_text_without_interpolations(tmp_path: Path) -> None:
    units = Units((1 / 3,), (0.0,), ("${oc.env:HOME}",), (True,), "$")
    text = noted(units, tmp_path)
    assert "$" not in text
    assert units_seen({"units": text}) == units
    wide = np.zeros((1, 20_000))
    with pytest.raises(
        UserError, match=r"too many columns .* dataset\.range=\[LOW,HIGH\] or null is one scale for all"
    ):
        loaded(tmp_path, wide + np.arange(20_000) / 3, [20_000])
    assert loaded(tmp_path, wide, [20_000], range=None).samples.shape == (1, 20_000)


def test_what_a_run_has_seen_stays(tmp_path: Path) -> None:
    np.save(tmp_path / "l.npy", np.array([5, 6, 5]))
    source = Array(saved(tmp_path, POINTS), [2], labels="l.npy")
    facts = source.load_with_facts()[1]
    assert facts["classes"] == ["5", "6"]
    again = Array(source.root, [2], labels="l.npy", seen=facts)
    assert again.load_with_facts()[1] == facts
    saved(tmp_path, POINTS * 2)
    with pytest.raises(UserError, match=r"the samples are not those .* \(3 as then, .*dataset\.changed=accept"):
        again.load()
    np.save(tmp_path / "l.npy", np.array([1, 6, 5]))
    accepted = Array(source.root, [2], labels="l.npy", seen=facts, changed="accept").load()
    assert accepted.samples[0, 0] == pytest.approx((2000 - 1500) / 500)
    assert accepted.classes == ("5", "6", "1")
    with pytest.raises(ValueError, match="seen is not what a run has found"):
        Array(source.root, [2], seen={**facts, "units": {"scale": ["x"], "shift": [0], "names": []}})
