"""The moment at which the command line's process began: a time limit bounds the whole command, imports included."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

_commands: list[float] = []  # the start of this process, once it is known to be a command's


def command_starts() -> None:
    """Note that this process runs one command, from its start on."""
    _commands[:] = [time.monotonic() - process_age()]


def began() -> float:
    """Seconds of `time.monotonic` at which the process of a command began; elsewhere, as in Python, now."""
    return _commands[0] if _commands else time.monotonic()


def process_age() -> float:
    """Seconds since this process began; 0 where the system doesn't tell."""
    if sys.platform != "linux":
        return 0.0
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):  # no /proc, or one of another kind
        return 0.0
    return max(age, 0.0)
