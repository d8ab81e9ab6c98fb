"""What a sweeper is told of a run: the numbers that `optimize` names. Imports no torch."""

import logging
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path

from gan_lightning.errors import UserError, printable
from gan_lightning.runs import results
from gan_lightning.suggest import did_you_mean

Optimize = str | Sequence[str] | None
Outcome = float | tuple[float, ...] | None

log = logging.getLogger(__name__)


def outcome(optimize: Optimize, folder: Path) -> Outcome:
    """The numbers of a run in its folder: one, or several in the order of their names; None if none is asked for.

    Those of the last evaluation go before logged ones. NaN, which sweepers take for a failure, stands for one that was
    not finite, and for one that the run has not, which is said.
    """
    found = results.find(folder)
    record = found.evaluation.get("last", {}) if found else {}
    known = {**(found.metrics if found else {}), **record.get("values", {})}
    names = _names(optimize)
    for name in names:
        if name not in known:
            lacks = "; ".join(f"{metric} is left out: {lack}" for metric, lack in record.get("left_out", {}).items())
            log.warning(
                "optimize is %s, which %s has not; there are %s.%s%s",
                *(name, printable(folder), ", ".join(known), did_you_mean(name, known)),
                f" {printable(lacks)}." if lacks else "",
            )
    numbers = tuple(nan if known.get(name) is None else float(known[name]) for name in names)
    return (numbers[0] if isinstance(optimize, str) else numbers) if numbers else None


def require_known(optimize: Optimize, evaluated: Mapping[str, bool | None], every: int | None) -> None:
    """Raises UserError for a number that no evaluation of the run will have; what is logged is known by its slash."""
    for name in _names(optimize):
        if name in evaluated and every is None:
            raise UserError(f"optimize is {name}, but evaluation.every=null leaves evaluations out.")
        if name not in evaluated and "/" not in name:
            raise UserError(
                f"optimize is {name}, but a run has no such number; its evaluations have {', '.join(evaluated)}, and"
                f" what is logged has names such as loss/generator.{did_you_mean(name, evaluated)}"
            )


def _names(optimize: Optimize) -> Sequence[str]:
    return () if optimize is None else (optimize,) if isinstance(optimize, str) else optimize
