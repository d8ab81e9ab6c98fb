"""Where the configurations are that a user picks from."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# In an installed package conf/ lies inside it, in a checkout beside it.
CONF = next(path for path in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if path.is_dir() or path.parent != _PACKAGE)
