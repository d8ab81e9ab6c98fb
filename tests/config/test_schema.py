"""No key of any configuration goes unread: each key of each file of conf/, misspelt, is refused."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf, open_dict

from gan_lightning.commands.help import OF_EDIT
from gan_lightning.config.check import check
from gan_lightning.config.compose import compose
from gan_lightning.config.containers import without_hydra
from gan_lightning.config.mistakes import require_weights
from gan_lightning.config.places import CONF
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError

# For what is left to the user.
GIVEN = {"root": "somewhere", "sample_shape": "[1,8,8]", "attribute": "x", "picture": "somewhere", "labels": "[0,1]"}
MANY = ("regularizer", "logger", "callbacks", "metric", "attributes")
EDITING = "gan_lightning.commands.edit.Editing"
# What a group's file says of itself lies below the group's name, but for those that say @package.
OPTIONS = [file for file in sorted(CONF.glob("*/*.yaml")) if file.parent.name not in ("hydra", "dataset_loss")]
PAIRS = sorted((CONF / "dataset_loss").glob("*.yaml"))
GROUPS = {
    "train": [CONF / "train.yaml"],
    "edit": [CONF / "edit.yaml"],
    **{name: list(files) for name, files in groupby([*OPTIONS, *PAIRS], key=lambda file: file.parent.name)},
}


def paths(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All keys of a file, as paths from its top."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield (*path, str(name))
            yield from paths(value, (*path, str(name)))


def package(file: Path) -> tuple[str, ...]:
    """Where in a configuration a file's keys lie."""
    first = file.read_text().partition("\n")[0]
    if "@package" in first:
        named = first.rpartition("@package ")[2].strip()
        return () if named == "_global_" else tuple(named.split("."))
    return {"hardware": ("trainer",)}.get(file.parent.name, () if file.parent == CONF else (file.parent.name,))


def choice(file: Path) -> list[str]:
    """The overrides that choose it, with something for each value that it leaves to the user."""
    group, name = file.parent.name, file.stem
    if file.parent == CONF:
        return ["run=somewhere", "means.attribute=x"] if file.stem == "edit" else []
    if group == "dataset_loss":
        dataset, _, loss = name.partition("_")
        return [f"dataset={dataset}", f"loss={loss}"]
    content = OmegaConf.to_container(OmegaConf.load(file))
    missing = [f"{group}.{key}={GIVEN[key]}" for key, value in content.items() if value == "???"]
    if "attribute@means" in content.get("defaults", []):  # it starts from an option that leaves something to the user
        missing.append("means.attribute=x")
    run = ["run=somewhere"] if group in OF_EDIT else []
    other = ["means=directions"] if group == "attributes" else []
    return [f"{group}=[{name}]" if group in MANY else f"{group}={name}", *missing, *run, *other]


def misspelt(config: DictConfig, path: tuple[str, ...]) -> DictConfig:
    """A copy in which the key at a path has its last letter twice."""
    changed = config.copy()
    parent = changed
    for name in path[:-1]:
        parent = parent._get_node(name)
    with open_dict(parent):
        node = parent._get_node(path[-1])
        parent.pop(path[-1])
        parent[path[-1] + path[-1][-1]] = node
    return changed


def keys_of(file: Path, config: DictConfig) -> list[tuple[str, ...]]:
    """The keys of a file by which it reaches the configuration; names of the user's own aside."""
    content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    content.pop("defaults", None)
    content.pop("hydra", None)
    found = [(*package(file), *path) for path in paths(content)]
    return [path for path in found if not is_own_name(path) and is_there(config, path)]


def is_own_name(path: tuple[str, ...]) -> bool:
    """Names of parts are the user's to choose."""
    return len(path) == 2 and path[0] in ("regularizer", "metric", "logger", "callbacks", "heads", "attributes")


def is_there(config: DictConfig, path: tuple[str, ...]) -> bool:
    node: Any = config
    for name in path:
        if not isinstance(node, DictConfig) or name not in node._content:
            return False
        node = node._get_node(name)
    return True


def place(config: DictConfig, path: tuple[str, ...]) -> tuple[Any, ...]:
    """A key's path and the class of the part that has it, by which it is known or not."""
    targets = [str(OmegaConf.select(config, ".".join(path[:depth]) + "._target_")) for depth in range(1, len(path))]
    return (path, *targets)


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_each_misspelt_key_is_refused(group: str) -> None:
    """Once each of those that several files of a group have in the same place."""
    name, schema = ("edit", EDITING) if group in ("edit", *OF_EDIT) else ("train", TRAINING)
    tried: set[tuple[Any, ...]] = set()
    accepted = []
    with Sources(name).open() as loader:
        for file in GROUPS[group]:
            config = without_hydra(compose(Sources(name), choice(file), schema))
            keys = keys_of(file, config)
            assert keys or file.stem == "none" or list(yaml.safe_load(file.read_text())) == ["defaults"]  # another name
            for path in keys:
                if (where := place(config, path)) not in tried and is_accepted(misspelt(config, path), loader, schema):
                    accepted.append(f"{file.stem}: {'.'.join(path)}")
                tried.add(where)
    assert accepted == []


