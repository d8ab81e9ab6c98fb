"""Packages of the extras of pyproject.toml: imported where they are used, and asked for where they are missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from gan_lightning.errors import UserError

# Hydra's plugins by the options that they bring, with the extra that has them; those of no extra are the user's own.
ENGINES = {
    **dict.fromkeys(("joblib", "ray", "ray_aws", "submitit_local", "submitit_slurm", "optuna"), "sweep"),
    "ax": "hydra-ax-sweeper",
    "nevergrad": "hydra-nevergrad-sweeper",
    "rq": "hydra-rq-launcher",
}


@contextmanager
def extra(name: str, package: str, what: str) -> Iterator[None]:
    """Raises UserError where the block imports a package that isn't there, which `what` needs and an extra has."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise UserError(f"{what} needs the package {package}: pip install 'gan-lightning[{name}]'") from error


def missing_engine(key: str, option: str) -> str | None:
    """What to install for a launcher or a sweeper of Hydra's that isn't there; None for a name that none has."""
    where = ENGINES.get(option) if key in ("hydra/launcher", "hydra/sweeper") else None
    if where is None:
        return None
    if where == "sweep":
        return f"{key}={option} needs a plugin of Hydra's: pip install 'gan-lightning[sweep]'"
    return f"{key}={option} needs a plugin of Hydra's that is no part of gan-lightning[sweep]: {where}, for Hydra 1.4."
