"""A saved configuration is data: it names parts, settles nothing of this process, and is as small as it looks."""

import re
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from gan_lightning import formats
from gan_lightning.config.build import origin
from gan_lightning.config.resolvers import NAMES
from gan_lightning.errors import UserError, reason
from gan_lightning.files import DEEPEST, read_text, require_plain
from gan_lightning.paths import argument
from gan_lightning.run_folder import saved_config

WRITING = ("callbacks", "logger", "trainer")  # groups whose texts may be places that are written to,
CACHES = "cache_dir"  # and the name of keys that are
HYDRAS = ("hydra", "defaults")  # keys by which Hydra is told what to load and to run
RESOLVER = re.compile(r"\$\{\s*([\w.]+)\s*:")
REFERENCE = re.compile(r"\$\{\s*(?:oc\.select\s*:\s*)?['\"]?([^\s:,{}'\"]++)(?!\s*:)")  # another key
KNOWN = (*NAMES, "oc.select")  # oc.env, for one, would read this machine's environment into what is saved and sent
MOST_BYTES = 1 << 20  # of a configuration; one with all there is has some 20 KiB
MOST_RESOLVED = 1_000_000  # characters and items, with all interpolations resolved
HEADER = re.compile(r"# (\S+/\d+)\s*\n")  # the format of a file; those of before format 2 have none
PART = re.compile(r"[^.\[\]]+")  # of a dotted key
PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Place = tuple[str | int, ...]  # the names, and indices in lists, that lead to a node


def read_data(path: Path) -> Any:
    """A configuration out of a run's folder, in plain containers and with the names of today.

    Raises UserError if it can't be read, holds settings of Hydra's, asks for values from outside of it, or is too large
    or nested too deeply, be it by interpolations.
    """
    try:
        text = read_text(path, MOST_BYTES)
        require_format(text, path)
        _require_shallow(text)
        content = OmegaConf.to_container(OmegaConf.load(StringIO(text)))
        if not isinstance(content, dict) or not content:
            raise ValueError("it holds no configuration")
        if unreadable := [name for name in _names(content) if not isinstance(name, str)]:
            raise ValueError(f"its key {unreadable[0]!r} is no text")
        _require_bounded(content)
    except UserError:
        raise
    except Exception as error:  # the YAML loader and OmegaConf raise a dozen kinds
        raise UserError(f"{path} can't be read ({reason(error)}); the run's folder is damaged.") from error
    for key in HYDRAS:
        if key in content:
            raise UserError(f"{path} has a key {key}, by which Hydra would obey it; a saved configuration has none.")
    for key, text in _texts(content, ""):
        for name in RESOLVER.findall(text):
            if name not in KNOWN:
                raise UserError(
                    f"{path} asks at {key} for ${{{name}:…}}, which is not resolved in what comes from a run's folder."
                )
    return formats.upgrade_whole({str(key): value for key, value in content.items()})


def read_settings(path: Path) -> dict[str, Any]:
    """The same of a configuration without interpolations that is only looked at, in a fifth of the time.

    A text with an interpolation stays as it is. Raises UserError for what can't be read.
    """
    try:
        text = read_text(path, MOST_BYTES)
        require_format(text, path)
        _require_shallow(text)
        parser = PARSER(text)
        try:
            content = parser.get_single_data()
        finally:
            parser.dispose()
        if not isinstance(content, dict):
            raise ValueError("it holds no configuration")
        require_plain(content)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} can't be read ({reason(error)}); the run's folder is damaged.") from error
    return formats.upgrade_whole({str(key): value for key, value in content.items()})


def require_format(text: str, path: Path) -> None:
    """Raises UserError for a configuration in a file whose first line names a format that isn't read."""
    if headed := HEADER.match(text):
        formats.require(headed[1], formats.CONFIG, f"{path} can't be read")


def as_saved(config: Any) -> str:
    """A configuration, or its content in plain containers, as the text of a file that `read_data` reads."""
    return f"# {formats.CONFIG}\n{OmegaConf.to_yaml(OmegaConf.create(config))}"


