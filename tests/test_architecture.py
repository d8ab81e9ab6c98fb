"""What may import what, where gradients are made, and what starts without torch: read from the source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import gan_lightning
from gan_lightning import __main__ as program
from gan_lightning import namespace

PACKAGE = Path(gan_lightning.__file__).parent
MODULES = {
    ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {module: ast.parse(path.read_text(encoding="utf-8"), str(path)) for module, path in MODULES.items()}

OWN = "gan_lightning."
EVERYWHERE = {OWN + name for name in ("errors", "files", "formats", "namespace", "processes", "run_folder", "suggest")}
EVERYWHERE |= {
    OWN + "memory",
    OWN + "paths",
    OWN + "plugins",
    OWN + "schedules",
    OWN + "seeds",
    OWN + "types",
    OWN + "__version__",
}
PURE = EVERYWHERE | {"torch", "jaxtyping", OWN + "archives", OWN + "precision", OWN + "ranks", OWN + "samples"}
LIGHTNING = PURE | {"pytorch_lightning", "numpy", "rich", OWN + "pictures", OWN + "curves"}
ROOMS = {OWN + name for name in ("losses", "networks", "metrics", "data", "sampling")}

# What each room may import, beside the standard library and itself; and so the files beside them. Those that are not
# listed (runs, commands and __main__) may import everything.
ALLOWED = {
    "archives": {"torch", OWN + "errors", OWN + "files"},
    "errors": {OWN + "memory"},
    "extras": {OWN + "errors"},
    "files": {OWN + "errors"},
    "formats": {OWN + "errors"},
    "memory": set(),
    "namespace": set(),
    "paths": {OWN + "errors"},
    "plugins": {OWN + "errors", OWN + "suggest"},
    "pictures": {"torch", "PIL", "matplotlib", OWN + "files"},
    "collecting": set(),
    "curves": {"torch", "PIL", "matplotlib", OWN + "pictures", OWN + "samples"},
    "processes": set(),
    "precision": {"torch"},
    "ranks": {"torch", OWN + "seeds"},
    "run_folder": {OWN + "errors", OWN + "suggest"},
    "samples": {"torch", "jaxtyping"},
    "schedules": set(),
    "seeds": {"torch"},
    "suggest": set(),
    "tables": {"torch", "pyarrow", OWN + "extras", OWN + "files", OWN + "samples"},
    "types": set(),
    "losses": PURE,
    "networks": PURE,
    "metrics": PURE | {"torchvision", "scipy", "safetensors"},
    "sampling": PURE | {"safetensors", OWN + "networks"},
    "editing": PURE | {OWN + name for name in ("networks", "sampling", "metrics")},
    "data": LIGHTNING | {"torchvision", "sklearn", "PIL", "pyarrow", OWN + "extras"},
    "training": LIGHTNING | ROOMS,
    "watching": LIGHTNING | ROOMS | {"optuna", OWN + "training", OWN + "extras"},
    "config": EVERYWHERE | {"hydra", "omegaconf", "yaml", OWN + "extras"},
    "testing": PURE | ROOMS,
    "studies": {OWN + name for name in ("config", "runs", "watching.verdicts")}
    | EVERYWHERE
    | {"yaml", "numpy", "scipy", "matplotlib", "PIL", "rich"},
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


# What runs code out of a file, or may: by the dotted name that is called, and by the module that is imported.
RUNNING = {"eval", "exec", "compile", "__import__", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "np.load"}
RUNNING |= {"numpy.load", "torch.jit.load", "torch.hub.load", "os.system"}
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
LOADING = {"torch.load", "trainer.fit", "load_from_checkpoint"}  # only as data


def running(tree: ast.AST, module: str) -> list[str]:
    """The lines of a module that could run what is in a file."""
    found = [line for name, line in imports(tree, module) if is_within(name, UNPICKLING)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            is_loading = name in LOADING or name.rpartition(".")[2] in LOADING
            if name in RUNNING or (is_loading and words.get("weights_only") != "True"):
                found.append(node.lineno)
            if words.get("allow_pickle", "False") != "False" or words.get("shell", "False") != "False":
                found.append(node.lineno)
    return [f"{module}:{line}" for line in found]


# But for the contracts, which pickle a part of the user's and read it again, and never a file.
@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"gan_lightning.testing._contract"}))
def test_nothing_runs_what_is_in_a_file(module):
    assert running(TREES[module], module) == []


@pytest.mark.parametrize(
    "code",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "trainer.fit(model, ckpt_path=path)",
        "GAN.load_from_checkpoint(path)",
        "import pickle",
        "from joblib import load",
        "np.load(path, allow_pickle=True)",
        "numpy.lib.format.read_array(file, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_it_would_be_seen(code):
    assert running(ast.parse(code), "module")


def is_package(module: str) -> bool:
    return MODULES[module].name == "__init__.py"


def test_all_parts_are_there():
    parts = {module.removeprefix(OWN).split(".")[0] for module in MODULES}
    assert ALLOWED.keys() <= parts
    assert parts - ALLOWED.keys() == {"gan_lightning", "__main__", "runs", "commands"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_in_one_direction(module):
    assert forbidden(TREES[module], module, is_package(module)) == []


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("losses.new", "from gan_lightning.networks.mlp import MLPGenerator"),
        ("losses.new", "from gan_lightning import networks"),
        ("losses.new", "from gan_lightning.pictures import grid"),
        ("losses.new", "from ..networks import mlp"),
        ("losses.new", "def late():\n    import pytorch_lightning.callbacks"),
        ("losses.new", "import torchvision"),
        ("losses.new", "from gan_lightning.sampling.latents import Coded"),
        ("networks.new", "from gan_lightning.losses import objectives"),
        ("networks.new", "from omegaconf import DictConfig"),
        ("networks.new", "from gan_lightning.sampling.latents import Normal"),
        ("sampling.new", "from gan_lightning.data.rounds import RoundLoader"),
        ("sampling.new", "from gan_lightning.editing.ascent import climb"),
        ("editing.new", "from gan_lightning.pictures import grid"),
        ("sampling.new", "from omegaconf import OmegaConf"),
        ("sampling.new", "import pytorch_lightning"),
        ("schedules", "import torch"),
        ("metrics.new", "import numpy"),
        ("metrics.new", "from gan_lightning.data.rounds import RoundLoader"),
        ("metrics.new", "from gan_lightning.watching.evaluator import Evaluator"),
        ("pictures", "import numpy"),
        ("data.new", "from gan_lightning.training.gan import GAN"),
        ("data.new", "from gan_lightning.losses.objectives import Terms"),
        ("data.new", "import gan_lightning.config.build as build"),
        ("data.new", "import gan_lightning"),
        ("training.new", "from hydra.utils import instantiate"),
        ("training.new", "from gan_lightning.watching.monitor import Monitor"),
        ("watching.new", "from gan_lightning.runs.run import Run"),
        ("watching.new", "from gan_lightning.commands import train"),
        ("config.new", "from torch import Tensor"),
        ("config.new", "from gan_lightning.data.sources import Source"),
        ("types", "from gan_lightning.errors import UserError"),
        ("testing.new", "import pytest"),
        ("studies.new", "import torch"),
        ("studies.new", "from gan_lightning.watching.evaluator import Evaluator"),
        ("testing.new", "from gan_lightning.training.gan import GAN"),
    ],
)
def test_the_rules_catch_what_they_are_for(module, code):
    assert len(forbidden(ast.parse(code), OWN + module)) == 1


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("losses.new", "import torch.nn\nfrom math import prod\nfrom gan_lightning.types import PositiveInt"),
        ("losses.new", "from gan_lightning.losses.objectives import Terms\nfrom . import objectives"),
        ("training.new", "from gan_lightning import __version__\nfrom gan_lightning.data.rounds import RoundLoader"),
        ("losses.new", "from gan_lightning.schedules import Scheduled"),
        ("training.new", "from gan_lightning.sampling.latents import Prior\nfrom gan_lightning.schedules import Clock"),
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
    """But for the classifier that samples are measured by, for latents, and for gradients without a trainer."""
    found = [
        (name, module + within)
        for module, tree in TREES.items()
        for name, within in calls(tree, {"backward", "manual_backward", "step", "take_step", "optimizer_step"})
        if module not in ("gan_lightning.metrics.classifier", "gan_lightning.editing.inversion")
    ]
    in_place = sorted(name for name, place in found if place == "gan_lightning.training.gan.GAN.update")
    assert in_place == ["backward", "manual_backward", "optimizer_step", "step", "take_step"]
    elsewhere = [each for each in found if each[1] != "gan_lightning.training.gan.GAN.update"]
    assert elsewhere == [("step", "gan_lightning.training.hooks.take_step")]


def test_calls_are_found_wherever_they_are():
    code = "class A:\n    def f(self):\n        if x:\n            y = [loss.sum().backward() for _ in z]\nstep()"
    assert list(calls(ast.parse(code), {"backward", "step"})) == [("backward", ".A.f"), ("step", "")]


def imported(code: str, *names: str) -> set[str]:
    """Which of some packages a program has imported."""
    code = f"import sys\n{code}\nprint(*(name for name in {names} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = ("torch", "pytorch_lightning", "lightning_fabric", "hydra", "tensorboard", "torchvision", "sklearn", "numpy")


@pytest.mark.parametrize(
    "module", ["gan_lightning", "gan_lightning.__main__", *(f"{OWN}commands.{name}" for name in ("sample", "new"))]
)
def test_starts_with_nothing(module):
    assert imported(f"import {module}", *HEAVY) == set()


@pytest.mark.parametrize("module", [f"{OWN}commands.{program.MODULES.get(name, name)}" for name in program.COMMANDS])
def test_starts_without_torch(module):
    """A mistake on the command line is answered before torch is imported, which takes seconds."""
    assert imported(f"import {module}", *HEAVY) <= {"hydra"}


@pytest.mark.parametrize(
    "code",
    [
        "from gan_lightning import load_generator; load_generator({run!r}).sample(2)",
        "from gan_lightning.__main__ import main; main(['sample', 'run={run}', 'n=2', 'out={out}'])",
    ],
    ids=["load_generator", "sample"],
)
def test_sampling_imports_neither_lightning_nor_hydra_nor_tensorboard_nor_torchs_compiler(code, tmp_path):
    code = code.format(run=str(Path(__file__).parent / "saved_runs" / "format_1"), out=tmp_path / "grid.png")
    unwanted = {"pytorch_lightning", "lightning_fabric", "hydra", "tensorboard", "torchvision", "sklearn", "matplotlib"}
    found = imported(code, *unwanted, "torch", "torch.utils.tensorboard", "torch._dynamo", "sympy")
    assert found == {"torch"}


def test_contract_tests_import_neither_lightning_nor_hydra_nor_pytest():
    names = [name for _, names in namespace.defined(f"{OWN}testing") for name in names if name.startswith("check_")]
    unwanted = {"pytorch_lightning", "lightning_fabric", "hydra", "pytest", "matplotlib", "torchvision", "sklearn"}
    assert imported(f"from gan_lightning.testing import {', '.join(names)}", *unwanted, "torch") == {"torch"}


ROOMS_WITH_NAMES = ["losses", "networks", "metrics", "data", "sampling", "editing", "training", "watching", "testing"]


@pytest.mark.parametrize("room", ROOMS_WITH_NAMES)
def test_a_rooms_public_names_are_those_of_its_files(room):
    """Each is in one file alone, is no file's name, and is seen by type checkers, for whom star imports stand."""
    found = [(name, module) for module, names in namespace.defined(OWN + room) for name in names]
    names = [name for name, _ in found]
    assert [name for name in set(names) if names.count(name) > 1] == []
    modules = {module for module in MODULES if re.match(rf"{OWN}{room}\.[^_]", module)}
    assert set(names).isdisjoint(module.rpartition(".")[2] for module in modules)
    stars = {name.removesuffix(".*") for name, _ in imports(TREES[OWN + room], OWN + room, True) if name.endswith(".*")}
    assert stars == modules
    assert dir(import_module(OWN + room)) == sorted(names)
    for name, module in found:
        assert getattr(import_module(OWN + room), name) is getattr(import_module(module), name)


def test_a_name_that_no_file_has():
    with pytest.raises(AttributeError, match=r"module 'gan_lightning\.losses' has no attribute 'Waserstein'"):
        import_module("gan_lightning.losses").Waserstein  # noqa: B018 (looking it up is what is tested)


@pytest.mark.parametrize("module", [module for module in MODULES if TREES[module].body])
def test_modules_and_public_classes_say_what_they_are_for(module):
    """But for one record, whose fields do."""
    nodes = [TREES[module], *(node for node in TREES[module].body if isinstance(node, ast.ClassDef))]
    names = {getattr(node, "name", module) for node in nodes if not ast.get_docstring(node)}
    assert {name for name in names if not name.startswith("_")} - {"Signature"} == set()
