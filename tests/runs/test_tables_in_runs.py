"""Runs on tables: samples come back as rows of the same columns, and whoever goes on, does so with the same."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from trained import TrainedFolder

from gan_lightning import UserError, load_generator
from gan_lightning.__main__ import main

KINDS = ("cat", "dog", "eel")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A hundred animals: their kind, whole years and a weight."""
    rows = np.random.default_rng(0).uniform([0, 4], [20, 5], (100, 2))
    lines = [f"{KINDS[place % 3]},{int(age)},{weight:.3f}\n" for place, (age, weight) in enumerate(rows)]
    (tmp_path / "animals.csv").write_text("".join(["kind,age,weight (kg)\n", *lines]))
    return tmp_path / "animals.csv"


def on(table: Path, *overrides: str) -> tuple[str, ...]:
    return ("dataset=table", f"dataset.root={table}", "dataset.sample_shape=[2]", "trainer.max_steps=2", *overrides)


def test_a_table_in_and_a_table_out(
    table: Path, tiny: Callable[..., TrainedFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny("run", *on(table, "dataset.labels=kind", "dataset.classes=3", "conditioning=concat"))
    assert main(["evaluate", f"run={run.path}", "samples=60", "intervals=3", "metric=[sliced,wasserstein]"]) == 0
    (record,) = json.loads((run.path / "results.json").read_text())["evaluations"]
    assert {"sliced_wasserstein", "w2"} <= record["values"].keys()
    table.unlink()
    capsys.readouterr()
    for out in ("x.csv", "x.parquet", "x.npy"):
        assert main(["sample", f"run={run.path}", "n=20", f"out={run.path / out}"]) == 0
    with (run.path / "x.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["age", "weight (kg)", "kind"]
    assert [row[2] for row in rows] == [KINDS[place % 3] for place in range(20)]
    assert all(row[0] == str(int(row[0])) for row in rows)
    numbers = np.array([row[:2] for row in rows], float)
    generator = load_generator(run.path)
    assert generator.units is not None
    expected = generator.units.restore(generator.sample(20)).numpy()
    np.testing.assert_allclose(numbers, expected, rtol=1e-6)
    np.testing.assert_allclose(np.load(run.path / "x.npy"), expected, rtol=1e-6)
    columns = pq.read_table(run.path / "x.parquet").to_pydict()
    assert (list(columns), columns["age"]) == (header, numbers[:, 0].tolist())
    for wanted in ("label=eel", "interpolate=[0,1]"):
        assert main(["sample", f"run={run.path}", "n=4", wanted, f"out={run.path / 'x.csv'}"]) == 0
        read = {line.rpartition(",")[2] for line in (run.path / "x.csv").read_text().splitlines()[1:]}
        assert read == {"eel" if wanted == "label=eel" else "cat"}


def test_without_condition_no_class_is_known(table: Path, tiny: Callable[..., TrainedFolder]) -> None:
    run = tiny("run", *on(table, "dataset.labels=kind"))
    assert main(["sample", f"run={run.path}", "n=4", f"out={run.path / 'x.csv'}"]) == 0
    assert (run.path / "x.csv").read_text().splitlines()[0] == "age,weight (kg)"


def test_another_table_is_refused_or_keeps_the_scale(
    table: Path, tiny: Callable[..., TrainedFolder], resume: Callable[..., TrainedFolder]
) -> None:
    run = tiny("run", *on(table, "dataset.labels=kind"))
    before = load_generator(run.path).units
    table.write_text("weight (kg),kind,age\n" + "9.5,dog,30\n" * 80)
    with pytest.raises(UserError, match=r"the samples are not those .* \(100 then, 80 now"):
        resume(run.path, "trainer.max_steps=3")
    resume(run.path, "trainer.max_steps=3", "dataset.changed=accept")
    assert before is not None
    assert load_generator(run.path).units == before


def test_many_columns_of_any_names_are_gone_on_with(
    tmp_path: Path, tiny: Callable[..., TrainedFolder], resume: Callable[..., TrainedFolder]
) -> None:
    """What a configuration may hold is limited, and none of it is to be read as a reference."""
    names = ["${seed}", *(f"gene{number}" for number in range(2499))]
    rows = np.random.default_rng(0).normal(size=(40, len(names)))
    np.savetxt(tmp_path / "genes.csv", rows, "%.2f", ",", header=",".join(names), comments="")
    shape = (f"dataset.sample_shape=[{len(names)}]", "trainer.max_steps=1")
    run = tiny("run", "dataset=table", f"dataset.root={tmp_path / 'genes.csv'}", *shape)
    resume(run.path, "trainer.max_steps=2")
    units = load_generator(run.path).units
    assert units is not None
    assert list(units.names) == names


def test_images_of_rows_come_back_as_levels(tmp_path: Path, tiny: Callable[..., TrainedFolder]) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (60, 64))
    names = [f"pixel{place}" for place in range(64)]
    np.savetxt(tmp_path / "images.csv", levels, "%d", ",", header=",".join(names), comments="")
    shape = ("dataset.sample_shape=[1,8,8]", "trainer.max_steps=2")
    run = tiny("run", "dataset=table", f"dataset.root={tmp_path / 'images.csv'}", *shape)
    assert main(["sample", f"run={run.path}", "n=5", f"out={run.path / 'x.csv'}"]) == 0
    header, *rows = (run.path / "x.csv").read_text().splitlines()
    assert header.split(",") == names
    expected = load_generator(run.path).sample(5).add(1).mul(127.5).round().flatten(1)
    assert [[int(number) for number in row.split(",")] for row in rows] == expected.int().tolist()
