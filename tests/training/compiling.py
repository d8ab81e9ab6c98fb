"""Compiles in a process of its own, where no types are checked at calls, which torch's compiler can't follow.

compiling.py terms '["loss=wgan_gp"]' …     a line each: what is said of it, if it isn't compiled
compiling.py runs FOLDER                     runs: whole, part, which is gone on with, and eager
"""

import json
import logging
import sys
import warnings
from pathlib import Path

import torch
from small import small
from torch import nn

from gan_lightning.config.compose import compose
from gan_lightning.config.containers import without_hydra
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.runs.parts import build_parts
from gan_lightning.runs.run import experiment
from gan_lightning.training import compiled
from gan_lightning.training.gan import GAN
from gan_lightning.training.minibatches import Minibatch
from gan_lightning.training.terms import EAGER, TermFunctions

GIVEN = ("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "threads=1", "dataset.batch_size=8")


class Looking(nn.Module):
    """What a graph can't hold: a look at a value."""

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        return samples if samples.sum().item() > 0 else samples * 1


def looks(discriminator: Discriminator) -> None:
    discriminator.head = nn.Sequential(Looking(), discriminator.head)


def said_of(overrides: list[str]) -> str:
    """What stands against compiling; nothing if it is done, and the same."""
    own = "own" in overrides
    given = [each for each in overrides if each != "own"]
    parts = build_parts(without_hydra(compose(Sources("train"), small(*GIVEN, *given), TRAINING)))
    parts.data.setup()
    model: GAN = parts.model
    if own:
        looks(model.discriminator)
    samples, labels, *_ = parts.data.loaded.first(8).as_floats()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    heard: list[str] = []
    handler = logging.Handler(logging.WARNING)
    logging.getLogger(compiled.__name__).handlers = [handler]
    handler.emit = lambda record: heard.append(record.getMessage())
    functions = compiled.compiled_terms(model, Minibatch(samples, labels if model.generator.classes else None))
    told = [each for each in heard if not each.startswith("Compiling what")]
    assert (functions is EAGER) is bool(told)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert compiled.is_kept(model, 8) is not bool(told)
    return " ".join(told)


def with_a_hook() -> list[float]:
    """The discriminator's loss before a hook, and after it: as ever, and as a graph that was compiled before."""
    parts = build_parts(without_hydra(compose(Sources("train"), small(*GIVEN, "dataset=ring"), TRAINING)))
    model, minibatch = parts.model, Minibatch(torch.linspace(-1, 1, 16).reshape(8, 2))
    functions = compiled.compiled_terms(model, minibatch)
    assert functions is not EAGER

    def loss(each: TermFunctions) -> float:
        return sum(value.item() for value in compiled.tried_terms(model, each, minibatch, 0).terms.values())

    before = loss(functions)
    model.discriminator.layers[0].register_forward_hook(lambda module, given, found: found * 30)
    return [before, loss(EAGER), loss(functions)]


def run(folder: Path, *overrides: str) -> None:
    given = small(*GIVEN, "loss=wgan_gp", "loss.n_critic=2", *overrides)
    config = compose(Sources("train"), given, TRAINING)
    del config.hydra
    folder.mkdir(exist_ok=True)
    experiment(config, folder, given, Path.cwd())


def main() -> None:
    warnings.simplefilter("error")
    what, *arguments = sys.argv[1:]
    if what == "terms":
        for each in arguments:
            print(json.dumps(said_of(json.loads(each))))
        return
    if what == "hooks":
        print(json.dumps(with_a_hook()))
        return
    folder = Path(arguments[0])
    for name, overrides in {
        "whole": ["speed.compile=true", "trainer.max_steps=4"],
        "part": ["speed.compile=true", "trainer.max_steps=2"],
        "eager": ["trainer.max_steps=4"],
    }.items():
        run(folder / name, *overrides)
    run(folder / "part", "speed.compile=true", "trainer.max_steps=4", f"resume={folder / 'part'}")


if __name__ == "__main__":
    main()
