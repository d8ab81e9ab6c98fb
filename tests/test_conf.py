"""Every file of conf/, found by listing the folders: a new option is held to the same rules without a new test."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from set_files import write_pictures, write_set
from small import small

from gan_lightning.commands.help import OF_EDIT
from gan_lightning.config.compose import compose
from gan_lightning.config.containers import plain, without_hydra
from gan_lightning.config.places import CONF
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError
from gan_lightning.runs.run import run_experiment

pytestmark = pytest.mark.slow

OPTIONS: dict[str, list[str]] = {}
for file in (each for each in sorted(CONF.glob("*/**/*.yaml")) if each.parent.name not in OF_EDIT):
    OPTIONS.setdefault(file.parent.relative_to(CONF).as_posix(), []).append(file.stem)
ALL_OPTIONS = [(group, name) for group, names in OPTIONS.items() for name in names]
MANY_VALUED = ("regularizer", "logger", "callbacks", "metric")  # groups of which several options can be chosen together
GIVEN = {"root": "somewhere", "sample_shape": "[1,8,8]"}  # for what is left to the user
NAMED = ("conditioning", "dataset", "loss", "network")  # groups whose options say their own name
AUTOENCODERS = ("mlp_autoencoder", "dcgan_autoencoder")


def raw(group: str, name: str) -> dict[str, Any]:
    """The content of an option's file."""
    content = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"), resolve=False)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def composed(*overrides: str) -> DictConfig:
    return compose(Sources("train"), list(overrides), TRAINING)


def choose(group: str, name: str) -> list[str]:
    """The overrides that choose an option, with something for each value that its file leaves to the user."""
    if group == "dataset_loss":  # which follows from the two
        dataset, _, loss = name.partition("_")
        return [f"dataset={dataset}", f"loss={loss}"]
    missing = [f"{group}.{key}={GIVEN[key]}" for key, value in raw(group, name).items() if value == "???"]
    return [f"{group}=[{name}]" if group in MANY_VALUED else f"{group}={name}", *missing]


def one_iteration(folder: Path, *overrides: str) -> None:
    """Trains for one iteration, on the CPU, with networks as small as their options allow.

    As `train` does, which composes a second time for the sake of its messages: a third of so short a run.
    """
    config = composed(
        *small(*overrides),
        "dataset.batch_size=8",
        "loss.critic_updates.boost=0",
        "samples.count=1",
        "trainer.max_steps=1",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
    )
    (folder / "run").mkdir()
    run = run_experiment(without_hydra(config), folder / "run", overrides)
    assert (run.status, run.iteration) == ("finished", 1)
    losses = [run.metrics["loss/discriminator"], run.metrics["loss/generator"]]
    assert torch.tensor(losses).isfinite().all()


def trains_or_is_refused(folder: Path, refusal: str | None, *overrides: str) -> None:
    """One iteration, or, where a refusal is expected, one paragraph that contains it, and no folder."""
    if refusal is None:
        one_iteration(folder, *overrides)
        return
    with pytest.raises(UserError, match=refusal) as caught:
        one_iteration(folder, *overrides)
    assert "\n" not in str(caught.value)
    assert not (folder / "run").exists()


def with_data(folder: Path, patch: pytest.MonkeyPatch, *overrides: str) -> list[str]:
    """The overrides, and those that point their data set to small files that are written here."""
    source = composed(*overrides).dataset.source
    root = folder / "data"
    here = [f"dataset.root={root}"]
    cached = [f"dataset.cache_dir={folder / 'cache'}", "dataset.image_size=8"]
    match source["_target_"].rpartition(".")[2]:
        case "TorchvisionSource":
            write_set(root, source.name, patch)
            return [*overrides, *here]
        case "StackedMNIST":
            write_set(root, "MNIST", patch)
            return [*overrides, *here, "dataset.source.count=20"]
        case "CelebA":
            write_pictures(root / "celeba" / "img_align_celeba", height=22, width=18)
            return [*overrides, *here, *cached]
        case "Array":
            root.mkdir()
            np.save(root / "array.npy", np.arange(20 * 64, dtype=np.float32).reshape(20, 8, 8))
            return [*[text for text in overrides if not text.startswith("dataset.root=")], f"{here[0]}/array.npy"]
        case "Table":
            root.mkdir()
            header = ",".join(f"p{place}" for place in range(64))
            rows = np.random.default_rng(0).integers(0, 256, (20, 64))
            np.savetxt(root / "table.csv", rows, "%d", ",", header=header, comments="")
            return [*[text for text in overrides if not text.startswith("dataset.root=")], f"{here[0]}/table.csv"]
        case "ImageFolder":
            write_pictures(root)
            return [*[text for text in overrides if not text.startswith("dataset.root=")], *here, *cached]
    return list(overrides)


