"""The moment at which the command line's process began: a time limit bounds the whole command, imports included."""

from __future__ import annotations

import time

MOST = 1.0
"""Seconds: the interpreter and the few imports before a command take a tenth of it; what computed before it became this
command, as a script that ends with `exec`, could have taken any time."""
_commands: list[float] = []  # the start of this process, once it is known to be a command's


def command_starts() -> None:
    """Note that this process runs one command, from its start on."""
    _commands[:] = [time.monotonic() - process_age()]


def began() -> float:
    """Seconds of `time.monotonic` at which the process of a command began; elsewhere, as in Python, now."""
    return _commands[0] if _commands else time.monotonic()


def process_age() -> float:
    """Seconds that this process took to come here, as a command does first of all.

    By the clock, as in /proc/self/stat, it began with its fork, even where it is a shell that waited for hours and then
    became this command (`exec`). Processor time leaves waiting out, and is known on every system.
    """
    return min(time.process_time(), MOST)
