"""Tables of one's own: what their columns become, the way back to them, and what is refused with what was found."""

import bz2
import gzip
import io
import logging
import lzma
import re
import sys
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gan_lightning import UserError
from gan_lightning.data import table_files
from gan_lightning.data.arrays import units_seen
from gan_lightning.data.tables import Table
from gan_lightning.samples import SampleSet

PLAIN = "a,b\n1000,-0.5\n2000,0.25\n1250,0.5\n"
SCALED = [[-1, -1], [1, 0.5], [-0.5, 1]]


def saved(folder: Path, content: str | bytes, name: str = "t.csv") -> str:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return str(folder / name)


def loaded(folder: Path, content: str | bytes, shape: list[int], **others: Any) -> SampleSet:
    return Table(saved(folder, content), shape, **others).load()


def message(folder: Path, content: str | bytes, shape: list[int], **others: Any) -> str:
    with pytest.raises(UserError) as caught:
        loaded(folder, content, shape, **others)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(folder), "DIR")


def parquet(folder: Path, columns: dict[str, Any]) -> str:
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return str(folder / "t.parquet")


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, PLAIN)
    return content.getvalue()


# What is read


FORMS: dict[str, str | bytes] = {
    "commas": PLAIN,
    "tabs": PLAIN.replace(",", "\t"),
    "bars and blanks": PLAIN.replace(",", " | "),
    "Windows": PLAIN.replace("\n", "\r\n"),
    "old Mac": PLAIN.replace("\n", "\r"),
    "blank lines": "\n \n" + PLAIN.replace("\n", "\n\n"),
    "decimal commas": PLAIN.replace(",", ";").replace(".", ","),
    "quotes and signs": '"a";"b"\n1000;"-0,5"\n+2000; 0,25\n1,25e3;0,5',
    "byte order mark": PLAIN.encode("utf-8-sig"),
    "UTF-16": PLAIN.encode("utf-16"),
    "gzip": gzip.compress(PLAIN.encode()),
    "bzip2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "zip": zipped("t.csv"),
}
LONG = ("a;" * 60_000, "b," * 60_000)


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_csv_as_it_comes(tmp_path: Path, content: str | bytes) -> None:
    found = loaded(tmp_path, content, [2])
    assert found.samples.tolist() == SCALED
    assert found.units is not None
    assert (found.units.names, found.units.whole) == (("a", "b"), (True, False))
    np.testing.assert_allclose(found.units.restore(found.samples)[:, 0], [1000, 2000, 1250])


@pytest.mark.parametrize("levels", ["standard", [0, 1000], None])
def test_scales_are_those_of_arrays(tmp_path: Path, levels: Any) -> None:
    found = loaded(tmp_path, PLAIN, [2], range=levels)
    numbers = torch.tensor([[1000, -0.5], [2000, 0.25], [1250, 0.5]])
    if levels == "standard":
        torch.testing.assert_close(found.samples.std(0, correction=0), torch.ones(2))
    elif levels is None:
        assert torch.equal(found.samples, numbers)
    else:
        torch.testing.assert_close(found.samples[:, 0], torch.tensor([1.0, 3.0, 1.5]))
    assert found.units is not None
    torch.testing.assert_close(found.units.restore(found.samples).float(), numbers, atol=1e-4, rtol=1e-6)


def test_parquet_of_all_kinds_of_numbers(tmp_path: Path) -> None:
    columns = {
        "byte": pa.array([1, 2, 3], pa.uint8()),
        "flag": pa.array([True, False, True]),
        "price": pa.array([Decimal("1.50"), Decimal("2.25"), Decimal("3.00")]),
        "half": pa.array(np.array([0.5, 1, 2], np.float16)),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        "code": pa.array([7, 9, 7]).dictionary_encode(),
    }
    found = Table(parquet(tmp_path, columns), [5], labels="kind", range=None).load()
    assert found.samples.tolist() == [[1, 1, 1.5, 0.5, 7], [2, 0, 2.25, 1, 9], [3, 1, 3, 2, 7]]
    assert found.labels is not None
    assert (found.labels.tolist(), found.classes) == ([0, 1, 0], ("x", "y"))
    assert found.units is not None
    assert (found.units.whole, found.units.label) == ((True, True, False, False, True), "kind")


def test_columns_by_name_and_pattern_in_the_order_asked_for(tmp_path: Path) -> None:
    content = "id,x1,x2,y*\nA,1,2,3\nB,4,5,6\n"
    found = loaded(tmp_path, content, [3], columns=["y*", "x*", "x1"], range=None)
    assert found.samples.tolist() == [[3, 1, 2], [6, 4, 5]]
    assert found.units is not None
    assert found.units.names == ("y*", "x1", "x2")


