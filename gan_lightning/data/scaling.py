"""Numbers of one's own as samples: put into the networks' shape, checked, and scaled, with the units to go back by."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_lightning.errors import UserError, printable
from gan_lightning.samples import Units

_log = logging.getLogger(__name__)

Levels = Literal["data", "standard"] | tuple[float, float] | None
ROWS_AT_ONCE = 4096  # whatever the samples' size
BYTES = Units((127.5,), (127.5,))  # of pixels in [-1, 1] that are levels 0 to 255


def are_bytes(units: Units) -> bool:
    """Whether samples in these units are levels of bytes."""
    return (units.scale, units.shift) == (BYTES.scale, BYTES.shift)


def shared(array: NDArray[Any]) -> Tensor:
    """A tensor of an array's own memory, even where that can't be written to, as nothing does."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)


def require_levels(levels: Levels) -> None:
    """Raises ValueError for a pair that is none."""
    if isinstance(levels, list | tuple) and not levels[0] < levels[1]:
        raise ValueError(f"range must be [LOW,HIGH] with LOW below HIGH, got {list(levels)}")


def arranged(array: NDArray[Any], shape: Sequence[int], root: Path) -> NDArray[Any]:
    """An array of numbers as images (N, c, h, w), signals (N, C, L) or vectors (N, d): what `shape`, a sample's, asks.

    Images may be grey without a dimension for that, (N, H, W), have their channels last, or be flattened, (N, C * H *
    W); signals may have their channels last too, (N, L, C), or be flattened, (N, C * L), so that those of one channel
    are (N, L). Raises UserError, which tells the array's shape and type, for anything else.
    """
    found = f"dataset.root is {root}, which has an array of shape {array.shape} and type {array.dtype}"
    if array.dtype.kind not in "biuf":
        raise UserError(f"{found}; expected whole or real numbers.")
    if array.ndim == 0 or 0 in array.shape:
        raise UserError(f"{found}: there is nothing in it.")
    arrange = {1: _as_vectors, 2: _as_signals, 3: _as_images}.get(len(shape))
    fitting = arrange(array, shape) if arrange else None
    if fitting is None:
        raise UserError(
            f"{found}, while dataset.sample_shape is {list(shape)}; expected (N, C, H, W), (N, H, W, C) or (N, H, W)"
            " for images, dataset.sample_shape=[C,H,W], (N, C, L), (N, L, C) or, of one channel, (N, L) for signals,"
            " all of that length, dataset.sample_shape=[C,L], and (N, d) for vectors, dataset.sample_shape=[d]."
        )
    return fitting


def _as_images(array: NDArray[Any], shape: Sequence[int]) -> NDArray[Any] | None:
    if array.ndim == 2:
        return array.reshape(-1, *shape) if array.shape[1] == prod(shape) else None
    if array.ndim == 3:
        return array[:, None]
    if array.ndim != 4:
        return None
    for channels in ([shape[0]], [1, 3]):  # those that are asked for go before those that can be made of others
        if array.shape[1] in channels:
            return array
        if array.shape[3] in channels:
            return array.transpose(0, 3, 1, 2)
    return None


def _as_signals(array: NDArray[Any], shape: Sequence[int]) -> NDArray[Any] | None:
    if array.ndim == 2 and array.shape[1] == prod(shape):
        return array.reshape(-1, *shape)
    if array.shape[1:] == tuple(shape):
        return array
    return array.transpose(0, 2, 1) if array.shape[1:] == tuple(reversed(shape)) else None


def _as_vectors(array: NDArray[Any], shape: Sequence[int]) -> NDArray[Any] | None:
    if array.ndim > 2:
        return None
    return array.reshape(-1, 1) if array.ndim == 1 else array


