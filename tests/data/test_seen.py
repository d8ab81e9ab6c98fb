"""What a run keeps of the facts of its data."""

import pytest
from omegaconf import OmegaConf

from gan_lightning.data.conditions import units_of
from gan_lightning.data.seen import as_text, from_text, kept, known_classes
from gan_lightning.samples import Units


def through_a_configuration(facts: dict[str, object]) -> dict[str, object]:
    """The facts as a run that goes on has them: saved, read and resolved."""
    config = OmegaConf.create({"seed": 3, "seen": kept(facts)})
    found = OmegaConf.to_container(OmegaConf.create(OmegaConf.to_yaml(config)), resolve=True)
    assert isinstance(found, dict)
    # As text it stays the same, too, when what was resolved is resolved once more.
    again = OmegaConf.to_container(OmegaConf.create(found), resolve=True)
    assert again == found
    seen = found["seen"]
    assert isinstance(seen, dict)
    return seen


@pytest.mark.parametrize(
    "names", [["cat", "dog"], ["${seed}", "é"], [r"\${seed}", "$"], [str(n) for n in range(12_000)]]
)
def test_names_of_classes(names: list[str]) -> None:
    assert known_classes(through_a_configuration({"classes": names})) == names


def test_plain_names_are_a_list() -> None:
    assert kept({"classes": ["1", "$2"], "range": [0, 255]}) == {"classes": ["1", "$2"], "range": [0, 255]}


def test_conditions_of_any_names() -> None:
    units = Units((1.0,), (0.0,), ("${seed}",))
    assert units_of(through_a_configuration({"conditions": units.plain()})) == units


def test_texts() -> None:
    assert from_text(as_text({"a": ["${x}"]})) == {"a": ["${x}"]}
    assert from_text([1]) == [1]
    for wrong in ("", "[", "{'a': 1}"):
        with pytest.raises(ValueError, match=r"."):
            from_text(wrong)
    with pytest.raises(ValueError, match="no list of names"):
        known_classes({"classes": "3"})
