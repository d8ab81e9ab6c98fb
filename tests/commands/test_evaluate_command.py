"""`python -m gan_lightning evaluate`: a table of runs that can be compared, and each run's record in its folder."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.progress import Progress
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gan_lightning import train
from gan_lightning.commands.evaluate import device_of, show
from gan_lightning.config.places import CONF
from gan_lightning.studies import sweep_folder
from gan_lightning.studies.sweep_folder import Sweep, SweepJob

QUICK = ("extractor=identity", "metric=[sliced,modes]", "samples=40", "intervals=3", "batch_size=16")


@pytest.fixture
def runs_of_two(trained: Path, tmp_path: Path) -> Path:
    """A folder with two runs, and a file beside them."""
    folder = tmp_path / "sweep"
    for name in ("loss=vanilla,seed=0", "loss=vanilla,seed=1"):
        shutil.copytree(trained, folder / name)
    (folder / "multirun.yaml").touch()
    return folder


def records(run: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((run / "results.json").read_text())["evaluations"]
    return found


def test_a_run(command: Callable[..., Any], run: Path) -> None:
    outcome = command("evaluate", f"run={run}", *QUICK)
    assert outcome.status == 0
    (record,) = records(run)
    assert record["iteration"] == 40
    value, ends = record["values"]["sliced_wasserstein"], record["intervals"]["sliced_wasserstein"]
    assert ends[0] < value < ends[1]
    (row,) = [line for line in outcome.out.splitlines() if "sliced_wasserstein" in line]
    assert row.split() == ["sliced_wasserstein", f"{value:.4g}", "±", f"{(ends[1] - ends[0]) / 2:.2g}"]
    assert "40 samples of seed 0 (ema) against 1500 real ones (train), features: identity" in outcome.out
    assert f"modes is left out: {record['left_out']['modes']}." in outcome.out
    events = EventAccumulator(str(run), {"scalars": 0, "tensors": 0}).Reload()
    (event,) = events.Scalars("final/ema/train/identity/sliced_wasserstein")
    assert (event.step, event.value) == (40, pytest.approx(value))
    assert "final/ema/train/identity/protocol/text_summary" in events.Tags()["tensors"]


def test_the_same_protocol_replaces_its_record_and_another_adds_one(command: Callable[..., Any], run: Path) -> None:
    before = json.loads((run / "results.json").read_text())
    for options in ((), (), ("seed=1",), ("weights=raw",), ("split=held_out",)):
        assert command("evaluate", f"run={run}", *QUICK, *options).status == 0
    first, *others = records(run)
    assert len(others) == 3
    assert len({json.dumps(record["protocol"]) for record in (first, *others)}) == 4
    after = json.loads((run / "results.json").read_text())
    assert {key: value for key, value in after.items() if key != "evaluations"} == {
        key: value for key, value in before.items() if key != "evaluations"
    }


def test_the_progress_bar_counts_all_of_it(
    command: Callable[..., Any], runs_of_two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real samples too, where the first run is measured."""
    finished: list[tuple[float | None, float]] = []
    stop = Progress.stop

    def stopped(progress: Progress) -> None:
        finished.extend((task.total, task.completed) for task in progress.tasks)
        stop(progress)

    monkeypatch.setattr(Progress, "stop", stopped)
    assert command("evaluate", f"run={runs_of_two}", *QUICK).status == 0
    assert finished == [(1797 + 3 * 40, 1797 + 3 * 40), (3 * 40, 3 * 40)]


