"""What is told of a metric, from the files of runs to the numbers of a report."""

import json
import math

import numpy as np
import pytest
from planted import LOWER, plant, study

from gan_lightning.studies.figures import COLOURS
from gan_lightning.studies.measuring import MOST_COMPARED, at_budget, thinned
from gan_lightning.studies.report import collect
from gan_lightning.studies.studied import find_runs

VALUES = {"vanilla": [4.0, 5.0, 4.5, 4.2, 4.8], "hinge": [3.0, 3.3, 2.9, 3.4, 3.1], "lsgan": [3.1, 3.2, 3.0, 3.3, 3.2]}


def measured(folder, **options):
    return collect(find_runs([str(folder)]), folder, "report", **options).parts[0].measures[0]


def test_the_best_stands_first_and_those_alike_are_named(tmp_path):
    found = measured(study(tmp_path, VALUES))
    assert [each.name for each in found.standings] == ["hinge", "lsgan", "vanilla"]
    assert (found.best, list(found.alike)) == (0, ["lsgan"])
    low, high = found.standings[0].ends
    assert low == pytest.approx(3.14 - 2.7764 * 0.2074 / math.sqrt(5), abs=1e-3)
    assert high == pytest.approx(3.14 + 2.7764 * 0.2074 / math.sqrt(5), abs=1e-3)
    assert any(each.startswith("hinge is better than vanilla on frechet_distance: 1.") for each in found.sentences)
    assert any(each.startswith("5 seeds can't tell hinge from lsgan") for each in found.sentences)
    assert len(found.comparisons.rows) == 3


def test_a_configuration_has_one_colour_in_the_table_and_the_chart(tmp_path):
    found = measured(study(tmp_path, {f"loss{place}": [10.0 - place] for place in range(10)}))
    colours = {each.name: each.colour for each in found.standings}
    drawn = found.curves["iterations"]
    assert [each.name for each in drawn] == [f"loss{place}" for place in range(9, 1, -1)]
    assert {each.name: each.colour for each in drawn}.items() <= colours.items()
    assert len({each.colour % COLOURS for each in drawn}) == len(drawn)


def test_higher_may_be_better(tmp_path):
    for seed, (one, other) in enumerate(((0.5, 0.9), (0.6, 0.8)), 1):
        plant(tmp_path / f"a{seed}", seed, {"recall": [one]}, {"loss": "a"}, better={"recall": "higher"})
        plant(tmp_path / f"b{seed}", seed, {"recall": [other]}, {"loss": "b"}, better={"recall": "higher"})
    assert [each.name for each in measured(tmp_path).standings] == ["b", "a"]


def test_nothing_is_ranked_where_nobody_says_which_way(tmp_path):
    for loss in ("b", "a"):
        plant(tmp_path / loss, 1, {"odd": [3.0 if loss == "b" else 2.0]}, {"loss": loss})
    found = measured(tmp_path)
    assert ([each.name for each in found.standings], found.best) == (["a", "b"], None)


@pytest.mark.parametrize("status", ["failed", "running", "SIGINT"])
def test_a_seed_that_was_lost_has_no_number_and_is_counted(tmp_path, status):
    study(tmp_path, {"vanilla": [4.0, 5.0], "hinge": [3.0, 3.3]})
    plant(tmp_path / "loss=vanilla,seed=3", 3, {"frechet_distance": [99.0]}, better=LOWER, status=status)
    vanilla = next(each for each in measured(tmp_path).standings if each.name == "vanilla")
    assert vanilla.mean == 4.5
    assert list(vanilla.lacking) == [3]
    assert measured(tmp_path / "loss=vanilla,seed=3").standings[0].mean == 99  # alone, all is told of it


def test_budgets_that_differ_are_said_and_made_equal(tmp_path):
    study(tmp_path, {"vanilla": [4.0, 5.0]})
    for seed in (1, 2):
        curve = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
        name = tmp_path / f"loss=wgan,seed={seed}"
        plant(name, seed, {"frechet_distance": curve}, {"loss": "wgan"}, better=LOWER, n_critic=5)
    runs = find_runs([str(tmp_path)])
    (told,) = collect(runs, tmp_path, "report").parts[0].notes
    assert told.startswith("What the runs have spent differs: iterations 400 to 600, images 25,600 to 192,000, ")
    for budget, expected in ((None, 1.0), ("iterations", 3.0), ("updates", math.nan), ("seconds", 3.0)):
        wgan = next(each for each in measured(tmp_path, budget=budget).standings if each.name == "wgan")
        # 400 updates are 80 iterations, before its first evaluation.
        assert wgan.mean == pytest.approx(expected, nan_ok=True)
    report = collect(runs, tmp_path, "report", budget="iterations")
    assert list(report.parts[0].notes) == []
    (told,) = report.parts[0].measures[0].notes
    assert told.startswith("Compared at 400 iterations, the least that any run has spent by its last evaluation; ")
    assert told.endswith("the longest run has 600.")


