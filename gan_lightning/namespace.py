"""One public namespace a room: `gan_lightning.losses.Wasserstein`, whichever file of losses/ defines it.

Configurations and saved runs name classes in this way, so that files can move within a room without breaking them. A
file is imported only when one of its names is asked for. Type checkers and static_signature, which import nothing,
follow the star imports under TYPE_CHECKING in a room's __init__.py; a test sees to it that none is missing.
"""

import pkgutil
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec
from typing import Any

DEFINED = re.compile(r"^(?:class|def) ([A-Za-z]\w*)|^([A-Za-z]\w*)(?:: [^=\n]+)? = ", re.MULTILINE)


def of(room: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__`, which raises AttributeError for a name that none of its files defines, and `__dir__`.

    Usage, in the package's __init__.py: `__getattr__, __dir__ = namespace.of(__name__)`.
    """

    def get(name: str) -> Any:
        if not name.startswith("_"):
            for module, names in defined(room):
                if name in names:
                    return getattr(import_module(module), name)
        raise AttributeError(f"module {room!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({name for _, names in defined(room) for name in names})

    return get, names


def defined(room: str) -> Iterator[tuple[str, list[str]]]:
    """The files of a package as modules, but for private ones, each with the public names that it defines."""
    for info in pkgutil.iter_modules(import_module(room).__path__):
        if info.name.startswith("_"):
            continue
        module = f"{room}.{info.name}"
        spec = find_spec(module)
        loader = spec.loader if spec else None
        source = loader.get_source(module) if isinstance(loader, InspectLoader) else None
        yield module, ["".join(groups) for groups in DEFINED.findall(source or "")]
