"""File permissions that hold for tests, which often run as root."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_VERSION = 0x20080522  # of Linux' capabilities in two words of 32 bits
_OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def permissions_hold() -> Iterator[None]:
    """Within it this thread, and those that it starts, may do what permissions say, even root."""
    if os.geteuid() != 0:
        yield
        return
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        header, sets = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
        known = libc.capget(header, sets) == 0
    except (OSError, AttributeError):
        known = False
    if not known:
        pytest.skip("root can write everywhere")
    before = sets[0]
    sets[0] = before & ~_OVERRIDES
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = before
        assert libc.capset(header, sets) == 0


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Within it nothing in a folder or below can be changed, made or removed."""
    paths = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    try:
        for path in paths:
            path.chmod(path.stat().st_mode & ~0o222)
        with permissions_hold():
            yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)
