"""Ranges as annotations."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest

from gan_lightning.types import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    check_ranges,
)

INFINITY, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "text"),
    [
        (Range(), [-INFINITY, 0, INFINITY], [NAN], ""),
        (Range(low=1), [1, 1.5, INFINITY], [0.999, -1, NAN], "at least 1"),
        (Range(high=-2.5), [-2.5, -INFINITY], [-2.4, 0, NAN], "at most -2.5"),
        (Range(low=0, open_low=True), [1e-300, 1], [0, -0.0, -1, NAN], "above 0"),
        (Range(high=1, open_high=True), [0.999, -5], [1, 2, NAN], "below 1"),
        (Range(0, 1), [0, 0.5, 1], [-1e-9, 1.0001, NAN], "at least 0 and at most 1"),
        (Range(0, 1, open_low=True), [1e-9, 1], [0, 1.1], "above 0 and at most 1"),
        (Range(0, 1, open_high=True), [0, 0.9], [-0.1, 1], "at least 0 and below 1"),
    ],
)
def test_range(bounds, inside, outside, text):
    assert [value in bounds for value in inside] == [True] * len(inside)
    assert [value in bounds for value in outside] == [False] * len(outside)
    assert str(bounds) == text


@dataclass
class Settings:
    count: PositiveInt = 3
    boost: NonNegativeInt = 3
    rate: PositiveFloat = 0.5
    weight: NonNegativeFloat = 0.5
    decay: Fraction = 0.5
    both: Annotated[float, "a remark", Range(-2, 2)] = 0
    free: float = -100.0
    name: str = "text"
    shared: ClassVar[int] = -5


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("count", 1, "at least 1"),
        ("boost", 0, "at least 0"),
        ("rate", 5e-324, "above 0"),
        ("weight", 0, "at least 0"),
        ("decay", 0, "at least 0 and at most 1"),
        ("decay", 1, "at least 0 and at most 1"),
        ("both", -2, "at least -2 and at most 2"),
    ],
)
def test_check_ranges_at_the_ends(name, value, allowed):
    check_ranges(Settings(**{name: value}))
    beyond = value + 0.25 if value == 1 and name == "decay" else value - 0.25
    with pytest.raises(ValueError, match=f"^{name} must be {allowed}, got {beyond}$"):
        check_ranges(Settings(**{name: beyond}))


@pytest.mark.parametrize("name", ["count", "boost", "rate", "weight", "decay", "both"])
def test_check_ranges_refuses_what_is_no_number(name):
    with pytest.raises(ValueError, match=f"^{name} must be .*, got nan$"):
        check_ranges(Settings(**{name: NAN}))


def test_check_ranges_leaves_the_rest_alone():
    check_ranges(Settings())
    check_ranges(Settings(free=NAN, name=""))
    check_ranges(Settings(rate=None, count="many"))  # types are someone else's business


def test_check_ranges_sees_inherited_fields():
    @dataclass
    class More(Settings):
        more: PositiveInt = 1

    for change in ({"more": 0}, {"count": 0}):
        with pytest.raises(ValueError, match=f"^{next(iter(change))} must be at least 1, got 0$"):
            check_ranges(More(**change))
