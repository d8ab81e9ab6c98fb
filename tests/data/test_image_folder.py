"""A folder of pictures: what becomes of the pixels, the cache, labels, and what is said when something is wrong."""

import io
import logging
import os
import shutil
import threading
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.data import decoding, image_folder, picture_files
from gan_lightning.data.decoding import Decoded, Form
from gan_lightning.data.image_folder import ImageFolder
from gan_lightning.errors import UserError

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps the default cache inside the test's folder; returns where its files go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gan_lightning" / "images"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures decoded since the test began."""
    names: list[str] = []
    original = decoding.decode

    def record(path: Path, form: Form) -> Decoded:
        names.append(path.name)
        return original(path, form)

    monkeypatch.setattr(decoding, "decode", record)
    return names


def save(path: Path, pixels: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **options)
    return path


def decode(path: Path, size: int, channels: int) -> np.ndarray:
    """The pixels of a square of 8 bits."""
    return decoding.decode(path, Form(channels, size, size)).pixels


def flat(path: Path, level: int, size: int = 4) -> Path:
    """A grey picture of one level."""
    return save(path, np.full((size, size), level, np.uint8))


def halves(height: int, width: int) -> np.ndarray:
    """Left half red, right half blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = RED, BLUE
    return pixels


def levels(folder: ImageFolder) -> list[int]:
    """The top left pixel of each picture."""
    return [int(level) for level in folder.load().samples[:, 0, 0, 0]]


def message(folder: ImageFolder) -> str:
    with pytest.raises(UserError) as caught:
        folder.load()
    text = str(caught.value)
    assert "\n" not in text
    return text


# --- pixels ---


def test_a_picture_of_the_right_size_is_kept_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    sample_set = ImageFolder(str(save(tmp_path / "pictures/a.png", pixels).parent), 8, 3).load()
    assert sample_set.samples.dtype == torch.uint8
    assert sample_set.samples.shape == (1, 3, 8, 8)
    assert np.array_equal(sample_set.samples[0].permute(1, 2, 0).numpy(), pixels)


@pytest.mark.parametrize("shape", [(8, 15), (15, 8)])
def test_the_middle_is_cropped_on_whole_pixels(tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = pixels[:, 3:11] if shape[1] == 15 else pixels[3:11]
    assert np.array_equal(decode(save(tmp_path / "a.png", pixels), 8, 1)[0], expected)


def test_the_shorter_side_is_resized_and_the_middle_kept(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)  # a red and a blue half between margins that are cropped away
    pixels[:, 20:60] = halves(40, 40)
    image = decode(save(tmp_path / "a.png", pixels), 10, 3)
    assert image.shape == (3, 10, 10)
    assert abs(image[:, :, :4].astype(int) - np.array(RED)[:, None, None]).max() <= 6
    assert abs(image[:, :, 6:].astype(int) - np.array(BLUE)[:, None, None]).max() <= 6


def test_shrinking_averages_instead_of_picking(tmp_path: Path) -> None:
    checkers = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    image = decode(save(tmp_path / "a.png", checkers), 8, 1)
    assert abs(image.astype(int) - 127).max() <= 3


def test_enlarging_interpolates(tmp_path: Path) -> None:
    image = decode(save(tmp_path / "a.png", np.array([[0, 200], [0, 200]], np.uint8)), 8, 1)[0].astype(int)
    assert (np.diff(image, axis=1) >= 0).all()
    assert len(np.unique(image)) > 4
    assert (image == image[0]).all()


def test_a_large_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", halves(800, 1200), quality=95)
    image = decode(path, 20, 3).astype(int)
    assert image.shape == (3, 20, 20)
    assert abs(image[:, :, 2] - np.array(RED)[:, None]).max() <= 3
    assert abs(image[:, :, 17] - np.array(BLUE)[:, None]).max() <= 3


def test_a_large_jpeg_keeps_its_detail(tmp_path: Path) -> None:
    stripes = np.tile(np.repeat(np.array([40, 210], np.uint8), 8), (512, 32))  # two pixels wide in the small picture
    image = decode(save(tmp_path / "a.jpg", stripes, quality=95), 128, 1)[0].astype(int)
    assert abs(image - np.tile(np.repeat([40, 210], 2), (128, 32))).max() <= 30


def test_colour_turns_grey_by_luma_and_grey_turns_colour(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [90, 90, 90]]], np.uint8)
    grey = decode(save(tmp_path / "a.png", colours), 2, 1)
    assert grey[0].tolist() == [[76, 150], [29, 90]]  # 0.299 R + 0.587 G + 0.114 B
    colour = decode(save(tmp_path / "b.png", grey[0]), 2, 3)
    assert colour.tolist() == [[[76, 150], [29, 90]]] * 3


@pytest.mark.parametrize("extension", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled(tmp_path: Path, extension: str) -> None:
    pixels = np.array([[0, 128, 129], [257, 32768, 32639], [65407, 65406, 65535]], np.uint16)
    image = decode(save(tmp_path / f"a.{extension}", pixels), 3, 1)
    assert image[0].tolist() == [[0, 0, 1], [1, 128, 127], [255, 254, 255]]


def test_ten_bits_of_a_pgm_are_scaled_by_its_own_maximum(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 2 2 1023\n" + np.array([0, 1023, 512, 256], ">u2").tobytes())
    assert decode(tmp_path / "a.pgm", 2, 1)[0].tolist() == [[0, 255], [128, 64]]


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0]], [[0, 0, 0, 128], [0, 0, 255, 255]]], np.uint8)
    image = decode(save(tmp_path / "a.png", rgba), 2, 3)
    assert image.transpose(1, 2, 0).tolist() == [[[255, 0, 0], [255, 255, 255]], [[127, 127, 127], [0, 0, 255]]]
    assert decode(tmp_path / "a.png", 2, 1)[0].tolist() == [[76, 255], [127, 29]]


def test_palettes_with_and_without_transparency(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 2))
    picture.putpalette([*RED, *BLUE, 0, 255, 0])
    picture.putdata([0, 1, 2, 1])
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "b.png", transparency=1)
    assert decode(tmp_path / "a.png", 2, 3).tolist() == [[[255, 0], [0, 0]], [[0, 0], [255, 0]], [[0, 255], [0, 255]]]
    assert decode(tmp_path / "b.png", 2, 3)[:, :, 1].T.tolist() == [[255] * 3] * 2
    assert decode(tmp_path / "b.png", 2, 3)[:, :, 0].T.tolist() == [[255, 0, 0], [0, 255, 0]]


def test_ink_colours(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert decode(tmp_path / "a.tif", 2, 3)[:, 0, 0].tolist() == [255, 0, 0]


def test_only_the_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.new("L", (4, 4), level) for level in (50, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert decode(tmp_path / "a.gif", 4, 1).max() == 50


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_the_exif_orientation_is_respected(tmp_path: Path, extension: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: left becomes top
    path = save(tmp_path / f"a.{extension}", halves(32, 32), exif=exif)
    image = decode(path, 32, 3).astype(int)
    assert abs(image[:, 4, :] - np.array(RED)[:, None]).max() <= 8
    assert abs(image[:, 27, :] - np.array(BLUE)[:, None]).max() <= 8


def test_broken_exif_data_leaves_the_pixels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((4, 4), 9, np.uint8), exif=b"garbage!!!!")
    assert decode(path, 4, 1).tolist() == [[[9] * 4] * 4]


# --- files and labels ---


@pytest.mark.parametrize("extension", [*sorted({*picture_files.EXTENSIONS} - {"npy"}), "PNG", "JpEg"])
def test_every_extension_in_any_case(tmp_path: Path, extension: str) -> None:
    named = tmp_path / f"in/x.{extension}"
    flat(named, 90) if extension != "jfif" else flat(named.with_suffix(".jpg"), 90).rename(named)
    assert abs(ImageFolder(str(tmp_path / "in"), 4, 3).load().samples.int() - 90).max() <= 2


def test_hidden_and_other_files_are_ignored(tmp_path: Path) -> None:
    flat(tmp_path / "in/a.png", 1)
    flat(tmp_path / "in/.b.png", 2)
    flat(tmp_path / "in/.thumbnails/c.png", 3)
    (tmp_path / "in/notes.txt").write_text("no picture")
    (tmp_path / "in/png").write_text("no extension")
    assert levels(ImageFolder(str(tmp_path / "in"), 4, 1)) == [1]


def test_first_level_folders_are_the_classes(tmp_path: Path) -> None:
    flat(tmp_path / "in/dog/z.png", 4)
    flat(tmp_path / "in/cat/deep/er/a.png", 1)
    flat(tmp_path / "in/cat/b.png", 2)
    flat(tmp_path / "in/cat-like/a.png", 3)
    (tmp_path / "in/empty").mkdir()
    sample_set = ImageFolder(str(tmp_path / "in"), 4, 1).load()
    assert sample_set.classes == ("cat", "cat-like", "dog")
    assert sample_set.labels is not None
    assert sample_set.labels.dtype == torch.int64
    labelled = zip(sample_set.samples[:, 0, 0, 0].tolist(), sample_set.labels.tolist(), strict=True)
    assert list(labelled) == [(2, 0), (1, 0), (3, 1), (4, 2)]


def test_one_picture_outside_the_folders_means_no_labels(tmp_path: Path) -> None:
    flat(tmp_path / "in/cat/a.png", 1)
    flat(tmp_path / "in/b.png", 2)
    sample_set = ImageFolder(str(tmp_path / "in"), 4, 1).load()
    assert sample_set.labels is None
    assert sample_set.classes == ()
    assert sorted(sample_set.samples[:, 0, 0, 0].tolist()) == [1, 2]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    flat(tmp_path / "elsewhere/a.png", 7)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "in")
    assert levels(ImageFolder(str(tmp_path / "in"), 4, 1)) == [7]


# --- the cache ---


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name, level in [("a", 10), ("b", 20), ("c", 30)]:
        flat(tmp_path / f"in/{name}.png", level)
    return tmp_path / "in"


def test_pictures_are_decoded_once(pictures: Path, caches: Path, decoded: list[str]) -> None:
    folder = ImageFolder(str(pictures), 4, 1)
    assert levels(folder) == [10, 20, 30]
    assert sorted(decoded) == ["a.png", "b.png", "c.png"]
    assert levels(folder) == [10, 20, 30]
    assert len(decoded) == 3
    (file,) = caches.iterdir()
    assert file.suffix == ".npy"
    assert np.load(file)[:, 0, 0, 0].tolist() == [10, 20, 30]


def test_the_tensor_is_a_private_map_of_the_file(pictures: Path, decoded: list[str]) -> None:
    folder = ImageFolder(str(pictures), 4, 1)
    images = folder.load().samples
    images.fill_(0)
    assert levels(folder) == [10, 20, 30]
    assert len(decoded) == 3


def test_the_way_the_root_is_written_does_not_matter(
    pictures: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert levels(ImageFolder(str(pictures), 4, 1)) == [10, 20, 30]
    monkeypatch.chdir(pictures.parent)
    monkeypatch.setenv("HOME", str(pictures.parent))
    assert levels(ImageFolder("in/", 4, 1)) == [10, 20, 30]
    assert levels(ImageFolder("~/in", 4, 1)) == [10, 20, 30]
    assert len(decoded) == 3


def test_a_changed_added_or_removed_picture_is_noticed(pictures: Path, decoded: list[str]) -> None:
    folder = ImageFolder(str(pictures), 4, 1)
    folder.load()
    status = (pictures / "b.png").stat()
    flat(pictures / "b.png", 99)
    os.utime(pictures / "b.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert levels(folder) == [10, 99, 30]
    flat(pictures / "d.png", 40)
    assert levels(folder) == [10, 99, 30, 40]
    (pictures / "a.png").unlink()
    assert levels(folder) == [99, 30, 40]
    assert len(decoded) == 3 + 3 + 4 + 3


def test_size_and_channels_have_caches_of_their_own(pictures: Path, caches: Path) -> None:
    settings: list[tuple[int, Literal[1, 3]]] = [(4, 1), (4, 3), (2, 1), (4, 1)]
    for size, channels in settings:
        assert ImageFolder(str(pictures), size, channels).load().samples.shape == (3, channels, size, size)
    assert len(list(caches.iterdir())) == 3


def test_folders_alike_but_for_the_pixels_are_told_apart(tmp_path: Path) -> None:
    for name, level in [("one", 1), ("two", 2)]:
        os.utime(flat(tmp_path / name / "a.bmp", level), ns=(0, 0))
    assert (tmp_path / "one/a.bmp").stat().st_size == (tmp_path / "two/a.bmp").stat().st_size
    assert levels(ImageFolder(str(tmp_path / "one"), 4, 1)) == [1]
    assert levels(ImageFolder(str(tmp_path / "two"), 4, 1)) == [2]


def test_a_cache_folder_of_ones_own(pictures: Path, tmp_path: Path, caches: Path) -> None:
    ImageFolder(str(pictures), 4, 1, cache_dir=str(tmp_path / "mine/deep")).load()
    assert [file.suffix for file in (tmp_path / "mine/deep").iterdir()] == [".npy"]
    assert not caches.exists()


def test_without_a_cache_home_it_lies_in_the_home_folder(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    ImageFolder(str(pictures), 4, 1).load()
    assert len(list((tmp_path / ".cache/gan_lightning/images").iterdir())) == 1


def reshaped(data: bytes) -> bytes:
    """The same pixels under another shape."""
    stream = io.BytesIO()
    np.save(stream, np.load(io.BytesIO(data)).reshape(3, 1, 2, 8))
    return stream.getvalue() + data[-200:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:-10],
        lambda data: data[:40],
        lambda data: b"",
        lambda data: data[:-2] + b"[[]]",
        lambda data: bytes(len(data)),
        reshaped,
        lambda data: data.replace(bytes([20] * 16), bytes(16)),
        lambda data: data.replace(bytes([20] * 16), bytes([20] * 15 + [21])),
        lambda data: data.replace(b"digests", b"digestz"),
    ],
    ids=["list cut", "pixels cut", "header cut", "empty", "list", "zeros", "shape", "hole", "bit", "notes"],
)
def test_a_damaged_cache_is_rebuilt_and_said(
    pictures: Path, caches: Path, decoded: list[str], caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    folder = ImageFolder(str(pictures), 4, 1)
    folder.load()
    (file,) = caches.iterdir()
    sound = file.read_bytes()
    assert damage(sound) != sound
    file.write_bytes(damage(sound))
    assert levels(folder) == [10, 20, 30]
    assert len(decoded) == 6
    assert file.read_bytes() == sound
    (record,) = caplog.records
    assert record.getMessage() == f"The image cache {file} is damaged; its pictures are decoded again."


def test_two_at_once_are_both_fine(pictures: Path, caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both_inside, original, results = threading.Barrier(2, timeout=10), decoding.decode, []

    def meet(path: Path, form: Form) -> Decoded:
        if path.name == "b.png":
            both_inside.wait()
        return original(path, form)

    monkeypatch.setattr(decoding, "decode", meet)
    threads = [
        threading.Thread(target=lambda: results.append(levels(ImageFolder(str(pictures), 4, 1)))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[10, 20, 30]] * 2
    assert [file.suffix for file in caches.iterdir()] == [".npy"]


def test_a_cache_folder_that_cannot_be_written_only_warns(
    pictures: Path, tmp_path: Path, decoded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = ImageFolder(str(pictures), 4, 1, cache_dir=str(tmp_path / "file/cache"))
    assert levels(folder) == [10, 20, 30]
    assert len(decoded) == 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"Cannot write the cache folder {tmp_path}/file/cache (Not a directory): decoding to memory."
    )


def test_a_full_disk_leaves_no_part_of_a_file(
    pictures: Path, caches: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert levels(ImageFolder(str(pictures), 4, 1)) == [10, 20, 30]
    assert list(caches.iterdir()) == []
    assert "(No space left on device)" in caplog.text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_progress_bar_only_where_it_helps(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(delay: float, stream: io.StringIO) -> bool:
        shutil.rmtree(pictures.parent / "cache", ignore_errors=True)
        monkeypatch.setattr(image_folder, "BAR_DELAY", delay)
        monkeypatch.setattr("sys.stderr", stream)
        assert levels(ImageFolder(str(pictures), 4, 1)) == [10, 20, 30]
        return "Decoding pictures" in stream.getvalue()

    monkeypatch.setenv("TERM", "xterm")
    assert shown(-1, Terminal())
    assert not shown(60, Terminal())
    monkeypatch.setenv("FORCE_COLOR", "1")  # lets rich take anything for a terminal
    assert not shown(-1, io.StringIO())


# --- mistakes ---


def test_a_root_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert message(ImageFolder("xyz", 4, 1)) == f"dataset.root is {tmp_path}/xyz, but there is no such folder."


def test_a_misspelt_root_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "celeba/train").mkdir(parents=True)
    (tmp_path / "celeboo").write_text("a file, no folder")
    assert message(ImageFolder(str(tmp_path / "celebo"), 4, 1)) == (
        f"dataset.root is {tmp_path}/celebo, but there is no such folder. Did you mean {tmp_path}/celeba?"
    )
    text = message(ImageFolder(str(tmp_path / "celbea/train"), 4, 1))
    assert text.endswith(f"Did you mean {tmp_path}/celeba/train?")
    text = message(ImageFolder(str(tmp_path / "celbea/other"), 4, 1))
    assert text.endswith(f"Did you mean {tmp_path}/celeba?")


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    path = flat(tmp_path / "a.png", 1)
    assert message(ImageFolder(str(path), 4, 1)) == (
        f"dataset.root is {path}, which is a file, and no archive by its content; expected a folder of pictures, or a"
        " .zip or .tar of one."
    )


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no picture")
    assert message(ImageFolder(str(tmp_path), 4, 1)) == (
        f"dataset.root is {tmp_path}, but there are no pictures in it or below it; looked for PNG, JPEG and whatever"
        " else Pillow knows by its contents, and for .npy files. There are other files: 1 of other kinds (a.txt)."
    )


def test_a_subfolder_that_cannot_be_read_is_an_error(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pictures / "locked").mkdir()
    original = os.scandir

    def scan(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert message(ImageFolder(str(pictures), 4, 1)) == (
        f"dataset.root is {pictures}, but {pictures}/locked cannot be read: Permission denied."
    )


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    """Three sound pictures and five that are not, in two folders."""
    root = tmp_path / "in"
    for name, level in [("cat/a", 10), ("cat/z", 20), ("dog/m", 30)]:
        flat(root / f"{name}.png", level)
    (root / "cat/b.png").write_bytes(b"no picture")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    (root / "cat/c.png").write_bytes(save(root / "cat/c.png", noise).read_bytes()[:2000])
    (root / "dog/d.jpg").symlink_to(root / "gone.jpg")
    save(root / "dog/e.tif", np.zeros((4, 4), np.float32))
    (root / "dog/f.gif").write_bytes(b"")
    return root


NAMED = (
    "cat/b.png (not a picture), cat/c.png (image file is truncated), dog/d.jpg (No such file or directory) and 2 more"
)


def test_corrupt_pictures_are_counted_and_named(spoilt: Path, caches: Path) -> None:
    assert message(ImageFolder(str(spoilt), 4, 1)) == (
        f"dataset.root is {spoilt}, where 5 of 8 pictures cannot be read: {NAMED}."
        " Remove them, or leave them out with dataset.skip_corrupt=true."
    )
    assert list(caches.iterdir()) == []


def test_corrupt_pictures_are_left_out_on_request(
    spoilt: Path, decoded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = ImageFolder(str(spoilt), 4, 1, skip_corrupt=True)
    for _ in range(2):  # decoded, then from the cache
        caplog.clear()
        sample_set = folder.load()
        assert sample_set.samples[:, 0, 0, 0].tolist() == [10, 20, 30]
        assert sample_set.labels is not None
        assert sample_set.labels.tolist() == [0, 0, 1]
        assert sample_set.classes == ("cat", "dog")
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert record.getMessage() == f"Left out 5 of 8 pictures of {spoilt}: {NAMED}."
    assert len(decoded) == 8
    assert "5 of 8" in message(ImageFolder(str(spoilt), 4, 1))  # the cache of the others hides nothing


def test_a_class_whose_pictures_are_all_corrupt_keeps_its_number(spoilt: Path) -> None:
    (spoilt / "ant").mkdir()
    (spoilt / "ant/a.png").write_bytes(b"")
    sample_set = ImageFolder(str(spoilt), 4, 1, skip_corrupt=True).load()
    assert sample_set.classes == ("ant", "cat", "dog")
    assert sample_set.labels is not None
    assert sample_set.labels.tolist() == [1, 1, 2]


def test_corrupt_pictures_are_left_out_in_memory_too(spoilt: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = ImageFolder(str(spoilt), 4, 1, skip_corrupt=True, cache_dir=str(tmp_path / "file/cache"))
    assert levels(folder) == [10, 20, 30]


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert message(ImageFolder(str(tmp_path), 4, 1, skip_corrupt=True)) == (
        f"dataset.root is {tmp_path}, where none of 1 pictures can be read: a.png (not a picture)."
    )


def test_a_decompression_bomb_is_a_corrupt_picture(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flat(pictures / "bomb.png", 1, size=40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    text = message(ImageFolder(str(pictures), 4, 1))
    assert "1 of 4 pictures cannot be read: bomb.png (Image size (1600 pixels) exceeds limit" in text


@pytest.mark.parametrize(("size", "channels"), [(0, 1), (4, 0)])
def test_impossible_settings(tmp_path: Path, size: int, channels: Any) -> None:
    with pytest.raises(ValueError, match=r"(image_size|channels) must be at least 1 .*, got 0"):
        ImageFolder(str(tmp_path), size, channels)
