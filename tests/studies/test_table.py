"""A sweep's table: means over seeds, the best marked, readable at 80 columns, and what has not finished below."""

import csv
import json
from io import StringIO

import pytest
from rich.console import Console

from gan_lightning.run_folder import CONFIG, RESULTS
from gan_lightning.studies import endings, sweep_folder, table
from gan_lightning.studies.endings import Ending
from gan_lightning.studies.studied import find_runs
from gan_lightning.studies.sweep_folder import Sweep, SweepJob

BETTER = {"frechet_distance": "lower", "smallest_class_share": "higher"}
NAMES = ("frechet_distance", "kernel_distance", "classes_covered", "smallest_class_share", "copied_share")


def run(folder, loss, seed, values=None, dataset="digits", samples=1000, status="finished", better=BETTER, **others):
    """A run that has been evaluated, or has losses alone."""
    place = folder / f"{loss},{seed}{dataset[0]}"
    place.mkdir(parents=True)
    protocol = {"samples": samples, "reference": 1500, "split": "train", "extractor": "classifier", "data": dataset}
    record = {"iteration": 4, "protocol": protocol, "values": values, "left_out": {}, "better": better}
    content = {"status": status, "iteration": 4, "seconds": 1.0, "seed": seed, "evaluation": {}, **others}
    content |= {"metrics": {"loss/discriminator": 1.25, "loss/generator": -seed, "progress/seconds": 3.0}}
    (place / RESULTS).write_text(json.dumps(content | ({"evaluation": {"last": record}} if values else {})))
    (place / CONFIG).write_text(f"seed: {seed}\nloss: {{name: {loss}}}\ndataset: {{name: {dataset}}}\n")
    return SweepJob(place.name, [f"loss={loss}", f"dataset={dataset}", f"seed={seed}"])


def sweep(folder, *jobs):
    sweep_folder.write(folder, Sweep([], jobs))
    return find_runs([str(folder)])


def shown(runs, width=80):
    console = Console(file=StringIO(), width=width)
    tables, left = table.compare(runs), table.unfinished(runs)
    table.show(console, tables, left)
    return console.file.getvalue()


def fids(folder, **losses):
    """A sweep of some losses with a Fréchet distance for each seed, which count from 1."""
    jobs = [
        run(folder, loss, seed, {"frechet_distance": value, "smallest_class_share": 0.05})
        for loss, values in losses.items()
        for seed, value in enumerate(values, 1)
    ]
    return sweep(folder, *jobs)


def test_a_row_is_a_mean_over_seeds_with_its_interval(tmp_path):
    (compared,) = table.compare(fids(tmp_path, vanilla=[1.0, 2.0, 3.0], hinge=[1.5]))
    vanilla, hinge = compared.rows
    assert (vanilla.name, vanilla.finished, vanilla.asked) == ("vanilla", 3, 3)
    # Student's t of two degrees of freedom, from a printed table: 4.303.
    assert vanilla.numbers["frechet_distance"].mean == 2
    assert vanilla.numbers["frechet_distance"].half == pytest.approx(4.303 / 3**0.5, abs=1e-3)
    assert hinge.numbers["frechet_distance"].half is None
    assert compared.cell(vanilla, "frechet_distance") == "2 ± 2.5"
    assert compared.cell(hinge, "frechet_distance") == "1.5 *"


@pytest.mark.parametrize(("way", "best"), [("lower", "vanilla"), ("higher", "hinge"), (None, None)])
def test_the_best_is_marked_by_the_metrics_direction(tmp_path, way, best):
    better = {"number": way} if way else {}
    jobs = [run(tmp_path, loss, 1, {"number": n}, better=better) for loss, n in (("vanilla", 1.0), ("hinge", 2.0))]
    (compared,) = table.compare(sweep(tmp_path, *jobs))
    assert [row.name for row in compared.rows if compared.is_best(row, "number")] == ([best] if best else [])


def test_one_configuration_is_not_the_best(tmp_path):
    (compared,) = table.compare(fids(tmp_path, vanilla=[1.0, 2.0]))
    assert not compared.is_best(compared.rows[0], "frechet_distance")


@pytest.mark.parametrize("width", [80, 60])
def test_a_narrow_table_is_several_and_cuts_no_name(tmp_path, width):
    pairs = [(loss, seed) for loss in ("vanilla", "wgan_gp") for seed in (1, 2)]
    jobs = [run(tmp_path, loss, seed, dict.fromkeys(NAMES, 0.123456 * seed)) for loss, seed in pairs]
    text = shown(sweep(tmp_path, *jobs), width)
    tables = [line for line in text.splitlines() if "runs" in line]
    assert len(tables) > 1
    assert max(len(line) for line in text.splitlines() if "±" in line and "Means" not in line) <= width
    for name in NAMES:
        assert sum(name in line.split() for line in tables) == 1
    assert "…" not in text
    assert sum(line.startswith("vanilla") and "2 of 2" in line for line in text.splitlines()) == len(tables)


