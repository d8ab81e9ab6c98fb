"""`new`: a package of one's own parts, which works at once: a loss, networks, a data set and a metric with their tests.

python -m gan_lightning new my_lab
"""

import keyword
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from gan_lightning.config.places import TEMPLATE
from gan_lightning.errors import UserError

NAME = "my_lab"  # what the package is called in TEMPLATE
WRITTEN = ("*.toml", "*.md", f"{NAME}/**/*.py", f"{NAME}/**/*.yaml", "tests/*.py")
TAKEN = ("tests",)  # the folder beside the package

HELP = f"""\
python -m gan_lightning new NAME

Writes a package of this name in the current folder: a loss, networks, a data set and a metric of your own, with their
options and tests. It works at once, and is yours to change. docs/extending.md walks through it.

  NAME/pyproject.toml, README.md
  NAME/NAME/losses.py, networks.py, data.py, metrics.py, conf/
  NAME/tests/test_NAME.py

NAME is what one imports, such as {NAME}.
"""


def main(arguments: list[str]) -> int:
    """Writes the package that the arguments name, and tells what to type next."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    name = wanted(arguments)
    write(name)
    print(
        f"{name}/ has a loss, networks, a data set and a metric of your own. What to type next:\n\n"
        f"  cd {name}\n"
        f"  python -m pytest\n"
        f"  python -m gan_lightning 'plugins=[{name}]' loss=pearson dataset=moons metric=energy\n\n"
        f"{name}/README.md has more commands."
    )
    return 0


def wanted(arguments: list[str]) -> str:
    """The name of the package. Raises UserError unless it is one argument that can be a new package's name."""
    if not arguments:
        raise UserError(f"new needs the name of the package, such as python -m gan_lightning new {NAME}.")
    name, *further = arguments
    if further:
        raise UserError(f"new takes one name, but after {name!r} there is {further[0]!r}.")
    if not is_name(name):
        near = re.sub(r"(?<=\w)[\s-]+", "_", name).strip("_")
        hint = f" Did you mean {near}?" if is_name(near) else ""
        raise UserError(
            f"new is given {name!r}, but a package's name has ASCII letters, digits and underscores, begins with a"
            f" letter and is no word of Python's, such as {NAME}.{hint}"
        )
    if os.path.lexists(name):
        raise UserError(f"new is given {name!r}, but {Path(name).absolute()} is there already; nothing is replaced.")
    if name in TAKEN or find_spec(name):
        raise UserError(
            f"new is given {name!r}, but import {name} means something else already; choose another name, such as"
            f" {name}_lab."
        )
    return name


def is_name(text: str) -> bool:
    """Whether a package can be called so and its classes be named in a configuration, which names nothing private."""
    return re.fullmatch(r"[A-Za-z]\w*", text, re.ASCII) is not None and not keyword.iskeyword(text)


def write(name: str) -> None:
    """Writes the package into a new folder, all of it or nothing. Raises UserError where that can't be."""
    folder = Path(name)
    try:
        folder.mkdir()
        try:
            fill(folder, name)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        told = f"{folder.absolute()} can't be written ({error.strerror})"
        raise UserError(f"new is given {name!r}, but {told}.") from error


def fill(folder: Path, name: str) -> None:
    """Copies the template into a folder, under another name."""
    for file in (file for pattern in WRITTEN for file in sorted(TEMPLATE.glob(pattern))):
        copy = folder / str(file.relative_to(TEMPLATE)).replace(NAME, name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text(encoding="utf-8").replace(NAME, name), encoding="utf-8")
