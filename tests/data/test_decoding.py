"""Pictures of other proportions, with transparency, with more than 8 bits and with any number of channels."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.data import decoding
from gan_lightning.data.datamodule import conform
from gan_lightning.data.decoding import Fit, Form, decode
from gan_lightning.data.image_folder import ImageFolder
from gan_lightning.errors import UserError

COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)


@pytest.fixture(autouse=True)
def _caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


def save(path: Path, pixels: Any) -> Path:
    Image.fromarray(np.asarray(pixels)).save(path)
    return path


def thirds(height: int, width: int) -> np.ndarray:
    """Red, green and blue, from left to right."""
    return COLOURS[np.arange(width) * 3 // width][None].repeat(height, axis=0)


def message(folder: ImageFolder) -> str:
    with pytest.raises(UserError) as caught:
        folder.load()
    return str(caught.value)


# --- other proportions ---


def columns(image: np.ndarray) -> str:
    """What one sees along the middle row: a letter for each run of one colour, - for black."""
    row = image[:, image.shape[1] // 2].astype(int).T
    letters = ["-" if pixel.max() < 100 else "rgb"[pixel.argmax()] for pixel in row]
    return "".join(letter for at, letter in enumerate(letters) if at == 0 or letters[at - 1] != letter)


@pytest.mark.parametrize(
    ("size", "fit", "seen"),
    [
        ((32, 64), "crop", "rgb"),
        ((16, 32), "crop", "rgb"),
        ((64, 128), "crop", "rgb"),
        ((32, 20), "crop", "g"),
        ((32, 32), "crop", "rgb"),  # the middle half: 10 of 32 columns are red, 22 green, ... of all three a part
        ((32, 32), "stretch", "rgb"),
        ((16, 64), "pad", "-rgb-"),
        ((64, 32), "pad", "rgb"),
    ],
)
def test_a_wide_picture(tmp_path: Path, size: tuple[int, int], fit: Fit, seen: str) -> None:
    image = decode(save(tmp_path / "a.png", thirds(32, 64)), Form(3, *size, fit)).pixels
    assert image.shape == (3, *size)
    assert columns(image) == seen


def test_cropping_takes_the_largest_middle_on_whole_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 15), dtype=np.uint8)
    path = save(tmp_path / "a.png", pixels)
    assert np.array_equal(decode(path, Form(1, 5, 15)).pixels[0], pixels[3:8])
    assert np.array_equal(decode(path, Form(1, 12, 4)).pixels[0], pixels[:, 5:9])


def test_padding_is_black_and_in_the_middle(tmp_path: Path) -> None:
    image = decode(save(tmp_path / "a.png", np.full((8, 16), 200, np.uint8)), Form(1, 16, 16, "pad")).pixels[0]
    assert (image[4:12] == 200).all()
    assert (image[:4] == 0).all()
    assert (image[12:] == 0).all()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_tensors_are_fitted_as_pictures_are(tmp_path: Path, fit: Fit) -> None:
    """Of data sets that are no folders, whose images come as tensors."""
    pixels = np.kron(np.random.default_rng(1).integers(60, 200, (4, 8), dtype=np.uint8), np.ones((8, 8), np.uint8))
    expected = decode(save(tmp_path / "a.png", pixels), Form(1, 32, 48, fit)).pixels
    found = conform(torch.from_numpy(pixels)[None, None], (1, 32, 48), fit)[0].numpy()
    assert abs(found.astype(int) - expected).mean() < 5  # bicubic there, Lanczos here
    assert np.array_equal(found == 0, expected == 0)


def test_floats_are_fitted_too() -> None:
    images = torch.full((2, 1, 8, 16), 0.25)
    padded = conform(images, (1, 16, 16), "pad")
    assert padded.dtype == torch.float32
    assert padded[:, :, 8].unique().tolist() == [0.25]
    assert padded[:, :, 0].unique().tolist() == [-1]
    assert conform(images, (3, 8, 8), "crop").unique().tolist() == [0.25]


# --- transparency and other channels ---


def test_transparency_is_the_last_channel(folder: Path) -> None:
    rgba = np.random.default_rng(0).integers(1, 256, (6, 6, 4), dtype=np.uint8)
    save(folder / "a.png", rgba)
    save(folder / "b.png", rgba[..., :3])
    found = ImageFolder(str(folder), 6, 4, range="data").load().samples.permute(0, 2, 3, 1).numpy()
    assert found.dtype == np.uint8
    assert np.array_equal(found[0], rgba)
    assert np.array_equal(found[1][..., :3], rgba[..., :3])
    assert (found[1][..., 3] == 255).all()
    grey = ImageFolder(str(folder), 6, 2).load().samples
    assert np.array_equal(grey[0, 1].numpy(), rgba[..., 3])


def test_pages_and_arrays_are_channels(folder: Path) -> None:
    planes = np.random.default_rng(0).integers(0, 256, (5, 6, 6), dtype=np.uint8)
    pages = [Image.fromarray(plane) for plane in planes]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:])
    np.save(folder / "b.npy", planes)
    np.save(folder / "c.npy", planes.transpose(1, 2, 0))
    found = ImageFolder(str(folder), 6, 5, range="data").load().samples
    assert found.shape == (3, 5, 6, 6)
    for each in found:
        assert np.array_equal(each.numpy(), planes)


def test_stacks_of_files(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "cat").mkdir()
    planes = np.random.default_rng(0).integers(0, 4096, (3, 2, 6, 6), dtype=np.uint16)
    planes[0, 0, 0, :2] = 0, 4095
    for number, name in enumerate(("cat/b", "cat/a_r", "cat/a")):
        for plane, ending in zip(planes[number], ("_r.png", "_nir.tif"), strict=True):
            save(folder / f"{name}{ending}", plane)
    options: dict[str, Any] = {"range": "data", "stack": ["_r.png", "_nir.tif"]}
    found = ImageFolder(str(folder), 6, 2, **options).load()
    assert found.classes == ("cat",)
    assert np.allclose(found.samples.numpy(), planes[::-1] / 4095 * 2 - 1, atol=1e-6)

    save(folder / "cat/c.png", planes[0, 0])
    (folder / "cat/b_nir.tif").unlink()
    text = message(ImageFolder(str(folder), 6, 2, **options))
    assert "1 of 3 pictures cannot be read: cat/b (b_nir.tif: No such file or directory)" in text
    ImageFolder(str(folder), 6, 2, skip_corrupt=True, **options).load()
    assert "1 without an ending of dataset.stack (cat/c.png)" in caplog.text
    with pytest.raises(ValueError, match=r"^stack must be channels=3 different endings, got \['_r.png', '_nir.tif'\]$"):
        ImageFolder(str(folder), 6, 3, **options)
    text = message(ImageFolder(str(folder), 6, 1, stack=["_x.png"]))
    assert "no picture's name ends in one of dataset.stack=['_x.png']; there are cat/a_nir.tif" in text


def test_a_stack_notices_a_change_of_any_file(folder: Path) -> None:
    for ending, level in (("_a.png", 10), ("_b.png", 20)):
        save(folder / f"x{ending}", np.full((4, 4), level, np.uint8))
    assert ImageFolder(str(folder), 4, 2, stack=["_b.png", "_a.png"]).load().samples[0, :, 0, 0].tolist() == [20, 10]
    _, seen = ImageFolder(str(folder), 4, 2, stack=["_a.png", "_b.png"]).load_with_facts()
    save(folder / "x_b.png", np.full((4, 4), 99, np.uint8))
    with pytest.raises(UserError, match="not those that the run has seen"):
        ImageFolder(str(folder), 4, 2, stack=["_a.png", "_b.png"], seen=seen).load()


def test_other_numbers_of_channels_are_named(folder: Path) -> None:
    np.save(folder / "a.npy", np.zeros((5, 6, 6), np.uint8))
    save(folder / "b.png", thirds(6, 6))
    text = message(ImageFolder(str(folder), 6, 4))
    assert "1 of 2 pictures cannot be read: a.npy (5 channels where dataset.channels is 4)" in text
    text = message(ImageFolder(str(folder), 6, 5))
    assert "b.png (3 channels where dataset.channels is 5)" in text


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 2, 2, 2)), "an array of shape (2, 2, 2, 2)"),
        (np.zeros((3, 0, 4)), "an array of shape (3, 0, 4)"),
        (np.array([["a"]]), "an array of <U1"),
        (np.array([[{}]], dtype=object), "Object arrays cannot be loaded"),
        (np.array([[np.nan]]), "levels that are no finite numbers"),
    ],
)
def test_arrays_that_are_no_pictures(folder: Path, array: np.ndarray, reason: str) -> None:
    np.save(folder / "a.npy", array)
    assert f"1 of 1 pictures cannot be read: a.npy ({reason}" in message(ImageFolder(str(folder), 6, 1, range="data"))


# --- more than 8 bits ---


def medical(folder: Path) -> np.ndarray:
    """Three pictures of levels 0 to 4095 in 16 bits."""
    levels = np.stack([np.linspace(0, high, 64).reshape(8, 8).astype(np.uint16) for high in (4095, 2000, 100)])
    for number, plane in enumerate(levels):
        save(folder / f"{number}.png", plane)
    return levels


def test_levels_are_kept_in_the_range_of_the_data_which_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    levels = medical(folder)
    for _ in range(2):  # decoded, then from the cache
        caplog.clear()
        found, facts = ImageFolder(str(folder), 8, 1, range="data").load_with_facts()
        assert found.samples.dtype == torch.float32
        assert np.allclose(found.samples[:, 0].numpy(), levels / 4095 * 2 - 1, atol=1e-6)
        assert facts["range"] == [0, 4095]
        (record,) = caplog.records
        assert "go from 0 to 4095; 0 and 4095 become -1 and 1" in record.getMessage()


def test_a_range_of_ones_own(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    levels = medical(folder)
    found = ImageFolder(str(folder), 8, 1, range=(0, 2000)).load().samples[:, 0].numpy()
    assert np.allclose(found, np.minimum(levels / 2000 * 2 - 1, 1), atol=1e-6)
    assert "go from 0 to 4095; those beyond dataset.range=[0,2000] are cut off" in caplog.text
    caplog.clear()
    found = ImageFolder(str(folder), 8, 1, range=(-4095, 4095)).load().samples[:, 0].numpy()
    assert np.allclose(found, levels / 4095, atol=1e-6)
    assert caplog.text == ""


def test_a_run_goes_on_with_the_range_that_it_has_seen(folder: Path) -> None:
    medical(folder)
    (folder / "0.png").unlink()
    seen = {"range": [0, 4095]}
    found = ImageFolder(str(folder), 8, 1, range="data", seen=seen).load().samples
    assert abs(found[0].max() - (2000 / 4095 * 2 - 1)) < 1e-6


def test_what_was_decoded_is_used_when_a_run_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    medical(folder)
    first, seen = ImageFolder(str(folder), 8, 1, range="data").load_with_facts()
    other = ImageFolder(str(folder), 8, 1, range="data", seen={"range": [0, 5000]}).load()
    assert abs(other.samples.max() - (4095 / 5000 * 2 - 1)) < 1e-6
    monkeypatch.setattr(decoding, "decode", None)  # what would decode now fails
    assert torch.equal(ImageFolder(str(folder), 8, 1, range="data", seen=seen).load().samples, first.samples)
    again = ImageFolder(str(folder), 8, 1, range="data", seen={"range": [0, 5000]}).load()
    assert torch.equal(again.samples, other.samples)


@pytest.mark.parametrize("seen", [{"range": None}, {"range": [1]}, {"classes": "ab"}, {"classes": [1]}, {"digest": 3}])
def test_what_no_run_has_seen(folder: Path, seen: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="seen is not what a run has found"):
        ImageFolder(str(folder), 8, 1, seen=seen)


def test_float_levels_and_decoding_to_memory(folder: Path, tmp_path: Path) -> None:
    save(folder / "a.tif", np.linspace(-3, 5, 64, dtype=np.float32).reshape(8, 8))
    (tmp_path / "file").touch()
    folders = [ImageFolder(str(folder), 8, 1, cache_dir=place, range="data") for place in (None, f"{tmp_path}/file/x")]
    mapped, loaded = (each.load().samples for each in folders)
    assert np.allclose(mapped[0, 0].flatten().numpy(), np.linspace(-1, 1, 64), atol=1e-6)
    assert torch.equal(mapped, loaded)


def test_one_level_alone(folder: Path) -> None:
    save(folder / "a.tif", np.full((4, 4), 7.0, np.float32))
    assert ImageFolder(str(folder), 4, 1, range="data").load().samples.unique().tolist() == [-1]


def test_corrupt_pictures_among_deep_ones(folder: Path) -> None:
    levels = medical(folder)
    save(folder / "9.png", levels[0])
    for corrupt, kept in (("1.png", [0, 2, 0]), ("0.png", [2, 0])):
        (folder / corrupt).write_bytes(b"")
        found = ImageFolder(str(folder), 8, 1, skip_corrupt=True, range="data").load().samples
        assert np.allclose(found[:, 0].numpy(), levels[kept] / 4095 * 2 - 1, atol=1e-6)


def test_8_bits_among_more_want_a_range(folder: Path) -> None:
    medical(folder)
    save(folder / "9.png", np.full((8, 8), 255, np.uint8))
    text = message(ImageFolder(str(folder), 8, 1, range="data"))
    assert "1 of 4 pictures have 8 bits and the others more; dataset.range=[LOW,HIGH] tells" in text
    assert ImageFolder(str(folder), 8, 1, range=(0, 255)).load().samples[3].unique().tolist() == [1]


def test_more_among_8_bits_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    medical(folder)
    save(folder / "/0.png".strip("/"), np.full((8, 8), 200, np.uint8))
    found = ImageFolder(str(folder), 8, 1, range="data").load().samples
    assert found.dtype == torch.uint8
    assert found[0].unique().tolist() == [200]
    assert found[1].max() == 8  # 2000 / 257
    assert "2 of 3 pictures of" in caplog.text
    assert "dataset.range=[LOW,HIGH] keeps those of grey pictures" in caplog.text


def deep_png(levels: np.ndarray) -> bytes:
    """A PNG file of 16-bit colours (h, w, 3), which Pillow can read but not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", levels.shape[1], levels.shape[0], 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_16_bit_colour_is_said_and_never_black(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "a.png").write_bytes(deep_png(np.full((4, 4, 3), (0, 32768, 65535))))
    found = ImageFolder(str(folder), 4, 3, range="data").load().samples
    assert found[0, :, 0, 0].tolist() == [0, 128, 255]
    assert "1 of 1 pictures of" in caplog.text
    text = message(ImageFolder(str(folder), 4, 3, range=(0, 65535)))
    assert "a.png (16-bit colour, of which 8 bits would be read; an .npy file keeps them)" in text


def test_levels_without_a_range_in_8_bits(folder: Path) -> None:
    np.save(folder / "a.npy", np.linspace(0, 1, 16).reshape(4, 4))
    text = message(ImageFolder(str(folder), 4, 1))
    assert "a.npy (levels of unknown range: dataset.range=[LOW,HIGH] tells it)" in text


def test_deep_pictures_are_resized_smoothly_and_stay_in_range(folder: Path) -> None:
    save(folder / "a.png", (np.indices((64, 64)).sum(0) % 2 * 4000).astype(np.uint16))
    found = ImageFolder(str(folder), 8, 1, range="data").load().samples
    assert found.abs().max() < 0.05
    found = ImageFolder(str(folder), 100, 1, range="data").load().samples
    assert -1 <= found.min() <= found.max() <= 1


def test_a_range_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^range must be \[LOW,HIGH\] with LOW below HIGH, got \[3, 3\]$"):
        ImageFolder(str(tmp_path), 4, 1, range=(3, 3))