def test_long_names_are_folded(tmp_path):
    jobs = []
    for rate in ("0.0001", "0.0002"):
        job = run(tmp_path, f"hinge{rate}", 1, {"frechet_distance": 1.0})
        jobs.append(SweepJob(job.folder, [f"loss.optimizer.discriminator.lr={rate}", f"network={rate}"]))
    text = shown(sweep(tmp_path, *jobs), 60)
    assert max(map(len, text.splitlines()[:6])) <= 60
    assert "…" not in text
    assert "loss.optimizer.discriminator.lr=0.0001 network=0.0001" in "".join(
        line[:37].strip().partition("  ")[0] for line in text.splitlines()
    )


def test_losses_stand_where_nothing_was_evaluated_and_none_is_best(tmp_path):
    jobs = [run(tmp_path, loss, seed) for loss in ("vanilla", "hinge") for seed in (1, 2)]
    (compared,) = table.compare(sweep(tmp_path, *jobs))
    assert compared.names == ["loss/discriminator", "loss/generator"]
    assert compared.rows[0].numbers["loss/generator"].mean == -1.5
    assert not any(compared.is_best(row, name) for row in compared.rows for name in compared.names)
    assert "can't be compared between objectives" in compared.measured


def test_what_was_measured_otherwise_is_a_table_of_its_own(tmp_path):
    values = {"frechet_distance": 1.0}
    jobs = [run(tmp_path, loss, 1, values, dataset) for dataset in ("digits", "ring") for loss in ("vanilla", "hinge")]
    jobs.append(run(tmp_path, "lsgan", 1, values, samples=50))
    tables = table.compare(sweep(tmp_path, *jobs))
    assert [[row.name for row in each.rows] for each in tables] == [
        ["loss=vanilla dataset=digits", "loss=hinge dataset=digits"],
        ["loss=vanilla dataset=ring", "loss=hinge dataset=ring"],
        ["loss=lsgan dataset=digits"],
    ]
    assert [each.measured[:18] for each in tables] == ["digits: 1000 sampl", "ring: 1000 samples", "digits: 50 samples"]


def test_what_has_not_finished_is_listed_with_its_cause(tmp_path):
    jobs = [
        run(tmp_path, "vanilla", 1, {"frechet_distance": 1.0}),
        run(tmp_path, "vanilla", 2, {"frechet_distance": 9.0}, status="running"),
        run(tmp_path, "hinge", 1, status="failed"),
        SweepJob("hinge,2d", ["loss=hinge", "dataset=digits", "seed=2"]),
        SweepJob("[x],1", ["loss=[x]", "dataset=digits", "seed=1"]),
    ]
    endings.write(tmp_path / "hinge,1d", Ending("failed", "the disk is full."))
    endings.write(tmp_path / "[x],1", Ending("refused", "loss is \x1b[x]."))
    runs = sweep(tmp_path, *jobs)
    assert table.unfinished(runs) == [
        f"loss=vanilla seed=2: interrupted ({endings.NO_WORD})",
        "loss=hinge seed=1: failed (the disk is full)",
        "loss=hinge seed=2: not started",
        "loss=[x] seed=1: refused (loss is \\x1b[x])",
    ]
    (compared,) = table.compare(runs)
    assert [(row.name, row.finished, row.asked) for row in compared.rows] == [
        ("vanilla", 1, 2),
        ("hinge", 0, 2),
        ("[x]", 0, 1),
    ]
    assert compared.rows[0].numbers["frechet_distance"].mean == 1  # the one that goes on is no result
    text = shown(runs, 120)
    assert "loss=[x] seed=1: refused (loss is \\x1b[x])" in text


def test_a_number_that_was_not_finite_is_said(tmp_path):
    for seed, value in ((1, 1.0), (2, None), (3, 3.0)):
        run(tmp_path, "vanilla", seed, {"frechet_distance": value})
    (compared,) = table.compare(find_runs([str(tmp_path)]))
    assert compared.cell(compared.rows[0], "frechet_distance").endswith("(of 2)")


def test_the_list_has_an_end(tmp_path):
    jobs = [SweepJob(f"{seed}", [f"seed={seed}"]) for seed in range(30)]
    runs = sweep(tmp_path, *jobs)
    text = shown(runs)
    assert text.count("not started") == table.MOST_LISTED
    assert "… and 10 more, which table.md lists" in text
    assert table.as_markdown(table.compare(runs), table.unfinished(runs)).count("not started") == 30


def test_the_files(tmp_path):
    runs = fids(tmp_path, **{"a|b": [1.0, 3.0], "hinge": [1.5]})
    table.save(tmp_path, table.compare(runs), ["seed=9: not started"])
    with (tmp_path / table.CSV).open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["configuration"], first["finished"], first["jobs"]) == ("a|b", "2", "2")
    assert (float(first["frechet_distance"]), second["frechet_distance ±"]) == (2.0, "")
    text = (tmp_path / table.MARKDOWN).read_text()
    assert "| configuration | runs | frechet_distance | smallest_class_share |" in text
    assert "| hinge | 1 of 1 | **1.5** | 0.05 |" in text
    assert "| a\\|b | 2 of 2 | 2 ±" in text
    assert text.endswith("- seed=9: not started\n")
