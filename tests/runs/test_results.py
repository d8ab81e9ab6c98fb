"""results.json: one record, there and back."""

import json
import math
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gan_lightning import UserError
from gan_lightning.runs import results
from gan_lightning.runs.results import Health, Results, Run, finite
from gan_lightning.watching.verdicts import Verdict

RECORD = {"iteration": 4, "protocol": {"samples": 10, "extractor": "identity"}, "values": {"w2": 0.5}}
RESULTS = Results(
    status="finished",
    iteration=4,
    seconds=1.5,
    metrics={"loss/generator": 0.25, "loss/discriminator": None},
    health=Health([{"kind": "Diverging", "iteration": 3, "sentence": "so"}], {"ranking": 1.0}),
    evaluation={"last": RECORD},
    evaluations=[RECORD],
    seed=7,
    versions={"torch": "2"},
    memory={"process": 1 << 28},
    classes=("cat", "dog"),
)


def test_there_and_back(tmp_path):
    results.write(tmp_path, RESULTS)
    assert results.read(tmp_path) == results.find(tmp_path) == RESULTS
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    "changed",
    [
        {"seconds": 10**400},
        {"iteration": 10**400},
        {"seed": 10**400},
        {"memory": {"process": 10**400}},
        {"memory": {"process": 0.5}},
        {"device": 3},
        {"evaluation": {"last": {**RECORD, "protocol": None}}},
        {"evaluation": {"last": {**RECORD, "values": "x"}}},
        {"evaluations": [{**RECORD, "values": {"w2": "x"}}]},
        {"evaluations": [{**RECORD, "values": {"w2": 10**400}}]},
    ],
    ids=str,
)
def test_values_that_no_run_writes(tmp_path, changed):
    results.write(tmp_path, RESULTS)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(UserError, match=f"its {next(iter(changed))} is not what a run writes"):
        results.read(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"status": "finished"}', "null"])
def test_what_can_not_be_read(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(UserError, match=r"results\.json can't be read.*the run's folder is damaged"):
        results.read(tmp_path)
    assert results.find(tmp_path) is None


def test_none_at_all(tmp_path):
    assert results.find(tmp_path) is None
    with pytest.raises(UserError, match="the run's folder is damaged"):
        results.read(tmp_path)


def test_an_evaluation_takes_the_place_of_its_like(tmp_path):
    results.write(tmp_path, RESULTS)
    again = {**RECORD, "values": {"w2": 0.75}}
    later = {**RECORD, "iteration": 5}
    larger = {**RECORD, "protocol": {**RECORD["protocol"], "samples": 20}}
    for record in (again, later, larger):
        results.add_evaluation(tmp_path, record)
    assert results.read(tmp_path) == replace(RESULTS, evaluations=[again, later, larger])


def test_numbers_that_json_does_not_have(tmp_path):
    assert finite({"a": math.nan, "b": -math.inf, "c": 1.0}) == {"a": None, "b": None, "c": 1.0}
    results.write(tmp_path, replace(RESULTS, metrics=finite({"a": math.nan})))
    assert json.loads((tmp_path / "results.json").read_text())["metrics"] == {"a": None}


def test_a_run_that_trains_keeps_what_evaluate_has_added(tmp_path):
    results.write(tmp_path, RESULTS)
    results.renew(tmp_path, replace(RESULTS, iteration=5, evaluations=()))
    assert results.read(tmp_path) == replace(RESULTS, iteration=5)


def test_two_processes_take_turns(tmp_path):
    results.write(tmp_path, RESULTS)
    order = []

    def renew() -> None:
        results.renew(tmp_path, RESULTS)
        order.append("renewed")

    with results.alone(tmp_path):
        thread = threading.Thread(target=renew)
        thread.start()
        thread.join(timeout=0.2)
        order.append("done")
    thread.join(timeout=20)
    assert order == ["done", "renewed"]


def test_a_run_in_a_notebook():
    metrics = {"loss/generator": 0.123456, "progress/images<seen": 128000, "loss/discriminator": math.nan}
    run = Run(Path("outputs/a"), "alarm", 7, 12.6, metrics, (Verdict("Diverging", 3, "It diverges."),))
    assert repr(run) == "Run('outputs/a': alarm at iteration 7, 13 s, Diverging)"
    assert run.metrics == metrics
    assert replace(run, metrics={"w2": None}).metrics._repr_html_() == "<table><tr><th>w2</th><td>-</td></tr></table>"
    table = run.metrics._repr_html_()
    assert "<tr><th>loss/generator</th><td>0.1235</td></tr>" in table
    assert "<th>progress/images&lt;seen</th><td>1.28e+05</td>" in table
    assert "<td>nan</td>" in table
