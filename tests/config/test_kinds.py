"""What can be built at each place, of all that can be imported from the packages that a configuration may name."""

import pkgutil
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest

from gan_lightning.config.annotations import Expectation, alternatives_of
from gan_lightning.config.check import PACKAGES, _objection
from gan_lightning.config.kinds import _class_at, objection, require_class
from gan_lightning.config.schema import Training
from gan_lightning.config.signature import UnreadableError, _folders, _read, static_signature

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of what is imported, some is deprecated

# Where what may be built at a place is defined.
PLACES = {
    "Training.regularizer": ["gan_lightning.losses"],
    "Training.heads": ["gan_lightning.losses"],
    "Training.latents": ["gan_lightning.sampling"],
    "Training.trainer": ["pytorch_lightning.trainer.trainer.Trainer"],
    "Training.ema": ["gan_lightning.training.ema.EMA"],
    "Training.checkpoint": ["gan_lightning.training.checkpoint.RunCheckpoint"],
    "Training.samples": ["gan_lightning.watching.samples.SampleGrids"],
    "Training.metric": ["gan_lightning.metrics"],
    "Training.extractor": ["gan_lightning.metrics"],
    "Training.evaluation": ["gan_lightning.watching.evaluation.Evaluation"],
    "Training.health": ["gan_lightning.watching.health.HealthCheck"],
    "Training.dashboard": ["gan_lightning.watching.dashboard.Dashboard"],
    "Training.logger": ["gan_lightning.watching", "pytorch_lightning.loggers"],
    "Training.callbacks": ["gan_lightning.watching", "pytorch_lightning.callbacks"],
    "Training.model": ["gan_lightning.training.gan.GAN"],
    "Training.data": ["gan_lightning.data.datamodule.GANDataModule"],
    "Dataset.source": ["gan_lightning.data"],
    "Dataset.held_out": ["gan_lightning.data"],
    "Network.generator": ["gan_lightning.networks", "torch.nn", "torchvision.ops", "torchvision.models"],
    "Network.discriminator": ["gan_lightning.networks", "torch.nn", "torchvision.ops", "torchvision.models"],
    "Loss.critic_updates": ["gan_lightning.training.critic_updates.CriticUpdates"],
    "Loss.objective": ["gan_lightning.losses"],
    "Optimizers.generator": ["torch.optim"],
    "Optimizers.discriminator": ["torch.optim"],
}
# What runs, downloads, reads pickles or starts processes when it is made or trained with. None is in PLACES anyway.
DANGEROUS = ("cli", "demos", "serve", "strategies", "tuner", "datasets", "io", "hub", "commands")


class Found(NamedTuple):
    """A class, by the path at which it is defined, and one by which a configuration might name it."""

    defined: str
    target: str


def modules(package: str) -> Iterator[str]:
    yield package
    for info in pkgutil.iter_modules(_folders(package)):
        if not info.name.startswith("_"):
            yield from modules(f"{package}.{info.name}")


@cache
def found() -> tuple[list[Found], int]:
    """All classes that a `_target_` can lead to, and how many names lead to something else."""
    classes: dict[str, Found] = {}
    refused = 0
    for target in (target for package in PACKAGES for target in targets(package)):
        try:
            require_class(target, PACKAGES)
        except LookupError:
            refused += 1
            continue
        path = defined(target)
        classes.setdefault(path, Found(path, target))
    return list(classes.values()), refused


def defined(target: str) -> str:
    """Where a class is defined."""
    definition = _class_at(target)
    if definition is not None:
        return f"{definition.module}.{definition.node.name}"
    found = pkgutil.resolve_name(target)
    return f"{found.__module__}.{found.__qualname__}"


def targets(package: str) -> Iterator[str]:
    """All names in the modules of a package, but for those by which one thing is imported in several modules."""
    seen = set()
    for module in modules(package):
        try:
            bindings = _read(module).bindings
        except UnreadableError:  # an extension module
            continue
        for name, binding in bindings.items():
            what = binding if isinstance(binding, str) else f"{module}.{name}"
            if what not in seen:
                seen.add(what)
                yield f"{module}.{name}"


def wanted() -> dict[str, list]:
    """What each place of the configuration asks for."""
    places = defaultdict(list)
    for schema in ("Training", "Dataset", "Network", "Loss", "Optimizers"):
        for parameter in static_signature(f"{Training.__module__}.{schema}").parameters:
            for one in alternatives_of(parameter.annotation, parameter.module):
                places[f"{schema}.{parameter.name}"] += [each for each in (one, *one.values) if each.kind]
    return {place: asked for place, asked in places.items() if asked}


def buildable(place: str) -> list[str]:
    asked = wanted()[place]
    return [
        each.defined
        for each in found()[0]
        if any(is_fitting(target, one) for one in asked for target in {each.target, each.defined})
    ]


def is_fitting(target: str, one: Expectation) -> bool:
    """Whether a class is what is asked for; one that a module has for type checkers alone is nothing."""
    try:
        return _objection(target, one, ()) is None
    except LookupError:
        return False


def test_every_place_is_listed():
    assert wanted().keys() == PLACES.keys()


def test_the_walk_sees_everything():
    classes, refused = found()
    assert len(classes) > 1000
    assert refused > 3000  # functions, methods, private names, modules, constants, and what is imported from elsewhere
    paths = {each.defined for each in classes}
    assert {"gan_lightning.losses.objectives.Vanilla", "pytorch_lightning.cli.LightningCLI"} <= paths
    assert not [path for path in paths if not path.startswith(tuple(f"{package}." for package in PACKAGES))]


@pytest.mark.parametrize("place", PLACES)
def test_what_can_be_built(place):
    built = buildable(place)
    assert built
    assert [path for path in built if not path.startswith(tuple(PLACES[place]))] == []
    assert [path for path in built if set(path.split(".")[1:-1]) & set(DANGEROUS)] == []


@pytest.mark.parametrize(
    "target",
    [
        "gan_lightning.commands.launcher.subprocess.Popen",
        "gan_lightning.commands.evaluate.OmegaConf",
        "torchvision.datasets.mnist.Path",
        "pytorch_lightning.trainer.trainer.log",
        "torch.nn.modules.module.itertools.count",
    ],
)
def test_what_a_package_imports_is_not_its_own(target):
    with pytest.raises(LookupError):
        require_class(target, PACKAGES)


def test_a_class_that_source_does_not_tell_is_asked_itself():
    assert objection("gan_lightning.errors.UserError", "gan_lightning.data.Source") == "UserError has no load"
    assert objection("gan_lightning.errors.UserError", "torch.nn.Module") == "UserError is none"
    assert (
        objection("gan_lightning.data.Source", "gan_lightning.data.Source") == "Source only says what such a class has"
    )