def require_inside(config: DictConfig, folder: Path, given: Sequence[str]) -> None:
    """Raises UserError if what writes, of a run's config, names a place outside of its folder.

    `given` are the keys that the user has set, which may.
    """
    for key, text in _texts(OmegaConf.to_container(config, resolve=True), ""):
        is_cache = key.rpartition(".")[2] == CACHES
        path = Path(text)
        leaves = text.startswith("~") or ".." in path.parts
        leaves = leaves or (path.is_absolute() and not path.resolve().is_relative_to(folder.resolve()))
        if not leaves or not (is_cache or key.partition(".")[0] in WRITING):
            continue
        written = origin(config, key) if is_cache else key
        if written not in given:
            raise UserError(
                f"{saved_config(folder)} has {text} for {written}, outside of the run's folder;"
                f" {argument(written, text)} grants it, if you want what is written to go there."
            )


def _require_shallow(text: str) -> None:
    """Raises ValueError for YAML that is nested too deeply, which the loader's own recursion doesn't survive."""
    depth = 0
    for event in yaml.parse(text, Loader=PARSER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")


def _require_bounded(content: dict[Any, Any]) -> None:
    """Raises ValueError where interpolations refer to themselves or would make a configuration grow out of bounds."""
    sizes: dict[Place, int | None] = {}  # None while it is being counted

    def size(node: Any, place: Place) -> int:
        if place not in sizes:
            sizes[place] = None
            sizes[place] = counted(node, place)
        found = sizes[place]
        if found is None or found > MOST_RESOLVED:
            problem = "refers to itself" if found is None else "is too large with its interpolations resolved"
            raise ValueError(f"{'.'.join(map(str, place))} {problem}")
        return found

    def counted(node: Any, place: Place) -> int:
        if isinstance(node, dict | list):
            items = node.items() if isinstance(node, dict) else enumerate(node)
            return 1 + sum(size(value, (*place, name)) for name, value in items)
        if not isinstance(node, str):
            return 1
        return len(node) + sum(size(*_target(content, name, place)) for name in REFERENCE.findall(node))

    size(content, ())


def _target(content: dict[Any, Any], name: str, origin: Place) -> tuple[Any, Place]:
    """What an interpolation at a place of a configuration refers to by `name`, or another that is met on the way.

    None for what isn't there.
    """
    parts: list[str | int] = [int(part) if part.isdecimal() else part for part in PART.findall(name)]
    if name.startswith("."):  # one level up for each dot
        parts = [*origin[: max(0, len(origin) - (len(name) - len(name.lstrip("."))))], *parts]
    node: Any = content
    for depth, part in enumerate(parts):
        if isinstance(node, str):
            return node, tuple(parts[:depth])
        if isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            node = node.get(part, node.get(str(part))) if isinstance(node, dict) else None
    return node, tuple(parts)


def without_caches(node: Any) -> None:
    """Takes out where caches were kept, so that they are made where this machine keeps them, and how large they may be:
    a stranger's limit would have other caches removed.
    """
    if isinstance(node, DictConfig):
        node.pop("cache_gib", None)
        if CACHES in node:
            node[CACHES] = None
        for value in node.values():
            without_caches(value)


def settled(config: DictConfig) -> Any:
    """A configuration in plain containers, with its interpolations; of those that `read_data` refuses, the values.

    What a run took from the environment stays what it was when it goes on.
    """

    def walk(raw: Any, key: str) -> Any:
        if isinstance(raw, dict):
            return {name: walk(value, f"{key}.{name}" if key else str(name)) for name, value in raw.items()}
        return OmegaConf.select(config, key) if _is_foreign(raw) else raw

    return walk(OmegaConf.to_container(config), "")


def _is_foreign(value: Any) -> bool:
    return isinstance(value, str) and any(name not in KNOWN for name in RESOLVER.findall(value))


def _names(content: Any) -> Iterator[Any]:
    """All keys of a configuration."""
    for value in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _names(value)
    yield from content if isinstance(content, dict) else ()


def _texts(content: Any, key: str) -> Iterator[tuple[str, str]]:
    """All texts of a configuration, each with its dotted key."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _texts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _texts(value, f"{key}[{index}]")
    elif isinstance(content, str):
        yield key, content