@pytest.mark.parametrize(
    ("labels", "expected", "classes"),
    [
        ("10,2,10", [1, 0, 1], ("2", "10")),
        ("x10, x2,x10 ", [1, 0, 1], ("x2", "x10")),
        ("1.0,0.0,1.0", [1, 0, 1], ("0", "1")),
        ("true,false,True", [1, 0, 1], ("False", "True")),
    ],
)
def test_labels_in_natural_order(tmp_path: Path, labels: str, expected: list[int], classes: tuple[str, ...]) -> None:
    rows = zip(PLAIN.splitlines(), ["kind", *labels.split(",")], strict=True)
    found = loaded(tmp_path, "\n".join(f"{row},{label}" for row, label in rows), [2], labels="kind")
    assert found.samples.tolist() == SCALED
    assert found.labels is not None
    assert (found.labels.tolist(), found.classes) == (expected, classes)


def test_images_of_bytes_that_lie_in_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As in Kaggle's MNIST: a label, and pixels of 0 to 255."""
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 3, 4))
    images.flat[:2] = 0, 255
    content = "label," + ",".join(f"pixel{place}" for place in range(12)) + "\n"
    content += "".join(f"{number}," + ",".join(map(str, image.flat)) + "\n" for number, image in enumerate(images))
    with caplog.at_level(logging.INFO):
        found = loaded(tmp_path, content, [1, 3, 4], labels="label")
    assert found.samples.dtype == torch.uint8
    assert np.array_equal(found.samples.numpy(), images)
    assert found.classes == tuple("01234")
    assert "5 rows of 12 columns (pixel0, pixel1, pixel2 and 9 more); 0 and 255 become -1 and 1." in caplog.text
    assert found.units is not None
    assert (found.units.scale, found.units.whole, len(found.units.names)) == ((127.5,), (True,), 12)


def test_images_of_other_levels_have_their_lowest_and_highest(tmp_path: Path) -> None:
    """Bytes are none that don't use their levels, and there half of [-1, 1] would stay empty."""
    found = loaded(tmp_path, "a,b\n0,16\n4,8\n", [1, 1, 2])
    assert found.samples.tolist() == [[[[-1, 1]]], [[[-0.5, 0]]]]
    found = loaded(tmp_path, "a,b\n0,255\n127.5,0\n", [1, 1, 2])
    assert found.samples.tolist() == [[[[-1, 1]]], [[[0, -1]]]]
    assert found.units is not None
    assert found.units.whole == (False,)


@pytest.mark.parametrize(("first", "left"), [("", "number 1, which has no name"), ("Unnamed: 0", "Unnamed: 0")])
def test_row_numbers_are_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: str, left: str
) -> None:
    content = "\n".join(f"{head},{row}" for head, row in zip([first, 0, 1, 2], PLAIN.splitlines(), strict=True))
    assert loaded(tmp_path, content, [2]).samples.tolist() == SCALED
    assert f"Left out columns of {tmp_path}/t.csv as those of row numbers: {left}." in caplog.text


def test_names_as_they_come(tmp_path: Path) -> None:
    for names in (LONG, ("weight; in kg; or not", "size")):
        found = loaded(tmp_path, PLAIN.replace("a,b", ",".join(f'"{name}"' for name in names)), [2])
        assert found.units is not None
        assert found.units.names == names


@pytest.mark.parametrize("largest", [100, 2**15 - 1, 2**15, 2**31, 2**53])
def test_whole_numbers_of_any_size(tmp_path: Path, largest: int) -> None:
    found = loaded(tmp_path, f"a,b\n{-largest},1\n{largest},2\n0,300\n", [2])
    assert found.samples[:, 0].tolist() == [-1, 1, 0]
    assert found.units is not None
    assert found.units.restore(found.samples)[:, 0].tolist() == [-largest, largest, 0]
    assert loaded(tmp_path, f"a\n{-largest}\n5\n", [1], range=None).samples.tolist() == [[-largest], [5]]


def test_a_file_without_names(tmp_path: Path) -> None:
    for content in (PLAIN[4:], PLAIN[4:].replace("1000", "1000.0").replace(",", ";").replace(".", ",")):
        found = loaded(tmp_path, content, [2], header=False)
        assert found.samples.tolist() == SCALED
        assert found.units is not None
        assert found.units.names == ("0", "1")
        numbers: Any = [1]  # as an override dataset.columns=[1] has them
        assert loaded(tmp_path, content, [1], columns=numbers, header=False).samples.flatten().tolist() == [-1, 0.5, 1]
    assert loaded(tmp_path, "1.5,2", [2], header=False, range=None).samples.tolist() == [[1.5, 2]]
    assert loaded(tmp_path, PLAIN[4:], [2], header=True).samples.shape == (2, 2)
    assert loaded(tmp_path, PLAIN.replace("a,b", "0,1"), [2]).samples.tolist() == SCALED  # as pandas names them


