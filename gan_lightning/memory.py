"""How much memory there is to have. Imports neither torch nor anything of this package."""

import math
import os
import re
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def free_memory() -> int | None:
    """Bytes that can be had on this machine, or in the container that this is; None where nothing tells."""
    found = [bytes_ for bytes_ in (_of_machine(), _of_container()) if bytes_ is not None]
    return min(found, default=None)


def size(nbytes: float) -> str:
    """Bytes in the unit that suits them."""
    power = min(int(math.log(max(nbytes, 1), 1024)), len(UNITS) - 1)
    return f"{nbytes / 1024**power:.3g} {UNITS[power]}"


def _of_machine() -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", MEMINFO.read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _of_container() -> int | None:
    """What a container may still take of its limit (version 2 of Linux's control groups)."""
    try:
        limit, used = ((CONTAINER / name).read_text().strip() for name in ("memory.max", "memory.current"))
        # What it keeps of files is given back when it is needed.
        cached = re.search(r"^inactive_file (\d+)", (CONTAINER / "memory.stat").read_text(), re.MULTILINE)
        return max(0, int(limit) - int(used) + (int(cached[1]) if cached else 0))
    except (OSError, ValueError):  # no such group, or no limit: "max"
        return None
