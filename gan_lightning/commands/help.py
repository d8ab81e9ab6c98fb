"""`--help`: how the command is called, and each option of conf/ in a few words of its own file."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from gan_lightning.config.places import CONF

WIDTH = 118
INTERNAL = ("dataset_loss", "hydra")  # groups of which nobody chooses an option
OF_EDIT = ("attributes", "means")  # and those that `edit` alone has
PACKAGE = re.compile(r"#\s*@package\b")

BEFORE = """\
Trains generative adversarial networks.

  python -m gan_lightning [train] KEY=VALUE …        one run, in outputs/
  python -m gan_lightning -m KEY=VALUE,VALUE …       a sweep, in multirun/
  python -m gan_lightning study=NAME …               a sweep that a file describes
  python -m gan_lightning resume=RUN|auto            go on with a run
  python -m gan_lightning sample run=RUN …           images from a run (sample --help)
  python -m gan_lightning edit run=RUN …             samples with more of an attribute, and so on (edit --help)
  python -m gan_lightning evaluate run=RUN …         numbers for runs (evaluate --help)
  python -m gan_lightning report runs=RUNS …         a page that compares runs (report --help)
  python -m gan_lightning import FILE KEY=VALUE …    another program's generator (import --help)
  python -m gan_lightning export run=RUN …           a generator for other programs (export --help)
  python -m gan_lightning synthesize run=RUN …       labelled samples, a folder a class (synthesize --help)
  python -m gan_lightning cache                      the pictures that are kept decoded (cache --help)
  python -m gan_lightning new NAME                   a package for parts of one's own (new --help)
  python -m gan_lightning --version

Options, chosen by GROUP=OPTION:
"""
AFTER = """
A key is overridden by KEY=VALUE, e.g. seed=1 trainer.max_steps=10000 loss.optimizer.generator.lr=1e-4;
--cfg job prints them all. A list in a shell wants quotes: 'regularizer=[gradient_penalty]'. --config-dir DIR adds
options of one's own; Hydra's other flags are those of every Hydra program (hydra.cc)."""


def help_text(own: Sequence[Path] = ()) -> str:
    """The whole of it, with the options in folders of the user's own, which go before built-in ones of their names."""
    options: dict[str, dict[str, Path]] = {}
    for folder in (CONF, *reversed(own)):
        for file in sorted(folder.glob("*/*.yaml")):
            options.setdefault(file.parent.name, {})[file.stem] = file
    lines = [
        line for group in sorted(set(options) - {*INTERNAL, *OF_EDIT}) for line in described(group, options[group])
    ]
    return "\n".join([BEFORE, *lines, AFTER])


def described(group: str, files: dict[str, Path]) -> Iterator[str]:
    """A group's lines: its name, and each option with what it is."""
    yield f"  {group}"
    longest = max(map(len, files))
    for name, file in sorted(files.items()):
        yield f"    {name:{longest}}  {summary(file, WIDTH - longest - 6)}".rstrip()


def summary(file: Path, width: int) -> str:
    """The comment that an option's file begins with, as much of it as there is room for."""
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if PACKAGE.match(line):
            continue
        if not line.startswith("#"):
            break
        found.append(line.lstrip("# "))
    return textwrap.shorten(" ".join(found), width, placeholder=" …")