def test_seconds_always_differ_and_are_said_to_by_half(tmp_path):
    for loss, speed in (("a", 100.0), ("b", 80.0), ("c", 50.0)):
        plant(tmp_path / loss, 1, {"w2": [1.0]}, {"loss": loss}, speed=speed)
    assert collect(find_runs([str(tmp_path / name) for name in "ab"]), tmp_path, "report").parts[0].notes == []
    (told,) = collect(find_runs([str(tmp_path)]), tmp_path, "report").parts[0].notes
    assert told.startswith("What the runs have spent differs: seconds 1 to 2. ")


def test_a_budget_that_no_curve_knows():
    assert at_budget({"a": {}}, "updates") == (
        {},
        ["No curves are known against updates: budget=updates changes nothing here."],
    )


def test_thinned_curves_keep_their_ends():
    x, _ = thinned(np.arange(250.0), np.arange(250.0))
    assert (len(x), x[-1]) == (84, 249)


def test_bands_are_of_the_mean(tmp_path):
    study(tmp_path, {"vanilla": [4.0, 6.0]})
    (series,) = measured(tmp_path).curves["iterations"]
    assert list(series.x) == [100, 200, 300, 400]
    assert series.y[-1] == 5
    assert (series.low[-1], series.high[-1]) == pytest.approx((5 - 12.706, 5 + 12.706), abs=1e-2)
    assert measured(tmp_path).curves.keys() == {"iterations", "images", "seconds"}


def test_of_many_configurations_some_are_compared_and_that_is_said(tmp_path):
    study(tmp_path, {f"loss{n}": [1.0 + n, 1.5 + n] for n in range(MOST_COMPARED + 2)})
    found = measured(tmp_path)
    assert len(found.comparisons.rows) == MOST_COMPARED * (MOST_COMPARED - 1) // 2
    assert found.sentences[-1] == f"Compared were the first {MOST_COMPARED} of {MOST_COMPARED + 2} configurations."
    assert found.notes == [f"Charts have the 8 best of {MOST_COMPARED + 2} configurations; report.csv has all."]
    assert all(each.startswith(("2 seeds can't tell loss0", "loss0 is")) for each in found.sentences[:-2])


def test_what_was_varied_is_shown_by_number_and_by_name(tmp_path):
    for loss in ("a", "b"):
        for lr in ("1e-4", "1e-3"):
            for seed in (1, 2):
                value = seed + (5 if loss == "b" else 0) + 10_000 * float(lr)
                told = {"loss": loss, "loss.lr": lr}
                plant(tmp_path / f"{loss}{lr}{seed}", seed, {"w2": [value]}, told, better={"w2": "lower"})
    by_key = {each.key: each for each in measured(tmp_path).dependences}
    assert {name: len(values) for name, values in by_key["loss"].groups.items()} == {"a": 4, "b": 4}
    rates = {each.name: sorted(set(each.x)) for each in by_key["loss.lr"].series}
    assert rates == {"a": [1e-4, 1e-3], "b": [1e-4, 1e-3]}
    assert by_key["loss"].sentence.startswith("loss explains ")
    assert "w2 rises with it (rank correlation 0." in by_key["loss.lr"].sentence


def test_grids_of_the_best_the_median_and_the_worst(tmp_path):
    report = collect(find_runs([str(study(tmp_path, VALUES))]), tmp_path, "report")
    hinge = report.grids[0]
    assert [caption for caption, _ in hinge.pictures] == [
        "best: seed 3, frechet_distance 2.9",
        "median: seed 5, frechet_distance 3.1",
        "worst: seed 4, frechet_distance 3.4",
    ]
    assert [path.parent.parent.name[-1] for _, path in hinge.pictures] == ["3", "5", "4"]


def test_the_best_of_several_trials(tmp_path):
    hinge, *_ = measured(study(tmp_path, VALUES)).trials
    assert (hinge.name, list(hinge.x)) == ("hinge", [1, 2, 3, 4, 5])
    assert (hinge.y[0], hinge.y[-1]) == pytest.approx((3.14, 2.9))
    assert measured(study(tmp_path / "two", {"vanilla": [1.0, 2.0]})).trials == []


@pytest.mark.parametrize("value", [None, 1e308])
def test_numbers_that_are_none_or_overflow(tmp_path, value):
    for seed in (1, 2, 3):
        for loss in ("a", "b"):
            told = {"loss": loss, "loss.lr": seed}
            run = plant(tmp_path / f"{loss}{seed}", seed, {"odd": [1.0]}, told)
            text = (run / "results.json").read_text().replace('"odd": 1.0', f'"odd": {json.dumps(value)}')
            (run / "results.json").write_text(text)
    assert all(math.isnan(each.mean) or each.mean == value for each in measured(tmp_path).standings)
