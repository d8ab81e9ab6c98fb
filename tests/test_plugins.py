"""Other people's packages: who trusts them, what that lets in, and that nothing out of a run's folder adds to it."""

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gan_lightning import UserError, load_generator, plugins, train
from gan_lightning.__main__ import main

NAMES = (f"lab_{number}" for number in range(1000))  # signatures are read once a name

PARTS = """
from dataclasses import dataclass
import torch
from torch import nn
from pytorch_lightning import Callback
from gan_lightning.losses import Vanilla
from gan_lightning.samples import SampleSet
from gan_lightning.types import PositiveInt

@dataclass(frozen=True)
class Softened(Vanilla):
    temperature: float = 1.0

class Net(nn.Module):
    def __init__(self, latent_dim: PositiveInt, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(latent_dim, width), nn.ReLU(), nn.Linear(width, 2))
    def forward(self, latents):
        return self.layers(latents)

@dataclass(frozen=True)
class Cross:
    count: PositiveInt = 64
    def load(self) -> SampleSet:
        return SampleSet(torch.eye(2).repeat(self.count // 2, 1))

class Notes(Callback):
    def __init__(self, file: str) -> None:
        self.file = file
    def on_train_end(self, trainer, pl_module):
        with open(self.file, "a") as file:
            file.write(f"{trainer.global_step}\\n")
"""
FILES = {
    "conf/loss/softened.yaml": "# @package _global_\ndefaults: [/loss/vanilla]\nloss:\n  name: softened\n"
    "  objective: {_target_: LAB.parts.Softened, temperature: 2.0}\n",
    "conf/network/net.yaml": "name: net\nlatent_dim: 3\nthreads: 1\n"
    "generator: {_target_: LAB.parts.Net, latent_dim: '${network.latent_dim}'}\n"
    "discriminator: {_target_: torch.nn.Linear, in_features: 2, out_features: 1}\n",
    "conf/dataset/cross.yaml": "# @package _global_\ndefaults: [{override /extractor: identity}]\ndataset:\n"
    "  name: cross\n  source: {_target_: LAB.parts.Cross}\n  held_out: 0\n  classes: 0\n  sample_shape: [2]\n"
    "  batch_size: 8\n  iterations: 100\n  memory_gib: 4.0\n",
    "conf/callbacks/notes.yaml": "notes: {_target_: LAB.parts.Notes, file: notes.txt}\n",
    "conf/experiment/all.yaml": "# @package _global_\nplugins: [LAB]\ndefaults:\n- override /dataset: cross\n"
    "- override /loss: softened\n- override /network: net\n",
}
SHORT = ("trainer.max_steps=2", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "samples.every=9")
ALL = ("dataset=cross", "loss=softened", "network=net")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, from which packages are imported, as `python -m` does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if name.startswith("lab_"):
            del sys.modules[name]


