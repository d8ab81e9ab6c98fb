"""The parts of this package that its contract tests are for, found by listing a room."""

import inspect
from importlib import import_module
from typing import Any

from gan_lightning import namespace


def own_parts(room: str, *members: str) -> set[type]:
    """The classes of a room that have some members, or their annotations, but for protocols."""
    named = [(module, name) for module, names in namespace.defined(f"gan_lightning.{room}") for name in names]
    found: list[Any] = [getattr(import_module(module), name) for module, name in named]
    classes = [each for each in found if inspect.isclass(each) and not getattr(each, "_is_protocol", False)]
    return {each for each in classes if all(hasattr(each, member) for member in members)}