def test_types_are_those_of_the_whole_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not of what is read at first."""
    monkeypatch.setattr(table_files, "LONGEST_LINE", 128)
    found = loaded(tmp_path, "a,b\n" + "1,2\n" * 500 + "0.5,3\n", [2], range=None)
    assert found.samples[-2:].tolist() == [[1, 2], [0.5, 3]]


def test_lines_end_inside_of_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever what is read together ends."""
    monkeypatch.setattr(table_files, "LONGEST_LINE", 128)
    found = loaded(tmp_path, "text,a\n" + '"two\nlines",1\n' * 50, [1], columns=["a"])
    assert found.samples.shape == (50, 1)


def test_columns_without_a_place_are_not_read(tmp_path: Path) -> None:
    """So that they may have whatever they like, line ends among it."""
    content = 'text,a,b\n"two\nlines, and commas",1000,-0.5\n"é",2000,0.25\n,1250,0.5\n'.encode("latin-1")
    assert loaded(tmp_path, content, [2], columns=["a", "b"]).samples.tolist() == SCALED


# What is refused


REFUSED: list[tuple[str | bytes, str]] = [
    (
        "a,name,b\n1,Ann,2\n3,Bo,4\n",
        "where a column is not of numbers (name: text in 2 of 2 rows, such as 'Ann'); dataset.columns=[a,b]"
        " leaves it out, dataset.labels=name takes it for the labels, or put numbers in their place.",
    ),
    (
        "a,b,c\n1,?,x\n3,4,y\n",
        "where 2 of 3 columns are not of numbers (b: text in 1 of 2 rows, such as '?', c: text",
    ),
    ("a,b\n1,2020-01-01\n3,2021-02-03\n", "where a column is not of numbers (b: date32[day]); dataset.columns=[a]"),
    (
        "a b\n1 2\n3 4\n",
        "where the only column is not of numbers (a b: text in 2 of 2 rows, such as '1 2'); expected",
    ),
    ('a,b\n1,"1,5"\n2,"2,5"\n', "(b: text in 2 of 2 rows, such as '1,5')"),
    ("a;b\n1;1.234,5\n2;2,5\n", "(b: text in 2 of 2 rows, such as '1.234,5')"),
    ("a,b\n1,\n ,nan\n5,6\n", "which has 3 missing and 0 infinite numbers, in 2 of 3 samples (columns a, b)"),
    ("a,b\n1,inf\n2,\n", "which has 1 missing and 1 infinite numbers, in 2 of 2 samples (columns b)"),
    (
        "a,b\n1,2\n\n3,4,5\n6\n7,8\n",
        "where 2 rows have more or fewer columns than the 2 of the first line; the first",
    ),
    ("a,b\n1,2\n\n3,4,5\n6\n7,8\n", "the first such is line 3, blank lines aside, which has 3: '3,4,5'."),
    ('a,b\n1,2\n3,"4\n5,6\n', r"(b: text in 1 of 2 rows, such as '4\n5,6')"),
    ("a,b,a\n1,2,3\n", "where several columns have one name: a; give each its own."),
    ("", "which is empty"),
    (" \n\n", "which is empty"),
    ("a,b", "which has names of 2 columns and no rows below them"),
    ("a,b\r\n\r\n", "which has names of 2 columns and no rows below them"),
    (
        "1.5,2\n3,4\n",
        "whose first line has numbers (1.5, 2) where names of columns are expected; dataset.header=false",
    ),
    ("5.1,3.5,setosa\n4.9,3,setosa\n", "whose first line has numbers (5.1, 3.5)"),
    ("\xe9,b\n1,2\n".encode("latin-1"), "whose text is neither UTF-8 nor UTF-16"),
    (gzip.compress(PLAIN.encode())[:-12], "which can't be read (Compressed file ended"),
    (zipped("a.csv", "b.csv"), "a zip archive of 2 files, as spreadsheets are too"),
    (zipped("a.csv")[:60], "which can't be read (File is not a zip file)"),
    (b"PAR1 and more", "which can't be read"),
    (b"\x89PNG\0\0", "which is neither CSV nor Parquet by its content."),
]