@pytest.fixture
def lab(here: Path) -> str:
    """The name of a package in the current folder with a loss, a network, a data set and a callback."""
    name = next(NAMES)
    for path, text in {"__init__.py": "", "parts.py": PARTS, **FILES}.items():
        file = here / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("LAB", name))
    return name


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that ends with status 2: one paragraph."""
    assert main(arguments) == 2
    told = capsys.readouterr().err.strip()
    assert len(told.splitlines()) == 1, told
    return told


# Who is trusted.


def test_a_package_is_named_by_the_user_the_project_or_itself(here, lab, monkeypatch):
    other, third = (next(NAMES) for _ in range(2))
    (here / f"{other}.py").touch()
    (here / "pyproject.toml").write_text(f"[tool.gan_lightning]\nplugins = ['{other}']\n")
    points = [importlib.metadata.EntryPoint("x", f"{third}.sub:thing", plugins.GROUP)]
    plugins.installed.cache_clear()
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == plugins.GROUP else [])
    assert plugins.granted([lab]) == (lab, other, third)
    assert plugins.granted() == (other, third)
    assert plugins.conf_folders([lab, other]) == (here / lab / "conf",)
    plugins.installed.cache_clear()


def test_the_current_folder_is_looked_in_for_an_installed_script_too(here, lab, monkeypatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in (str(here), "")])
    sys.path_importer_cache.clear()
    assert plugins.granted([lab]) == (lab,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[tool", r"pyproject.toml, whose \[tool.gan_lightning\] names plug-ins, can't be read: "),
        ("[tool.gan_lightning]\nplugin = ['a']", r"has 'plugin' in \[tool.gan_lightning\], which knows plugins alone."),
        ("[tool.gan_lightning]\nplugins = 'a'", "has 'a' for plugins, but a list of packages is wanted"),
        ("[tool.gan_lightning]\nplugins = ['nowhere_x']", r"plugins names nowhere_x, but there is no such package"),
        ("[tool.gan_lightning]\nplugins = ['a.b']", r"plugins names 'a.b', but a package is named there as one"),
    ],
)
def test_mistakes_in_pyproject(here, content, message):
    (here / "pyproject.toml").write_text(content)
    with pytest.raises(UserError, match=message):
        plugins.granted()


def test_a_package_that_is_misspelt(here, lab, capsys):
    told = refused(capsys, f"plugins=[{lab}x]", *SHORT)
    assert f"plugins names {lab}x, but there is no such package" in told
    assert told.endswith(f"Did you mean {lab}?")


# What that lets in.


@pytest.mark.slow
def test_from_training_to_samples_and_back(here, lab, capsys):
    grant = f"plugins=[{lab}]"
    assert main([grant, *ALL, "callbacks=[notes]", *SHORT, "hydra.run.dir=run"]) == 0
    assert "generator 50, discriminator 3" in capsys.readouterr().out
    assert (here / "notes.txt").read_text() == "2\n"
    for untrusted in (["sample", "run=run", "n=4", "out=o.csv"], ["resume=run", "trainer.max_steps=4"]):
        assert re.search(rf"{lab}\.parts\.\w+.*{re.escape(grant)} grants it", refused(capsys, *untrusted))
    evaluation = ["evaluate", "run=run", "samples=30", "intervals=0", "metric=[sliced]"]
    assert f"{grant} grants it" in refused(capsys, *evaluation)
    assert main([*evaluation, grant]) == 0
    assert main(["sample", "run=run", "n=4", "out=o.csv", grant]) == 0
    assert len((here / "o.csv").read_text().splitlines()) in (4, 5)
    assert main(["resume=run", "trainer.max_steps=4", grant]) == 0
    assert load_generator("run", plugins=[lab]).iteration == 4
    assert (here / "notes.txt").read_text() == "2\n4\n"


@pytest.mark.slow
@pytest.mark.parametrize("way", ["own options", "project", "function"])
def test_other_ways_to_trust(here, lab, way, capsys):
    folder: dict[str, Any] = {"config_dir": here / lab / "conf"} if way == "own options" else {}
    if way == "project":
        (here / "pyproject.toml").write_text(f"[tool.gan_lightning]\nplugins = ['{lab}']\n")
    if way == "function":
        folder = {"plugins": [lab]}
    chosen = ("experiment=all",) if way == "own options" else ALL
    assert train(*chosen, *SHORT, **folder).iteration == 2


def test_a_package_that_nobody_trusts(here, lab, capsys):
    config = ["--config-dir", str(here / lab / "conf"), "loss=softened"]
    (here / lab / "conf" / "experiment" / "all.yaml").unlink()
    told = refused(capsys, *config, *SHORT)
    assert f"loss.objective._target_ is '{lab}.parts.Softened', but it must lie in gan_lightning" in told
    assert told.endswith(f"plugins=[{lab}] grants it, if you trust that package with running code.")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+loss.objective.temprature=1", "loss.objective.temprature is not a key of Softened"),
        ("+network.generator.wdith=1", "Did you mean network.generator.width?"),
        ("network.latent_dim=0", "network.latent_dim is 0, but it must be at least 1"),
        ("+network.generator.width=x", "network.generator.width is 'x', but Net expects a whole number there."),
        ("dataset.source._target_=LAB.parts.Net", "a Source is wanted there, and Net has no load"),
        ("loss.objective._target_=LAB.parts.Net", "an Objective is wanted there, and Net has no"),
        ("dataset.source._target_=LAB.parts.Cross.load", "it is a method; only classes are built"),
        ("dataset.source._target_=LAB.parts.torch.hub.load", "it is a function; only classes are built"),
        ("dataset.source._target_=LAB.parts._x", "it has a private name; only public classes are built"),
        ("dataset.source._target_=LAB.parts.Corss", "Did you mean Cross?"),
        ("callbacks.notes._target_=LAB.parts.Net", "a Callback is wanted there, and Net is none"),
    ],
)
def test_it_is_checked_like_everything_else(here, lab, capsys, override, message):
    override = override.replace("LAB", lab)
    assert message in refused(capsys, f"plugins=[{lab}]", *ALL, "callbacks=[notes]", *SHORT, override)


def test_an_option_of_its_own_in_the_place_of_a_built_in_one_is_said(here, lab, capsys):
    own = here / "own" / "loss" / "vanilla.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# @package _global_\nloss: {}\n")
    told = ["loss=vanilla is", f"{own},", "in place of the built-in one."]
    assert main(["--config-dir", "own", "loss=vanilla", *SHORT]) == 2  # it has nothing of what a loss needs
    assert "loss." in capsys.readouterr().err
    built_in = Path(plugins.__file__).parents[1] / "conf" / "loss" / "vanilla.yaml"
    own.write_text(built_in.read_text().replace("lr: 2e-4", "lr: 0.5"))
    from gan_lightning.config.compose import compose, replacements
    from gan_lightning.config.schema import TRAINING
    from gan_lightning.config.sources import Sources

    sources = Sources("train", extra=(here / "own",))
    assert replacements(sources, ["loss=vanilla"]) == [" ".join(told)]
    assert replacements(sources, ["loss=wgan_gp"]) == []
    assert compose(sources, ["loss=vanilla"], TRAINING).loss.optimizer.generator.lr == 0.5