def is_accepted(config: DictConfig, loader: Any, schema: str) -> bool:
    try:
        check(config, schema)
        require_weights(config, loader)
    except UserError:
        return False
    return True


GOOD = (CONF / "loss" / "wgan_gp.yaml").read_text()
DIGITS = (CONF / "dataset" / "digits.yaml").read_text()
GLOBAL = "# @package _global_\n"


@pytest.mark.parametrize(
    ("place", "content", "told"),
    [
        (
            "loss/mine",
            GOOD.replace("n_critic: 5", "n_criticc: 5"),
            ["loss.n_criticc", "5", "Did you mean loss.n_critic?"],
        ),
        (
            "loss/mine",
            GOOD.replace("discriminator_norm", "discriminator_nrom"),
            ["Did you mean loss.discriminator_norm?"],
        ),
        ("dataset/mine", DIGITS.replace("held_out", "held_outt"), ["Did you mean dataset.held_out?"]),
        ("dataset/mine", DIGITS.replace("batch_size: 64", "batch_size: many"), ["dataset.batch_size is 'many'"]),
        ("experiment/mine", f"{GLOBAL}dataset: {{bacth_size: 3}}", ["Did you mean dataset.batch_size?"]),
        ("experiment/mine", f"{GLOBAL}loss: {{n_critics: 3}}", ["Did you mean loss.n_critic?"]),
        (
            "experiment/mine",
            f"{GLOBAL}loss: {{weights: {{gradient_penalti: 3}}}}",
            ["loss.weights.gradient_penalti weighs no regularizer", "Did you mean gradient_penalty?"],
        ),
        ("experiment/mine", f"{GLOBAL}network: {{latent_dimm: 3}}", ["Did you mean network.latent_dim?"]),
        ("experiment/mine", f"{GLOBAL}sed: 3", ["sed is not a key", "Did you mean seed?"]),
        ("experiment/mine", f"{GLOBAL}loss: {{optimizer: 3}}", ["loss.optimizer is 3", "a group of keys"]),
    ],
)
def test_a_mistake_in_a_file_is_told_with_the_file(tmp_path: Path, place: str, content: str, told: list[str]) -> None:
    file = tmp_path / f"{place}.yaml"
    file.parent.mkdir()
    file.write_text(content)
    group, _, name = place.partition("/")
    with pytest.raises(UserError) as caught:
        compose(Sources("train", extra=(tmp_path,)), [f"{group}={name}"], TRAINING)
    assert [words for words in told if words not in str(caught.value)] == []
    assert str(caught.value).endswith(f"It stands in {file}.")
    assert "\n" not in str(caught.value)


def test_a_mistake_on_the_command_line_names_no_file() -> None:
    for override in ("+dataset.held_outt=3", "loss.n_critic=0", "++loss.weights.r11=3"):
        with pytest.raises(UserError) as caught:
            compose(Sources("train"), [override], TRAINING)
        assert "stands in" not in str(caught.value)


def test_a_key_of_ones_own_is_known_where_something_reads_it(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    ring = (CONF / "dataset" / "ring.yaml").read_text()
    assert "std: " in ring
    mine = ring.replace("radius: 1.0", "radius: ${dataset.wide}") + "\nwide: 2.0\n"
    (tmp_path / "dataset" / "mine.yaml").write_text(mine)
    config = compose(Sources("train", extra=(tmp_path,)), ["dataset=mine", "dataset.wide=3"], TRAINING)
    assert config.dataset.source.radius == 3
    (tmp_path / "dataset" / "mine.yaml").write_text(ring + "\nwide: 2.0\n")
    with pytest.raises(UserError, match=r"dataset\.wide is not a key of Dataset"):
        compose(Sources("train", extra=(tmp_path,)), ["dataset=mine"], TRAINING)


def test_weights_of_regularizers_may_be_added() -> None:
    config = compose(Sources("train"), ["regularizer=[r1]", "+loss.weights.r1=3"], TRAINING)
    assert config.regularizer.r1.weight == 3


def test_each_misspelt_key_of_evaluate_is_refused() -> None:
    schema = "gan_lightning.commands.evaluate.Evaluating"
    config = without_hydra(compose(Sources("evaluate"), ["run=x"], schema))
    keys = [path for path in keys_of(CONF / "evaluate.yaml", config) if path != ("metric",)]
    assert len(keys) > 10
    for path in keys:
        with pytest.raises(UserError, match=f"{path[-1]}{path[-1][-1]} is not a key of Evaluating"):
            check(misspelt(config, path), schema)
