"""Conditions that are numbers: from a table or an array, scaled and back, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.data.arrays import Array
from gan_lightning.data.datamodule import MOST_ROWS, GANDataModule
from gan_lightning.data.image_folder import ImageFolder
from gan_lightning.data.rounds import MinibatchStream, RoundLoader
from gan_lightning.errors import UserError
from gan_lightning.samples import SampleSet, Units
from gan_lightning.testing import check_source
from gan_lightning.training.critic_updates import CriticUpdates

TABLE = "name,smiling,age,kind\na.png,1,30,cat\nb.png,-1,20,dog\nc.png,1,60,cat\n"
NAMES = ["age", "smiling"]
UNITS = Units((20.0, 1.0), (40.0, 0.0), ("age", "smiling"))
POINTS = np.arange(6.0).reshape(3, 2)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures, of levels 0 to 2, with a table beside them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    for level, name in enumerate(("a.png", "b.png", "c.png")):
        Image.fromarray(np.full((4, 4), level, np.uint8)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "t.csv").write_text(TABLE)
    return tmp_path / "in"


def folder(root: Path, conditions: Any = NAMES, **others: Any) -> ImageFolder:
    return ImageFolder(str(root), 4, 1, labels="t.csv", conditions=conditions, **others)


def array(root: Path, labels: Any, conditions: Any = NAMES, **others: Any) -> Array:
    np.savez(root / "a.npz", x=POINTS, y=np.asarray(labels))
    return Array(str(root / "a.npz"), [2], key="x", labels="y", conditions=conditions, **others)


def rows(found: SampleSet) -> list[list[float]]:
    assert found.labels is not None
    assert found.labels.dtype == torch.float32
    return [[round(value, 4) for value in row] for row in found.labels.tolist()]


def refusal(source: ImageFolder | Array) -> str:
    with pytest.raises(UserError) as caught:
        source.load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_columns_of_a_table_go_from_minus_one_to_one(root: Path) -> None:
    found, facts = folder(root).load_with_facts()
    assert found.samples[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert rows(found) == [[-0.5, 1], [-1, -1], [1, 1]]
    assert (found.classes, found.conditions) == ((), UNITS)
    assert UNITS.restore(torch.tensor(rows(found))).tolist() == [[30, 1], [20, -1], [60, 1]]
    assert facts["conditions"] == UNITS.plain()
    assert "classes" not in facts
    check_source(folder(root))


@pytest.mark.parametrize("levels", [(0, 1), (-1, 1), (False, True)])
def test_an_attribute_is_minus_one_or_one(root: Path, levels: tuple[float, float]) -> None:
    found = array(root, [[levels[1], 5], [levels[0], 5.5], [levels[1], 7]], ["on", "size"]).load()
    assert rows(found) == [[1, -1], [-1, -0.5], [1, 1]]
    check_source(array(root, [[levels[1], 5], [levels[0], 5.5], [levels[1], 7]], ["on", "size"]))


def test_one_column_needs_no_dimension_for_it(root: Path) -> None:
    assert rows(array(root, [1, 2, 5], ["size"]).load()) == [[-1], [-0.5], [1]]


def test_the_scale_is_that_of_the_first_time(root: Path) -> None:
    _, seen = folder(root).load_with_facts()
    (root / "t.csv").write_text(TABLE.replace("60", "80"))
    assert "not those that the run has seen before" in refusal(folder(root, seen=seen))
    found, facts = folder(root, seen=seen, changed="accept").load_with_facts()
    assert (rows(found)[2], found.conditions) == ([2, 1], UNITS)
    assert facts["conditions"] == seen["conditions"]
    _, seen = array(root, [1, 2, 5], ["size"]).load_with_facts()
    found = array(root, [1, 1, 1], ["size"], seen=seen, changed="accept").load()
    assert rows(found) == [[-1]] * 3
    told = refusal(array(root, [1, 2, 5], ["weight"], seen=seen))
    assert told == "dataset.conditions is ['weight'], but the run has seen ['size']; a run goes on with those."


@pytest.mark.parametrize(
    "changed", [{"scale": [0, 1]}, {"scale": 1}, {"names": ["age", "age"]}, {"names": [], "scale": [], "shift": []}]
)
def test_what_is_no_memory_of_conditions(root: Path, changed: dict[str, Any]) -> None:
    _, seen = folder(root).load_with_facts()
    seen["conditions"] |= changed
    with pytest.raises(ValueError, match="seen is not what a run has found"):
        folder(root, seen=seen)
    _, seen = array(root, [1, 2, 5], ["size"]).load_with_facts()
    seen["conditions"] |= changed
    with pytest.raises(ValueError, match="seen is not what a run has found"):
        array(root, [1, 2, 5], ["size"], seen=seen)


@pytest.mark.parametrize(
    ("old", "new", "conditions", "told"),
    [
        ("", "", ["age", "kind"], "whose column kind has 3 of 3 that are no numbers (cat, dog); expected real numbers"),
        (",20", ",?", NAMES, "whose column age has 1 of 3 that are no numbers (?); expected real numbers, or 0 and 1"),
        (",20", ",nan", NAMES, "whose column age has 1 of 3 that are NaN or infinite; leave these samples out"),
        (",20", ",-inf", NAMES, "whose column age has 1 of 3 that are NaN or infinite"),
        (
            "-1",
            "1",
            NAMES,
            "where these columns are the same everywhere, and tell networks nothing: smiling (1)",
        ),
        (",20", ",", NAMES, "has no label for 1 of 3 pictures (b.png); its first column"),
        ("b.png", "x.png", NAMES, "has no label for 1 of 3 pictures (b.png); its first column"),
        ("", "", ["age", "smilling"], "dataset.conditions has smilling, but"),
    ],
)
def test_columns_that_are_none(root: Path, old: str, new: str, conditions: list[str], told: str) -> None:
    (root / "t.csv").write_text(TABLE.replace(old, new) if old else TABLE)
    assert told in refusal(folder(root, conditions))


def test_the_nearest_name_is_told(root: Path) -> None:
    told = refusal(folder(root, ["smilling"]))
    assert told.endswith("t.csv has smiling, age, kind. Did you mean smiling?")


@pytest.mark.parametrize(
    ("labels", "conditions", "told"),
    [
        (
            np.zeros((3, 3)),
            NAMES,
            "type float64, while dataset.conditions names 2 columns, ['age', 'smiling']",
        ),
        (np.zeros((2, 2)), NAMES, "shape (2, 2) and type float64; expected a row for each of 3 samples."),
        (np.zeros((3, 2, 1)), NAMES, "shape (3, 2, 1) and type float64; expected a row for each of 3 samples."),
        ([["a", "b"]] * 3, NAMES, "expected real numbers, or 0 and 1 of attributes, in 2 columns. Texts are classes:"),
        ([[1, 2], [2, np.nan], [3, 4]], NAMES, "whose column smiling has 1 of 3 that are NaN or infinite"),
        ([[1, 2], [1, 2], [1, 4]], NAMES, "tell networks nothing: age (1); leave them out of dataset.conditions."),
        (np.zeros((3, 6)), list("abcdef"), "nothing: a (0), b (0), c (0), d (0), e (0) and 1 more; leave them out"),
    ],
)
def test_arrays_that_are_none(root: Path, labels: Any, conditions: list[str], told: str) -> None:
    text = refusal(array(root, labels, conditions))
    assert text.startswith("dataset.labels is y, ")
    assert told in text


def test_numbers_without_names_are_no_classes(root: Path) -> None:
    told = refusal(array(root, [[1, 2], [2, 3], [3, 4]], None))
    assert told.endswith("Columns of numbers are named by dataset.conditions=[NAME,NAME].")
    told = refusal(array(root, [0.5, 1, 2], None))
    assert told.endswith("Real numbers to condition on are named by dataset.conditions=[NAME].")


@pytest.mark.parametrize(
    ("conditions", "others", "told"),
    [
        ([], {}, "conditions must be one name or more, all different"),
        (["age", "age"], {}, "conditions must be one name or more, all different"),
        ([str(number) for number in range(1001)], {}, "conditions must be at most 1000, got 1001"),
        (
            ["age"],
            {"label_column": "kind"},
            "label_column is a column of classes, and conditions are columns",
        ),
    ],
)
def test_names_that_are_none(root: Path, conditions: list[str], others: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        folder(root, conditions, **others)


def test_conditions_are_columns_of_labels(root: Path) -> None:
    for make in (lambda: ImageFolder(str(root), 4, 1, conditions=["age"]), lambda: Array("a", [2], conditions=["age"])):
        with pytest.raises(ValueError, match=r"conditions are columns of dataset\.labels, which is not given"):
            make()


class Numbers:
    """Points whose conditions are their own number, and its half."""

    def __init__(self, count: int, units: Units = UNITS) -> None:
        self.count, self.units = count, units

    def load(self) -> SampleSet:
        numbers = torch.arange(self.count).float()[:, None]
        return SampleSet(numbers, torch.cat([numbers, numbers / 2], 1), conditions=self.units)


class TestDataModule:
    def test_rounds_have_them(self) -> None:
        data = GANDataModule(Numbers(20), [1], 4, classes=2, seed=3)
        loader = RoundLoader(data.loaded, MinibatchStream(20, 4, seed=3), CriticUpdates(2), torch.device("cpu"))
        first = loader.round(0)
        assert first.labels is not None
        assert first.labels.shape == (2, 4, 2)
        assert torch.equal(first.labels, torch.cat([first.samples, first.samples / 2], 2))
        share = RoundLoader(loader.data, loader.stream, CriticUpdates(2), torch.device("cpu"), rank=1, ranks=2).round(0)
        assert share.labels is not None
        assert torch.equal(share.labels, first.labels[:, 2:])

    def test_a_generator_gets_rows_of_what_is_trained_on(self) -> None:
        data = GANDataModule(Numbers(3000), [1], 4, classes=2, held_out=1500)
        known = data.conditions
        assert known is not None
        assert known.units == UNITS
        assert known.rows.shape == (MOST_ROWS, 2)
        assert torch.equal(known.rows[:, 0], 2 * known.rows[:, 1])  # whole rows
        assert len(known.rows[:, 0].unique()) == MOST_ROWS
        assert set(known.rows[:, 0].tolist()) <= set(data.subset("train").samples[:, 0].tolist())
        assert not torch.equal(known.rows[:, 0], known.rows[:, 0].sort().values)
        again = GANDataModule(Numbers(3000), [1], 4, classes=2, held_out=1500, seed=5).conditions
        assert again is not None
        assert torch.equal(again.rows, known.rows)
        assert GANDataModule(Numbers(30), [1], 4).conditions is None  # of networks that are told nothing

    def test_another_number(self) -> None:
        with pytest.raises(UserError) as caught:
            GANDataModule(Numbers(20), [1], 4, classes=3).setup()
        told = "dataset.classes is 3, but dataset.conditions names 2; leave dataset.classes to them."
        assert str(caught.value) == told

    def test_held_out_ones_mean_the_same(self) -> None:
        other = Units((40.0, 1.0), (80.0, 0.0), ("age", "smiling"))
        data = GANDataModule(Numbers(20), [1], 4, classes=2, held_out=Numbers(5, other))
        held_out = data.subset("held_out")
        # number n is n * 40 + 80 there, and (n * 40 + 80 - 40) / 20 = 2 n + 2 in the units of what is trained on
        assert held_out.labels is not None
        assert held_out.labels[:, 0].tolist() == [2, 4, 6, 8, 10]
        assert held_out.labels[:, 1].tolist() == [0, 0.5, 1, 1.5, 2]
        assert held_out.conditions == UNITS

    def test_held_out_ones_of_other_names(self) -> None:
        other = UNITS._replace(names=("age", "glasses"))
        data = GANDataModule(Numbers(20), [1], 4, classes=2, held_out=Numbers(5, other))
        with pytest.raises(UserError, match=r"have other conditions, \['age', 'glasses'\] there and \['age', 'smil"):
            data.subset("held_out")