@pytest.mark.parametrize(
    ("trained_on", "available", "expected"),
    [
        (("cpu (x86_64)",), "cuda", "cpu"),
        (("",), "cuda", "cpu"),
        (("NVIDIA H100 80GB HBM3",), "cuda", "cuda"),
        (("NVIDIA H100 80GB HBM3",), "mps", "cpu"),
        (("mps (arm64)",), "mps", "mps"),
        (("cpu (x86_64)", "NVIDIA H100 80GB HBM3"), "cuda", "cuda"),
    ],
)
def test_runs_are_evaluated_where_they_trained(
    runs_of_two: Path, monkeypatch: pytest.MonkeyPatch, trained_on: tuple[str, ...], available: str, expected: str
) -> None:
    runs = sorted(runs_of_two.glob("loss=*"))[: len(trained_on)]
    for run, device in zip(runs, trained_on, strict=True):
        told = json.loads((run / "results.json").read_text())
        (run / "results.json").write_text(json.dumps({**told, "device": device}))
    for kind in ("cuda", "mps"):
        monkeypatch.setattr(getattr(torch, kind), "is_available", lambda kind=kind: kind == available)
    assert device_of(runs) == expected


def test_a_table_of_runs(command: Callable[..., Any], runs_of_two: Path) -> None:
    outcome = command("evaluate", f"run={runs_of_two}/loss=*,seed=?", *QUICK)
    assert outcome.status == 0
    (first,), (second,) = records(runs_of_two / "loss=vanilla,seed=0"), records(runs_of_two / "loss=vanilla,seed=1")
    assert first["values"] == second["values"]
    assert first["protocol"] == second["protocol"]
    header, *rows = (line.split() for line in outcome.out.splitlines()[:3])
    assert header == ["sliced_wasserstein"]
    value = f"{first['values']['sliced_wasserstein']:.4g}"
    assert [row[:4] for row in rows] == [[f"loss=vanilla,seed={k}", "(40)", value, "±"] for k in (0, 1)]


