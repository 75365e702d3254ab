"""The memory of this process: how much there is, and keeping what was freed (glibc only)."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

M_TRIM_THRESHOLD = -1  # numbers of malloc.h
M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Have malloc reuse freed memory and not hand it back to the system; whether that was done.

    Every training step allocates and frees the same activations of many megabytes. By default glibc maps and
    unmaps each of them, and the system clears every page again. Call it once, before the first tensor, from a
    process that is all ours: the command line does, importing this package does not. The price is that the
    process stays at its peak size. Seen on two quiet cores: a step of `benchmarks/throughput_residual.py`'s network
    took 316 ms without it and 280 ms with it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def available() -> int | None:
    """Bytes of memory that this process may still take: what the machine has free, within its container's limit.

    None where that cannot be known (systems other than Linux).
    """
    lines = _lines(Path("/proc/meminfo"))
    found = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        most, now = (next(iter(_lines(Path("/sys/fs/cgroup") / name)), "") for name in (limit, used))
        if most.isdigit() and now.isdigit():
            found.append(max(int(most) - int(now), 0))
    return min(found, default=None)


def peak() -> int | None:
    """The most bytes of memory that this process has taken so far; None where that cannot be known."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