@pytest.mark.parametrize(("content", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_what_is_no_table_of_numbers_is_told_as_it_was_found(tmp_path: Path, content: str | bytes, told: str) -> None:
    text = message(tmp_path, content, [2])
    assert text.startswith("dataset.root is DIR/t.csv, ")
    assert told in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"columns": ["hight", "b"]},
            "dataset.columns has hight, but DIR/t.csv has height, b, kind. Did you mean height?",
        ),
        ({"columns": ["x*"]}, "dataset.columns has x*, but DIR/t.csv has height, b, kind."),
        ({"labels": "kin"}, "dataset.labels is kin, but DIR/t.csv has height, b, kind. Did you mean kind?"),
        ({"labels": "b"}, "dataset.labels is b, which is missing in 1 of 3 rows"),
        (
            {"labels": "height"},
            "dataset.labels is height, which has an array of shape (3,) and type float64; expected whole",
        ),
        (
            {"columns": ["height"], "labels": "kind"},
            "dataset.sample_shape is [2], which is 2 numbers, but 1 columns of",
        ),
    ],
)
def test_columns_that_are_not_there_or_do_not_fit(tmp_path: Path, options: Any, told: str) -> None:
    content = "height,b,kind\n1.5,2,x\n2,,y\n3,4,x\n"
    assert message(tmp_path, content, [2], **options).startswith(told)


def test_labels_that_are_no_classes(tmp_path: Path) -> None:
    assert message(tmp_path, "a,kind\n1,x\n2, \n", [1], labels="kind") == (
        "dataset.labels is kind, which is missing in 1 of 2 rows; leave these rows out, or give them a class."
    )
    text = message(tmp_path, "a,kind\n1,\xe9\n2,x\n".encode("latin-1"), [1], labels="kind")
    assert text == "dataset.root is DIR/t.csv, whose text is neither UTF-8 nor UTF-16; save it as UTF-8."
    content = "a,id\n" + "".join(f"1,x{number}\n" for number in range(10_001))
    assert message(tmp_path, content, [1], labels="id") == (
        "dataset.labels is id, which has 10001 different labels; expected at most 10000 classes."
    )


def test_missing_pixels_are_told_by_their_columns(tmp_path: Path) -> None:
    text = message(tmp_path, "a,b,c,d\n1,2,3,4\n5,,7,8\n", [1, 2, 2])
    assert "which has 1 missing and 0 infinite numbers, in 1 of 2 samples (columns b)" in text


def test_parquet_that_is_no_table_of_numbers(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"a": [True, None], "day": [date(2020, 1, 1)] * 2, "list": [[1], [2]], "text": ["1", "2"]}
    path = parquet(tmp_path, columns)
    with pytest.raises(UserError, match=re.escape("(day: date32[day], list: list<element: int64>, text: text in")):
        Table(path, [4]).load()
    with pytest.raises(UserError, match=r"a column is not of numbers \(list: list<element: int64>\); put numbers"):
        Table(path, [1], columns=["list"]).load()
    with pytest.raises(UserError, match=r"1 missing and 0 infinite numbers, in 1 of 2 samples \(columns a\)"):
        Table(path, [1], columns=["a"]).load()
    with pytest.raises(
        UserError, match=r"dataset.labels is day, .* type datetime64\[D\]; expected whole numbers or texts"
    ):
        Table(path, [1], columns=["a"], labels="day").load()
    with pytest.raises(UserError, match=r"dataset.header is false, but .* which is Parquet and names its columns"):
        Table(path, [1], columns=["a"], header=False).load()
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"which has columns \(a\), but no rows"):
        Table(path, [1]).load()
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="several columns have one name: a"):
        Table(path, [2]).load()


def test_parquet_that_is_damaged(tmp_path: Path) -> None:
    path = Path(parquet(tmp_path, {"a": np.random.default_rng(0).normal(size=1000)}))
    whole = path.read_bytes()
    for content in (whole[:-20], whole[:40], whole[:4] + b"\xff" * 40 + whole[44:]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"which can't be read \(.*\); it may be damaged"):
            Table(str(path), [1]).load()


def test_files_that_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    for name, told in (
        ("none.csv", "but there is no such file; expected a table in CSV or Parquet"),
        (".", "which is no file"),
        ("a.npy", "neither CSV nor Parquet by its content; dataset=array reads .npy"),
    ):
        with pytest.raises(UserError, match=told):
            Table(str(tmp_path / name), [1]).load()


def test_without_its_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    told = "dataset=table needs the package pyarrow: pip install 'gan-lightning[table]'"
    assert message(tmp_path, PLAIN, [2]) == told


# What a run has seen


