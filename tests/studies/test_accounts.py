"""What runs have cost, how they ended, and how they come again."""

import math

from planted import BATCH, plant, study

from gan_lightning.run_folder import METRICS, RESULTS
from gan_lightning.studies import accounts, endings, sweep_folder
from gan_lightning.studies.courses import course, spent
from gan_lightning.studies.endings import Ending
from gan_lightning.studies.studied import configurations, find_runs
from gan_lightning.studies.sweep_folder import Sweep, SweepJob


def found(folder):
    return configurations(find_runs([str(folder)]))


def test_commands_are_quoted_for_a_shell(tmp_path):
    plant(tmp_path / "a", 1, {}, {"regularizer": "[r1,r2]", "loss": "${x} y"})
    plant(tmp_path / "b", 2, {}, {"regularizer": "[r1,r2]", "loss": "${x} y"})
    (configuration,) = found(tmp_path)
    words = "'loss=${x} y' 'regularizer=[r1,r2]'"
    assert accounts.command_of(configuration.runs[0]) == f"python -m gan_lightning {words} seed=1"
    assert accounts.command_of_all(configuration) == f"python -m gan_lightning -m {words} seed=1,2"


def test_costs_are_means_and_sums(tmp_path):
    plant(tmp_path / "a", 1, {"w2": [1.0]}, speed=100, n_critic=5, memory={"process": 3 << 20}, device="cpu")
    plant(tmp_path / "b", 2, {"w2": [1.0, 2.0]}, speed=50, n_critic=5, memory={"process": 1 << 20, "device": 5 << 20})
    configurations = found(tmp_path)
    used = {run.folder: spent(run) for run in configurations[0].runs}
    table = accounts.costs(configurations, used)
    row = dict(zip(table.heads, table.rows[0], strict=True))
    assert (row["iterations"], row["updates"], row["images"]) == (150, 750, 750 * BATCH)
    assert (row["seconds a run"], row["seconds in all"], row["peak MiB"], row["device"]) == (2.5, 5, 5, "cpu")


def test_verdicts_by_kind(tmp_path):
    collapse = {"kind": "Mode collapse suspected", "iteration": 200, "sentence": "Mode collapse suspected at 200."}
    for seed in (1, 2, 3):
        plant(tmp_path / str(seed), seed, {}, verdicts=[collapse] if seed > 1 else [])
    assert [row[1:] for row in accounts.verdicts(found(tmp_path)).rows] == [
        ["Mode collapse suspected", "2 of 3", "2, 3", "Mode collapse suspected at 200. Mode collapse suspected at 200."]
    ]


def test_jobs_that_have_not_finished(tmp_path):
    study(tmp_path, {"vanilla": [4, 5]})
    failed = plant(tmp_path / "loss=hinge,seed=1", 1, {}, {"loss": "hinge"}, status="failed")
    endings.write(failed, Ending("failed", "ValueError: no\t way"))
    jobs = [SweepJob(path.name, [f"loss={path.name[5:-7]}", f"seed={path.name[-1]}"]) for path in tmp_path.iterdir()]
    jobs.append(SweepJob("loss=lsgan,seed=7", ["loss=lsgan", "seed=7"]))
    sweep_folder.write(tmp_path, Sweep([], jobs))
    table = accounts.failures(found(tmp_path))
    assert [row[:5] for row in sorted(table.rows)] == [
        ["hinge", 1, "failed", 0, "ValueError: no way"],
        ["lsgan", 7, "not started", None, ""],
    ]
    assert accounts.states(find_runs([str(tmp_path)])) == {"finished": 2, "failed": 1, "not started": 1}
    assert len(accounts.jobs(found(tmp_path), tmp_path).rows) == 4


def test_places_are_relative_to_the_report(tmp_path):
    study(tmp_path / "sweep", {"vanilla": [4]})
    table = accounts.jobs(found(tmp_path), tmp_path / "out")
    assert table.rows[0][table.heads.index("folder")] == "../sweep/loss=vanilla,seed=1"


def test_courses_against_each_axis(tmp_path):
    run = plant(tmp_path / "a", 1, {"w2": [4.0, 3.0, 2.0]}, n_critic=5, speed=10)
    (studied,) = find_runs([str(tmp_path)])
    read = course(studied)
    assert list(read.tags) == ["evaluation/w2"]
    for axis, last in (("iterations", 300), ("images", 1500 * BATCH), ("seconds", 30), ("updates", 1500)):
        x, y = read.curve("evaluation/w2", axis)
        assert (x[-1], len(x), list(y)) == (last, 3, [4, 3, 2])
    assert spent(studied) == {"iterations": 300, "seconds": 30, "images": 1500 * BATCH, "updates": 1500}
    # An evaluation between two log points lies between them, one after the last nowhere.
    head, *rows = (run / METRICS).read_text().splitlines()
    (run / METRICS).write_text("\n".join([head, rows[0], "200,3,,,,", rows[2], "400,1,,,,"]) + "\n")
    x, y = course(studied).curve("evaluation/w2", "seconds")
    assert (list(x), list(y)) == ([10, 20, 30], [4, 3, 2])
    assert [len(each) for each in course(studied).curve("nothing")] == [0, 0]


def test_what_a_run_does_not_tell_is_not_made_up(tmp_path):
    run = plant(tmp_path / "a", 1, {"w2": [4.0]})
    (run / RESULTS).unlink()
    (run / METRICS).unlink()
    (studied,) = find_runs([str(tmp_path)])
    assert spent(studied) == {}
    assert len(course(studied).curve("evaluation/w2")[0]) == 0
    assert math.isnan(accounts.mean([math.nan]))