def test_many_runs_are_rows_where_their_numbers_fit(
    command: Callable[..., Any], runs_of_two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    outcome = command("evaluate", f"run={runs_of_two}/*", *QUICK, "metric=[sliced,memorisation]")
    lines = [line.split() for line in outcome.out.splitlines()[:3]]
    assert lines[0] == ["sliced_wasserstein", "nearest_training_distance", "copied_share"]
    assert [line[:2] for line in lines[1:]] == [["loss=vanilla,seed=0", "(40)"], ["loss=vanilla,seed=1", "(40)"]]
    assert all(len(line) == 2 + 3 * 3 for line in lines[1:])


@pytest.mark.parametrize(("width", "tables"), [("50", 3), ("200", 1)])
def test_tables_are_no_wider_than_the_console(
    command: Callable[..., Any], runs_of_two: Path, monkeypatch: pytest.MonkeyPatch, width: str, tables: int
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    numbers = "metric=[kernel,precision_recall,density_coverage,memorisation,sliced]"
    outcome = command("evaluate", f"run={runs_of_two}/*", *QUICK, numbers)
    rows = [line for line in outcome.out.splitlines() if line.strip().startswith("precision")]
    assert len(rows) == tables  # with a row a number; of the runs, at 200 a row a run, and of their mean
    assert max(map(len, rows)) <= int(width)


@pytest.mark.parametrize("count", [1, 2])
def test_names_are_neither_markup_nor_commands_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    name = "[red]:smile:[link=x]\x1b[31m\r\n\u202e"
    protocol = dict.fromkeys(("samples", "seed", "reference", "split", "extractor", "interval"), name)
    record = {
        "iteration": 1,
        "weights": "ema",
        "values": {name: 1.0},
        "intervals": {},
        "left_out": {name: name},
        "protocol": {**protocol, "extractor_facts": {name: 1.0}},
    }
    show([Path(name)] * count, [record] * count)
    shown = capsys.readouterr().out
    assert shown.count(r"[red]:smile:[link=x]\x1b[31m\r\n\u202e") == 10 + count
    assert all(line.isprintable() for line in shown.splitlines())


def test_runs_that_differ_in_seeds_have_a_table_of_means_too(
    command: Callable[..., Any], runs_of_two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for seed, folder in enumerate(sorted(runs_of_two.glob("loss=*"))):
        (folder / ".hydra" / "overrides.yaml").write_text(f"- loss=vanilla\n- seed={seed}\n")
        for file in (folder / "config.yaml", folder / "results.json"):
            file.write_text(re.sub(r'^("?seed"?:|  "seed":) 0', rf"\1 {seed}", file.read_text(), flags=re.MULTILINE))
    outcome = command("evaluate", f"run={runs_of_two}", *QUICK)
    assert outcome.status == 0
    lines = [line.split() for line in outcome.out.splitlines()]
    assert [line[:2] for line in lines[1:3]] == [["seed=0", "(40)"], ["seed=1", "(40)"]]
    value = f"{records(runs_of_two / 'loss=vanilla,seed=0')[0]['values']['sliced_wasserstein']:.4g}"
    assert ["sliced_wasserstein", value, "±", "0"] in lines  # of the same weights
    assert any("2 of 2" in line for line in outcome.out.splitlines())


def test_protocols_are_not_mixed(
    command: Callable[..., Any], runs_of_two: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    other = runs_of_two / "other"
    train(*tiny, "dataset.held_out=500", "trainer.max_steps=1", f"hydra.run.dir={other}")
    outcome = command("evaluate", f"run={runs_of_two}/*", *QUICK)
    assert outcome.status == 2
    assert "protocols differ" in outcome.err
    assert "reference is 1500 or 1297" in outcome.err
    assert not records(runs_of_two / "loss=vanilla,seed=0")


def test_a_run_that_misses_its_configuration_is_named(command: Callable[..., Any], runs_of_two: Path) -> None:
    (runs_of_two / "loss=vanilla,seed=1" / "config.yaml").unlink()
    outcome = command("evaluate", f"run={runs_of_two}/*", *QUICK)
    assert outcome.status == 2
    assert f"{runs_of_two / 'loss=vanilla,seed=1'} is not a run: it has no config.yaml" in outcome.err
    assert not records(runs_of_two / "loss=vanilla,seed=0")


@pytest.mark.parametrize("pattern", ["", "/*"])
def test_jobs_that_have_made_no_generator_are_told_and_left_out(
    command: Callable[..., Any], runs_of_two: Path, pattern: str
) -> None:
    (runs_of_two / "loss=vanilla,seed=1" / "generator.safetensors").unlink()
    jobs = [SweepJob(f"loss=vanilla,seed={seed}", []) for seed in (0, 1, 2)]
    sweep_folder.write(runs_of_two, Sweep([], jobs))
    outcome = command("evaluate", f"run={runs_of_two}{pattern}", *QUICK)
    assert outcome.status == 0
    assert f"{runs_of_two / 'loss=vanilla,seed=1'} is left out: it has no generator.safetensors" in outcome.err
    assert ("loss=vanilla,seed=2 is left out" in outcome.err) == (pattern == "")
    assert len(records(runs_of_two / "loss=vanilla,seed=0")) == 1


def test_of_several_runs_one_has_a_generator_at_least(command: Callable[..., Any], runs_of_two: Path) -> None:
    for seed in (0, 1):
        (runs_of_two / f"loss=vanilla,seed={seed}" / "generator.safetensors").unlink()
    outcome = command("evaluate", f"run={runs_of_two}/*", *QUICK)
    assert outcome.status == 2
    assert "of which no run has a generator.safetensors" in outcome.err


@pytest.mark.parametrize(("weights", "file"), [("ema", "generator.safetensors"), ("raw", "checkpoints/last.ckpt")])
def test_a_broken_checkpoint_is_named(command: Callable[..., Any], runs_of_two: Path, weights: str, file: str) -> None:
    broken = runs_of_two / "loss=vanilla,seed=1" / file
    broken.write_bytes(broken.read_bytes()[:100])
    outcome = command("evaluate", f"run={runs_of_two}/*", *QUICK, f"weights={weights}")
    assert outcome.status == 2
    assert str(broken) in outcome.err
    assert not records(runs_of_two / "loss=vanilla,seed=0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["run"]),
        (["run=nothing"], ["run is nothing, which does not exist"]),
        (["run=nothing/*"], ["run is nothing/*, which no folder matches", "nothing does not exist"]),
        (["run=.", "weigths=raw"], ["weigths", "weights"]),
        (["run=.", "weights=rawe"], ["weights", "rawe", "ema", "raw", "best"]),
        (["run=.", "intervals=1"], ["intervals is 1", "at least 2", "0"]),
        (["run=.", "samples=0"], ["samples", "0", "at least 1"]),
        (["run=.", "extractor=incepton"], ["extractor=incepton", "inception"]),
        (["run=.", "metric=[frecht]"], ["metric=frecht", "frechet"]),
        (["run=."], [". is not a run", "config.yaml"]),
    ],
)
def test_mistakes(command: Callable[..., Any], arguments: list[str], words: list[str]) -> None:
    outcome = command("evaluate", *arguments)
    assert outcome.status == 2
    assert len(outcome.err.strip().splitlines()) == 1
    for word in words:
        assert word in outcome.err


@pytest.mark.parametrize("content", ["[]", "{", None])
def test_damaged_results_are_named_before_anything_is_measured(
    command: Callable[..., Any], runs_of_two: Path, content: str | None
) -> None:
    results = runs_of_two / "loss=vanilla,seed=1" / "results.json"
    if content is None:
        results.unlink()
    else:
        results.write_text(content)
    outcome = command("evaluate", f"run={runs_of_two}/*", *QUICK)
    assert outcome.status == 2
    assert f"{results} can't be read" in outcome.err
    assert not records(runs_of_two / "loss=vanilla,seed=0")


def test_too_few_samples_for_a_metric_or_its_interval(command: Callable[..., Any], run: Path) -> None:
    options = ("metric=[frechet,kernel,precision_recall,score]", "extractor=identity", "intervals=3")
    outcome = command("evaluate", f"run={run}", *options, "samples=7")
    assert outcome.status == 0
    (record,) = records(run)
    assert set(record["values"]) == {"kernel_distance", "kernel_distance_std", "precision", "recall"}
    assert set(record["intervals"]) == {"kernel_distance"}
    assert record["left_out"]["precision_recall (its interval)"] == (
        "halves of the samples are without more than 3 samples"
    )


def test_nothing_held_out_is_no_split(command: Callable[..., Any], tiny: tuple[str, ...], tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(*tiny, "dataset.held_out=0", "trainer.max_steps=1", f"hydra.run.dir={run}")
    outcome = command("evaluate", f"run={run}", *QUICK, "split=held_out")
    assert outcome.status == 2
    assert "split is held_out, but nothing is held out: dataset.held_out is 0" in outcome.err


def test_a_folder_for_a_data_set_that_has_none(command: Callable[..., Any], run: Path) -> None:
    outcome = command("evaluate", f"run={run}", *QUICK, "root=somewhere")
    assert outcome.status == 2
    assert "root is somewhere, but the data set of" in outcome.err


def test_no_best_checkpoint(command: Callable[..., Any], run: Path) -> None:
    outcome = command("evaluate", f"run={run}", *QUICK, "weights=best")
    assert outcome.status == 2
    assert "best.ckpt; no evaluation has ranked one" in outcome.err


def test_help_is_the_file_of_its_keys(command: Callable[..., Any]) -> None:
    assert command("evaluate", "--help").out == (CONF / "evaluate.yaml").read_text()


def test_all_metrics_are_asked_for() -> None:
    """The default list of conf/evaluate.yaml has every option of the group."""
    text = (CONF / "evaluate.yaml").read_text()
    listed = [line.split()[1] for line in text.splitlines() if line.startswith("    - ")]
    assert sorted(listed) == sorted(path.stem for path in (CONF / "metric").glob("*.yaml"))