def test_all_groups_are_found() -> None:
    assert {"dataset", "loss", "network", "regularizer", "conditioning", "hardware", "experiment"} <= OPTIONS.keys()
    assert all(OPTIONS.values())


@pytest.mark.parametrize(("group", "name"), ALL_OPTIONS)
def test_every_option_composes_and_fits_the_signatures(group: str, name: str) -> None:
    config = composed(*choose(group, name))
    assert group in MANY_VALUED or config.hydra.runtime.choices[group] == name
    if group in NAMED:
        assert config[group].name == name


def test_an_option_that_does_not_fit_would_be_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "loss"
    folder.mkdir()
    content = (CONF / "loss" / "vanilla.yaml").read_text()
    (folder / "mine.yaml").write_text(content.replace("saturating: ${", "saturation: ${"))
    with pytest.raises(UserError, match=r"loss\.objective\.saturation"):
        compose(Sources("train", extra=(tmp_path,)), ["loss=mine"], TRAINING)


def refusal_of_network(loss: str, network: str) -> str | None:
    """Why a loss can't train a network, in some of the words that say so."""
    if loss in ("began", "ebgan") and network not in AUTOENCODERS:
        return "needs a discriminator whose logit is minus an energy"
    if loss == "acgan" and network == "dirac":
        return "this generator is told none"
    if network in AUTOENCODERS:
        return {
            "pacgan": r"scores single samples; use loss\.packing=1",
            "acgan": "outputs are 1, its logit, or 4",
            "infogan": "outputs are 1, its logit, or 4",
        }.get(loss)
    return None


# What trains together in other ways is in test_cross_product.py.
PAIRS = [
    (loss, network)
    for loss in OPTIONS["loss"]
    for network in OPTIONS["network"]
    if loss == "vanilla" or network == "mlp" or refusal_of_network(loss, network)
]


@pytest.mark.parametrize(("loss", "network"), PAIRS)
def test_every_loss_and_every_network_train(tmp_path: Path, loss: str, network: str) -> None:
    data = {"conv1d": ["dataset=sines"], "course": ["dataset=digits", "dataset.image_size=28"]}
    overrides = [*data.get(network, ["dataset=digits"]), f"loss={loss}", f"network={network}"]
    trains_or_is_refused(tmp_path, refusal_of_network(loss, network), *overrides)


def refusal_of_conditioning(loss: str, conditioning: str) -> str | None:
    """Why a loss, with the network it brings along, can't be conditioned so."""
    if loss == "pacgan" and conditioning == "auxiliary":
        return "classification scores single samples"
    if loss in ("began", "ebgan"):
        return {"auxiliary": "outputs are 1, its logit, or 4", "projection": "no features to project labels on"}.get(
            conditioning
        )
    return None


@pytest.mark.parametrize("conditioning", [name for name in OPTIONS["conditioning"] if name != "none"])
@pytest.mark.parametrize("loss", OPTIONS["loss"])
def test_every_loss_trains_with_labels(tmp_path: Path, loss: str, conditioning: str) -> None:
    refusal = refusal_of_conditioning(loss, conditioning)
    trains_or_is_refused(tmp_path, refusal, f"loss={loss}", f"conditioning={conditioning}")


@pytest.mark.parametrize("dataset", OPTIONS["dataset"])
def test_labels_are_asked_of_data_sets_that_have_them(dataset: str) -> None:
    asks_for_labels("projection", dataset)


@pytest.mark.parametrize("conditioning", [name for name in OPTIONS["conditioning"] if name != "none"])
def test_every_conditioning_asks_for_labels(conditioning: str) -> None:
    asks_for_labels(conditioning, "digits")
    asks_for_labels(conditioning, "swiss_roll")


