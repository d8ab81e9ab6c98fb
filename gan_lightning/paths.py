"""The keys whose values are paths, in every command: how they are typed, read and printed. Imports neither Hydra nor
torch.
"""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from gan_lightning.errors import UserError

OF_RUNS = ("resume", "hydra.run.dir", "hydra.sweep.dir", "run", "out", "folder", "root")  # one path each
NODES = ("dataset", "dataset.source", "dataset.held_out")  # the latter take values of the first, unless told otherwise
READ = (*(f"{node}.root" for node in NODES), "extractor.weights")
WRITTEN = (*(f"{node}.cache_dir" for node in NODES), "extractor.cache_dir")
KEYS = (*OF_RUNS, *READ, *WRITTEN, *(f"{node}.labels" for node in NODES))  # labels: from the data set's root on
PLAIN = re.compile(r"[\w./-]+")
# Before quotes and at the end alone, backslashes escape: Hydra's grammar takes others as they are.
BACKSLASHES = re.compile(r'(\\*)("|\Z)')
ESCAPED = {quote: re.compile(rf"(\\+)({quote}|\Z)") for quote in "\"'"}


def with_paths(arguments: Sequence[str]) -> list[str]:
    """Arguments KEY=PATH with the paths quoted, so that names such as loss=vanilla,seed=1 are read as they stand.

    A ~ at the beginning is the home folder. What has quotes already is left to Hydra, and interpolations in it are
    resolved; so are several values with commas, where a sweep may have them and there is no such path.
    """
    quoted = []
    for text in arguments:
        key, _, value = text.partition("=")
        name = key.lstrip("+")
        is_path = name in KEYS and value not in ("", "null", "???") and not is_quoted(value)
        if is_path and (name in OF_RUNS or "," not in value or os.path.exists(value)):
            require_no_interpolation(name, value)
            quoted.append(f"{key}={override_value(os.path.expanduser(value))}")
        else:
            quoted.append(text)
    return quoted


def require_no_interpolation(key: str, value: str) -> None:
    """Raises UserError for a path with ${ in its name: a saved configuration would take it for another key's value."""
    if "${" in value and os.path.exists(value):
        raise UserError(
            f"{key} is {value}, which a configuration takes for the value of another key; give the file or folder a"
            " name without ${, or a link with one."
        )


def is_quoted(value: str) -> bool:
    """Whether a path is typed with quotes of its own, and not called so."""
    return len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" and not os.path.lexists(value)


def override_value(path: Path | str) -> str:
    """A path, or other text, as a value that Hydra's override grammar reads as it is."""
    escaped = BACKSLASHES.sub(lambda found: found[1] * 2 + ('\\"' if found[2] else ""), str(path))
    return f'"{escaped}"'


def typed_path(value: str) -> str | None:
    """The path that an argument's value stands for, where nothing of Hydra's reads it; None for null."""
    if not is_quoted(value):
        return None if value == "null" else os.path.expanduser(value)
    return ESCAPED[value[0]].sub(lambda found: found[1][: len(found[1]) // 2] + found[2], value[1:-1])


def typed(key: str, path: Path | str) -> str:
    """KEY=PATH as one types it in a shell, quoted where the shell or this program would take it for something else."""
    text = str(path)
    return argument(key, f"./{text}" if text in ("null", "auto") or text.startswith("~") else text)


def argument(key: str, value: str) -> str:
    """The same for a value that has been typed already, such as a path from the home folder on."""
    return shell_word(f"{key}={value if PLAIN.fullmatch(value) else override_value(value)}")


def shell_word(text: str) -> str:
    r"""One argument as one types it in bash, in one line: what doesn't print is written as in $'a\x0ab'."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{''.join(each if each.isprintable() else _by_bytes(each) for each in escaped)}'"


def _by_bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
