"""Objectives, regularizers, networks and conditionings: any three of them together train finitely or are refused.

The parts are those of conf/, found by listing its folders, at sizes of a few units; the steps are those of the module.
Of the combinations of all four a quarter is tried, in which any three meet.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import combinations as choices
from itertools import product
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from gan_lightning.config.build import build
from gan_lightning.config.compose import compose
from gan_lightning.config.places import CONF
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError
from gan_lightning.schedules import Clock
from gan_lightning.training.compatibility import refuse_data
from gan_lightning.training.gan import GAN

pytestmark = pytest.mark.slow

LOSSES, REGULARIZERS, NETWORKS, CONDITIONINGS = (
    sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    for group in ("loss", "regularizer", "network", "conditioning")
)
CONVOLUTIONAL = ("course", "dcgan", "dcgan_autoencoder", "r3gan", "resnet")  # which take images alone
OF_ONE_SIZE = {"course": (2, 28, 28)}
OF_SIGNALS = "conv1d"  # alone
# Each kind has a network for any three of the others.
NETWORKS.sort(key=lambda name: (name == OF_SIGNALS, name in CONVOLUTIONAL))
INNERS = ("softplus", "least_squares", "hinge")  # of the recipes whose objective has an inner loss
OF_THE_NETWORKS = ("network.generator", "network.discriminator", "heads")
OF_THE_LOSS = ("packing", "discriminator_norm", "reconstruction_error")  # that reach the networks
NODES = ["network", "dataset", "conditioning", "loss", "heads", "latents", "regularizer"]
CLASSES, BATCH = 3, 4
IMAGE, SIGNAL, POINT = (2, 8, 8), (2, 16), (2,)
TRIED = [
    *((network, shape) for network in NETWORKS for shape in (OF_ONE_SIZE.get(network, IMAGE), POINT)),
    *((network, SIGNAL) for network in ("mlp", "dcgan", OF_SIGNALS)),
]
SMALL = {"hidden_dim": 4, "blocks": 1, "width": 4, "expansion": 1, "group_width": 2}
LATENT_DIM, EMBEDDING_DIM = 14, 3
CLOCK = Clock(1, 4, 10, 40)

# All that may be refused, by some words of the reason.
REASONS = (
    "needs a discriminator whose logit is minus an energy",
    "penalises each sample's gradient",
    "clips weights that spectral normalisation",
    "scores single samples",
    "alters single samples",
    "alters images, but the data set has",
    "is told labels, but this generator takes none",
    "this generator is told none",
    "DiffAugment needs images",
    "networks of convolutions need images",
    "networks of convolutions in two dimensions need images",
    "networks of convolutions in one dimension need signals",
    "which leaves nothing to condition",
    "has no features to project labels on",
    "an auto-encoder's outputs are 1",
)


def composed(*overrides: str) -> DictConfig:
    """The nodes that combinations are made of: instantiating one copies all of the config each time."""
    return OmegaConf.masked_copy(compose(Sources("train"), list(overrides), TRAINING), NODES)


@cache
def recipes() -> dict[str, DictConfig]:
    """The recipes of conf/loss/ whose objective, heads, latents or demands on the networks differ."""
    found: dict[str, tuple[Any, str, DictConfig]] = {}
    for loss in LOSSES:
        if loss == "acgan":
            continue  # the vanilla objective with conditioning=auxiliary
        as_it_is = composed(f"loss={loss}", "~dataset_loss")
        for inner in INNERS if "inner" in as_it_is.loss.objective else (None,):
            config = as_it_is.copy()
            if inner:
                config.loss.objective.inner = inner
            parts = [config.loss.objective, config.heads, config.latents, *(config.loss[key] for key in OF_THE_LOSS)]
            found.setdefault(str(parts), (parts, f"{loss}{f'({inner})' if inner else ''}", config))
    return {name: config for _, name, config in found.values()}


@cache
def regularizers() -> dict[str, dict[str, Any]]:
    """Each alone, with its schedules at one point of the clock, and none."""
    config = composed(f"regularizer=[{','.join(REGULARIZERS)}]")
    parts = build(config, "regularizer")
    assert sorted(parts) == REGULARIZERS
    return {"none": {}, **{name: {name: part} for name, part in parts.items()}}


def shrunk(config: DictConfig, shape: tuple[int, ...]) -> DictConfig:
    """The config with samples of a shape, and networks as small as can be."""

    def walk(node: Any) -> None:
        for key in node if isinstance(node, DictConfig) else ():
            if not OmegaConf.is_interpolation(node, key):
                if key in SMALL:
                    node[key] = SMALL[key]
                walk(node[key])

    with open_dict(config):
        walk(config.network)
        config.network.latent_dim = LATENT_DIM
        if "embedding_dim" in config.network:
            config.network.embedding_dim = EMBEDDING_DIM
        config.dataset.sample_shape, config.dataset.classes = list(shape), CLASSES
    return config


def told(config: DictConfig, recipe: DictConfig) -> DictConfig:
    """The config of networks for a recipe: packs, heads and normalisation as it asks for."""
    config = config.copy()
    with open_dict(config):
        config.latents = recipe.latents
        for key in OF_THE_LOSS:
            config.loss[key] = recipe.loss[key]
        for name, head in recipe.heads.items():
            config.heads[name] = head
            if name == "pulling_away":
                config.heads[name].outputs = config.network.get("embedding_dim", 1)
    return config


def meet(*places: int) -> bool:
    """Whether a combination is tried, by the places of its four in their lists: for any three one conditioning."""
    return sum(places) % len(CONDITIONINGS) == 0


def combinations(network: str, shape: tuple[int, ...]) -> Iterator[tuple[str, Callable[[], GAN]]]:
    """The name of each combination to try, and a function that makes its module.

    Building takes longer than a step: equal networks and objectives are shared, and train on.
    """
    data, place = "digits" if len(shape) == 3 else "ring", NETWORKS.index(network)
    objectives = [(build(recipe, "loss.objective"), build(recipe, "latents")) for recipe in recipes().values()]
    for c, conditioning in enumerate(CONDITIONINGS):
        base = shrunk(composed(f"network={network}", f"conditioning={conditioning}", f"dataset={data}"), shape)
        built: dict[str, Callable[..., GAN]] = {}
        for o, (recipe_name, recipe) in enumerate(recipes().items()):
            asked = str([recipe.heads, recipe.latents, *(recipe.loss[key] for key in OF_THE_LOSS)])
            if asked not in built:
                built[asked] = maker(told(base, recipe))
            for r, (name, regularizer) in enumerate(regularizers().items()):
                if meet(place, c, o, r):
                    made = partial(built[asked], *objectives[o], regularizer)
                    yield f"{recipe_name} x {name} x {network} x {conditioning}", made


def maker(config: DictConfig) -> Callable[[Any, Any, Any], GAN]:
    """A function of the other parts that makes a module of a config's networks, or says why there are none."""
    try:
        generator, discriminator, heads = (build(config, key) for key in OF_THE_NETWORKS)
    except (UserError, ValueError) as error:
        reason = error

        def refuse(*parts: Any) -> GAN:
            raise reason

        return refuse
    sgd = torch.optim.SGD
    return lambda objective, latents, regularizers: GAN(
        generator, discriminator, objective, sgd, sgd, regularizers=regularizers, heads=heads, latents=latents
    )