def asks_for_labels(conditioning: str, dataset: str) -> None:
    """A data set with labels tells how many classes there are; one without is refused, unless the user says it."""
    overrides = [*choose("dataset", dataset), f"conditioning={conditioning}"]
    classes = raw("dataset", dataset)["classes"]
    if classes != "${count:${dataset.conditions}}" and classes:
        assert composed(*overrides).conditioning.classes == classes
        return
    message = rf"^conditioning={conditioning} needs labels, but dataset={dataset} has none .*conditioning=none"
    with pytest.raises(UserError, match=message):
        composed(*overrides)
    assert composed(*overrides, "dataset.classes=3").conditioning.classes == 3
    if classes:
        table = ["dataset.labels=y"] if "labels" in raw("dataset", dataset) else []
        named = [*table, "dataset.conditions=[age,size]"]
        if conditioning == "auxiliary":
            with pytest.raises(UserError, match=r"^dataset\.conditions are numbers, but the head classification names"):
                composed(*overrides, *named)
        else:
            assert composed(*overrides, *named).conditioning.classes == 2


def test_a_loss_that_conditions_asks_for_labels_too() -> None:
    with pytest.raises(UserError, match=r"^conditioning=auxiliary needs labels, but dataset=swiss_roll has none"):
        composed("loss=acgan", "dataset=swiss_roll")
    with pytest.raises(UserError, match=r"^loss=acgan needs labels, but dataset=swiss_roll has none"):
        composed("loss=acgan", "dataset=swiss_roll", "conditioning=none")
    assert composed("loss=vanilla", "dataset=swiss_roll", "conditioning=none").conditioning.classes == 0


@pytest.mark.parametrize("name", OPTIONS["regularizer"])
def test_every_regularizer_trains_with_the_vanilla_loss(tmp_path: Path, name: str) -> None:
    overrides = ["loss=vanilla", *choose("regularizer", name)]
    assert list(composed(*overrides).regularizer) == list(raw("regularizer", name))
    one_iteration(tmp_path, *overrides)


@pytest.mark.parametrize("name", OPTIONS["dataset"])
def test_every_data_set_trains_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    one_iteration(tmp_path, *with_data(tmp_path, monkeypatch, *choose("dataset", name)))


@pytest.mark.parametrize("name", OPTIONS["experiment"])
def test_every_experiment_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    one_iteration(tmp_path, *with_data(tmp_path, monkeypatch, f"experiment={name}"))


@pytest.mark.parametrize("name", OPTIONS["hardware"])
def test_hardware_changes_the_trainer_alone(name: str) -> None:
    config, default = (plain(OmegaConf.masked_copy(c, [k for k in c if k != "hydra"])) for c in _pair(name))
    assert {key for key in config if config[key] != default[key]} <= {"trainer"}
    assert raw("hardware", name).items() <= config["trainer"].items()


def _pair(name: str) -> tuple[DictConfig, DictConfig]:
    return composed(f"hardware={name}"), composed()


def test_cpu_hardware_runs(tmp_path: Path) -> None:
    one_iteration(tmp_path, "hardware=cpu")


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
        if isinstance(entry, str):  # an option of the same group, which the file starts from
            continue
        ((group, option),) = entry.items()
        if default_choices.get(group.removeprefix("override ").lstrip("/")) == option:
            found.append(group)
    for key, value in leaves(content).items():
        if OmegaConf.select(baseline, key) == (OmegaConf.create(value) if isinstance(value, list) else value):
            found.append(key)
    return found


def baseline_of(content: dict[str, Any]) -> DictConfig:
    """What the options that an experiment chooses amount to without the rest of its file."""
    entries = [{"experiment": entry} if isinstance(entry, str) else entry for entry in content.get("defaults", [])]
    chosen = [next(iter(entry.items())) for entry in entries]
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
        assert OmegaConf.select(config, key) == OmegaConf.create({"value": value}).value


# Recipes.


def test_the_order_of_a_loss_and_its_network_is_free() -> None:
    for overrides in (("loss=wgan_gp", "network=dcgan"), ("network=dcgan", "loss=wgan_gp")):
        assert composed(*overrides).model.discriminator.norm == "none"
    assert composed("loss=began", "network=dcgan_autoencoder").network.name == "dcgan_autoencoder"
    assert composed("loss=began", "dataset=ring").network.name == "mlp_autoencoder"
    assert composed("loss=wgan_gp", "dataset=ring").network.name == "toy"
    assert composed("dataset=ring", "network=mlp").network.name == "mlp"


