"""Runs as a study sees them."""

import json
from pathlib import Path

import pytest

from gan_lightning.errors import UserError
from gan_lightning.run_folder import CONFIG, METRICS, RESULTS
from gan_lightning.studies import sweep_folder
from gan_lightning.studies.studied import configurations, find_runs, flat, read_curves
from gan_lightning.studies.sweep_folder import Sweep, SweepJob

SAVED = Path(__file__).parent.parent / "saved_runs" / "format_1"


def planted(folder: Path, loss: str, seed: int) -> Path:
    """A run of a loss and a seed, made of a saved one."""
    folder.mkdir(parents=True)
    (folder / RESULTS).write_text(json.dumps(json.loads((SAVED / RESULTS).read_text()) | {"seed": seed}))
    (folder / CONFIG).write_text(f"seed: {seed}\nloss:\n  name: {loss}\nmodel:\n  seed: {seed}\n")
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(f"- loss={loss}\n- seed={seed}\n- trainer.max_steps=5\n")
    return folder


def test_finds_runs_by_folder_sweep_and_pattern(tmp_path):
    for loss in ("vanilla", "hinge"):
        for seed in (1, 2):
            planted(tmp_path / "day" / f"{loss},{seed}", loss, seed)
    assert len(find_runs([str(tmp_path)])) == 4
    assert len(find_runs([str(tmp_path / "day" / "hinge*"), str(tmp_path / "day" / "hinge,1")])) == 2
    jobs = [SweepJob("vanilla,1", ["loss=vanilla", "seed=1"]), SweepJob("lsgan,1", ["loss=lsgan", "seed=1"])]
    sweep_folder.write(tmp_path / "day", Sweep(["loss=vanilla,lsgan", "seed=1"], jobs))
    assert [run.status for run in find_runs([str(tmp_path / "day")])] == ["finished", "not started"]


def test_runs_that_differ_in_seeds_alone_are_one_configuration(tmp_path):
    for loss in ("vanilla", "hinge"):
        for seed in (1, 2, 3):
            planted(tmp_path / f"{loss},{seed}", loss, seed)
    found = configurations(find_runs([str(tmp_path)]))
    assert [(each.name, sorted(run.seed for run in each.runs)) for each in found] == [
        ("hinge", [1, 2, 3]),
        ("vanilla", [1, 2, 3]),
    ]


def test_a_job_that_never_started_is_with_its_configuration(tmp_path):
    for seed in (1, 2):
        planted(tmp_path / f"hinge,{seed}", "hinge", seed)
    jobs = [
        SweepJob(f"{loss},{seed}", [f"loss={loss}", f"seed={seed}"])
        for loss in ("hinge", "lsgan")
        for seed in (1, 2, 3)
    ]
    sweep_folder.write(tmp_path, Sweep(["loss=hinge,lsgan", "seed=1,2,3"], jobs))
    found = configurations(find_runs([str(tmp_path)]))
    assert [(each.name, [run.status for run in each.runs]) for each in found] == [
        ("hinge", ["finished", "finished", "not started"]),
        ("lsgan", ["not started"] * 3),
    ]


def test_iterations_that_a_sweep_tries_are_configurations(tmp_path):
    """They are a circumstance otherwise, as where one of the runs was told nothing of them."""
    for steps in (5, 10):
        folder = planted(tmp_path / f"{steps}", "hinge", 1)
        (folder / ".hydra" / "overrides.yaml").write_text(f"- loss=hinge\n- trainer.max_steps={steps}\n")
    assert [each.name for each in configurations(find_runs([str(tmp_path)]))] == ["10", "5"]
    (folder / ".hydra" / "overrides.yaml").write_text("- loss=hinge\n")
    assert len(configurations(find_runs([str(tmp_path)]))) == 1


def test_how_many_seeds_a_study_has_makes_no_other_configuration(tmp_path):
    for seed in (1, 2):
        run = planted(tmp_path / str(seed), "hinge", seed)
        (run / CONFIG).write_text((run / CONFIG).read_text() + f"study:\n  seeds: {seed}\n")
        (run / ".hydra" / "overrides.yaml").write_text(f"- loss=hinge\n- seed={seed}\n- study.seeds={seed}\n")
    (found,) = configurations(find_runs([str(tmp_path)]))
    assert [run.seed for run in found.runs] == [1, 2]


def test_what_holds_no_run_is_a_mistake(tmp_path):
    planted(tmp_path / "vanilla", "vanilla", 1)
    with pytest.raises(UserError, match=r"runs is .*no run"):
        find_runs([str(tmp_path / "nothing*")])


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"format": "gan_lightning.sweep/1"}',
        '{"format": "gan_lightning.sweep/9", "overrides": [], "jobs": []}',
        '{"format": "gan_lightning.sweep/1", "overrides": [], "jobs": [{"folder": "../x", "overrides": []}]}',
        '{"format": "gan_lightning.sweep/1", "overrides": [1], "jobs": []}',
        "{",
    ],
)
def test_a_damaged_sweep_is_named(tmp_path, content):
    (tmp_path / sweep_folder.SWEEP).write_text(content)
    with pytest.raises(UserError, match=r"sweep\.json can't be read"):
        sweep_folder.read(tmp_path)


def test_curves_leave_out_a_row_that_is_being_written(tmp_path):
    (tmp_path / METRICS).write_text("iteration,loss\n1,0.5\n2,\n3")
    curves = read_curves(tmp_path / METRICS)
    assert curves["iteration"] == [1, 2]
    assert curves["loss"][0] == 0.5
    assert curves["loss"][1] != curves["loss"][1]


def test_flat_keeps_empty_containers():
    assert flat({"a": {"b": 1, "c": {}}, "d": [1, 2]}) == {"a.b": 1, "a.c": {}, "d": [1, 2]}
