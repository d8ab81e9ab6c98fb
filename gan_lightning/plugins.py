"""The packages that the user trusts beside this one: their classes may be built, and their options be picked.

A package is trusted if it is named (`plugins=[my_lab]`), if the current folder's pyproject.toml names it in
`[tool.gan_lightning]`, or if it is installed with an entry point in the group `gan_lightning.plugins`. Nothing that
comes out of a run's folder or a generator file adds to them. The standard library alone.
"""

import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gan_lightning.errors import UserError
from gan_lightning.suggest import did_you_mean

GROUP = "gan_lightning.plugins"
PYPROJECT = "pyproject.toml"
BUILT_IN = ("gan_lightning", "torch", "torchvision", "torchmetrics", "pytorch_lightning")


def granted(named: Iterable[Any] = ()) -> tuple[str, ...]:
    """All packages that the user trusts, without those that are trusted anyway; none of them is imported.

    `named` are those that the user names here. Raises UserError for one that can't be imported from the current folder.
    """
    asked = [(name, "plugins") for name in named]
    asked += [(name, f"{PYPROJECT}'s [tool.gan_lightning] plugins") for name in of_project(Path.cwd())]
    for name, key in asked:
        require_importable(name, key)
    return tuple(dict.fromkeys([*(name for name, _ in asked), *installed()]))


def of_project(folder: Path) -> list[Any]:
    """What the pyproject.toml of a folder trusts."""
    file = folder / PYPROJECT
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UserError(f"{file}, whose [tool.gan_lightning] names plug-ins, can't be read: {error}.") from error
    table = content.get("tool", {}).get("gan_lightning", {})
    unknown = [name for name in table if name != "plugins"] if isinstance(table, dict) else [str(table)]
    names = table.get("plugins", []) if isinstance(table, dict) else []
    if unknown:
        raise UserError(f"{file} has {unknown[0]!r} in [tool.gan_lightning], which knows plugins alone.")
    if not isinstance(names, list):
        raise UserError(f"{file} has {names!r} for plugins, but a list of packages is wanted, such as ['my_lab'].")
    return names


@cache
def installed() -> tuple[str, ...]:
    """The packages that are installed with an entry point: installing one is consent."""
    return tuple(dict.fromkeys(point.module.partition(".")[0] for point in entry_points(group=GROUP)))


def require_importable(name: Any, key: str) -> None:
    """Raises UserError unless it is the name of a package that is installed or lies in the current folder."""
    if not isinstance(name, str) or not name.isidentifier():
        raise UserError(f"{key} names {name!r}, but a package is named there as one imports it, such as my_lab.")
    here = str(Path.cwd())
    if not {here, ""} & set(sys.path):
        sys.path.append(here)  # as `python -m` does
    spec = find_spec(name)
    if not spec:
        siblings = [path.stem for path in Path(here).iterdir() if (path / "__init__.py").is_file()]
        raise UserError(
            f"{key} names {name}, but there is no such package: it is neither installed nor in the current folder,"
            f" {here}.{did_you_mean(name, [*siblings, *installed()])}"
        )
    if spec.origin is None and (Path(here) / name / name / "__init__.py").is_file():
        raise UserError(f"{key} names {name}, but the package lies one folder deeper, in {name}/; cd {name} first.")


def conf_folders(plugins: Iterable[str]) -> tuple[Path, ...]:
    """The folders conf/ of packages, whose options can be picked like this package's own."""
    places = []
    for name in plugins:
        spec = find_spec(name)
        places += [Path(folder) / "conf" for folder in (spec and spec.submodule_search_locations) or ()]
    return tuple(place for place in places if place.is_dir())


def package_of(target: str, packages: Iterable[str]) -> str | None:
    """The package among some that a dotted path lies in."""
    return next((name for name in packages if target.startswith(f"{name}.")), None)


def advice(target: str, plugins: Iterable[str] = ()) -> str:
    """How one trusts the package of a dotted path: the end of a sentence that refuses it, where that would help."""
    package = target.partition(".")[0]
    if package in (*BUILT_IN, *sys.stdlib_module_names, *plugins) or not package.isidentifier():
        return ""
    return f"; plugins=[{package}] grants it, if you trust that package with running code"
