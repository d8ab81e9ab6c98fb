"""Samples of conditions that are numbers: as the data have them, as they are asked for, and out of a file."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typechecking import unchecked

from gan_lightning import Sampler, UserError, formats, load_generator
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.samples import Conditions, Units
from gan_lightning.sampling.conditions import contrasts, draw_conditions, with_asked
from gan_lightning.sampling.files import ROWS, read_generator, save_generator
from gan_lightning.sampling.whole import save_whole

UNITS = Units((0.5, 30.0), (0.5, 50.0), ("smiling", "age"))  # of smiling from 0 to 1, and age from 20 to 80
VALUES = torch.tensor([[-1, -1], [1, 0.5], [1, 0.25], [-1, 0.75]])
KNOWN = Conditions(UNITS, VALUES)
PRIOR = {"_target_": "gan_lightning.sampling.Normal"}
NODE = {
    "_target_": "gan_lightning.networks.MLPGenerator",
    "latent_dim": 3,
    "sample_shape": [2],
    "hidden_dim": 4,
    "classes": 2,
    "label_input": "concat",
}


class Told(Generator):
    """Gives the conditions that it is told."""

    def __init__(self) -> None:
        super().__init__(2, classes=2, label_input="concat")

    def decode(self, inputs: Tensor, labels: Tensor | None) -> Tensor:
        return inputs[:, 2:]


SAMPLER = Sampler(Told(), conditions=KNOWN)


def test_without_a_label_they_are_as_in_the_data() -> None:
    drawn = SAMPLER.sample(400, seed=1)
    counts = {tuple(row): int((drawn == torch.tensor(row)).all(1).sum()) for row in VALUES.tolist()}
    assert sum(counts.values()) == 400  # whole rows, and no others
    assert min(counts.values()) > 70
    assert torch.equal(SAMPLER.sample(400, seed=1), drawn)
    assert torch.equal(SAMPLER.sample(7, seed=1), drawn[:7])
    assert not torch.equal(SAMPLER.sample(400, seed=2), drawn)


def test_those_that_are_asked_for_are_in_the_units_of_the_files() -> None:
    assert SAMPLER.sample(3, label={"smiling": 1, "age": 35}).tolist() == [[1, -0.5]] * 3
    assert SAMPLER.sample(1, label={"age": 80, "smiling": 0.0}).tolist() == [[-1, 1]]
    drawn, asked = SAMPLER.sample(50, seed=3), SAMPLER.sample(50, seed=3, label={"age": 20})
    assert torch.equal(asked[:, 0], drawn[:, 0])  # what isn't named is drawn as it was
    assert (asked[:, 1] == -1).all()
    assert torch.equal(KNOWN.rows, VALUES)


def test_a_range_is_that_of_the_data_up_to_rounding() -> None:
    known = Conditions(Units((0.1,), (0.3,), ("x",)), torch.tensor([[1.0]]))
    for value, low in ((0.4, 1.0), (0.2, -1.0)):
        assert with_asked(known.rows, known, {"x": value}).item() == pytest.approx(low)
    assert known.rows.item() == 1  # what is given stays as it is


def test_a_walk_keeps_to_one_condition() -> None:
    assert SAMPLER.interpolate([5, 1, 2], 3, label={"smiling": 1, "age": 50}).tolist() == [[1, 0]] * 6
    walk = SAMPLER.interpolate([5, 1, 2], 3)
    assert walk.tolist() == draw_conditions(KNOWN, 1, 5).tolist() * 6


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (
            {"smilling": 1},
            "label has smilling, but this generator's conditions are smiling, age. Did you mean",
        ),
        ({"age": 81}, "label has age=81, but the data's age goes from 20 to 80."),
        ({"age": float("nan")}, "label has age=nan, but the data's age goes from 20 to 80."),
        ({"age": "old"}, "label has age=old, but the data's age goes from 20 to 80."),
        (
            1,
            "label is 1, but this generator's conditions are smiling, age; give some by name, as in 'label={sm",
        ),
        ("cat", "label is cat, but this generator's conditions are smiling, age; give some by name, as in "),
    ],
)
def test_what_is_no_condition(label: Any, told: str) -> None:
    with unchecked(), pytest.raises(UserError) as caught:
        SAMPLER.sample(2, label=label)
    assert str(caught.value).startswith(told)


def test_conditions_of_a_generator_of_classes() -> None:
    with pytest.raises(UserError, match="but this generator has classes; name one, such as label=0"):
        Sampler(Told()).sample(2, label={"age": 3})
    assert Sampler(Told()).sample(3).tolist() == [[1, 0], [0, 1], [1, 0]]


class TestContrasts:
    def test_each_condition_from_its_lowest_to_its_highest(self) -> None:
        rows = contrasts(KNOWN, 20, seed=1)
        base = draw_conditions(KNOWN, 4, seed=1)
        assert rows.shape == (5, 4, 2)  # the attribute off and on; the number's lowest, middle and highest
        assert [row[:, 0].unique().tolist() for row in rows[:2]] == [[-1], [1]]
        assert [row[:, 1].unique().tolist() for row in rows[2:]] == [[-1], [0], [1]]
        assert all(torch.equal(row[:, 1], base[:, 1]) for row in rows[:2])
        assert all(torch.equal(row[:, 0], base[:, 0]) for row in rows[2:])

    def test_no_more_rows_than_samples(self) -> None:
        assert contrasts(KNOWN, 3, seed=1).shape == (3, 1, 2)


def written(path: Path) -> Path:
    torch.manual_seed(0)
    network = MLPGenerator(3, [2], hidden_dim=4, classes=2, label_input="concat")
    save_generator(network, {"generator": NODE, "latents": PRIOR}, path, 7, conditions=KNOWN)
    return path


def rewritten(path: Path, rows: Tensor | None = VALUES, **metadata: str) -> Path:
    """A file by someone who is free to put into it what they like."""
    file = read_generator(written(path))
    others = {"format": formats.CONDITIONED, "config": json.dumps({"generator": NODE, "latents": PRIOR})}
    others |= {"iteration": "7", "conditions": json.dumps(UNITS.plain())} | metadata
    save_whole(file.weights | ({} if rows is None else {ROWS: rows.contiguous()}), path, others)
    return path


def test_there_and_back(tmp_path: Path) -> None:
    sampler = load_generator(written(tmp_path / "g.safetensors"))
    assert sampler.conditions is not None
    assert sampler.conditions.units == UNITS
    assert torch.equal(sampler.conditions.rows, VALUES)
    again = load_generator(rewritten(tmp_path / "h.safetensors"))
    assert torch.equal(again.sample(5, label={"age": 30}), sampler.sample(5, label={"age": 30}))
    assert not torch.equal(sampler.sample(5, label={"age": 30}), sampler.sample(5, label={"age": 80}))


def test_only_files_with_conditions_are_too_new_for_earlier_releases(tmp_path: Path) -> None:
    file = written(tmp_path / "g.safetensors")
    assert b'"gan_lightning.generator/5"' in file.read_bytes()
    with pytest.raises(UserError, match="it was written by a newer version of it"):
        formats.require(formats.CONDITIONED, formats.GENERATOR, "g")
    network = MLPGenerator(3, [2], hidden_dim=4, classes=2, label_input="concat")
    save_generator(network, {"generator": NODE, "latents": PRIOR}, file, 7, classes=("a", "b"))
    assert b'"gan_lightning.generator/4"' in file.read_bytes()
    assert load_generator(file).conditions is None


@pytest.mark.parametrize(
    ("rows", "units", "told"),
    [
        (None, UNITS, "its metadata can't be read"),
        (VALUES[:, :1], UNITS, "the rows of conditions don't fit their names"),
        (VALUES[:0], UNITS, "the rows of conditions don't fit their names"),
        (VALUES.long(), UNITS, "the rows of conditions don't fit their names"),
        (VALUES / 0, UNITS, "the rows of conditions are not finite"),
        (VALUES, UNITS._replace(scale=(0.0, 1.0)), "the conditions are no names with scales and shifts"),
        (VALUES, UNITS._replace(names=("age", "age")), "the conditions are no names with scales and shifts"),
        (VALUES[:, :1], Units((1.0,), (0.0,), ("age",)), "it names 1 conditions, but its generator has 2"),
    ],
)
def test_conditions_that_are_none(tmp_path: Path, rows: Tensor | None, units: Units, told: str) -> None:
    path = rewritten(tmp_path / "g.safetensors", rows, conditions=json.dumps(units.plain()))
    with pytest.raises(UserError, match=rf"g\.safetensors is damaged: .*{told}"):
        load_generator(path)
