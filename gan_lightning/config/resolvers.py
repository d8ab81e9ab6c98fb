"""The OmegaConf resolvers that conf/ uses."""

import hashlib
from typing import Any

from omegaconf import OmegaConf

LONGEST = 160  # a folder's name may have 255 bytes on most file systems


def register_resolvers() -> None:
    """Makes `${default_steps:…}` and `${folder_name:…}` known; may be called any number of times."""
    OmegaConf.register_resolver("default_steps", default_steps, replace=True)
    OmegaConf.register_resolver("folder_name", folder_name, replace=True)


def default_steps(max_epochs: Any, steps: int) -> int:
    """The default number of iterations, or -1 (no limit) where epochs are asked for."""
    return steps if max_epochs is None else -1


def folder_name(overrides: str) -> str:
    """A job's overrides as one folder's name: no slashes, and not too long for a file system."""
    name = str(overrides).replace("/", "_").replace(" ", "") or "defaults"
    if len(name) <= LONGEST:
        return name
    return f"{name[:LONGEST]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
