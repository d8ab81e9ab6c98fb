"""Evaluation while training: what is logged, which checkpoint is the best, when a run stops early."""

import json
from unittest.mock import Mock

import pytest

from gan_lightning import UserError, load_generator
from gan_lightning.metrics.observed import Metric
from gan_lightning.watching.evaluation import Evaluation

EVERY_TWO = ("evaluation.every=2", "evaluation.samples=50", "extractor=identity", "metric=[sliced]")
NAME = "sliced_wasserstein"


@pytest.fixture(scope="module")
def trained(tiny_in_module):
    return tiny_in_module(*EVERY_TWO, "trainer.max_steps=7", "trainer.log_every_n_steps=3")


def evaluations(run):
    """The logged numbers by iteration."""
    return {int(row["iteration"]): float(value) for row in run.rows() if (value := row[f"evaluation/{NAME}"])}


def test_numbers_are_logged_at_their_iterations(trained):
    assert list(evaluations(trained)) == [2, 4, 6, 7]
    events = trained.events()
    assert [event.step for event in events.Scalars(f"evaluation/{NAME}")] == [2, 4, 6, 7]
    values = [event.value for event in events.Scalars(f"evaluation/{NAME}")]
    assert values == pytest.approx(list(evaluations(trained).values()))


def test_the_protocol_is_text_in_tensorboard(trained):
    (event,) = trained.events().Tensors("evaluation/protocol/text_summary")
    (text,) = event.tensor_proto.string_val
    body = text.decode().removeprefix("```json\n").partition("\n```")[0]
    assert json.loads(body) == trained.results()["evaluation"]["last"]["protocol"]


def test_results_hold_the_last_and_the_best(trained):
    records, logged = trained.results()["evaluation"], evaluations(trained)
    best = min(logged, key=logged.__getitem__)
    assert records["last"]["iteration"] == 7
    assert records["best"]["iteration"] == best
    for record in records.values():
        assert record["values"] == {NAME: pytest.approx(logged[record["iteration"]])}


def test_the_best_checkpoint_is_that_of_the_best_iteration(trained):
    best = trained.results()["evaluation"]["best"]["iteration"]
    assert trained.checkpoint("best")["global_step"] == best
    assert load_generator(trained.path, weights="best").iteration == best


def test_evaluating_changes_nothing_of_the_training(tiny, trained, same):
    without = tiny("without", "trainer.max_steps=7", "trainer.log_every_n_steps=3")
    same(without.checkpoint()["state_dict"], trained.checkpoint()["state_dict"])
    assert "evaluation/protocol/text_summary" not in without.events().Tags()["tensors"]
    assert without.results()["evaluation"] == {}
    assert not (without.path / "checkpoints" / "best.ckpt").exists()


def test_a_resumed_run_remembers_the_best(tiny, resume, trained):
    stopped = tiny("stopped", *EVERY_TWO, "trainer.max_steps=4", "trainer.log_every_n_steps=3")
    resumed = resume(stopped.path, "trainer.max_steps=7")
    same_records, records = trained.results()["evaluation"], resumed.results()["evaluation"]
    for name in ("last", "best"):
        assert records[name]["iteration"] == same_records[name]["iteration"]
        assert records[name]["values"] == same_records[name]["values"]


def test_the_best_is_by_a_number_of_the_metrics(tiny, tmp_path):
    with pytest.raises(UserError) as refusal:
        tiny("run", *EVERY_TWO, "evaluation.best=fid", "trainer.max_steps=1")
    assert str(refusal.value) == f"evaluation.best is 'fid', expected one of {NAME}."
    assert not (tmp_path / "run").exists()


def test_without_progress_a_run_stops(tiny):
    """So little training reaches none of the real samples' neighbourhoods: recall stays 0."""
    recall = ("metric=[precision_recall]", "evaluation.best=recall", "evaluation.patience=2")
    stopped = tiny("run", *EVERY_TWO, *recall, "trainer.max_steps=50")
    records = stopped.results()["evaluation"]
    assert [records[name]["values"]["recall"] for name in ("best", "last")] == [0, 0]
    assert records["best"]["iteration"] == 2
    assert stopped.run.iteration == stopped.checkpoint()["global_step"] == 6
    assert stopped.run.status == stopped.results()["status"] == "no_progress"


def test_another_protocol_begins_anew(tiny, resume, trained):
    stopped = tiny("stopped", *EVERY_TWO, "trainer.max_steps=4", "trainer.log_every_n_steps=3")
    resumed = resume(stopped.path, "trainer.max_steps=7", "evaluation.samples=60")
    records = resumed.results()["evaluation"]
    assert records["best"]["protocol"]["samples"] == records["last"]["protocol"]["samples"] == 60
    assert [event.step for event in resumed.events().Tensors("evaluation/protocol/text_summary")] == [2, 6]


@pytest.mark.parametrize("option", ["evaluation.patience=1", "evaluation.best=modes_covered"])
def test_a_number_that_is_not_measured_ranks_nothing(tiny, option):
    with pytest.raises(UserError) as refusal:
        tiny("run", *EVERY_TWO, "metric=[modes]", option, "trainer.max_steps=4")
    assert str(refusal.value).startswith(f"{option.partition('=')[0]} needs a number that is measured: modes_covered")


def record(iteration, **values):
    return {"iteration": iteration, "values": values, "protocol": {}}


def ranked(higher_is_better, best=None):
    """An evaluation of made-up numbers."""
    metric = Mock(spec=Metric, higher_is_better=higher_is_better, slow=False)
    return Evaluation(data=None, extractor=None, metrics={"made_up": metric}, every=None, best=best)


@pytest.mark.parametrize(
    ("higher_is_better", "values", "best"),
    [
        ({"distance": False}, [3.0, 1.0, 2.0], 1),
        ({"precision": True}, [0.3, 0.1, 0.2], 0),
        ({"distance": False}, [None, 5.0, 6.0], 1),
        ({"distance": False}, [5.0, None, 5.0], 0),
        ({"spread": None, "distance": False}, [2.0, 1.0, 3.0], 1),
    ],
)
def test_ranking(higher_is_better, values, best):
    evaluation = ranked(higher_is_better)
    name = list(higher_is_better)[-1]
    for iteration, value in enumerate(values):
        evaluation.note(record(iteration, **{key: value if key == name else 0.0 for key in higher_is_better}))
        assert evaluation.is_best(iteration) == (evaluation.records["best"]["iteration"] == iteration)
    assert evaluation.records["best"]["iteration"] == best
    assert evaluation.records["last"]["iteration"] == len(values) - 1
    assert evaluation.waited == len(values) - 1 - best


def test_ranking_by_what_was_measured():
    """The first number may not apply to the data set."""
    evaluation = ranked({"distance": False, "coverage": True})
    evaluation.note(record(1, coverage=0.5))
    evaluation.note(record(2, coverage=0.7))
    assert (evaluation.ranking, evaluation.records["best"]["iteration"]) == ("coverage", 2)


def test_ranking_by_a_chosen_number():
    evaluation = ranked({"distance": False, "coverage": True}, best="coverage")
    evaluation.note(record(1, distance=1.0, coverage=0.5))
    evaluation.note(record(2, distance=2.0, coverage=0.7))
    assert evaluation.records["best"]["iteration"] == 2
