"""Conditions that are numbers: attributes, on or off, and real numbers, from columns of a table or of an array."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_lightning.data.picture_files import some
from gan_lightning.data.seen import from_text
from gan_lightning.errors import UserError
from gan_lightning.samples import Units, as_condition_units

MOST_CONDITIONS = 1000  # more are no labels, but samples of another kind
COLUMNS_NAMED = 5


def require_names(conditions: Sequence[str] | None, labels: str | None) -> None:
    """Raises ValueError for names of conditions that are none, or that `labels` don't have."""
    if conditions is None:
        return
    if labels is None:
        raise ValueError("conditions are columns of dataset.labels, which is not given")
    require_different(conditions)


def require_different(conditions: Sequence[str]) -> None:
    """Raises ValueError for names of conditions that are none, whatever has them."""
    if not conditions or len(set(conditions)) < len(conditions):
        raise ValueError(f"conditions must be one name or more, all different, got {list(conditions)}")
    if len(conditions) > MOST_CONDITIONS:
        raise ValueError(f"conditions must be at most {MOST_CONDITIONS}, got {len(conditions)}")


def units_of(seen: Mapping[str, Any] | None) -> Units | None:
    """The units of the conditions that a run has seen, if it has any. Raises ValueError if they are none."""
    return as_condition_units(from_text(seen["conditions"])) if seen and "conditions" in seen else None


def numbers_of(rows: Sequence[Sequence[str]], names: Sequence[str], which: str) -> NDArray[np.float64]:
    """Texts (N, K) as numbers. Raises UserError, beginning with `which`, for a column that has others."""
    values = np.empty((len(rows), len(names)))
    for place, name in enumerate(names):
        wrong = []
        for number, row in enumerate(rows):
            try:
                values[number, place] = float(row[place])
            except ValueError:
                wrong.append(row[place])
        if wrong:
            raise UserError(
                f"{which}, whose column {name} has {len(wrong)} of {len(rows)} that are no numbers"
                f" ({some(list(dict.fromkeys(wrong)))}); expected real numbers, or 0 and 1 (or -1 and 1) of an"
                f" attribute. A column of texts is classes: dataset.label_column={name} dataset.conditions=null."
            )
    return values


def scaled_conditions(
    values: NDArray[Any], names: Sequence[str], which: str, known: Units | None
) -> tuple[Tensor, Units]:
    """Numbers (N, K) as conditions, float32 (N, K), and the units to go back by: the `known` ones, if there are any.

    The lowest number of each column becomes -1 and the highest 1, so that an attribute is -1 or 1. Raises UserError,
    beginning with `which`, for numbers that aren't finite, a column that is the same everywhere, and other names than
    the known ones.
    """
    if known is not None and known.names != tuple(names):
        raise UserError(
            f"dataset.conditions is {list(names)}, but the run has seen {list(known.names)}; a run goes on with those."
        )
    values = np.asarray(values, np.float64)
    for name, column in zip(names, values.T, strict=True):
        if missing := int((~np.isfinite(column)).sum()):
            raise UserError(
                f"{which}, whose column {name} has {missing} of {len(column)} that are NaN or infinite; leave these"
                " samples out, or put numbers in their place."
            )
    low, high = values.min(0), values.max(0)
    if known is None and (low == high).any():
        same = [f"{name} ({value:g})" for name, value in zip(names, low, strict=True)]
        same = [told for told, is_same in zip(same, low == high, strict=True) if is_same]
        more = "" if len(same) <= COLUMNS_NAMED else f" and {len(same) - COLUMNS_NAMED} more"
        raise UserError(
            f"{which}, where these columns are the same everywhere, and tell networks nothing:"
            f" {', '.join(same[:COLUMNS_NAMED])}{more}; leave them out of dataset.conditions."
        )
    units = known or Units(tuple((high / 2 - low / 2).tolist()), tuple((high / 2 + low / 2).tolist()), tuple(names))
    return torch.from_numpy(((values - np.array(units.shift)) / np.array(units.scale)).astype(np.float32)), units


def rescaled(conditions: Tensor, units: Units, wanted: Units) -> Tensor:
    """Conditions (N, K) of some units in others."""
    restored = units.restore(conditions)
    shift, scale = (torch.tensor(each, dtype=torch.float64) for each in (wanted.shift, wanted.scale))
    return ((restored - shift) / scale).float()
