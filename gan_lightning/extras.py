"""Packages of the extras of pyproject.toml: imported where they are used, and asked for where they are missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from gan_lightning.errors import UserError


@contextmanager
def extra(name: str, package: str, what: str) -> Iterator[None]:
    """Raises UserError where the block imports a package that isn't there, which `what` needs and an extra has."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise UserError(f"{what} needs the package {package}: pip install 'gan-lightning[{name}]'") from error
