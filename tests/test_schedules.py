"""Schedules: their values along the clock, their ends to the bit, and their place in dataclasses and lists."""

import math
import random
from dataclasses import dataclass

import pytest

from gan_lightning.schedules import (
    Clock,
    Cosine,
    Exponential,
    Linear,
    Scheduled,
    Step,
    is_scheduled,
    number,
    part_at,
    scheduled_fields,
    value_at,
)
from gan_lightning.types import Fraction, NonNegativeFloat, check_ranges

KINDS = [Linear, Cosine, Exponential, Step]


def at(schedule, iteration, last=-1):
    return schedule.at(Clock(iteration, 0, last))


@dataclass(frozen=True)
class Part:
    weight: NonNegativeFloat | Scheduled = 1.0
    betas: tuple[float | Scheduled, float | Scheduled] = (0.0, 0.9)
    share: Fraction | Scheduled = 0.5
    name: str = "part"

    def __post_init__(self) -> None:
        check_ranges(self)


class TestCurves:
    @pytest.mark.parametrize(
        ("schedule", "values"),  # at 0, 1, 2, 3 and 4 of four iterations
        [
            (Linear(2.0, 10.0, over=4), [2, 4, 6, 8, 10]),
            (Linear(1.0, 0.0, over=4), [1, 0.75, 0.5, 0.25, 0]),
            (Cosine(2.0, 10.0, over=4), [2, 6 - 4 * math.sqrt(0.5), 6, 6 + 4 * math.sqrt(0.5), 10]),
            (Exponential(2.0, 32.0, over=4), [2, 4, 8, 16, 32]),
            (Exponential(1.0, 1e-4, over=4), [1, 0.1, 0.01, 1e-3, 1e-4]),
            (Step(2.0, 10.0, over=4), [2, 2, 2, 2, 10]),
        ],
    )
    def test_values(self, schedule, values):
        assert [at(schedule, i) for i in range(5)] == pytest.approx(values, rel=1e-12, abs=1e-15)

    @pytest.mark.parametrize("kind", KINDS)
    def test_holds_the_ends_exactly(self, kind):
        schedule = kind(0.1, 0.7, over=10, begin=5)
        assert [at(schedule, i) for i in (0, 4, 5)] == [0.1] * 3
        assert 0.1 < at(schedule, 14) < 0.7 or kind is Step
        assert [at(schedule, i) for i in (15, 16, 1000)] == [0.7] * 3

    @pytest.mark.parametrize("kind", KINDS)
    def test_never_leaves_its_extremes(self, kind):
        draw = random.Random(1)
        for _ in range(3000):
            start = draw.uniform(1e-3, 1)
            end = start * (1 + draw.choice([1e-16, -3e-16, 1e-3, 0.5]))
            schedule = kind(start, end, over=7)
            low, high = sorted(schedule.extremes)
            assert low <= at(schedule, draw.randint(0, 8)) <= high

    def test_rounding_is_kept_within_the_extremes(self):
        class Beyond(Linear):
            def curve(self, progress):
                return super().curve(progress) * 1.5 - 0.5

        assert [at(Beyond(0.0, 2.0, over=4), i) for i in range(5)] == [0, 0.25, 1, 1.75, 2]
        assert [at(Beyond(2.0, 0.0, over=4), i) for i in range(5)] == [2, 1.75, 1, 0.25, 0]

    @pytest.mark.parametrize("kind", KINDS)
    def test_extremes_are_the_ends(self, kind):
        assert kind(0.3, 0.2).extremes == (0.3, 0.2)


class TestClock:
    def test_begins_late(self):
        schedule = Linear(0.0, 1.0, over=10, begin=100)
        assert [at(schedule, i) for i in (0, 100, 105, 110)] == [0, 0, 0.5, 1]

    def test_lasts_to_the_end_of_the_run_by_default(self):
        assert at(Linear(0.0, 1.0), 25, last=100) == 0.25
        assert at(Linear(0.0, 1.0, begin=20), 40, last=100) == 0.25

    def test_counts_images(self):
        clock = Clock(iteration=3, images=250, last_iteration=10, last_images=1000)
        assert Linear(0.0, 1.0, unit="images").at(clock) == 0.25
        assert Linear(0.0, 1.0, over=500, unit="images").at(clock) == 0.5
        assert Linear(0.0, 1.0).at(clock) == pytest.approx(0.3)

    def test_counts_iterations_by_default(self):
        assert Linear(0, 1).unit == "iterations"

    @pytest.mark.parametrize("unit", ["iterations", "images"])
    def test_a_run_without_an_end_needs_a_length(self, unit):
        with pytest.raises(ValueError, match="lasts to the end of the run, and this run has none"):
            Linear(0.0, 1.0, unit=unit).at(Clock(3, 300))
        assert Linear(0.0, 1.0, over=600, unit=unit).at(Clock(300, 300)) == 0.5

    @pytest.mark.parametrize(
        ("begin", "last", "iteration", "value"),
        [
            (100, 100, 99, 0.0),  # a run that ends where the schedule begins
            (100, 100, 100, 1.0),
            (100, 50, 50, 0.0),  # or before
            (0, 0, 0, 1.0),
        ],
    )
    def test_without_time_to_change_it_jumps_at_its_begin(self, begin, last, iteration, value):
        assert at(Linear(0.0, 1.0, begin=begin), iteration, last) == value


class TestMistakes:
    @pytest.mark.parametrize("over", [0, -1, float("nan")])
    def test_length(self, over):
        with pytest.raises(ValueError, match=r"^over must be above 0"):
            Linear(0, 1, over=over)

    @pytest.mark.parametrize("begin", [-1, float("nan")])
    def test_begin(self, begin):
        with pytest.raises(ValueError, match=r"^begin must be at least 0"):
            Cosine(0, 1, begin=begin)

    def test_unit(self):
        with pytest.raises(ValueError, match=r"^unit is 'epochs'; there are iterations and images"):
            Step(0, 1, unit="epochs")

    @pytest.mark.parametrize("ends", [(0, 1), (1, 0), (-1, 1), (1, -1)])
    def test_ends_of_an_exponential(self, ends):
        with pytest.raises(ValueError, match=r"^start and end must be above 0"):
            Exponential(*ends)

    def test_exponential_has_the_others_checks_too(self):
        with pytest.raises(ValueError, match=r"^over must be above 0"):
            Exponential(1, 2, over=0)


class TestNumber:
    @pytest.mark.parametrize("value", [0.25, 3])
    def test_of_a_number(self, value):
        assert number(value) is value

    def test_of_a_schedule(self):
        with pytest.raises(TypeError, match=r"^Linear\(start=1, end=0, .* only at a point of the clock; use part_at"):
            number(Linear(1, 0))


class TestParts:
    SCHEDULE = Linear(1.0, 3.0, over=4)

    @pytest.mark.parametrize("value", [1.0, "text", None, [1, 2], (0.5,), Part()])
    def test_what_is_not_scheduled_stays(self, value):
        assert not is_scheduled(value)
        assert value_at(value, Clock(2)) is value

    def test_schedules_within_lists(self):
        assert is_scheduled(self.SCHEDULE)
        assert is_scheduled((0.0, self.SCHEDULE))
        assert is_scheduled([0.0, [self.SCHEDULE]])
        assert value_at(self.SCHEDULE, Clock(2)) == 2
        assert value_at((0.5, self.SCHEDULE), Clock(2)) == (0.5, 2)
        assert value_at([0.5, (self.SCHEDULE, 7)], Clock(3)) == [0.5, (2.5, 7)]

    def test_fields(self):
        assert scheduled_fields(Part()) == []
        assert scheduled_fields(Part(weight=self.SCHEDULE, betas=(0.0, self.SCHEDULE))) == ["weight", "betas"]
        assert scheduled_fields(3.0) == []

    def test_part_at(self):
        part = Part(weight=self.SCHEDULE, betas=(0.25, self.SCHEDULE))
        assert part_at(part, Clock(2)) == Part(weight=2.0, betas=(0.25, 2.0))
        assert part.weight is self.SCHEDULE
        plain = Part(weight=2.0)
        assert part_at(plain, Clock(2)) is plain

    @pytest.mark.parametrize("schedule", [Linear(1, -1), Cosine(-1, 1), Linear(float("nan"), 1)])
    def test_both_ends_lie_in_the_fields_range(self, schedule):
        with pytest.raises(ValueError, match=r"^weight must be at least 0"):
            Part(weight=schedule)
        with pytest.raises(ValueError, match=r"^share must be at least 0 and at most 1"):
            Part(share=schedule)