def step(model: GAN, shape: tuple[int, ...]) -> None:
    """An iteration of the module on random samples."""
    real, labels = torch.rand(BATCH, *shape) * 2 - 1, torch.arange(BATCH) % CLASSES
    regularizers = model.timetable.at(CLOCK).regularizers
    refuse_data(model.parts, model.adapter(regularizers), real)
    optimizers = [torch.optim.SGD(network.parameters(), lr=1e-3) for network in (model.generator, model.discriminator)]
    mean = model.discriminator_step(real, optimizers[1], labels, regularizers=regularizers)
    model.generator_step(real, optimizers[0], labels, regularizers=regularizers, real_mean=mean)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    terms = model.means.take()
    assert all(torch.tensor(value).isfinite() for value in terms.values()), terms
    expected = {f"loss/discriminator/{name}" for name, part in model.regularizers.items() if hasattr(part, "weight")}
    assert {"loss/discriminator", "loss/generator", *expected} <= terms.keys()


@pytest.mark.parametrize(("network", "shape"), TRIED)
def test_combinations_take_a_finite_iteration_or_are_refused(network: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    stepped: set[str] = set()
    for name, make in combinations(network, shape):
        try:
            step(make(), shape)
            stepped.add(name)
        except Exception as error:
            if not (isinstance(error, UserError | ValueError) and any(reason in str(error) for reason in REASONS)):
                raise AssertionError(f"{name}: {error}") from error
    image = OF_ONE_SIZE.get(network, IMAGE)
    fitting = image if network in CONVOLUTIONAL else SIGNAL if network == OF_SIGNALS else shape
    if shape != fitting:
        assert not stepped
    else:  # far from all may be refused
        assert len(stepped) > 25, len(stepped)


@pytest.mark.parametrize("networks", [CONVOLUTIONAL, sorted({*NETWORKS} - {*CONVOLUTIONAL})], ids=["images", "points"])
def test_any_three_are_tried_together(networks: tuple[str, ...]) -> None:
    places = [[*map(NETWORKS.index, networks)], range(len(CONDITIONINGS)), range(len(LOSSES)), range(len(REGULARIZERS))]
    tried = [four for four in product(*places) if meet(*four)]
    assert len(tried) == len(list(product(*places))) / len(CONDITIONINGS)
    for three in choices(range(4), 3):
        found = {tuple(four[place] for place in three) for four in tried}
        assert found == set(product(*(places[place] for place in three)))
