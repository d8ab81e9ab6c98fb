"""Types and shapes of arguments, checked while tests run in what pyproject.toml names at --jaxtyping-packages.

Users run without: what a constructor or a function refuses by itself is tested `unchecked`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from beartype import BeartypeConf, beartype
from jaxtyping import config

# Whole numbers may stand for floats (PEP 484). A name of its own, since jaxtyping 0.3 takes all behind the first comma
# for the checker where that is a call.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


@contextmanager
def unchecked() -> Iterator[None]:
    """No checks, for as long as the context lasts."""
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", before)