def scaled(
    values: NDArray[Any], levels: Levels, known: Units | None, root: Path, names: Sequence[str] = ()
) -> tuple[Tensor, Units]:
    """Images (N, C, H, W), signals (N, C, L) or vectors (N, d) as samples, and their units: the `known` ones, or those
    of `levels`.

    `data` brings the lowest and the highest number of all pixels, of each of the signals' channels, or of each column,
    to -1 and 1; `standard` each channel's or column's mean to 0 and its standard deviation to 1; a pair of levels
    becomes -1 and 1, and None leaves signals and vectors as they are. Images of uint8 stay so, unless a pair of levels
    is given; pixels beyond -1 and 1 are cut off, which is said. `names` are those of the columns, for messages and
    units. Raises UserError for numbers that aren't finite, and where `levels` don't fit.
    """
    are_images = values.ndim == 4
    stay = values.dtype == np.uint8 and not isinstance(levels, list | tuple) and (known is None or are_bytes(known))
    if are_images and stay:
        return shared(np.ascontiguousarray(values)), BYTES._replace(names=tuple(names))
    if are_images and levels not in ("data", None) and isinstance(levels, str):
        raise UserError(
            f"dataset.range is {levels}, but images lie in [-1, 1]; use dataset.range=data, or [LOW,HIGH] for the"
            " levels that become -1 and 1."
        )
    _require_finite(values, root, names)
    units = known or _units(values, levels)._replace(names=tuple(names))
    samples, cut = _apply(values, units)
    if cut:
        scale, shift = units.scale[0], units.shift[0]
        told = (
            f"{cut} of {values.size} pixels of {root} lie beyond {shift - scale:g} and {shift + scale:g}, which become"
            " -1 and 1, and are cut off"
        )
        if levels is None:
            raise UserError(f"{told}; with dataset.range=data their own lowest and highest become -1 and 1.")
        _log.warning("%s.", printable(told))
    return samples, units


def _chunks(values: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(values), ROWS_AT_ONCE):
        yield np.asarray(values[start : start + ROWS_AT_ONCE], np.float64)


def _require_finite(values: NDArray[Any], root: Path, names: Sequence[str]) -> None:
    nan = infinite = rows = 0
    columns: set[int] = set()
    for chunk in _chunks(values):
        if np.isfinite(chunk).all():
            continue
        wrong = ~np.isfinite(chunk)
        nan, infinite = nan + int(np.isnan(chunk).sum()), infinite + int(np.isinf(chunk).sum())
        rows += int(wrong.any(axis=tuple(range(1, chunk.ndim))).sum())
        columns |= set(np.nonzero(wrong.reshape(len(wrong), -1))[1].tolist())
    if rows:
        where = f" (columns {', '.join(names[each] for each in sorted(columns)[:5])})" if names else ""
        absent = "missing" if names else "NaN"
        raise UserError(
            f"dataset.root is {root}, which has {nan} {absent} and {infinite} infinite numbers, in {rows} of"
            f" {len(values)} samples{where}; leave these samples out, or put numbers in their place."
        )


def _units(values: NDArray[Any], levels: Levels) -> Units:
    if levels is None:
        return Units()
    if isinstance(levels, list | tuple):
        low, high = np.array([levels[0]], np.float64), np.array([levels[1]], np.float64)
    else:
        axes = tuple(axis for axis in range(values.ndim) if axis != 1 or values.ndim == 4)
        if levels == "standard":
            count = values.size // values.shape[1]
            mean = sum(chunk.sum(axes) for chunk in _chunks(values)) / count
            centred = (-1, *[1] * (values.ndim - 2))
            square = sum(((chunk - mean.reshape(centred)) ** 2).sum(axes) for chunk in _chunks(values)) / count
            return _as_units(np.sqrt(square), mean)
        low = np.min([np.min(chunk, axes) for chunk in _chunks(values)], axis=0).reshape(-1)
        high = np.max([np.max(chunk, axes) for chunk in _chunks(values)], axis=0).reshape(-1)
    return _as_units(high / 2 - low / 2, high / 2 + low / 2)


def _as_units(scale: Any, shift: Any) -> Units:
    return Units(tuple(scale.tolist()), tuple(shift.tolist()))


def _apply(values: NDArray[Any], units: Units) -> tuple[Tensor, int]:
    """float32 samples, and how many pixels were cut off."""
    ones = [1] * (values.ndim - 2)
    scale, shift = (np.array(each, np.float64).reshape(-1, *ones) for each in (units.scale, units.shift))
    scale = np.where(scale == 0, 1.0, scale)  # of a column that is the same everywhere: 0 here, and itself again there
    samples, cut, start = np.empty(values.shape, np.float32), 0, 0
    for chunk in _chunks(values):
        made = ((chunk - shift) / scale).astype(np.float32)
        if values.ndim == 4:
            cut += int((np.abs(made) > 1).sum())
            made = made.clip(-1, 1)
        samples[start : start + len(made)] = made
        start += len(made)
    return torch.from_numpy(samples), cut
