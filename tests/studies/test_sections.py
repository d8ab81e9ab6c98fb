"""Numbers by how they were measured."""

import math

import pytest
from planted import LOWER, PROTOCOL, plant, study

from gan_lightning.errors import UserError
from gan_lightning.studies.sections import by_seed, sections
from gan_lightning.studies.studied import configurations, find_runs


def of(folder, metrics=None):
    return sections(configurations(find_runs([str(folder)])), metrics)


def test_one_protocol_is_one_section(tmp_path):
    found = of(study(tmp_path, {"vanilla": [4, 5], "hinge": [3, 6]}))
    assert len(found) == 1
    assert found[0].title == "digits, measured while training: 1000 samples, classifier"
    assert {entry.name: entry.values("frechet_distance") for entry in found[0].entries} == {
        "hinge": {1: 3, 2: 6},
        "vanilla": {1: 4, 2: 5},
    }
    assert found[0].better == LOWER


def test_data_sets_and_protocols_share_no_table(tmp_path):
    study(tmp_path, {"vanilla": [4, 5]})
    plant(tmp_path / "ring", 1, {"w2": [1.0]}, {"dataset": "ring"}, dataset="ring", protocol={"data": "77aa"})
    larger = {"iteration": 400, "protocol": {**PROTOCOL, "samples": 10_000}, "values": {"frechet_distance": 3.5}}
    plant(tmp_path / "more", 3, {"frechet_distance": [4.0]}, better=LOWER, evaluations=[larger])
    titles = [section.title for section in of(tmp_path)]
    assert titles == [
        "digits, measured by evaluate: 10000 samples, classifier",
        "digits, measured while training: 1000 samples, classifier",
        "ring, measured while training: 1000 samples, classifier",
    ]
    afterwards, training, _ = of(tmp_path)
    assert afterwards.entries[0].values("frechet_distance") == pytest.approx(
        {1: math.nan, 2: math.nan, 3: 3.5}, nan_ok=True
    )
    assert training.entries[0].values("frechet_distance") == {1: 4, 2: 5, 3: 4}
    assert afterwards.better == {"frechet_distance": None}  # that record doesn't say


def test_a_section_names_by_what_differs_in_it(tmp_path):
    for dataset, updates in (("digits", "7500"), ("ring", "10000")):
        for loss in ("vanilla", "hinge"):
            told = {"loss": loss, "dataset": dataset, "study.discriminator_updates": updates}
            plant(tmp_path / f"{dataset}{loss}", 1, {"w2": [1.0]}, told, dataset=dataset, protocol={"data": dataset})
    digits, ring = of(tmp_path)
    assert [entry.name for entry in digits.entries] == [entry.name for entry in ring.entries] == ["hinge", "vanilla"]
    assert [dict(entry.configuration.varied) for entry in ring.entries] == [{"loss": "hinge"}, {"loss": "vanilla"}]


def test_what_never_came_to_a_number_stands_in_its_section(tmp_path):
    study(tmp_path, {"vanilla": [4, 5]})
    plant(tmp_path / "loss=began,seed=1", 1, {}, {"loss": "began"}, status="failed")
    (section,) = of(tmp_path)
    began = next(entry for entry in section.entries if entry.name == "began")
    assert began.lacking("frechet_distance") == {1: "failed"}


def test_runs_without_evaluations_are_a_section_without_numbers(tmp_path):
    plant(tmp_path / "a", 1, {})
    (section,) = of(tmp_path)
    assert (section.title, section.metrics) == ("digits, not measured", [])


def test_of_two_runs_of_a_seed_the_furthest_counts(tmp_path):
    long = plant(tmp_path / "long", 1, {"frechet_distance": [9.0, 8.0]})
    plant(tmp_path / "short", 1, {"frechet_distance": [5.0]})
    (configuration,) = configurations(find_runs([str(tmp_path)]))
    assert {seed: run.folder for seed, run in by_seed(configuration.runs).items()} == {1: long}


def test_metrics_that_are_asked_for(tmp_path):
    plant(tmp_path / "a", 1, {"frechet_distance": [1.0], "w2": [2.0]})
    assert of(tmp_path, ["w2"])[0].metrics == ["w2"]
    with pytest.raises(
        UserError,
        match=r"metrics has frechet_distanc, which none .*frechet_distance, w2\. Did you mean frechet_distance\?",
    ):
        of(tmp_path, ["frechet_distanc"])
    plant(tmp_path / "b" / "c", 1, {})
    with pytest.raises(UserError, match=r"metrics has w2, which none .* trained without evaluations"):
        of(tmp_path / "b", ["w2"])
