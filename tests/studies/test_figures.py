"""Figures of reports: scales, and what of a series is drawn where."""

import math
import re
from xml.etree import ElementTree

import pytest

from gan_lightning.studies.figures import Scale, Series, lines, points, scale_of, shown, strip, strip_scale

HOSTILE = '<script>"$x\x1b'


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.9, 3.1, [1, 1.5, 2, 2.5, 3]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (120, 130, [120, 122, 124, 126, 128, 130]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert Scale(low, high, 0, 1).ticks() == pytest.approx(ticks)


def test_ticks_of_powers():
    assert Scale(0.5, 2000, 0, 1, logarithmic=True).ticks() == pytest.approx([1, 10, 100, 1000])
    assert Scale(2, 9, 0, 1, logarithmic=True).ticks() == [2, 9]


def test_places_on_a_scale():
    assert [Scale(10, 20, 0, 100)(value) for value in (10, 15, 20)] == [0, 50, 100]
    assert [Scale(1, 100, 0, 100, logarithmic=True)(value) for value in (1, 10, 100)] == pytest.approx([0, 50, 100])


def test_numbers_far_apart_have_a_logarithmic_scale_if_they_are_positive():
    for numbers, expected in (([1, 90], True), ([1, 19], False), ([-1, 90], False), ([1, math.nan, math.inf], False)):
        scale = scale_of(numbers, 0, 1)
        assert scale is not None
        assert scale.logarithmic is expected
        finite = [number for number in numbers if math.isfinite(number)]
        assert scale.low < min(finite)
        assert scale.high > max(finite)
    assert scale_of([math.nan, 1e308, -math.inf], 0, 1) is None
    assert "nan" not in points([Series("a", [1, 1e308], [1e308, 2])], "x", "y")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "-"),
        (math.nan, "-"),
        (3.0, "3"),
        (12000, "12,000"),
        (1234.56, "1,234.6"),
        (4.10012, "4.1"),
        (0.012345, "0.0123"),
    ],
)
def test_numbers_as_people_read_them(number, text):
    assert shown(number) == text


def places(svg):
    return [[tuple(map(float, p.split(","))) for p in found.split()] for found in re.findall(r'points="([^"]*)"', svg)]


def test_lines_and_bands():
    series = [Series("a", [0, 50, 100], [4, math.nan, 2], [3, 3, 1], [5, 5, 3]), Series("b", [0], [3])]
    svg = lines(series, "iterations", "distance")
    band, line = places(svg)
    assert len(line) == 2  # without the point that there isn't
    assert line[0][0] < line[1][0]  # to the right
    assert line[0][1] < line[1][1]  # and down, which is larger
    assert len(band) == 6
    assert svg.count("<circle") == 1  # a line of one point is a point
    assert lines([Series("a", [1], [math.nan])], "x", "y") == ""


def test_points_and_their_means():
    svg = points([Series("a", [1, 1, 2], [2, 4, 6])], "lr", "distance")
    assert svg.count("<circle") == 3
    assert len(places(svg)[0]) == 2


def test_a_strip_shows_every_seed():
    scale = strip_scale([1, 2, 3])
    svg = strip([("seed 1", 1), ("seed 2", 3), ("seed 3", math.nan)], 2, (-5, 99), scale)
    assert re.findall(r"<title>(.*?)</title>", svg) == ["seed 1: 1", "seed 2: 3"]
    interval = re.search(r'class="interval" x1="([\d.]+)" x2="([\d.]+)"', svg)
    assert [float(end) for end in interval.groups()] == [8, 212]  # it ends with the strip


def test_names_out_of_files_are_text():
    named = [Series(HOSTILE, [1, 2], [1, 2], [0, 0], [3, 3]), Series(HOSTILE, [1], [1])]
    for svg in (
        lines(named, HOSTILE, HOSTILE),
        points(named, HOSTILE, HOSTILE),
        strip([(HOSTILE, 1)], 1, None, strip_scale([1])),
    ):
        assert "<script" not in svg
        assert "\x1b" not in svg
        ElementTree.fromstring(svg)
