"""Signals as curves: one scale for all, the numbers of the files, a line a channel; and sketches of them."""

import matplotlib.figure
import numpy as np
import pytest
import torch

from gan_lightning.curves import (
    COLOURS,
    MOST_CHANNELS,
    Panel,
    as_panels,
    curves,
    lanes_of,
    limits_of,
    sketched,
    sketches,
    thinned,
)
from gan_lightning.pictures import grid
from gan_lightning.samples import Units

BLUE, ORANGE = ((0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E))


def signals(count, channels=1, length=20, seed=0):
    return torch.randn(count, channels, length, generator=torch.Generator().manual_seed(seed)).clamp(-1, 1)


@pytest.fixture
def drawn(monkeypatch):
    """Draws, and gives matplotlib's figure beside the picture."""
    figures = []

    class Kept(matplotlib.figure.Figure):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            figures.append(self)

    monkeypatch.setattr(matplotlib.figure, "Figure", Kept)
    return lambda *arguments: (curves(*arguments), figures[-1])


class TestCurves:
    def test_are_in_the_numbers_of_the_files(self, drawn):
        both = signals(4, channels=2)
        picture, figure = drawn(as_panels(both, "real"), 2, both, Units((2.0, 3.0), (10.0, 12.0)))
        assert (picture.shape[0], picture.dtype) == (3, torch.uint8)
        assert [axes.get_title() for axes in figure.axes] == ["real"] * 4
        for axes, signal in zip(figure.axes, both, strict=True):
            first, second = (np.asarray(line.get_ydata()) for line in axes.lines)
            np.testing.assert_allclose(first, 2 * signal[0].numpy() + 10, rtol=1e-6)
            np.testing.assert_allclose(second, 3 * signal[1].numpy() + 12, rtol=1e-6)
            assert axes.get_ylim() == figure.axes[0].get_ylim()
            assert axes.get_xlim() == (0, 19)
        assert (figure.get_supxlabel(), figure.get_supylabel()) == ("step", "value")
        assert [text.get_text() for text in figure.legends[0].texts] == ["channel 0", "channel 1"]

    def test_channels_of_other_scales_have_axes_of_their_own(self, drawn):
        both = signals(2, channels=2)
        _, figure = drawn(as_panels(both), 2, both, Units((1.0, 100.0), (0.0, 500.0)))
        assert len(figure.axes) == 4
        assert [len(axes.lines) for axes in figure.axes] == [1] * 4
        low, high = figure.axes[1].get_ylim()
        assert 370 < low < 420 < 580 < high < 630

    def test_the_first_of_many_channels_are_drawn_and_it_is_said(self, drawn):
        many = signals(1, channels=MOST_CHANNELS + 2)
        _, figure = drawn(as_panels(many), 1, many)
        assert len(figure.axes[0].lines) == MOST_CHANNELS == len(COLOURS)
        assert figure.legends[0].texts[-1].get_text() == "the first 8 of 10"

    def test_nothing_is_drawn_where_there_is_nothing(self, drawn):
        one = signals(1)
        _, figure = drawn([None, Panel("a", one[0])], 2, one)
        assert [axes.get_title() for axes in figure.axes] == ["a"]

    def test_are_the_same_twice(self):
        one = signals(3)
        assert torch.equal(curves(as_panels(one), 2, one), curves(as_panels(one), 2, one))
        assert not torch.equal(curves(as_panels(one), 2, one), curves(as_panels(one.flip(2)), 2, one))

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 1e6])
    def test_of_whatever_a_network_makes(self, value):
        assert curves(as_panels(torch.full((1, 2, 9), value)), 1, torch.full((1, 2, 9), value)).shape[0] == 3


def test_titles_name_classes():
    told = as_panels(signals(3), "real", torch.tensor([1, 0, 2]), ("cat", "dog"))
    assert [panel.title for panel in told] == ["real, class dog", "real, class cat", "real, class 2"]
    assert [panel.title for panel in as_panels(signals(2))] == ["", ""]


def test_limits_are_of_finite_numbers_with_a_margin():
    assert limits_of(torch.tensor([0.0, float("nan"), 10.0, float("inf")])) == (-1.0, 11.0)
    assert limits_of(torch.tensor([5.0])) == (4.5, 5.5)
    assert limits_of(torch.tensor([0.0])) == limits_of(torch.tensor([float("nan")])) == (-1.0, 1.0)


def test_channels_share_axes_unless_some_would_be_flat():
    assert lanes_of([(0, 1), (0.5, 4)]) == [[0, 1]]
    assert lanes_of([(0, 1), (0, 6)]) == [[0], [1]]
    assert lanes_of([(0, 1), (9, 10)]) == [[0], [1]]


class TestSketches:
    def test_have_a_line_a_channel_from_the_lowest_to_the_highest(self):
        rising = torch.linspace(-1, 1, 50).expand(1, 1, -1)
        (picture,) = sketched(torch.cat([rising, -rising], 1), rising, 40, 60)
        assert (picture.shape, picture.dtype) == ((3, 40, 60), torch.uint8)
        for colour, is_rising in ((BLUE, True), (ORANGE, False)):
            distance = (picture.int() - torch.tensor(colour).view(3, 1, 1)).abs().sum(0)
            rows = distance.argmin(0)  # from the top
            steps = rows[[10, 25, 50]].tolist()
            assert steps == sorted(steps, reverse=is_rising)
            assert abs(steps[0] - steps[2]) > 15
        assert picture[:, 0, 30].tolist() == [255] * 3

    def test_are_images_of_a_grid(self):
        many = signals(6)
        assert sketches(many, many).shape == (6, 3, 48, 72)
        assert grid(sketches(many, many), 3).shape[0] == 3

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
    def test_of_whatever_a_network_makes(self, value):
        assert sketches(torch.full((1, 2, 9), value), signals(2, 2)).isfinite().all()

    def test_long_signals_keep_their_extremes(self):
        long = torch.zeros(1, 1, 5000)
        long[0, 0, 1234], long[0, 0, 4321] = 1.0, -1.0
        thin = thinned(long[0], 50)
        assert thin.shape == (1, 100)
        assert thin.aminmax() == (torch.tensor(-1.0), torch.tensor(1.0))
        assert thin[0, 2 * (1234 // 100) + 1] == 1
        assert torch.equal(thinned(long[0], 2500), long[0])
