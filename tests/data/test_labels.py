"""Labels of pictures from a table: columns, names, and what is said when they don't fit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_lightning.data.image_folder import ImageFolder
from gan_lightning.errors import UserError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures, of levels 0 to 2, one of them in a folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "in" / "more").mkdir(parents=True)
    for level, name in enumerate(("a.png", "b.png", "more/c.png")):
        Image.fromarray(np.full((4, 4), level, np.uint8)).save(tmp_path / "in" / name)
    return tmp_path / "in"


def labelled(root: Path, text: str, column: str | None = None, labels: str = "labels.csv") -> dict[int, str]:
    """The name of each picture's class by its level."""
    (root / "labels.csv").write_text(text)
    folder = ImageFolder(str(root), 4, 1, labels=labels, label_column=column, class_order="natural")
    found, facts = folder.load_with_facts()
    assert found.labels is not None
    assert facts["classes"] == list(found.classes)
    return {int(s[0, 0, 0]): found.classes[label] for s, label in zip(found.samples, found.labels, strict=True)}


def message(root: Path, text: str, column: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        labelled(root, text, column)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "name,kind\na.png,10\nb.png,9\nmore/c.png,10\n",
        "\ufeffname;kind\r\nmore/c.png;10\r\nb.png;9\r\na.png;10\r\n\r\n",
        "file\tkind\na.png\t10\nb.png\t 9 \nc.png\t10",
    ],
    ids=["paths", "spreadsheet", "names alone"],
)
def test_a_table_labels_the_pictures(root: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert labelled(root, text) == {0: "10", 1: "9", 2: "10"}
    assert caplog.text == ""  # the table is no file that is passed over
    folder = ImageFolder(str(root), 4, 1, labels=str(root / "labels.csv"), class_order="natural")
    assert folder.load().classes == ("9", "10")


def test_one_of_several_columns(root: Path) -> None:
    text = 'name,kind,"colour, main"\na.png,x,red\nb.png,y,red\nmore/c.png,z,blue\n'
    assert labelled(root, text, "colour, main") == {0: "red", 1: "red", 2: "blue"}
    assert "several columns of labels (kind, colour, main); dataset.label_column=NAME" in message(root, text)
    assert "dataset.label_column is kimd, but" in message(root, text, "kimd")
    assert message(root, text, "kimd").endswith("Did you mean kind?")


def test_pictures_without_a_label(root: Path) -> None:
    told = message(root, "name,kind\na.png,1\nb.png,\n")
    assert "which has no label for 2 of 3 pictures (b.png, more/c.png); its first column has their paths" in told


def test_labels_without_a_picture_are_said(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    labelled(root, "name,kind\na.png,1\nb.png,2\nmore/c.png,3\nd.png,4\n")
    assert "labels 1 pictures that are not there (d.png)." in caplog.text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no column of labels"),
        ("name\na.png\n", "has no column of labels"),
        ("name,kind\na.png,1,2\n", "row 2 has another number of columns than the first"),
        ("name,kind\na.png,1\na.png,2\n", "a.png is there twice"),
        ('name,kind\n"a.png,1\n', "unexpected end of data"),
    ],
)
def test_tables_that_are_none(root: Path, text: str, why: str) -> None:
    assert why in message(root, text)


def test_a_table_that_is_not_there(root: Path) -> None:
    with pytest.raises(UserError, match=r"labels is .*in/none\.csv, which can't be read \(No such file or directory\)"):
        ImageFolder(str(root), 4, 1, labels="none.csv").load()


def test_other_labels_are_other_data(root: Path) -> None:
    (root / "labels.csv").write_text("name,kind\na.png,1\nb.png,2\nc.png,1\n")
    folder = ImageFolder(str(root), 4, 1, labels="labels.csv")
    _, seen = folder.load_with_facts()
    (root / "labels.csv").write_text("name,kind\na.png,1\nb.png,2\nc.png,2\n")
    with pytest.raises(UserError, match="not those that the run has seen before"):
        ImageFolder(str(root), 4, 1, labels="labels.csv", seen=seen).load()