def test_nor_has_the_courses() -> None:
    assert composed("experiment=course_w3").network.discriminator.norm == "none"
    assert composed("network=course").network.discriminator.norm == "batch"  # which is what there was to take away


LOSSES, LATENTS = "gan_lightning.losses.", "gan_lightning.sampling."
Node = tuple[str, dict[str, Any]]  # a target and its arguments


def node(target: str, /, **arguments: Any) -> Node:
    return target, arguments


def schedule(kind: str, start: float, end: float) -> dict[str, Any]:
    """A schedule over the whole run."""
    return {"_target_": f"gan_lightning.schedules.{kind}", "start": start, "end": end}


def adam(lr: Any, *betas: Any) -> Node:
    return node("torch.optim.Adam", lr=lr, betas=list(betas))


NORMAL = node(LATENTS + "Normal")


@dataclass(frozen=True)
class Recipe:
    """What a loss's file amounts to; what is left out is as in conf/train.yaml."""

    objective: Node
    optimizer: Node
    discriminator_optimizer: Node | None = None  # where it differs
    n_critic: int = 1
    boosts: tuple[int, int, int] | None = None
    regularizers: dict[str, Node] = field(default_factory=dict)
    heads: dict[str, Node] = field(default_factory=dict)
    latents: Node = NORMAL
    latent_dim: int | None = None
    packing: int = 1
    network: str = "mlp"
    norm: str | None = None
    error: str | None = None
    conditioning: str = "none"


VANILLA = node(LOSSES + "Vanilla", saturating=False, label_smoothing=0.0)
PLAIN_VANILLA = node(LOSSES + "Vanilla", label_smoothing=0.0)
DCGAN = adam(2e-4, 0.5, 0.999)
R3GAN = adam(schedule("Cosine", 2e-4, 5e-5), 0.0, schedule("Cosine", 0.9, 0.99))
RECIPES = {
    "vanilla": Recipe(VANILLA, DCGAN),
    "minimax": Recipe(node(LOSSES + "Vanilla", saturating=True, label_smoothing=0.0), DCGAN),
    "lsgan": Recipe(node(LOSSES + "LeastSquares", a=0.0, b=1.0, c=1.0), DCGAN),
    "hinge": Recipe(node(LOSSES + "Hinge"), adam(schedule("Linear", 2e-4, 0), 0.0, 0.9), n_critic=5, norm="spectral"),
    "ragan": Recipe(node(LOSSES + "RelativisticAverage", inner="softplus"), DCGAN),
    "r3gan": Recipe(
        node(LOSSES + "RelativisticPaired", inner="softplus"),
        R3GAN,
        regularizers={
            name: node(LOSSES + name.upper(), weight=schedule("Cosine", 0.05, 0.005), every=1) for name in ("r1", "r2")
        },
        norm="none",
    ),
    "r1": Recipe(
        PLAIN_VANILLA,
        node("torch.optim.RMSprop", lr=1e-4, alpha=0.99),
        regularizers={"r1": node(LOSSES + "R1", weight=20.0, every=1)},
        norm="none",
    ),
    "dragan": Recipe(
        PLAIN_VANILLA,
        adam(1e-4, 0.5, 0.9),
        regularizers={"dragan": node(LOSSES + "DRAGAN", weight=10.0, scale=0.5, every=1)},
        latents=node(LATENTS + "Uniform", bound=1.0),
        norm="none",
    ),
    "wgan_clip": Recipe(
        node(LOSSES + "Wasserstein"),
        node("torch.optim.RMSprop", lr=5e-5),
        n_critic=5,
        boosts=(100, 25, 500),
        regularizers={"weight_clipping": node(LOSSES + "WeightClipping", bound=0.01)},
    ),
    "wgan_gp": Recipe(
        node(LOSSES + "Wasserstein"),
        adam(1e-4, 0.5, 0.9),
        n_critic=5,
        regularizers={"gradient_penalty": node(LOSSES + "GradientPenalty", weight=10.0, target=1.0, every=1)},
        norm="none",
    ),
    "wgan_lp": Recipe(
        node(LOSSES + "Wasserstein"),
        adam(1e-4, 0.5, 0.9),
        n_critic=5,
        regularizers={"lipschitz_penalty": node(LOSSES + "LipschitzPenalty", weight=10.0, every=1)},
        norm="none",
    ),
    "pacgan": Recipe(PLAIN_VANILLA, DCGAN, packing=2),
    "acgan": Recipe(
        PLAIN_VANILLA,
        DCGAN,
        heads={
            "classification": node(
                LOSSES + "Classification", outputs=10, discriminator_weight=1.0, generator_weight=1.0, on_fakes=True
            )
        },
        conditioning="auxiliary",
    ),
    "infogan": Recipe(
        PLAIN_VANILLA,
        adam(1e-3, 0.5, 0.999),
        adam(2e-4, 0.5, 0.999),
        heads={
            "information": node(LOSSES + "MutualInformation", outputs=12, categorical=[10], continuous=2, weight=1.0)
        },
        latents=node(LATENTS + "Coded", categorical=[10], continuous=2),
        latent_dim=74,  # 62 of noise
    ),
    "began": Recipe(
        node(LOSSES + "BEGAN", gamma=0.5, k_rate=0.001),
        adam(schedule("Linear", 1e-4, 0), 0.9, 0.999),
        network="mlp_autoencoder",
        error="l1",
    ),
    "ebgan": Recipe(
        node(LOSSES + "EnergyBased", margin=1.0),
        DCGAN,
        heads={"pulling_away": node(LOSSES + "PullingAway", outputs=32, weight=0.1)},
        network="mlp_autoencoder",
        error="l2",
    ),
}


