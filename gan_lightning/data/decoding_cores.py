"""Decoding on all cores: in threads, and of many pictures in processes.

Pillow lets go of Python's lock only where it decodes, a small part of a small picture's time: for these, threads use
little more than one core.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue

from gan_lightning.data.decoding import Decoded, Form
from gan_lightning.data.decoding_process import Decoder, Results, decode_here, process_that_decodes
from gan_lightning.data.picture_cache import Corrupt
from gan_lightning.data.picture_files import readers
from gan_lightning.data.places import Place

TOGETHER = 16  # pictures that a core is given at a time
AHEAD = 4  # times as many, for each core, may be ahead of the writer, so that few wait in memory
MANY = 8192  # pictures for which processes pay, each of which costs 0.2 s of a core to start or more
MOST_PROCESSES = 32


def decode_all(root: Place, names: Sequence[str], form: Form) -> Iterator[Decoded | Corrupt]:
    """Decodes the named pictures on all cores; yields one result for each, in order."""
    readers()  # before threads ask for it at once
    cores = usable_cores()
    processes = min(cores, MOST_PROCESSES) if cores > 1 and len(names) >= MANY else 0
    idle: SimpleQueue[Decoder] = SimpleQueue()
    pending: deque[Future[Results]] = deque()

    def decode(batch: Sequence[str]) -> Results:
        decoder = idle.get()
        try:
            return decoder(batch)
        finally:
            idle.put(decoder)

    with ExitStack() as stack:
        for _ in range(processes):
            idle.put(stack.enter_context(process_that_decodes(root, form)))
        for _ in range(0 if processes else cores):
            idle.put(partial(decode_here, root, form))
        pool = ThreadPoolExecutor(processes or cores)
        stack.callback(pool.shutdown, cancel_futures=True)  # waits for what the cores have just been given
        for first in range(0, len(names), TOGETHER):
            pending.append(pool.submit(decode, names[first : first + TOGETHER]))
            if len(pending) > AHEAD * cores:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
