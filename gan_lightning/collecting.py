"""Python's collector of cycles, kept still while there is nothing for it: the standard library alone."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(lasting: bool = False) -> Iterator[None]:
    """Collects nothing while the block runs, such as imports: all that they make stays.

    To look through it again and again takes a fifth of the time in which torch and Lightning are imported. What is
    there after a block with a `lasting` result is never looked through again.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if lasting:
            gc.freeze()
            atexit.register(gc.unfreeze)  # lest C code complains of what is never given back
        if was:
            gc.enable()
