"""The OmegaConf resolvers that conf/ uses."""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.basecontainer import BaseContainer

from gan_lightning.processes import start

KEY = re.compile(r"(?:^|(?<=,))([\w.]+)=")  # of an override, in a list of them
LONGEST = 160  # bytes; a folder's name may have 255 on most file systems
SCHEDULES = ("Linear", "Cosine", "Exponential", "Step")  # of gan_lightning.schedules; ${linear:…} and so on


def register_resolvers() -> None:
    """Makes `${default_iterations:…}` and the others known; may be called any number of times."""
    for name, resolver in resolvers().items():
        OmegaConf.register_resolver(name, resolver, replace=True)


@contextmanager
def resolvers_of_its_own() -> Iterator[None]:
    """Puts back the resolvers of a program's own that have names of ours."""
    before = BaseContainer._resolvers
    BaseContainer._resolvers = dict(before)
    try:
        yield
    finally:
        BaseContainer._resolvers = before


def width(categorical: Any, continuous: int) -> int:
    """How many columns codes take: one a class of each categorical code, and one each for the continuous ones."""
    return sum(map(int, categorical)) + continuous


def count(names: Any) -> int:
    """How many names there are."""
    return 0 if names is None else len(names)


def preferred(choice: Any, default: Any) -> Any:
    """What is asked for, or the default where nothing is."""
    return default if choice is None else choice


def outputs(heads: Any) -> int:
    """How many numbers the discriminator gives a sample: its logit, and those that the heads of the loss read."""
    return 1 + sum(int(head["outputs"]) for head in heads.values())


def image_shape(channels: int, size: Any) -> ListConfig:
    """The shape (C, H, W) of images of so many pixels a side, or of [HEIGHT, WIDTH]."""
    return OmegaConf.create([channels, *(size if isinstance(size, ListConfig) else [size, size])])


def height_and_width(shape: Any) -> ListConfig:
    """Those of a shape (C, H, W)."""
    return OmegaConf.create(list(shape)[1:])


def schedule(name: str, *arguments: Any) -> DictConfig:
    """The node of a schedule: START,END and perhaps OVER,UNIT,BEGIN, as its constructor names them."""
    names = ("start", "end", "over", "unit", "begin")
    if not 2 <= len(arguments) <= len(names):
        raise ValueError(f"${{{name.lower()}:…}} takes START,END and perhaps OVER,UNIT,BEGIN")
    return OmegaConf.create(
        {"_target_": f"gan_lightning.schedules.{name}", **dict(zip(names, arguments, strict=False))}
    )


def default_iterations(max_epochs: Any, iterations: int) -> int:
    """The default number of iterations, or -1 (no limit) where epochs are asked for."""
    return iterations if max_epochs is None else -1


def iterations_for(updates: Any, critic_updates: Any) -> int:
    """The fewest iterations with at least so many discriminator updates, of a node that builds CriticUpdates."""
    n_critic, boost = critic_updates["n_critic"], critic_updates["boost"]
    if not all(type(each) is int for each in (updates, n_critic, boost)) or n_critic < 1:
        raise ValueError("for equal discriminator updates n_critic must be a number, at least 1; set trainer.max_steps")
    first, every = critic_updates["boost_first"], critic_updates["boost_every"]

    def updates_before(iteration: int) -> int:
        early = min(iteration, first)
        boosted = early - -(-early // every) + -(-iteration // every) if boost else 0
        return int(boost * boosted + n_critic * (iteration - boosted))

    return bisect_left(range(updates + 1), updates, key=updates_before)


def folder_name(overrides: str) -> str:
    """A job's overrides as one folder's name: no slashes, not too long for a file system, and never another job's.

    Of keys there are their ends alone, as many names as tell them apart: lr=0.1,loss=hinge. TensorBoard calls a run by
    its folder, and shows the first 30 characters or so.
    """
    told = str(overrides) or "defaults"
    found = [match[1] for match in KEY.finditer(told)]
    text = KEY.sub(lambda match: f"{shortest(match[1], found)}=", told)
    name = text.replace("/", "_").replace(" ", "")
    short = name.encode()[:LONGEST].decode(errors="ignore")
    return name if short == text else f"{short}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def shortest(key: str, among: Sequence[str]) -> str:
    """The last names of a dotted key that are the end of no other key."""
    names = key.split(".")
    ends = (".".join(names[place:]) for place in range(len(names) - 1, 0, -1))
    others = [f".{other}" for other in among if other != key]
    return next((end for end in ends if not any(other.endswith(f".{end}") for other in others)), key)


def resolvers() -> dict[str, Callable[..., Any]]:
    """All of them, by name."""
    plain: tuple[Callable[..., Any], ...] = (count, default_iterations, folder_name, height_and_width, image_shape)
    plain += (iterations_for, outputs, preferred, start, width)
    return {each.__name__: each for each in plain} | {name.lower(): partial(schedule, name) for name in SCHEDULES}


NAMES = tuple(resolvers())
