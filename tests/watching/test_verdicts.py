"""The rules at their thresholds, the order of causes and symptoms, and how often a verdict is said."""

import json
from math import inf, nan

import pytest

from gan_lightning.watching.verdicts import Watch, find

HEALTHY = {
    "accuracy/real": 0.7,
    "accuracy/held_out": 0.65,
    "accuracy/fake": 0.8,
    "overfitting_gap": 0.05,
    "ranking": 0.8,
    "logit_range": 3.0,
    "loss_slope": 0.5,
    "gradient_norm/generator": 1.5,
    "critic_gradient/interpolate/mean": 0.6,
    "diversity": 0.95,
    "coverage": 0.7,
    "update_ratio/discriminator": 0.005,
    "non_finite/generator": 0.0,
    "non_finite/discriminator": 0.0,
}
CRITIC = {"wasserstein_estimate": 1.0}
TOLD = {"accuracy/real": 1.0, "accuracy/fake": 1.0, "saturated": 0.9}
# Each condition just within its threshold, and just outside.
EDGES = [
    ("Diverging", {"non_finite/generator": 0.0}, {"non_finite/generator": 1.0}),
    ("Diverging", {"non_finite/discriminator": 0.0}, {"non_finite/discriminator": 1.0}),
    ("Diverging", {"logit_range": 9999.0}, {"logit_range": 10001.0}),
    ("Clipping pins weights", {"clipped": 0.79}, {"clipped": 0.81}),
    (
        "Critic not Lipschitz",
        CRITIC | {"critic_gradient/interpolate/mean": 9.9},
        CRITIC | {"critic_gradient/interpolate/mean": 10.1},
    ),
    ("Discriminator not learning", {"ranking": 0.26}, {"ranking": 0.24}),
    ("Discriminator not learning", {"update_ratio/discriminator": 1e-9}, {"update_ratio/discriminator": 0.0}),
    ("Discriminator overfitting", {"overfitting_gap": 0.39}, {"overfitting_gap": 0.41}),
    ("Vanishing generator gradients", {"loss_slope": 0.011}, {"loss_slope": 0.009}),
    ("Vanishing generator gradients", {"gradient_norm/generator": 2e-6}, {"gradient_norm/generator": 9e-7}),
    ("Mode collapse suspected", {"diversity": 0.31}, {"diversity": 0.29}),
    ("Mode collapse suspected", {"coverage": 0.11}, {"coverage": 0.09}),
    ("Discriminator overpowering", TOLD | {"accuracy/real": 0.985}, TOLD | {"accuracy/real": 0.995}),
    ("Discriminator overpowering", TOLD | {"accuracy/fake": 0.985}, TOLD | {"accuracy/fake": 0.995}),
    ("Discriminator overpowering", TOLD | {"saturated": 0.49}, TOLD | {"saturated": 0.51}),
]


@pytest.mark.parametrize(("kind", "within", "outside"), EDGES, ids=[f"{e[0]} {next(reversed(e[2]))}" for e in EDGES])
def test_rule_holds_beyond_its_threshold_alone(kind, within, outside):
    assert find(HEALTHY | within) == []
    (finding,) = find(HEALTHY | outside)
    assert finding.kind == kind


def test_rules_without_their_numbers_hold_nothing():
    assert find({}) == []
    assert find(dict.fromkeys(HEALTHY, nan)) == []


def test_only_sigmoids_are_overpowered_and_only_critics_of_distances_need_slopes():
    assert find(HEALTHY | {"accuracy/real": 1.0, "accuracy/fake": 1.0}) == []
    assert find(HEALTHY | {"critic_gradient/interpolate/mean": inf}) == []


def test_causes_stand_before_symptoms():
    everything = HEALTHY | CRITIC
    for _, _, outside in EDGES[:-3]:
        everything |= outside
    in_order = list(dict.fromkeys(finding.kind for finding in find(everything)))
    assert in_order == [
        "Diverging",
        "Clipping pins weights",
        "Critic not Lipschitz",
        "Discriminator not learning",
        "Discriminator overfitting",
        "Vanishing generator gradients",
        "Mode collapse suspected",
    ]


COLLAPSED, FROZEN = HEALTHY | {"diversity": 0.04}, HEALTHY | {"update_ratio/discriminator": 0.0}


def said(*measurements):
    """The numbers, counted from 1, of the measurements that led to a verdict, and its kind."""
    watch = Watch()
    verdicts = [(i, watch.check(numbers, 100 * i)) for i, numbers in enumerate(measurements, start=1)]
    return [(i, verdict.kind) for i, verdict in verdicts if verdict]


COLLAPSE, NOT_LEARNING = "Mode collapse suspected", "Discriminator not learning"


@pytest.mark.parametrize(
    ("measurements", "expected"),
    [
        ([HEALTHY] * 5, []),
        ([COLLAPSED] * 5, [(3, COLLAPSE)]),
        ([HEALTHY, COLLAPSED, HEALTHY, COLLAPSED, HEALTHY], []),
        ([*[COLLAPSED] * 4, HEALTHY, *[COLLAPSED] * 3], [(3, COLLAPSE), (7, COLLAPSE)]),
        ([HEALTHY, COLLAPSED, FROZEN, FROZEN], [(4, NOT_LEARNING)]),
        ([HEALTHY, COLLAPSED, COLLAPSED | FROZEN, FROZEN | {"diversity": 0.04}], [(4, NOT_LEARNING)]),
        ([HEALTHY | {"non_finite/generator": 1.0}] * 2, [(1, "Diverging")]),
    ],
    ids=["healthy", "after the warm-up, once", "not for long enough", "anew", "another", "cause first", "at once"],
)
def test_verdicts_are_said_once_and_in_time(measurements, expected):
    assert said(*measurements) == expected


def test_sentence_has_the_iteration_the_number_and_the_remedy():
    watch = Watch()
    for iteration in (50, 100, 500, 1000):
        verdict = watch.check(COLLAPSED, iteration)
    assert verdict is not None
    assert verdict.sentence.startswith(
        "Mode collapse suspected at iteration 1000: generated samples differ by 0.04 of what real ones do"
        " (expected above 0.3). Try loss=wgan_gp"
    )


def test_state_goes_on_where_it_was():
    whole, first, second = Watch(), Watch(), Watch()
    measurements = [HEALTHY, COLLAPSED, COLLAPSED, COLLAPSED, HEALTHY, COLLAPSED, COLLAPSED]
    for place, numbers in enumerate(measurements):
        whole.check(numbers, 100 * place)
        (first if place < 3 else second).check(numbers, 100 * place)
        if place == 2:
            second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.verdicts == whole.verdicts
    assert len(whole.verdicts) == 2