def test_what_a_run_has_seen_stays(tmp_path: Path) -> None:
    content = "kind,a,b\n5,1000,-0.5\n6,2000,0.25\n5,1250,0.5\n"
    source = Table(saved(tmp_path, content), [2], labels="kind")
    facts = source.load_with_facts()[1]
    assert facts["classes"] == ["5", "6"]
    again = Table(source.root, [2], labels="kind", seen=facts)
    assert again.load_with_facts()[1] == facts
    saved(tmp_path, "b,more,a,kind\n-0.5,x,2000,1\n0.25,y,4000,6\n")
    with pytest.raises(UserError, match=r"the samples are not those .* \(3 then, 2 now.*dataset\.changed=accept"):
        again.load()
    accepted = Table(source.root, [2], labels="kind", seen=facts, changed="accept").load()
    assert accepted.samples.tolist() == [[1, -1], [5, 0.5]]  # by name, wherever they are, in the scale of before
    assert accepted.classes == ("5", "6", "1")
    with pytest.raises(UserError, match=r"dataset\.columns chooses b, a, while the run was trained on a, b"):
        Table(source.root, [2], columns=["b", "a"], seen=facts, changed="accept").load()
    saved(tmp_path, "a,c\n1,2\n")
    with pytest.raises(UserError, match=r"the run was trained on b, but .* has a, c"):
        Table(source.root, [2], seen=facts, changed="accept").load()


def test_images_keep_their_scale_whatever_comes(tmp_path: Path) -> None:
    """Bytes of before stay bytes without their ends, and what was in another scale becomes no bytes."""
    path, bytes_first = saved(tmp_path, "a,b\n0,255\n2,3\n"), Table(saved(tmp_path, "a,b\n0,255\n2,3\n"), [1, 1, 2])
    facts = bytes_first.load_with_facts()[1]
    saved(tmp_path, "a,b\n1,254\n2,3\n")
    found = Table(path, [1, 1, 2], seen=facts, changed="accept").load()
    assert (found.samples.dtype, found.samples.flatten().tolist()) == (torch.uint8, [1, 254, 2, 3])
    assert found.units is not None
    assert found.units == units_seen(facts)
    saved(tmp_path, "a,b\n0,300\n2,3\n")
    found = Table(path, [1, 1, 2], seen=facts, changed="accept").load()
    assert found.samples.flatten().tolist() == pytest.approx([-1, 1, 2 / 127.5 - 1, 3 / 127.5 - 1])
    saved(tmp_path, "a,b\n1,254\n2,3\n")
    facts = Table(path, [1, 1, 2]).load_with_facts()[1]
    saved(tmp_path, "a,b\n0,255\n2,3\n")
    found = Table(path, [1, 1, 2], seen=facts, changed="accept").load()
    assert found.samples.flatten()[2].item() == pytest.approx((2 - 127.5) / 126.5)


CONDITIONED = "a,b,smiling,age\n1,2,0,20\n3,4,1,50\n5,7,0,80\n"


def test_columns_as_conditions(tmp_path: Path) -> None:
    found = loaded(tmp_path, CONDITIONED, [2], conditions=["age", "smiling"])
    assert found.units is not None
    assert found.units.names == ("a", "b")
    assert found.conditions is not None
    assert found.conditions.names == ("age", "smiling")
    assert found.labels is not None
    assert found.labels.tolist() == [[-1.0, -1.0], [0.0, 1.0], [1.0, -1.0]]
    assert found.classes == ()
    # A run that goes on has its own scale, though there are others now.
    _, facts = Table(saved(tmp_path, CONDITIONED), [2], conditions=["age", "smiling"]).load_with_facts()
    wider = CONDITIONED + "1,1,1,110\n"
    again = loaded(tmp_path, wider, [2], conditions=["age", "smiling"], seen=facts, changed="accept")
    assert again.labels is not None
    assert again.labels[3].tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ("content", "conditions", "expected"),
    [
        (CONDITIONED, ["agee"], "dataset.conditions has agee, but .* Did you mean age?"),
        (CONDITIONED.replace("20", "young"), ["age"], "column age of dataset.conditions is not of numbers .*'young'"),
        (CONDITIONED.replace("1,50", "0,50"), ["smiling"], "the same everywhere.*smiling"),
        (CONDITIONED.replace("20", ""), ["age"], "column age has 1 of 3 that are NaN or infinite"),
    ],
)
def test_what_is_no_condition(tmp_path: Path, content: str, conditions: list[str], expected: str) -> None:
    assert re.search(expected, message(tmp_path, content, [2], conditions=conditions), re.DOTALL)


def test_conditions_stand_in_place_of_labels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in place of"):
        Table(saved(tmp_path, CONDITIONED), [2], labels="age", conditions=["smiling"])
