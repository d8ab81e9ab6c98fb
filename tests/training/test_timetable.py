"""The timetable: what is scheduled has its values of the time, and what is not stays as it is."""

from functools import partial

import pytest
import torch
from torch import nn

from gan_lightning.losses.augmentations import InstanceNoise
from gan_lightning.losses.regularizers import R1, WeightClipping
from gan_lightning.schedules import Clock, Linear, Step
from gan_lightning.training.ema import EMA
from gan_lightning.training.timetable import Timetable

HALFWAY = Clock(5, 80, 10, 160)
Adam = torch.optim.Adam


def parameters():
    return list(nn.Linear(2, 1).parameters())


def test_without_schedules_all_moments_are_one():
    penalty, clipping, ema = R1(2.0), WeightClipping(0.1), EMA()
    timetable = Timetable({"r1": penalty, "clipping": clipping}, ema, partial(Adam, lr=0.1), Adam)
    moment = timetable.at(Clock(0))
    assert timetable.at(HALFWAY) is moment
    assert moment.ema is ema
    assert moment.regularizers.penalties == {"r1": penalty}
    assert moment.regularizers.projections == {"clipping": clipping}
    assert (moment.arguments, moment.values) == (({}, {}), {})


def test_values_are_named_by_what_they_belong_to():
    regularizers = {"r1": R1(Linear(4, 0)), "clipping": WeightClipping(0.1), "noise": InstanceNoise(Linear(0, 1))}
    timetable = Timetable(
        regularizers,
        EMA(half_life=Linear(0, 32, unit="images")),
        partial(Adam, lr=Linear(0.2, 0.0), weight_decay=0.1),
        partial(Adam, lr=0.3, betas=[0.5, Linear(0.9, 0.99)]),
    )
    moment = timetable.at(HALFWAY)
    assert moment.values == pytest.approx(
        {
            "regularizer.r1.weight": 2.0,
            "regularizer.noise.std": 0.5,
            "ema.half_life": 16.0,
            "generator.lr": 0.1,
            "discriminator.betas": 0.5,
            "discriminator.betas.1": 0.945,
        }
    )
    assert moment.regularizers.penalties == {"r1": R1(2.0)}
    assert moment.regularizers.projections == {"clipping": regularizers["clipping"]}
    assert moment.regularizers.transformations == {"noise": InstanceNoise(0.5)}
    assert moment.ema == EMA(half_life=16.0)
    assert moment.arguments == ({"lr": pytest.approx(0.1)}, {"betas": [0.5, pytest.approx(0.945)]})


@pytest.mark.parametrize("scheduled", ["regularizer", "ema", "generator", "discriminator"])
def test_one_schedule_is_enough_for_moments_that_differ(scheduled):
    changing = Step(0.25, 0.5, over=3)
    factories = [partial(Adam, lr=changing if scheduled == name else 0.1) for name in ("generator", "discriminator")]
    regularizers = {"r1": R1(changing if scheduled == "regularizer" else 2.0)}
    timetable = Timetable(regularizers, EMA(changing if scheduled == "ema" else 0.9), *factories)
    assert [list(timetable.at(Clock(iteration)).values.values()) for iteration in (2, 3)] == [[0.25], [0.5]]


def test_a_schedule_to_the_end_needs_a_run_that_has_one():
    with pytest.raises(ValueError, match="lasts to the end of the run, and this run has none"):
        Timetable({}, EMA(Linear(0, 1)), Adam, Adam).at(Clock(0))


def test_set_changes_scheduled_arguments_and_no_others():
    timetable = Timetable({}, EMA(), partial(Adam, lr=0.1), partial(Adam, lr=Linear(0.4, 0.2), eps=0.5))
    optimizers = timetable.optimizers(Clock(0, 0, 10, 160), parameters(), parameters())
    optimizers[1].add_param_group({"params": parameters()})
    assert [group["lr"] for each in optimizers for group in each.param_groups] == [0.1, 0.4, 0.4]
    optimizers[0].param_groups[0]["lr"] = 0.7

    timetable.at(HALFWAY).set(optimizers)

    assert optimizers[0].param_groups[0]["lr"] == 0.7
    assert [group["lr"] for group in optimizers[1].param_groups] == pytest.approx([0.3, 0.3])
    assert [group["eps"] for group in optimizers[1].param_groups] == [0.5, 0.5]


def test_optimizers_begin_with_the_values_of_the_time():
    betas = (0.5, Linear(0.9, 0.8))
    timetable = Timetable({}, EMA(), partial(Adam, lr=Linear(0.2, 0.0)), partial(Adam, betas=betas))
    own = [parameters(), parameters()]
    first, second = timetable.optimizers(HALFWAY, *own)
    assert first.param_groups[0]["lr"] == pytest.approx(0.1)
    assert second.param_groups[0]["betas"] == pytest.approx((0.5, 0.85))
    for optimizer, expected in zip((first, second), own, strict=True):
        assert all(a is b for a, b in zip(optimizer.param_groups[0]["params"], expected, strict=True))