def is_exactly(value: dict[str, Any], expected: Node) -> bool:
    """Whether a node has that target and those arguments, and none besides but what makes it faster."""
    arguments = {name: item for name, item in value.items() if name not in ("_target_", "_partial_", "fused")}
    return (value["_target_"], arguments) == expected


def test_every_loss_has_a_recipe() -> None:
    assert sorted(RECIPES) == OPTIONS["loss"]


@pytest.mark.parametrize("loss", RECIPES)
def test_recipes_are_the_papers(loss: str) -> None:
    config, recipe = composed(f"loss={loss}", "~dataset_loss"), RECIPES[loss]
    values = plain(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
    model, network = values["model"], values["network"]
    assert is_exactly(model["objective"], recipe.objective)
    assert is_exactly(model["generator_optimizer"], recipe.optimizer)
    # Nothing else may change the updates; torch's defaults are the papers' for the rest.
    assert is_exactly(model["discriminator_optimizer"], recipe.discriminator_optimizer or recipe.optimizer)
    for place, expected in (("regularizers", recipe.regularizers), ("heads", recipe.heads)):
        assert model[place].keys() == expected.keys()
        assert all(is_exactly(model[place][name], expected[name]) for name in expected)
    assert is_exactly(model["latents"], recipe.latents)
    boost, first, every = recipe.boosts or (0, 25, 500)
    counts = node(
        "gan_lightning.training.CriticUpdates",
        n_critic=recipe.n_critic,
        boost=boost,
        boost_first=first,
        boost_every=every,
    )
    assert is_exactly(model["critic_updates"], counts)
    assert values["data"]["critic_updates"] == model["critic_updates"]
    assert values["data"]["packing"] == values["loss"]["packing"] == recipe.packing
    assert (network["name"], values["conditioning"]["name"]) == (recipe.network, recipe.conditioning)
    assert network["latent_dim"] == model["generator"]["latent_dim"] == (recipe.latent_dim or 64)
    assert model["discriminator"]["outputs"] == 1 + sum(head["outputs"] for head in model["heads"].values())
    assert model["discriminator"].get("encoder", model["discriminator"])["packing"] == recipe.packing
    assert (values["loss"]["discriminator_norm"], values["loss"]["reconstruction_error"]) == (recipe.norm, recipe.error)
    assert values["ema"]["decay"] == 0.999


@pytest.mark.parametrize("network", AUTOENCODERS)
def test_the_error_of_a_recipe_reaches_its_network(network: str) -> None:
    for loss in ("began", "ebgan"):
        assert (
            composed(f"loss={loss}", f"network={network}", "~dataset_loss").network.discriminator.error
            == RECIPES[loss].error
        )
    assert composed(f"network={network}").network.discriminator.error == "l2"


@pytest.mark.parametrize("network", ["mlp", "dcgan", "resnet", "toy", "conv1d", "course"])
def test_the_norm_of_a_recipe_reaches_its_networks(network: str) -> None:
    for loss, recipe in ((name, RECIPES[name]) for name in ("vanilla", "hinge", "wgan_gp")):
        norm = composed(f"loss={loss}", f"network={network}").network.discriminator.norm
        assert norm == (recipe.norm or raw("network", network)["discriminator"]["norm"].partition(",")[2].rstrip("}"))


# The course's labs: what public copies of its notebooks have.

COURSE = {
    "course_w1": {"lr": 1e-5, "betas": [0.9, 0.999], "epochs": 200, "network": "mlp"},
    "course_w2": {"epochs": 50, "width": 16},
    "course_w3": {"epochs": 500, "width": 64, "loss": "wgan_gp", "norm": "none", "eps": None},
    "course_w3_sn": {"epochs": 50, "width": 16, "spectral": True},
    "course_w4a": {"betas": [0.9, 0.999], "epochs": 200, "width": 64, "conditioning": "concat"},
}
OF_A_LAB = {"lr": 2e-4, "betas": [0.5, 0.999], "loss": "vanilla", "network": "course", "conditioning": "none"} | {
    "norm": "batch",
    "eps": 2e-8,
    "spectral": False,
}


def test_every_lab_is_known() -> None:
    assert [name for name in OPTIONS["experiment"] if name.startswith("course_")] == sorted(COURSE)


@pytest.mark.parametrize("name", COURSE)
def test_experiments_are_the_courses(name: str) -> None:
    config, lab = composed(f"experiment={name}"), OF_A_LAB | COURSE[name]
    chosen = [config[group].name for group in ("dataset", "loss", "network", "conditioning")]
    assert chosen == ["mnist", lab["loss"], lab["network"], lab["conditioning"]]
    assert (config.dataset.batch_size, config.network.latent_dim) == (128, 64)
    assert (config.trainer.max_epochs, config.trainer.max_steps) == (lab["epochs"], -1)
    for which in ("generator", "discriminator"):
        assert config.loss.optimizer[which].lr == lab["lr"]
        assert list(config.loss.optimizer[which].betas) == lab["betas"]
    assert "eps" not in config.loss.optimizer.generator
    assert config.loss.optimizer.discriminator.get("eps") == lab["eps"]
    if lab["network"] == "course":
        discriminator = config.network.discriminator
        assert config.network.generator.width == 64
        assert [discriminator[key] for key in ("width", "norm", "spectral")] == [
            lab[key] for key in ("width", "norm", "spectral")
        ]


def test_a_labs_width_is_one_of_its_own_networks() -> None:
    told = r"^network\.discriminator\.width is not a key of MLPDiscriminator .* It stands in .*course_w2\.yaml"
    with pytest.raises(UserError, match=told):
        composed("experiment=course_w2", "network=mlp")
    assert composed("experiment=course_w2", "network=mlp", "~network.discriminator.width").network.name == "mlp"


@pytest.mark.parametrize(("earlier", "name"), [("coursera_week1", "course_w1"), ("coursera_week3", "course_w3")])
def test_earlier_names_of_labs(earlier: str, name: str) -> None:
    assert without_hydra(composed(f"experiment={earlier}")) == without_hydra(composed(f"experiment={name}"))


def test_a_doubled_eps_is_a_halved_loss() -> None:
    """The course's discriminator minimises half of the sum that `Vanilla` is: to Adam the same, to the last bit."""
    start = torch.linspace(-2, 2, 9)
    weights = {}
    for scale, eps in ((0.5, 1e-8), (1.0, 2e-8), (1.0, 1e-8)):
        weight = torch.nn.Parameter(start.clone())
        optimizer = torch.optim.Adam([weight], lr=0.1, eps=eps)
        for _ in range(20):
            optimizer.zero_grad()
            (scale * 1e-8 * (weight**4).sum()).backward()  # so small that eps matters
            optimizer.step()
        weights[scale, eps] = weight.detach()
    assert torch.equal(weights[0.5, 1e-8], weights[1.0, 2e-8])
    assert not torch.equal(weights[0.5, 1e-8], weights[1.0, 1e-8])
