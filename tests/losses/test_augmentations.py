"""Augmentations against constants in place of their draws, and against all that their draws may be."""

from collections import Counter
from math import sqrt

import pytest
import torch
from own_parts import own_parts
from torch.nn.functional import pad
from typechecking import unchecked

from gan_lightning import ranks
from gan_lightning.losses import augmentations
from gan_lightning.losses.augmentations import (
    DiffAugment,
    InstanceNoise,
    Transformation,
    brightness,
    contrast,
    cutout,
    saturation,
    translation,
)
from gan_lightning.schedules import Linear
from gan_lightning.testing import check_regularizer


def images(*shape, dtype=torch.float64):
    """Images in [-1, 1] without a zero, which translation and cutout write."""
    drawn = torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=dtype) * 0.9 + 0.1
    return drawn * torch.tensor([1.0, -1.0]).repeat(drawn.numel())[: drawn.numel()].view(shape)


@pytest.fixture
def drawn(monkeypatch):
    """Sets what is drawn, one number an image."""

    def set_to(*values):
        def like(numbers, fill):
            assert numbers.shape == (len(values), 1, 1, 1)
            return torch.tensor(values, dtype=numbers.dtype).view_as(numbers)

        monkeypatch.setattr(augmentations, "drawn_like", like)

    return set_to


@pytest.mark.parametrize("part", [InstanceNoise(0.25), DiffAugment()], ids=repr)
def test_two_devices_draw_what_one_does(monkeypatch, part):
    """Each for its rows of the samples."""
    samples = images(6, 3, 8, 8)
    torch.manual_seed(3)

    def transformed(rank, count):
        monkeypatch.setattr(ranks, "place", lambda: (rank, count))
        with ranks.together(torch.device("cpu"), 4, 7):
            return part.transform(samples.chunk(count)[rank])

    assert torch.equal(torch.cat([transformed(0, 2), transformed(1, 2)]), transformed(0, 1))


class TestInstanceNoise:
    @pytest.mark.parametrize("shape", [(3, 2), (2, 3, 4, 5)])
    def test_adds_normal_noise_of_the_given_deviation(self, shape):
        samples = images(*shape)
        torch.manual_seed(2)
        noisy = InstanceNoise(0.25).transform(samples)
        torch.manual_seed(2)
        assert torch.equal(noisy, samples + 0.25 * torch.randn(shape, dtype=torch.float64))

    def test_is_of_each_entry_with_mean_zero(self):
        torch.manual_seed(3)
        noise = InstanceNoise(2.0).transform(torch.full((100, 200), 5.0)) - 5
        # Five standard errors of 20 000 draws: of the mean 0.0707, of the variance 4 * sqrt(2 / 20 000) * 5 = 0.2.
        assert noise.mean().item() == pytest.approx(0, abs=0.0707)
        assert noise.var().item() == pytest.approx(4, abs=0.2)
        assert noise.var(0).min() > 2
        assert noise.var(1).min() > 2

    def test_deviation_is_a_tenth_by_default_and_may_be_zero(self):
        assert InstanceNoise() == InstanceNoise(0.1)
        samples = images(3, 2)
        assert torch.equal(InstanceNoise(0.0).transform(samples), samples)

    def test_gradient_passes_unchanged(self):
        samples = images(3, 2).requires_grad_()
        (InstanceNoise().transform(samples) * torch.arange(6).view(3, 2)).sum().backward()
        assert samples.grad.tolist() == [[0, 1], [2, 3], [4, 5]]

    @pytest.mark.parametrize("std", [-0.1, float("nan"), Linear(0.1, -0.1), Linear(-0.1, 0.1)])
    def test_deviation_is_not_negative(self, std):
        with pytest.raises(ValueError, match=r"^std must be at least 0"):
            InstanceNoise(std)

    def test_schedule_must_be_replaced_by_its_value(self):
        with pytest.raises(TypeError, match="has a value only at a point of the clock"):
            InstanceNoise(Linear(0.1, 0)).transform(images(3, 2))


