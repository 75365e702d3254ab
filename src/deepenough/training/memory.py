"""The memory of this process: how much there is, and keeping what was freed (glibc only)."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import torch

M_TRIM_THRESHOLD = -1  # numbers of malloc.h
M_MMAP_MAX = -4
# The files of a control group, in the versions 2 and 1 of Linux's: its limit, its use, and what names of its counts
# begin with. By the controller, which is also the folder: version 2 has all of them in one.
CGROUPS = {
    "": ("memory.max", "memory.current", ""),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
}


def keep_freed_memory() -> bool:
    """Have malloc reuse freed memory instead of returning it to the system; False where it can't.

    Every training step allocates and frees the same activations of many megabytes. By default glibc maps and
    unmaps each of them, and the system clears every page again. Call it once, before the first tensor, from a
    process that is all ours: the command line does, importing this package does not. The price is that the
    process stays at its peak size. Seen on two quiet cores: a step of `benchmarks/throughput_residual.py`'s network
    took 316 ms without it and 280 ms with it.
    """
    if not _glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))  # at none


def release_freed_memory() -> None:
    """Return the memory that malloc keeps to the system, which counts it as taken (glibc only)."""
    if _glibc():
        ctypes.CDLL(None).malloc_trim(0)


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes of memory that this process may still take: what the machine has free, within the limits of its container
    and of its job of Slurm's or systemd's; an equal share, where torchrun started several processes on this machine.

    What caches files counts as free, since the system gives it up for whoever needs memory. What was freed here and
    kept is returned first: it would count as taken. None where nothing tells (systems other than Linux). `root` is
    where the system's own files are.
    """
    release_freed_memory()
    free = _counts(root / "proc/meminfo").get("MemAvailable:")
    found = [*_cgroup_headroom(root), *([] if free is None else [1024 * free])]
    return min(found) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if found else None


def peak_memory(device: str = "cpu") -> int | None:
    """The most bytes of memory that this process has taken so far, the GPU's where it trains on one; None where that
    cannot be known."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"


def _cgroup_headroom(root: Path) -> Iterator[int]:
    """The bytes left in each control group of this process that has a limit, from the outermost on."""
    own = dict.fromkeys(CGROUPS, "/")
    for line in _lines(root / "proc/self/cgroup"):  # number:controllers:path
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path)
    for controller, (limit, used, prefix) in CGROUPS.items():
        folder = root / "sys/fs/cgroup" / controller
        for part in own[controller].rstrip("/").split("/"):  # the first is empty: where the container itself is
            folder /= part
            most, now = ("".join(_lines(folder / name)) for name in (limit, used))
            if most.isdigit() and now.isdigit():
                counts = _counts(folder / "memory.stat")
                cached = sum(counts.get(f"{prefix}{kind}_file", 0) for kind in ("inactive", "active"))
                yield max(int(most) - max(int(now) - cached, 0), 0)


def _counts(path: Path) -> dict[str, int]:
    """The numbers in a file of lines that begin with a name and a number."""
    return {words[0]: int(words[1]) for words in map(str.split, _lines(path)) if len(words) > 1}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
