"""Every file of conf/, found by listing the folders: a new option is held to the same rules without a new test."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from gan_lightning import train
from gan_lightning.commands.train import SCHEMA
from gan_lightning.config.compose import CONF, Sources, compose, plain
from gan_lightning.errors import UserError

OPTIONS: dict[str, list[str]] = {}
for file in sorted(CONF.glob("*/**/*.yaml")):
    OPTIONS.setdefault(file.parent.relative_to(CONF).as_posix(), []).append(file.stem)
ALL_OPTIONS = [(group, name) for group, names in OPTIONS.items() for name in names]
MANY_VALUED = ("regularizer",)  # groups of which several options can be chosen together
SMALL = {"hidden_dim": 8, "blocks": 1, "width": 4}  # of networks, whichever of these they have


def raw(group: str, name: str) -> dict[str, Any]:
    """The content of an option's file."""
    content = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"), resolve=False)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def composed(*overrides: str) -> DictConfig:
    return compose(Sources("train"), list(overrides), SCHEMA)


def choose(group: str, name: str) -> list[str]:
    """The overrides that choose an option, with something for each value that its file leaves to the user."""
    missing = [f"{group}.{key}=somewhere" for key, value in raw(group, name).items() if value == "???"]
    return [f"{group}=[{name}]" if group in MANY_VALUED else f"{group}={name}", *missing]


def one_iteration(folder: Path, *overrides: str) -> None:
    """Trains for one iteration, on the CPU, with networks as small as their options allow."""
    config = composed(*overrides)
    small = [
        f"network.{network}.{key}={value}"
        for network in ("generator", "discriminator")
        for key, value in SMALL.items()
        if key in config.network[network]
    ]
    run = train(
        *overrides,
        *small,
        "network.latent_dim=4",
        "dataset.batch_size=8",
        "samples.count=1",
        "trainer.max_steps=1",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
        f"hydra.run.dir={folder / 'run'}",
    )
    assert (run.status, run.iteration) == ("finished", 1)
    losses = [run.metrics["loss/discriminator"], run.metrics["loss/generator"]]
    assert torch.tensor(losses).isfinite().all()


def write_idx(root: Path, name: str, count: int = 12) -> None:
    """Random pictures and labels where torchvision looks for its data set of that name."""
    raw_folder = root / name / "raw"
    raw_folder.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    for part in ("train", "t10k"):
        for kind, shape, top in (("images-idx3", (count, 28, 28), 256), ("labels-idx1", (count,), 10)):
            array = numbers.integers(0, top, shape, dtype=np.uint8)
            header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
            (raw_folder / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())


def write_pictures(root: Path, count: int = 12) -> None:
    root.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    for index in range(count):
        Image.fromarray(numbers.integers(0, 256, (20, 16, 3), dtype=np.uint8)).save(root / f"{index}.png")


def with_data(folder: Path, *overrides: str) -> list[str]:
    """The overrides, and those that point their data set to small files that are written here."""
    source = composed(*overrides).dataset.source
    kind = source["_target_"].rpartition(".")[2]
    if kind == "TorchvisionSource":
        write_idx(folder / "data", source.name)
        return [*overrides, f"dataset.root={folder / 'data'}"]
    if kind == "ImageFolder":
        write_pictures(folder / "data")
        place = [f"dataset.root={folder / 'data'}", f"dataset.cache_dir={folder / 'cache'}"]
        return [*[text for text in overrides if not text.startswith("dataset.root=")], *place, "dataset.image_size=8"]
    return list(overrides)


def test_all_groups_are_found() -> None:
    assert {"dataset", "loss", "network", "regularizer", "hardware", "experiment"} <= OPTIONS.keys()
    assert all(OPTIONS.values())


@pytest.mark.parametrize(("group", "name"), ALL_OPTIONS)
def test_every_option_composes_and_fits_the_signatures(group: str, name: str) -> None:
    chosen = composed(*choose(group, name)).hydra.runtime.choices
    assert group in MANY_VALUED or chosen[group] == name


def test_an_option_that_does_not_fit_would_be_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "loss"
    folder.mkdir()
    content = (CONF / "loss" / "vanilla.yaml").read_text()
    (folder / "mine.yaml").write_text(content.replace("saturating: ${", "saturation: ${"))
    with pytest.raises(UserError, match=r"loss\.objective\.saturation"):
        compose(Sources("train", extra=(tmp_path,)), ["loss=mine"], SCHEMA)


