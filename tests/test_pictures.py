"""Pixels, grids and PNG files."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.pictures import PADDING, drawable, grid, save_png, save_pngs, scatter, to_pixels


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


def points(count, dimensions, seed=0):
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


def colours(picture):
    """The colours of a picture (3, H, W), as tuples."""
    return {tuple(colour) for colour in picture.flatten(1).T.tolist()}


ORANGE_RED = (255, 69, 0)


class TestScatter:
    @pytest.mark.parametrize("dimensions", [1, 2, 3])
    @pytest.mark.parametrize("with_real", [True, False])
    def test_is_a_picture_and_the_same_twice(self, dimensions, with_real, tmp_path):
        real = points(50, dimensions) if with_real else None
        fake = points(40, dimensions, seed=1) * 0.5
        pictures = [scatter(real, fake, lambda at: at.square().sum(1)) for _ in range(2)]
        for name, picture in zip("ab", pictures, strict=True):
            assert picture.shape == (3, 500, 500)
            assert picture.dtype == torch.uint8
            save_png(picture, tmp_path / f"{name}.png")
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        assert not torch.equal(pictures[0], scatter(real, fake + 0.3, lambda at: at.square().sum(1)))

    def test_shows_the_points_in_their_colours(self):
        alone = scatter(None, points(30, 2))
        assert ORANGE_RED in colours(alone)
        both = scatter(points(30, 2), points(30, 2, seed=1))
        assert ORANGE_RED in colours(both)
        assert not torch.equal(alone, both)

    def test_has_the_values_behind_the_points_of_a_plane(self):
        asked = []

        def values(at):
            asked.append(at)
            return 3 * at[:, 0] - at[:, 1]

        real, fake = points(30, 2), points(30, 2, seed=1)
        over = scatter(real, fake, values)
        (at,) = asked
        assert at.shape == (80 * 80, 2)
        # The view is a quarter of the real points' larger extent wider than they are, on all sides.
        low, high = real.amin(0), real.amax(0)
        margin = (high - low).max() * 0.25
        torch.testing.assert_close(at.amin(0), low - margin)
        torch.testing.assert_close(at.amax(0), high + margin)
        assert len(colours(over)) > len(colours(scatter(real, fake)))
        assert torch.equal(scatter(real, fake, lambda at: None), scatter(real, fake))

    def test_values_rise_from_left_to_right_where_they_do(self):
        """Not transposed, nor upside down: viridis runs from dark violet to yellow."""
        real = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
        far = torch.tensor([[50.0, 50.0]])

        def corners(picture):
            inside = picture.float().sum(0)
            return inside[120, 150], inside[120, 300], inside[370, 150], inside[370, 300]

        top_left, top_right, bottom_left, bottom_right = corners(scatter(real, far, lambda at: at[:, 0]))
        assert top_right > top_left
        assert bottom_right > bottom_left
        top_left, top_right, bottom_left, bottom_right = corners(scatter(real, far, lambda at: at[:, 1]))
        assert top_left > bottom_left
        assert top_right > bottom_right

    def test_has_the_values_along_a_line(self):
        asked = []

        def values(at):
            asked.append(at)
            return at[:, 0].square()

        real, fake = points(50, 1), points(50, 1, seed=1) + 30  # out of the view: in its last bin
        picture = scatter(real, fake, values)
        (at,) = asked
        assert at.shape == (80, 1)
        assert torch.all(at[1:] > at[:-1])
        assert at.min() < real.min()
        assert at.max() > real.max()
        assert (0, 0, 0) in colours(picture)
        assert not torch.equal(picture, scatter(real, fake))

    def test_asks_for_no_values_in_more_dimensions(self):
        def values(at):
            raise AssertionError("a plane through the samples is not what the critic sees")

        assert scatter(points(9, 4), points(9, 4, seed=1), values).shape == (3, 500, 500)

    def test_of_points_that_are_all_one(self):
        assert scatter(torch.zeros(20, 1), torch.ones(20, 1)).shape == (3, 500, 500)
        assert scatter(torch.zeros(20, 2), torch.ones(20, 2)).shape == (3, 500, 500)


def test_images_of_other_channels_are_drawn_by_their_mean():
    images = as_images(levels(2, 2, 4, 5))
    assert torch.equal(grid(images), grid(images.mean(1, keepdim=True)))
    for channels in (1, 3):
        assert drawable(images[:, :1].expand(-1, channels, -1, -1)).shape[1] == channels


def test_transparent_images_are_drawn_on_white_and_saved_as_they_are(tmp_path):
    pixels = torch.tensor([[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]], dtype=torch.uint8)
    images = as_images(pixels.view(3, 4, 1, 1).expand(-1, -1, 2, 2))
    assert to_pixels(drawable(images))[:, :, 0, 0].tolist() == [[10, 20, 30], [255] * 3, [204] * 3]
    assert grid(images).shape[0] == 3
    saved = [Image.open(path) for path in save_pngs(images, tmp_path)]
    assert [image.mode for image in saved] == ["RGBA"] * 3
    assert [image.getpixel((1, 1)) for image in saved] == [tuple(row) for row in pixels.tolist()]
