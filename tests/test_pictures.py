"""Pixels, grids and PNG files."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.pictures import PADDING, grid, save_png, save_pngs, to_pixels


def levels(*shape):
    """Pixels 0 to 255 that are all over the place, so that no transposition or reordering goes unseen."""
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def as_images(pixels):
    return pixels.double() / 127.5 - 1


class TestToPixels:
    @pytest.mark.parametrize(
        ("value", "pixel"),
        [
            (-1.0, 0),
            (0.0, 128),  # 127.5, to the even neighbour
            (1.0, 255),
            (-1.001, 0),
            (-7.0, 0),
            (float("-inf"), 0),
            (1.001, 255),
            (1.5, 255),
            (3.02, 255),
            (float("inf"), 255),
            (-0.997, 0),  # 0.38
            (-0.995, 1),  # 0.64: rounded, not cut off
            (0.2, 153),
            (-0.6, 51),
        ],
    )
    def test_values(self, value, pixel):
        assert to_pixels(torch.tensor(value)).item() == pixel

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_every_level_comes_back(self, dtype):
        pixels = torch.arange(256, dtype=torch.uint8)
        assert torch.equal(to_pixels((pixels.double() / 127.5 - 1).to(dtype)), pixels)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_off_by_its_own_rounding_alone(self, dtype):
        pixels = torch.arange(256, dtype=torch.uint8)
        images = (pixels.double() / 127.5 - 1).to(dtype)
        exact = ((images.double() + 1) * 127.5).round()
        assert torch.equal(to_pixels(images).double(), exact)

    def test_keeps_the_shape_and_its_argument(self):
        images = as_images(levels(2, 3, 4, 5)).requires_grad_()
        pixels = to_pixels(images.detach())
        assert pixels.shape == (2, 3, 4, 5)
        assert pixels.dtype == torch.uint8
        assert torch.equal(pixels, levels(2, 3, 4, 5))
        assert torch.equal(images, as_images(levels(2, 3, 4, 5)))


class TestGrid:
    @pytest.mark.parametrize(
        ("count", "columns", "rows", "expected_columns"),
        [
            (1, None, 1, 1),
            (2, None, 2, 1),
            (3, None, 2, 2),
            (5, None, 3, 2),
            (7, None, 3, 3),
            (64, None, 8, 8),
            (5, 4, 2, 4),
            (5, 1, 5, 1),
            (8, 4, 2, 4),
            (2, 7, 1, 7),
        ],
    )
    def test_size_and_order(self, count, columns, rows, expected_columns):
        """Every pixel of the picture, built up from the definition: row by row, black in between and where none is."""
        height, width, factor = 3, 20, 2  # 48 // 20
        pixels = levels(count, 3, height, width)
        picture = grid(as_images(pixels), columns)
        cell = (height * factor + PADDING, width * factor + PADDING)
        expected = np.zeros((3, rows * cell[0] + PADDING, expected_columns * cell[1] + PADDING), np.uint8)
        for index in range(count):
            row, column = divmod(index, expected_columns)
            for y in range(height * factor):
                for x in range(width * factor):
                    value = pixels[index, :, y // factor, x // factor]
                    expected[:, PADDING + row * cell[0] + y, PADDING + column * cell[1] + x] = value
        assert picture.dtype == torch.uint8
        assert picture.shape == expected.shape
        assert np.array_equal(picture.numpy(), expected)

    def test_example(self):
        """Three white images of 8x24 pixels: twice their size, with a frame of two pixels."""
        picture = grid(torch.ones(3, 1, 8, 24))
        assert picture.shape == (1, 2 + 16 + 2 + 16 + 2, 2 + 48 + 2 + 48 + 2)
        rows = [*range(2, 18), *range(20, 36)]
        left, right = [*range(2, 50)], [*range(52, 100)]
        white = torch.zeros(38, 102, dtype=torch.bool)
        for row in rows:
            white[row, left] = True
            if row < 18:
                white[row, right] = True
        assert torch.equal(picture[0] == 255, white)
        assert torch.equal(picture[0] == 0, ~white)

    @pytest.mark.parametrize(
        ("size", "factor"), [((8, 8), 6), ((28, 28), 1), ((24, 5), 2), ((5, 16), 3), ((64, 64), 1), ((1, 1), 48)]
    )
    def test_enlargement(self, size, factor):
        picture = grid(torch.zeros(1, 1, *size))
        assert picture.shape == (1, size[0] * factor + 2 * PADDING, size[1] * factor + 2 * PADDING)


class TestPng:
    @pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
    def test_reads_back_exactly_and_is_the_same_twice(self, channels, mode, tmp_path):
        pixels = levels(channels, 5, 7)
        for name in ("one.png", "two.png"):
            save_png(pixels, tmp_path / name)
        content = (tmp_path / "one.png").read_bytes()
        assert content == (tmp_path / "two.png").read_bytes()
        with Image.open(BytesIO(content)) as picture:
            assert picture.format == "PNG"
            assert picture.mode == mode
            assert picture.size == (7, 5)
            array = np.asarray(picture)
        array = array[None] if channels == 1 else array.transpose(2, 0, 1)
        assert np.array_equal(array, pixels.numpy())

    def test_of_a_view(self, tmp_path):
        pixels = levels(3, 9, 8).transpose(1, 2)[:, 1:6, ::2]
        save_png(pixels, tmp_path / "view.png")
        with Image.open(tmp_path / "view.png") as picture:
            assert np.array_equal(np.asarray(picture), pixels.permute(1, 2, 0).numpy())

    @pytest.mark.parametrize("channels", [1, 3])
    def test_many(self, channels, tmp_path):
        pixels = levels(12, channels, 6, 4)
        folder = tmp_path / "deep" / "samples"
        paths = save_pngs(as_images(pixels), folder)
        assert list(paths) == [folder / f"000{index:02d}.png" for index in range(12)]
        assert sorted(folder.iterdir()) == list(paths)
        for expected, path in zip(pixels, paths, strict=True):
            with Image.open(path) as picture:
                assert picture.size == (4, 6)  # native, not enlarged
                array = np.asarray(picture)
            assert np.array_equal(array if channels == 1 else array.transpose(2, 0, 1), expected.squeeze(0).numpy())

    def test_replaces_what_is_there(self, tmp_path):
        for pixels in (levels(2, 1, 4, 4), 255 - levels(2, 1, 4, 4)):
            paths = save_pngs(as_images(pixels), tmp_path)
            with Image.open(paths[1]) as picture:
                assert np.array_equal(np.asarray(picture), pixels[1, 0].numpy())