@pytest.mark.parametrize("network", OPTIONS["network"])
@pytest.mark.parametrize("loss", OPTIONS["loss"])
def test_every_loss_trains_every_network(tmp_path: Path, loss: str, network: str) -> None:
    one_iteration(tmp_path, *choose("loss", loss), *choose("network", network))


@pytest.mark.parametrize("name", OPTIONS["regularizer"])
def test_every_regularizer_trains_with_the_vanilla_loss(tmp_path: Path, name: str) -> None:
    overrides = ["loss=vanilla", *choose("regularizer", name)]
    assert list(composed(*overrides).regularizer) == list(raw("regularizer", name))
    one_iteration(tmp_path, *overrides)


@pytest.mark.parametrize("name", OPTIONS["dataset"])
def test_every_data_set_trains_offline(tmp_path: Path, name: str) -> None:
    one_iteration(tmp_path, *with_data(tmp_path, *choose("dataset", name)))


@pytest.mark.parametrize("name", OPTIONS["experiment"])
def test_every_experiment_trains(tmp_path: Path, name: str) -> None:
    one_iteration(tmp_path, *with_data(tmp_path, f"experiment={name}"))


@pytest.mark.parametrize("name", OPTIONS["hardware"])
def test_hardware_changes_the_trainer_alone(name: str) -> None:
    config, default = (plain(OmegaConf.masked_copy(c, [k for k in c if k != "hydra"])) for c in _pair(name))
    assert {key for key in config if config[key] != default[key]} <= {"trainer"}
    assert raw("hardware", name).items() <= config["trainer"].items()


def _pair(name: str) -> tuple[DictConfig, DictConfig]:
    return composed(f"hardware={name}"), composed()


def test_cpu_hardware_runs(tmp_path: Path) -> None:
    one_iteration(tmp_path, "hardware=cpu")


@pytest.mark.parametrize("group", ["dataset", "loss", "network"])
def test_a_file_and_what_it_names_have_one_name(group: str) -> None:
    for name in OPTIONS[group]:
        assert composed(*choose(group, name))[group].name == name


# Deltas.


def leaves(node: Any, key: str = "") -> dict[str, Any]:
    """The values below a node by their dotted keys; a list is one value."""
    if not isinstance(node, dict):
        return {key: node}
    return {k: v for name, child in node.items() for k, v in leaves(child, f"{key}.{name}" if key else name).items()}


def repeated(content: dict[str, Any], baseline: DictConfig, default_choices: DictConfig) -> list[str]:
    """What a file sets to the value that is there without it: keys, and groups whose default it chooses again."""
    found = []
    content = dict(content)
    for entry in content.pop("defaults", []):
        ((group, option),) = entry.items()
        if default_choices.get(group.removeprefix("override ").lstrip("/")) == option:
            found.append(group)
    for key, value in leaves(content).items():
        if OmegaConf.select(baseline, key) == (OmegaConf.create(value) if isinstance(value, list) else value):
            found.append(key)
    return found


def baseline_of(content: dict[str, Any]) -> DictConfig:
    """What the options that a file chooses amount to without the rest of the file."""
    chosen = [next(iter(entry.items())) for entry in content.get("defaults", [])]
    return composed(*(f"{group.removeprefix('override ').lstrip('/')}={option}" for group, option in chosen))


@pytest.mark.parametrize("name", OPTIONS["experiment"])
def test_an_experiment_holds_only_what_it_changes(name: str) -> None:
    content = raw("experiment", name)
    assert repeated(content, baseline_of(content), composed().hydra.runtime.choices) == []


def test_what_an_experiment_repeats_would_be_noticed() -> None:
    content = {
        "defaults": [{"override /loss": "vanilla"}, {"override /network": "dcgan"}],
        "dataset": {"batch_size": 64, "steps": 7},
        "loss": {"optimizer": {"generator": {"lr": 1e-5, "betas": [0.5, 0.999]}}},
    }
    found = repeated(content, baseline_of(content), composed().hydra.runtime.choices)
    assert found == ["override /loss", "dataset.batch_size", "loss.optimizer.generator.betas"]


@pytest.mark.parametrize("name", OPTIONS.get("dataset_loss", []))
def test_what_a_data_set_needs_of_a_loss(name: str) -> None:
    pairs = [(a, b) for a in OPTIONS["dataset"] for b in OPTIONS["loss"] if f"{a}_{b}" == name]
    assert len(pairs) == 1, f"{name} is no DATASET_LOSS"
    ((dataset, loss),) = pairs
    without = composed(*choose("dataset", dataset), f"loss={loss}", "~dataset_loss")
    assert repeated(raw("dataset_loss", name), without, without.hydra.runtime.choices) == []
    config = composed(*choose("dataset", dataset), f"loss={loss}")
    for key, value in leaves(raw("dataset_loss", name)).items():
        assert OmegaConf.select(config, key) == value


