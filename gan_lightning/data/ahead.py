"""Samples that are mapped from a file and don't fit into memory: the system is asked for them before they are used."""

import ctypes
import mmap
from functools import cache
from typing import Any

from torch import Tensor

from gan_lightning.memory import free_memory


def is_larger_than_memory(samples: Tensor) -> bool:
    """Whether samples can't all stay in the memory that there is, and are read from the disk again and again."""
    free = free_memory()
    return samples.device.type == "cpu" and free is not None and samples.nbytes > free


def ask_for(samples: Tensor, rows: Tensor) -> None:
    """Has the system read some rows (...) of samples (N, ...) that are mapped, for which nobody waits; others may be.

    Without it, one reads by the page what is not there, and waits each time, while the system reads far more around it.
    """
    advise = _advise()
    start, row = samples.data_ptr(), samples.stride(0) * samples.element_size()
    for number in rows.flatten().sort().values.tolist() if advise else ():
        first = start + number * row
        page = first // mmap.PAGESIZE * mmap.PAGESIZE
        advise(page, first + row - page, mmap.MADV_WILLNEED)


@cache
def _advise() -> Any:
    """The system's madvise; None where there is none."""
    function = getattr(ctypes.CDLL(None), "madvise", None) if hasattr(mmap, "MADV_WILLNEED") else None
    if function is not None:
        function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function
