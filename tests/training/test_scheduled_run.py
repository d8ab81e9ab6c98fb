"""Scheduled values in a run: they reach what they are for at their iteration, and the logs."""

from typing import Any

import pytest
from pytorch_lightning import Callback, LightningModule, Trainer

from gan_lightning.errors import UserError
from gan_lightning.losses.regularizers import R1

BATCH = 16
ITERATIONS = 6
STEPS = [3, 2, 2, 2, 1, 1]  # ${linear:3,1,4}, rounded: 3, 2.5 (to even), 2, 1.5 (to even), 1, 1
OVERRIDES = (
    "loss.n_critic=${linear:3,1,4}",
    "loss.optimizer.generator.lr=${linear:0.01,0.002,4}",
    "loss.optimizer.discriminator.lr=${exponential:0.04,0.01,4,iterations,1}",
    'loss.optimizer.discriminator.betas=[0.1,"${linear:0.5,0.9}"]',
    "regularizer=[r1]",
    "regularizer.r1.weight=${linear:8,0,128,images}",
    "ema.decay=${step:0.0,0.05,3}",
    f"trainer.max_steps={ITERATIONS}",
    "trainer.log_every_n_steps=1",
)


def line(start: float, end: float, share: float) -> float:
    return start + (end - start) * min(max(share, 0.0), 1.0)


IMAGES = [BATCH * sum(STEPS[:iteration]) for iteration in range(ITERATIONS)]
EXPECTED = {
    "generator.lr": [line(0.01, 0.002, t / 4) for t in range(ITERATIONS)],
    "discriminator.lr": [0.04 * 0.25 ** line(0, 1, (t - 1) / 4) for t in range(ITERATIONS)],
    "discriminator.betas": [0.1] * ITERATIONS,
    "discriminator.betas.1": [line(0.5, 0.9, t / ITERATIONS) for t in range(ITERATIONS)],
    "regularizer.r1.weight": [line(8, 0, seen / 128) for seen in IMAGES],
    "ema.decay": [0.0, 0.0, 0.0, 0.05, 0.05, 0.05],
}


class Groups(Callback):
    """Keeps what the optimizers have in their groups whenever they step, and the averages' factors."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, float, tuple[float, ...]]] = []
        self.decays: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for name, optimizer in zip(("generator", "discriminator"), trainer.optimizers, strict=True):
            optimizer.register_step_pre_hook(
                lambda optimizer, *_, name=name: (
                    [
                        self.steps.append((name, trainer.global_step, group["lr"], tuple(group["betas"])))
                        for group in optimizer.param_groups
                    ]
                    and None
                )
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if not self.decays:
            update = pl_module.update_average
            pl_module.update_average = lambda decay: (self.decays.append(decay), update(decay))


def test_values_reach_their_parts_and_the_logs(tiny, watch, monkeypatch):
    weights, penalty = [], R1.penalty
    monkeypatch.setattr(R1, "penalty", lambda self, *given: (weights.append(self.weight), penalty(self, *given))[1])
    watch(kept := Groups())

    trained = tiny("run", *OVERRIDES)

    iterations = [iteration for iteration, count in enumerate(STEPS) for _ in range(count)]
    of_discriminator = [step[1:] for step in kept.steps if step[0] == "discriminator"]
    assert [step[0] for step in of_discriminator] == iterations
    assert [step[1] for step in of_discriminator] == pytest.approx(
        [EXPECTED["discriminator.lr"][iteration] for iteration in iterations], rel=1e-9
    )
    for iteration, _, betas in of_discriminator:
        assert betas == pytest.approx((0.1, EXPECTED["discriminator.betas.1"][iteration]), rel=1e-9)
    of_generator = [step[1:] for step in kept.steps if step[0] == "generator"]
    assert [step[1] for step in of_generator] == pytest.approx(EXPECTED["generator.lr"], rel=1e-9)
    assert {step[2] for step in of_generator} == {(0.5, 0.999)}
    assert weights == pytest.approx([EXPECTED["regularizer.r1.weight"][t] for t in iterations], rel=1e-9)
    ramp = [min(decay, (1 + t) / (10 + t)) for t, decay in enumerate(EXPECTED["ema.decay"])]
    assert kept.decays == pytest.approx(ramp, rel=1e-9)

    rows = trained.rows()
    scheduled = {name.removeprefix("schedule/") for name in rows[0] if name.startswith("schedule/")}
    assert scheduled == EXPECTED.keys()
    for name, expected in EXPECTED.items():
        assert [float(row[f"schedule/{name}"]) for row in rows] == pytest.approx(expected, rel=1e-5)
        events = trained.events().Scalars(f"schedule/{name}")
        assert [event.step for event in events] == list(range(1, ITERATIONS + 1))
    assert [float(row["learning_rate/generator"]) for row in rows] == pytest.approx(EXPECTED["generator.lr"], rel=1e-5)
    seen = [*IMAGES[1:], IMAGES[-1] + BATCH]
    assert [float(row["progress/images_seen"]) for row in rows] == seen


def test_a_window_of_logs_has_the_last_value(tiny):
    trained = tiny("run", "ema.decay=${linear:0,0.5}", "trainer.max_steps=4", "trainer.log_every_n_steps=2")
    assert [float(row["schedule/ema.decay"]) for row in trained.rows()] == pytest.approx([0.125, 0.375])


def test_a_run_without_schedules_logs_none(tiny):
    assert not [name for name in tiny("run", "trainer.max_steps=1").run.metrics if name.startswith("schedule/")]


def test_epochs_end_a_schedule_too(tiny):
    """Seven minibatches of 208 digits a pass, one an iteration."""
    trained = tiny(
        "run",
        "dataset.batch_size=208",
        "trainer.max_epochs=1",
        "ema.decay=${linear:0,0.07}",
        "trainer.log_every_n_steps=1",
    )
    values = [float(row["schedule/ema.decay"]) for row in trained.rows()]
    assert values == pytest.approx([0.01 * t for t in range(7)], abs=1e-7)


@pytest.mark.parametrize(
    "override",
    [
        "loss.optimizer.generator.lr=${linear:1e-3,0}",
        "loss.optimizer.discriminator.lr=${cosine:1e-3,0}",
        'loss.optimizer.discriminator.betas=[0.5,"${linear:0.9,0.99}"]',
        "ema.decay=${linear:0,0.9}",
        "regularizer=[instance_noise]",
        "loss=r3gan",
    ],
)
def test_a_run_without_an_end_needs_schedules_with_one(tiny, tmp_path, override):
    with pytest.raises(UserError) as refusal:
        tiny("run", override, "trainer.max_steps=-1", "trainer.max_time=00:00:00:01")
    assert "lasts to the end of the run, and this run has none; set trainer.max_steps" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_a_schedule_with_a_length_needs_no_end(tiny):
    overrides = ("loss.optimizer.generator.lr=${linear:1e-3,0,40}", "trainer.max_steps=-1")
    trained = tiny("run", *overrides, "trainer.max_time=00:00:00:01", "samples.every=100000")
    assert trained.run.iteration > 0
