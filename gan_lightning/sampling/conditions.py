"""Conditions that are numbers: drawn as the data have them, and set to what is asked for."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.samples import Conditions
from gan_lightning.seeds import mix
from gan_lightning.suggest import did_you_mean

DRAWN = 0xC07D  # keeps what is drawn here apart from every other use of a seed
ROUNDED = 1e-6  # by which a number of the files may lie outside of their range


def draw_conditions(known: Conditions, count: int, seed: int) -> Float[Tensor, "{count} k"]:
    """Conditions (count, K), random rows of the data's; the first k of a seed are the same for every count."""
    source = torch.Generator().manual_seed(mix(seed, DRAWN))
    return known.rows[torch.randint(len(known.rows), (count,), generator=source)]


def with_asked(rows: Float[Tensor, "n k"], known: Conditions, asked: Mapping[str, Any]) -> Float[Tensor, "n k"]:
    """Conditions (N, K) with those that are asked for by name, in the files' units, in place of what they have there.

    Raises UserError for a name that there isn't, for what is no number, and for numbers beyond those of the data.
    """
    rows, names = rows.clone(), known.units.names
    for name, value in asked.items():
        if name not in names:
            hint = did_you_mean(str(name), names)
            raise UserError(f"label has {name}, but this generator's conditions are {', '.join(names)}.{hint}")
        place = names.index(name)
        scale, shift = known.units.scale[place], known.units.shift[place]
        low, high = shift - scale, shift + scale
        if not isinstance(value, int | float) or not abs(value - shift) <= scale * (1 + ROUNDED):
            raise UserError(f"label has {name}={value}, but the data's {name} goes from {low:g} to {high:g}.")
        rows[:, place] = (value - shift) / scale
    return rows


def contrasts(known: Conditions, count: int, seed: int) -> Float[Tensor, "rows columns k"]:
    """Conditions for the rows of a grid, at most `count` of them, that show what each one does: (rows, columns, K).

    A condition of two values has a row for each, any other one for its lowest, its middle and its highest. The other
    conditions are those of `columns` random rows of the data, the same in each row of the grid.
    """
    is_attribute = (known.rows.abs() == 1).all(0).tolist()
    values = [(place, v) for place, two in enumerate(is_attribute) for v in ((-1.0, 1.0) if two else (-1.0, 0.0, 1.0))]
    values = values[:count]
    rows = draw_conditions(known, count // len(values), seed).repeat(len(values), 1, 1)
    for row, (place, value) in zip(rows, values, strict=True):
        row[:, place] = value
    return rows
