"""The process that forks a sweep's jobs: it has imported what a job needs, once for all of them.

python -m gan_lightning.commands.job_server NUMBER, which `commands/forking.py` types; NUMBER is a socket's.

A forked job has what a started one has: its own process group, environment, output and exit, and nothing that this
process has done but imports. So it forks while it has one thread and no files but its own; a job that can't be forked
is for its sweep to start.
"""

import atexit
import gc
import io
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

from gan_lightning.collecting import uncollected
from gan_lightning.processes import LEASH

READY = b"ready"
LONGEST = 1 << 20  # bytes of what is asked
# What jobs import, wherever they do: the run, and what it draws and logs by.
IMPORTS = (
    *(f"gan_lightning.{name}" for name in ("__main__", "commands.train", "runs.run", "losses", "networks", "metrics")),
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "matplotlib.font_manager"),
    *("torch.utils.tensorboard", "scipy.stats"),
)


class Asked(NamedTuple):
    """A job to be: the command's arguments, its environment, and numbers of files, of its output and its leash."""

    arguments: list[str]
    environment: dict[str, str]
    output: int
    leash: int


def main(number: int) -> int:
    """Serves until the sweep has closed its end of the socket; in a job, returns the job's exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else wait_for fails, where who started the sweep ignores it
    with socket.socket(fileno=number) as control:
        own = open_files()
        imported()
        control.sendall(READY)
        asked = serve(control, own)
    return end(become, asked) if asked else 0


def imported() -> None:
    """Imports what jobs do, and reads what they read of this project's own configs: of the users' nothing."""
    from gan_lightning.config.compose import compose
    from gan_lightning.config.schema import TRAINING
    from gan_lightning.config.sources import Sources

    with uncollected(lasting=True):  # nor copied into the jobs by their collections
        for name in IMPORTS:
            import_module(name)
        compose(Sources("train"), [], TRAINING)  # signatures and the parser's tables are kept
        if threads() > 1:  # OpenBLAS's, which end where a process forks, and come back where they are used
            wait_for(os.fork() or os._exit(0))


def serve(control: socket.socket, own: set[str]) -> Asked | None:
    """Forks a job for each message; None once there are no more, and in a job what is asked of it."""
    while True:
        message, files, _, _ = socket.recv_fds(control, LONGEST, 2)
        if not message:
            return None
        asked = Asked(**json.loads(message), output=files[0], leash=files[1])
        why = why_not(own | set(map(str, files)))
        pid = None if why else fork()
        if pid == 0:
            return asked
        for file in files:
            os.close(file)
        control.sendall(json.dumps({"pid": pid, "why": why}).encode())


def fork() -> int | None:
    """Forks twice, so that the job is its sweep's own child: returns its number, 0 in the job, None if it can't be."""
    read, write = os.pipe()
    between = os.fork()
    if between:
        os.close(write)
        wait_for(between)
        with open(read, "rb") as file:
            return int(file.read() or 0) or None
    os.close(read)
    with suppress(OSError):
        if pid := os.fork():
            os.write(write, str(pid).encode())
        else:
            os.close(write)
            return 0
    os._exit(0)


def become(asked: Asked) -> int:
    """Makes this process the job: as if started as `python -m gan_lightning ARGUMENTS`. Returns its exit status."""
    os.setpgid(0, 0)
    for number in (1, 2):
        os.dup2(asked.output, number)
    os.close(asked.output)
    os.environ.clear()
    os.environ.update(asked.environment | {LEASH: str(asked.leash)})
    program: Any = import_module("gan_lightning.__main__")
    sys.modules["__main__"] = program  # by which Lightning starts the processes of other devices
    sys.argv = [program.__file__, *asked.arguments]
    return int(program.main())


def end(job: Callable[[Asked], int], asked: Asked) -> NoReturn:
    """Ends a job's process as Python does, but gives no object back: that would first copy what it shares."""
    status = 1
    try:
        status = job(asked)
    except BaseException:  # of whatever kind
        traceback.print_exc()
    # What the interpreter calls where a process ends, to wait for its threads; it has no public name, nor a type.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit.unregister(gc.unfreeze)  # so that only what this job has made is looked through below
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    flush_files()
    os._exit(status)


def flush_files() -> None:
    """Writes what open files still hold, as giving them back would."""
    for found in gc.get_objects():
        with suppress(Exception):  # of whatever kind: closed, broken, or a class that answers oddly
            if issubclass(type(found), io.IOBase):
                found.flush()


def why_not(files: set[str]) -> str | None:
    """Why nothing can be forked here; None if it can. CUDA, once it is up, has files open and threads."""
    if (count := threads()) > 1:
        return f"the job server has {count} threads"
    if others := open_files() - files:
        return f"the job server has {len(others)} further files open"
    return None


def threads() -> int:
    """How many threads this process has."""
    return len(os.listdir("/proc/self/task"))


def open_files() -> set[str]:
    """The numbers of this process's open files."""
    return {number for number in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{number}")}


def wait_for(pid: int) -> None:
    """Waits until a child of this process has ended."""
    os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
