"""Where the files beside the code are: the configurations that a user picks from, and the package that `new` writes."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _beside(name: str) -> Path:
    """A folder that lies inside an installed package, and beside the package in a checkout."""
    places = (_PACKAGE / name, _PACKAGE.parent / name)
    return next(path for path in places if path.is_dir() or path.parent != _PACKAGE)


CONF = _beside("conf")
TEMPLATE = _beside("template")
