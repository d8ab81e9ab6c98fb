"""The keys whose values are paths, in every command: how they are typed, read and printed. Imports neither Hydra nor
torch.
"""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from gan_lightning.errors import UserError

NODES = ("dataset", "dataset.source", "dataset.held_out")  # the latter take values of the first, unless told otherwise
ROOTS = tuple(f"{node}.root" for node in NODES)
READ = (*ROOTS, "extractor.weights", "init_from")
WRITTEN = (*(f"{node}.cache_dir" for node in (*NODES, "extractor", "attributes.classes")),)
LABELS = tuple(f"{node}.labels" for node in NODES)  # which are looked for from the data set's root on
SWEPT = (*READ, *WRITTEN, *LABELS)  # of which a sweep may try several
NAMED = (
    *ROOTS,
    "hydra.run.dir",
    "hydra.sweep.dir",
    "run",
    "out",
    "means.picture",
    "file",
)  # where null would be no path, and so is a name
KEYS = tuple(dict.fromkeys((*NAMED, *SWEPT, "resume", "sweep.resume", "root", "folder", "map")))
PATTERNS = ("runs",)  # each a path or a pattern, or a list of such in brackets
FLAGS = ("--config-dir", "-cd", "--config-path", "-cp")
PLAIN = re.compile(r"[\w./-]+")
# One text in quotes, in which these have an odd number of backslashes before them.
QUOTED = re.compile("|".join(rf"{q}(?:[^{q}\\]|\\+[^{q}\\]|\\(?:\\\\)*{q})*(?:\\\\)*{q}" for q in "\"'"), re.DOTALL)
# Before quotes and at the end alone, backslashes escape: Hydra's grammar takes others as they are.
BACKSLASHES = re.compile(r'(\\*)("|\Z)')
ESCAPED = {quote: re.compile(rf"(\\+)({quote}|\Z)") for quote in "\"'"}


def with_paths(arguments: Sequence[str]) -> list[str]:
    """Arguments KEY=PATH with the paths quoted, so that names such as loss=vanilla,seed=1 are read as they stand.

    A ~ at the beginning is the home folder. Interpolations are left to Hydra, and so are several values with commas,
    where a sweep may have them and there is no such path.
    """
    quoted = []
    for text in arguments:
        key, equals, value = text.partition("=")
        name = key.lstrip("+")
        is_path = equals != "" and name in KEYS and value != "" and (value != "null" or name in NAMED)
        if is_path and ("," not in value or name not in SWEPT or is_quoted(value) or os.path.exists(value)):
            quoted.append(f"{key}={override_value(require_plain(name, typed_path(value)))}")
        else:
            quoted.append(text)
    return quoted


def with_home(arguments: Sequence[str]) -> list[str]:
    """Arguments --config-dir=~/conf with the home folder's path for ~; a shell puts it there after a space alone."""
    split = [text.partition("=") for text in arguments]
    return [flag + equals + (os.path.expanduser(path) if flag in FLAGS else path) for flag, equals, path in split]


def require_plain(key: str, path: str) -> str:
    """The path. Raises UserError if a configuration takes its name for something else."""
    if path == "???":
        raise UserError(f"{key} is ???, which a configuration takes for a value that is missing; write ./??? instead.")
    if "${" in path and os.path.exists(path):
        raise UserError(
            f"{key} is {path}, which a configuration takes for the value of another key; give the file or folder a name"
            " without ${, or a link with one."
        )
    return path


def one_path(argument: str) -> str:
    """What to type for KEY=PATH with commas in PATH, as a sentence with its leading space; nothing for other keys."""
    told = f" One path with commas is written {shell_word(in_quotes(argument))}."
    return told if argument.partition("=")[0] in SWEPT else ""


def in_quotes(argument: str) -> str:
    """KEY=VALUE with the value as text in quotes."""
    key, _, value = argument.partition("=")
    return f"{key}={override_value(value)}"


def is_quoted(value: str) -> bool:
    """Whether a path is typed with quotes of its own, as Hydra wants it, and not called so."""
    return QUOTED.fullmatch(value) is not None and not os.path.lexists(value)


def typed_path(value: str) -> str:
    """The path that an argument's value stands for, with or without quotes; a ~ at its beginning is the home folder."""
    if is_quoted(value):
        value = ESCAPED[value[0]].sub(lambda found: found[1][: len(found[1]) // 2] + found[2], value[1:-1])
    return os.path.expanduser(value)


def whole(path: str | Path, here: Path | None = None) -> Path:
    """An absolute path, from the folder `here` on, by default the current one; a ~ at its beginning is the home folder.

    Other than for pathlib, ~NAME is what it says if there is no such user.
    """
    return (here or Path.cwd()).absolute() / os.path.expanduser(path)


def override_value(path: Path | str) -> str:
    """A path, or other text, as a value that Hydra's override grammar reads as it is."""
    escaped = BACKSLASHES.sub(lambda found: found[1] * 2 + ('\\"' if found[2] else ""), str(path))
    return f'"{escaped}"'


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