class TestColor:
    @pytest.mark.parametrize("channels", [1, 3, 6])
    def test_brightness(self, drawn, channels):
        batch = images(3, channels, 2, 4)
        drawn(0.0, 0.75, 1.0)
        changed = brightness(batch)
        for image, before, shift in zip(changed, batch, (-0.5, 0.25, 0.5), strict=True):
            torch.testing.assert_close(image, before + shift, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("channels", [1, 3, 6])
    def test_saturation(self, drawn, channels):
        batch = images(3, channels, 2, 4)
        drawn(0.0, 0.25, 1.0)
        changed = saturation(batch)
        grey = batch.mean(1, keepdim=True).expand_as(batch)
        torch.testing.assert_close(changed[0], grey[0], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(changed[1], (grey[1] + batch[1]) / 2, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(changed[2], 2 * batch[2] - grey[2], rtol=1e-12, atol=1e-12)
        if channels == 1:
            torch.testing.assert_close(changed, batch, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("channels", [1, 3, 6])
    def test_contrast(self, drawn, channels):
        batch = images(3, channels, 2, 4)
        drawn(0.0, 0.25, 1.0)
        changed = contrast(batch)
        for image, before, factor in zip(changed, batch, (0.5, 0.75, 1.5), strict=True):
            expected = before.mean() + factor * (before - before.mean())
            torch.testing.assert_close(image, expected, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("change", [brightness, saturation, contrast])
    def test_draws_uniformly_for_each_image(self, change):
        batch = torch.tensor([-0.5, 0.5]).view(1, 2, 1, 1).repeat(20_000, 1, 1, 1)
        torch.manual_seed(4)
        changed = change(batch)
        values, scale = {
            brightness: (changed[:, 1] - 0.5 + 0.5, 1),
            saturation: ((changed[:, 1] - changed[:, 0]) / 2, 1),
            contrast: (changed[:, 1] - changed[:, 0] - 0.5, 1),
        }[change]
        values = values.flatten() / scale
        # Five standard errors of a uniform number from [0, 1]: of the mean 0.0102, of the variance 0.0027.
        assert values.mean().item() == pytest.approx(1 / 2, abs=0.0102)
        assert values.var().item() == pytest.approx(1 / 12, abs=0.0027)
        assert values.min() >= -1e-6
        assert values.max() <= 1 + 1e-6


def moved(image, down, right):
    """An image (C, H, W) moved by whole pixels over a ground of zeros."""
    _, height, width = image.shape
    framed = pad(image, (width, width, height, height))
    return framed[:, height - down : 2 * height - down, width - right : 2 * width - right]


class TestTranslation:
    @pytest.mark.parametrize(
        ("height", "width", "down", "right"),
        [
            (8, 8, 1, 1),
            (12, 28, 2, 4),  # 1.5 and 3.5 are rounded up
            (11, 3, 1, 0),  # 1.375 and 0.375 down
        ],
    )
    def test_moves_by_up_to_an_eighth_either_way(self, height, width, down, right):
        image = images(2, height, width)
        options = {(y, x): moved(image, y, x) for y in range(-down, down + 1) for x in range(-right, right + 1)}
        count = 200 * len(options)
        torch.manual_seed(5)
        found = Counter()
        for result in translation(image.expand(count, -1, -1, -1)):
            (shift,) = [shift for shift, expected in options.items() if torch.equal(result, expected)]
            found[shift] += 1
        assert set(found) == set(options)
        # Uniform: 200 each, give or take five standard deviations of about 14.
        assert max(abs(times - 200) for times in found.values()) < 71

    @pytest.mark.parametrize(("draws", "down", "right"), [([1, 2], 1, 2), ([-1, -2], -1, -2), ([0, 1], 0, 1)])
    def test_rows_are_drawn_first_and_positive_is_down_and_right(self, monkeypatch, draws, down, right):
        image = images(2, 9, 17)
        queue = iter(draws)
        monkeypatch.setattr(augmentations, "drawn_like", lambda each, fill: torch.full_like(each, next(queue)))
        assert torch.equal(translation(image.unsqueeze(0))[0], moved(image, down, right))

    def test_gradient_comes_from_where_a_pixel_went(self):
        image = images(1, 1, 8, 8).requires_grad_()
        torch.manual_seed(6)
        result = translation(image)
        result.sum().backward()
        assert image.grad.sum() == (result != 0).sum()
        assert 49 <= image.grad.sum() <= 64
        assert torch.equal(image.grad.bool(), torch.isin(image, result))


class TestCutout:
    @pytest.mark.parametrize(("height", "width"), [(8, 4), (5, 7), (6, 1)])
    def test_covers_half_of_each_side_about_any_centre(self, height, width):
        image = images(2, height, width)

        def windows(length):
            size = (length + 1) // 2
            # An even window's centre lies on an edge between pixels, an odd one's on a pixel.
            centres = range(length + 1) if size % 2 == 0 else range(length)
            return [{p for p in range(c - size // 2, c - size // 2 + size) if 0 <= p < length} for c in centres]

        options = []
        for rows in windows(height):
            for columns in windows(width):
                expected = image.clone()
                for row in rows:
                    for column in columns:
                        expected[:, row, column] = 0
                options.append(expected)
        torch.manual_seed(7)
        results = cutout(image.expand(200 * len(options), -1, -1, -1))
        times = torch.stack([(results == option).flatten(1).all(1).sum() for option in options])
        # Windows at the border may look alike, which counts each of them for all.
        alike = torch.tensor([sum(torch.equal(option, other) for other in options) for option in options])
        assert (times.sub(200 * alike).abs() < 71 * alike).all()
        assert (times / alike).sum() == pytest.approx(len(results))

    def test_hides_what_it_covers_from_the_gradient(self):
        batch = images(4, 3, 8, 8).requires_grad_()
        torch.manual_seed(8)
        result = cutout(batch)
        result.sum().backward()
        assert torch.equal(batch.grad, (result != 0).double())
        assert 4 * 3 * 48 <= batch.grad.sum() < 4 * 3 * 64


class TestDiffAugment:
    def test_changes_follow_the_policys_order(self):
        batch = images(4, 3, 8, 8)
        for policy, changes in (
            (["color", "translation", "cutout"], [brightness, saturation, contrast, translation, cutout]),
            (["cutout", "translation"], [cutout, translation]),
            (["color"], [brightness, saturation, contrast]),
        ):
            torch.manual_seed(9)
            result = DiffAugment(policy).transform(batch)
            torch.manual_seed(9)
            expected = batch
            for change in changes:
                expected = change(expected)
            assert torch.equal(result, expected)
            assert not torch.equal(result, batch)

    def test_all_of_them_always_by_default(self):
        assert DiffAugment() == DiffAugment(("color", "translation", "cutout"), 1.0)

    def test_probability_is_that_of_each_sample(self):
        batch = images(1, 2, 2, 3).expand(20_000, -1, -1, -1)
        torch.manual_seed(10)
        result = DiffAugment(["color"], probability=0.3).transform(batch)
        augmented = (result != batch).flatten(1)
        assert torch.equal(augmented.any(1), augmented.all(1))
        assert augmented.any(1).double().mean().item() == pytest.approx(0.3, abs=5 * sqrt(0.21 / 20_000))

    @pytest.mark.parametrize(("probability", "share"), [(0.0, 0), (1.0, 1)])
    def test_never_and_always(self, probability, share):
        batch = images(500, 1, 4, 4)
        result = DiffAugment(["color"], probability).transform(batch)
        assert (result != batch).flatten(1).any(1).double().mean() == share

    @pytest.mark.parametrize("probability", [0.5, 1.0])
    @pytest.mark.parametrize("channels", [1, 3, 6])
    def test_gradients_are_those_of_finite_differences(self, channels, probability):
        batch = images(3, channels, 4, 5).requires_grad_()

        def augment(samples):
            torch.manual_seed(11)
            return DiffAugment(probability=probability).transform(samples)

        assert torch.autograd.gradcheck(augment, batch, fast_mode=True)
        assert torch.autograd.gradgradcheck(augment, batch, fast_mode=True)

    def test_keeps_shape_and_type(self):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            result = DiffAugment().transform(images(2, 3, 6, 4, dtype=torch.float32).to(dtype))
            assert result.dtype == dtype
            assert result.shape == (2, 3, 6, 4)

    def test_draws_anew_each_time_and_leaves_its_argument_alone(self):
        batch = images(4, 3, 8, 8)
        before = batch.clone()
        assert not torch.equal(DiffAugment().transform(batch), DiffAugment().transform(batch))
        assert torch.equal(batch, before)

    def test_refuses_vectors(self):
        with pytest.raises(
            ValueError, match=r"^DiffAugment needs images \(N, C, H, W\), got samples of shape \(3, 2\)$"
        ):
            DiffAugment().transform(images(3, 2))

    @pytest.mark.parametrize("policy", [["colour"], ["color", "flip"], "color", []])
    def test_policy_must_be_known(self, policy):
        with unchecked(), pytest.raises(ValueError, match=r"there are color, translation, cutout$"):
            DiffAugment(policy)

    @pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan"), Linear(0, 2), Linear(-1, 0)])
    def test_probability_is_a_share(self, probability):
        with pytest.raises(ValueError, match=r"^probability must be at least 0 and at most 1"):
            DiffAugment(probability=probability)

    def test_schedule_must_be_replaced_by_its_value(self):
        with pytest.raises(TypeError, match="has a value only at a point of the clock"):
            DiffAugment(probability=Linear(0, 1)).transform(images(1, 1, 2, 2))


@pytest.mark.parametrize("part", [InstanceNoise(), DiffAugment(), DiffAugment(["color"], 0.5)], ids=repr)
def test_keep_the_contract(part):
    check_regularizer(part)


def test_all_are_there():
    assert own_parts("losses", "transform") == {InstanceNoise, DiffAugment}


def test_only_noise_is_for_vectors_too():
    for augmentation, needs_images in ((InstanceNoise(), False), (DiffAugment(), True)):
        assert isinstance(augmentation, Transformation)
        assert augmentation.needs_images is needs_images
    assert set(augmentations.POLICIES) == {"color", "translation", "cutout"}
