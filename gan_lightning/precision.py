"""What is kept out of half precision, and what a run that is to be fast lets in."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch

_AS_IT_IS = nullcontext()
_ROUNDS: ContextVar[bool] = ContextVar("rounds", default=False)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Switches autocast off for a block on a device; does nothing, in a tenth of the time, where it isn't on."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return _AS_IT_IS


@contextmanager
def rounding_gradients() -> Iterator[None]:
    """Lets the gradients in samples that penalties take be computed under autocast, as all else; not their norms."""
    token = _ROUNDS.set(True)
    try:
        yield
    finally:
        _ROUNDS.reset(token)


def gradients_precision(device: torch.device) -> AbstractContextManager[object]:
    """Switches autocast off for a gradient in samples on a device, but within `rounding_gradients`."""
    return _AS_IT_IS if _ROUNDS.get() else without_autocast(device)


def forget_casts(device: torch.device) -> None:
    """Has autocast cast weights anew, which have changed: it keeps what it has cast until its outermost block ends."""
    if torch.is_autocast_enabled(device.type):
        torch.clear_autocast_cache()
