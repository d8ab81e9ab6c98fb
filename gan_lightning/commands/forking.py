"""A sweep's jobs out of a job server, which has imported everything once (job_server.py). Imports no torch."""

import ctypes
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from gan_lightning.processes import SIGNALS

log = logging.getLogger(__name__)

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>
ANSWER_SECONDS = 60.0  # for a fork, which takes milliseconds
servers: list["JobServer"] = []  # those of this process, the last of which may be used again


class Forked:
    """A job's process, which the job server has forked and left to this one; it has what subprocess.Popen has."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """What the process has ended with, negative for a signal; None while it runs."""
        if self.returncode is None:
            try:
                found, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has asked: as with subprocess.Popen, its folder tells the rest
                found, status = self.pid, 0
            self.returncode = os.waitstatus_to_exitcode(status) if found else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class JobServer:
    """A job server as its sweep has it. Its jobs have the environment it is started with, but for what is said."""

    def __init__(self, threads: str | None, environment: Mapping[str, str]) -> None:
        self.threads = threads
        self.is_ready = False
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gan_lightning.commands.job_server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )

    def is_starting(self) -> bool:
        """Whether it is still importing; one that has failed at that has ended."""
        if not self.is_ready and select.select([self.control], [], [], 0)[0]:
            self.is_ready = bool(self.answer())
        return not self.is_ready and self.process.poll() is None

    def fork(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: IO[bytes], leash: int
    ) -> Forked | None:
        """A job's process; None where there can't be one, which has been logged."""
        asked = json.dumps({"arguments": arguments, "environment": dict(environment)}).encode()
        why = "the job server is gone"
        with suppress(OSError):
            socket.send_fds(self.control, [asked], [output.fileno(), leash])
            if answer := self.answer():
                found = json.loads(answer)
                if found["pid"]:
                    return Forked(found["pid"])
                why = found["why"] or "there can't be more processes"
        log.info("A job is started, not forked: %s.", why)
        return None

    def answer(self) -> bytes:
        """Its next message; empty if it has ended."""
        with suppress(OSError):
            self.control.settimeout(ANSWER_SECONDS)
            return self.control.recv(4096)
        self.process.kill()  # what comes later would be taken for the next answer
        return b""

    def end(self) -> None:
        """Ends it, once its jobs have ended."""
        self.control.close()
        self.process.kill()
        self.process.wait()


def job_server(threads: str | None) -> JobServer | None:
    """The job server of this process, whose jobs compute with so many threads; None where there can't be one."""
    if servers and servers[-1].threads == threads and servers[-1].process.poll() is None:
        return servers[-1]
    if sys.platform != "linux":
        return None
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:  # as whoever started this may: no job's end would be told
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not adopts(True):
        return None
    environment = dict(os.environ) | ({} if threads is None else {"OMP_NUM_THREADS": threads})
    end_job_servers()
    adopts(True)
    servers.append(JobServer(threads, environment))
    return servers[-1]


def end_job_servers() -> None:
    """Ends what job servers this process has."""
    if servers:
        adopts(False)
    while servers:
        servers.pop().end()


def adopts(does: bool) -> bool:
    """Has this process get the jobs that its job server forks for its own children, or not; whether it can."""
    try:
        return bool(ctypes.CDLL(None).prctl(SUBREAPER, int(does), 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


@contextmanager
def signals_later() -> Iterator[None]:
    """Keeps SIGNALS waiting while the block runs."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