# Recipes.


@pytest.mark.parametrize("network", OPTIONS["network"])
def test_the_gradient_penaltys_critic_has_no_normalisation(network: str) -> None:
    assert composed("loss=wgan_gp", f"network={network}").network.discriminator.norm == "none"
    assert composed(f"network={network}", "loss=wgan_gp").model.discriminator.norm == "none"


def test_nor_has_the_courses() -> None:
    config = composed("experiment=coursera_week3")
    assert config.network.name == "dcgan"
    assert config.network.discriminator.norm == "none"
    assert composed("network=dcgan").network.discriminator.norm == "batch"  # which is what there was to take away


RECIPES = {
    "vanilla": {
        "objective": ("gan_lightning.losses.objectives.Vanilla", {"saturating": False}),
        "schedule": {"n_critic": 1, "boost": 0},
        "optimizer": ("torch.optim.Adam", {"lr": 2e-4, "betas": [0.5, 0.999]}),
        "regularizer": {},
    },
    "wgan_clip": {
        "objective": ("gan_lightning.losses.objectives.Wasserstein", {}),
        "schedule": {"n_critic": 5, "boost": 100, "boost_first": 25, "boost_every": 500},
        "optimizer": ("torch.optim.RMSprop", {"lr": 5e-5}),
        "regularizer": {"weight_clipping": ("gan_lightning.losses.regularizers.WeightClipping", {"bound": 0.01})},
    },
    "wgan_gp": {
        "objective": ("gan_lightning.losses.objectives.Wasserstein", {}),
        "schedule": {"n_critic": 5, "boost": 0},
        "optimizer": ("torch.optim.Adam", {"lr": 1e-4, "betas": [0.5, 0.9]}),
        "regularizer": {"gradient_penalty": ("gan_lightning.losses.regularizers.GradientPenalty", {"weight": 10.0})},
    },
}


def names(node: dict[str, Any], expected: tuple[str, dict[str, Any]]) -> bool:
    """Whether a node has that target and those arguments."""
    return node["_target_"] == expected[0] and expected[1].items() <= node.items()


@pytest.mark.parametrize("loss", RECIPES)
def test_recipes_are_the_papers(loss: str) -> None:
    config = composed(f"loss={loss}")
    values = plain(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
    recipe: dict[str, Any] = RECIPES[loss]
    assert names(values["model"]["objective"], recipe["objective"])
    assert recipe["schedule"].items() <= values["model"]["schedule"].items()
    assert values["model"]["schedule"] == values["data"]["schedule"]
    for network in ("generator", "discriminator"):
        optimizer = values["model"][f"{network}_optimizer"]
        assert names(optimizer, recipe["optimizer"])
        # Nothing else may change the updates; torch's defaults are the papers' for the rest.
        assert optimizer.keys() - {"fused", "_target_", "_partial_"} == recipe["optimizer"][1].keys()
    assert values["model"]["regularizers"].keys() == recipe["regularizer"].keys()
    for name, expected in recipe["regularizer"].items():
        assert names(values["model"]["regularizers"][name], expected)
    assert values["network"]["latent_dim"] == values["model"]["generator"]["latent_dim"]


@pytest.mark.parametrize(
    ("name", "betas", "lr", "epochs", "loss", "network"),
    [
        ("coursera_week1", [0.9, 0.999], 1e-5, 200, "vanilla", "mlp"),
        ("coursera_week3", [0.5, 0.999], 2e-4, 100, "wgan_gp", "dcgan"),
    ],
)
def test_experiments_are_the_courses(
    name: str, betas: list[float], lr: float, epochs: int, loss: str, network: str
) -> None:
    config = composed(f"experiment={name}")
    assert (config.dataset.name, config.loss.name, config.network.name) == ("mnist", loss, network)
    assert (config.dataset.batch_size, config.network.latent_dim) == (128, 64)
    assert (config.trainer.max_epochs, config.trainer.max_steps) == (epochs, -1)
    for which in ("generator", "discriminator"):
        assert config.loss.optimizer[which].lr == lr
        assert list(config.loss.optimizer[which].betas) == betas
