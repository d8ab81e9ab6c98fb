"""Samples as tables: numbers that read back exactly, under the names of the columns and with their classes."""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from gan_lightning.errors import UserError
from gan_lightning.samples import Units
from gan_lightning.tables import save_table

NAMED = Units(names=("a", "b, c"), whole=(True, False), label="kind")


def test_csv_reads_back_exactly(tmp_path: Path) -> None:
    vectors = torch.tensor([[1 / 3, -1e-30], [123456.789, 0.1], [float(2**24 + 2), -0.0]])
    save_table(vectors, tmp_path / "points.csv")
    lines = (tmp_path / "points.csv").read_text().splitlines()
    assert len(lines) == 3
    read = torch.tensor([[float(number) for number in line.split(",")] for line in lines])
    assert torch.equal(read, vectors)


def test_csv_with_names_and_classes(tmp_path: Path) -> None:
    vectors = torch.tensor([[1_700_000_001, 0.5], [-3, 1e20]], dtype=torch.float64)
    save_table(vectors, tmp_path / "t.csv", NAMED, ["x", 'say "y"'])
    lines = ['a,"b, c",kind', "1700000001,0.5,x", '-3,1e+20,"say ""y"""']
    assert (tmp_path / "t.csv").read_text().splitlines() == lines
    save_table(vectors, tmp_path / "t.csv", NAMED)
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == 'a,"b, c"'


@pytest.mark.parametrize(
    ("classes", "read"), [(["x", "2"], ["x", "2"]), (["10", "2"], [10, 2]), (["007", "2"], ["007", "2"])]
)
def test_parquet(tmp_path: Path, classes: list[str], read: list[str | int]) -> None:
    save_table(torch.tensor([[3.0, 0.5], [-1.0, 2.0]]), tmp_path / "t.PARQUET", NAMED, classes)
    table = pq.read_table(tmp_path / "t.PARQUET")
    assert table.to_pydict() == {"a": [3, -1], "b, c": [0.5, 2.0], "kind": read}
    assert [str(kind) for kind in table.schema.types[:2]] == ["int64", "double"]


def test_whole_numbers_that_are_too_large_for_parquet(tmp_path: Path) -> None:
    save_table(torch.tensor([[1e30, 1e20]]), tmp_path / "t.parquet", NAMED)
    assert pq.read_table(tmp_path / "t.parquet").to_pydict()["a"] == [pytest.approx(1e30)]


def test_parquet_of_nameless_numbers_and_of_whole_images(tmp_path: Path) -> None:
    for units, names, kind in (
        (None, ["0", "1"], "double"),
        (Units(names=("p", "q"), whole=(True,)), ["p", "q"], "int64"),
    ):
        save_table(torch.tensor([[3.0, 5.0]]), tmp_path / "t.parquet", units)
        table = pq.read_table(tmp_path / "t.parquet")
        assert (table.column_names, {str(each) for each in table.schema.types}) == (names, {kind})


def test_parquet_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        UserError, match=r"A file in Parquet needs the package pyarrow: pip install 'gan-lightning\[table"
    ):
        save_table(torch.zeros(1, 2), tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []
