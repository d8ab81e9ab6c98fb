"""What may import what, where gradients are made, and what starts without torch: read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gan_lightning
from gan_lightning.__main__ import COMMANDS

PACKAGE = Path(gan_lightning.__file__).parent
MODULES = {
    ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {module: ast.parse(path.read_text(encoding="utf-8"), str(path)) for module, path in MODULES.items()}

OWN = "gan_lightning."
PURE = {"torch", OWN + "types", OWN + "scheduled"}
LIBRARIES = {"torch", "torchvision", "pytorch_lightning", "numpy", "sklearn", "PIL", "rich", "safetensors"}
COMMON = {OWN + name for name in ("losses", "networks", "pictures", "seeds", "errors", "types", "__version__")}
TIMED = {OWN + "latents", OWN + "scheduled"}  # what training alone feeds and schedules

# What each part of the package may import, beside the standard library and itself. Parts that are not listed
# (commands, api, __main__) may import everything.
ALLOWED = {
    "types": set(),
    "errors": set(),
    "run_folder": set(),
    "seeds": {"torch"},
    "scheduled": set(),
    "latents": {"torch", OWN + "types"},
    "metrics": {"torch", "torchvision", "scipy", "safetensors", OWN + "errors", OWN + "types"},
    "pictures": {"torch", "PIL", "matplotlib"},
    "losses": PURE,
    "networks": PURE,
    "data": LIBRARIES | COMMON,
    "training": LIBRARIES | COMMON | TIMED | {OWN + "data", OWN + "metrics", OWN + "run_folder"},
    "config": {"hydra", "omegaconf", OWN + "errors", OWN + "types"},
}


def imports(tree: ast.AST, module: str, package: bool = False) -> Iterator[tuple[str, int]]:
    """The dotted name and line of everything a tree imports, at module level or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                base = ".".join([*parts[: len(parts) - node.level + package], *([base] if base else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def is_within(name: str, parents: set[str]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def forbidden(tree: ast.AST, module: str, package: bool = False) -> list[str]:
    """The imports by which a module breaks its part's rule."""
    part = module.removeprefix(OWN).split(".")[0]
    if part not in ALLOWED:
        return []
    allowed = ALLOWED[part] | {OWN + part} | set(sys.stdlib_module_names)
    return [f"{module}:{line} {name}" for name, line in imports(tree, module, package) if not is_within(name, allowed)]


def is_package(module: str) -> bool:
    return MODULES[module].name == "__init__.py"


def test_all_parts_are_there():
    parts = {module.removeprefix(OWN).split(".")[0] for module in MODULES}
    assert ALLOWED.keys() <= parts
    assert parts - ALLOWED.keys() <= {"gan_lightning", "__main__", "api", "commands"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_in_one_direction(module):
    assert forbidden(TREES[module], module, is_package(module)) == []


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("losses.new", "from gan_lightning.networks.mlp import MLPGenerator"),
        ("losses.new", "from gan_lightning import networks"),
        ("losses.new", "from ..networks import mlp"),
        ("losses.new", "def late():\n    import pytorch_lightning.callbacks"),
        ("losses.new", "import torchvision"),
        ("networks.new", "from gan_lightning.losses import objectives"),
        ("networks.new", "from omegaconf import DictConfig"),
        ("networks.new", "from gan_lightning.latents import Normal"),
        ("losses.new", "from gan_lightning.latents import Coded"),
        ("latents", "from gan_lightning.networks.generator import Generator"),
        ("scheduled", "import torch"),
        ("metrics.new", "import numpy"),
        ("metrics.new", "from gan_lightning.data.rounds import as_floats"),
        ("metrics.new", "from gan_lightning.training.evaluator import Evaluator"),
        ("pictures", "import numpy"),
        ("data.new", "from gan_lightning.scheduled import Clock"),
        ("data.new", "from gan_lightning.training.gan import GAN"),
        ("data.new", "import gan_lightning.config.build as build"),
        ("data.new", "import gan_lightning"),
        ("training.new", "from hydra.utils import instantiate"),
        ("training.new", "from gan_lightning.commands import train"),
        ("config.new", "from torch import Tensor"),
        ("config.new", "from gan_lightning.data.sources import Source"),
        ("types", "from gan_lightning.errors import UserError"),
    ],
)
def test_the_rules_catch_what_they_are_for(module, code):
    assert len(forbidden(ast.parse(code), OWN + module)) == 1


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("losses.new", "import torch.nn\nfrom math import prod\nfrom gan_lightning.types import PositiveInt"),
        ("losses.new", "from gan_lightning.losses.objectives import Terms\nfrom . import objectives"),
        ("training.new", "from gan_lightning import __version__\nfrom gan_lightning.data.rounds import Round"),
        ("losses.new", "from gan_lightning.scheduled import Scheduled"),
        ("training.new", "from gan_lightning.latents import Prior\nfrom gan_lightning.scheduled import Clock"),
        ("config.new", "from omegaconf import OmegaConf"),
        ("commands.new", "import hydra, torch\nfrom gan_lightning.training import gan"),
    ],
)
def test_the_rules_let_pass_what_they_should(module, code):
    assert forbidden(ast.parse(code), OWN + module) == []


def calls(tree: ast.AST, methods: set[str], within: str = "") -> Iterator[tuple[str, str]]:
    """The method names that are called, each with the dotted name of the function or class around it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name in methods:
                yield name, within
        inside = f"{within}.{node.name}" if isinstance(node, ast.FunctionDef | ast.ClassDef) else within
        yield from calls(node, methods, inside)


def test_gradients_and_steps_are_made_in_one_place():
    """But for the classifier that generated samples are measured by."""
    found = [
        (name, module + within)
        for module, tree in TREES.items()
        for name, within in calls(tree, {"backward", "manual_backward", "step"})
        if module != "gan_lightning.metrics.classifier"
    ]
    assert len({place for _, place in found}) == 1, found
    assert sorted(name for name, _ in found) == ["manual_backward", "step"]


def test_calls_are_found_wherever_they_are():
    code = "class A:\n    def f(self):\n        if x:\n            y = [loss.sum().backward() for _ in z]\nstep()"
    assert list(calls(ast.parse(code), {"backward", "step"})) == [("backward", ".A.f"), ("step", "")]


@pytest.mark.parametrize(
    "module", ["gan_lightning", "gan_lightning.__main__", *(f"gan_lightning.commands.{name}" for name in COMMANDS)]
)
def test_starts_without_torch(module):
    """A mistake on the command line is answered before torch is imported, which takes seconds."""
    heavy = ["torch", "pytorch_lightning", "torchvision", "sklearn", "numpy"]
    code = f"import sys, {module}; print(*(name for name in {heavy} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


@pytest.mark.parametrize("module", [module for module in MODULES if TREES[module].body])
def test_modules_and_public_classes_say_what_they_are_for(module):
    """But for one record, whose fields do."""
    nodes = [TREES[module], *(node for node in TREES[module].body if isinstance(node, ast.ClassDef))]
    names = {getattr(node, "name", module) for node in nodes if not ast.get_docstring(node)}
    assert {name for name in names if not name.startswith("_")} - {"Signature"} == set()
