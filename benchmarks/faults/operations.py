"""Rows of the matrix: a kill or an error at every file operation of a run, and a disk that is really full."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from runs import Lab, different, trial_folder

PAGE = 4096
LEAST = 10 * PAGE  # bytes of a small disk


def operations(lab: Lab) -> int:
    """The number of file operations in a plain run, images included."""

    def find() -> int:
        place = trial_folder(lab, "operations", 0)
        count = place / "count"
        status, said = lab.end(lab.begin("plain", place, {"FAULT_AT": "0", "FAULT_HOW": "", "FAULT_COUNT": str(count)}))
        if status:
            raise RuntimeError(f"counting file operations ended with {status}: {said}")
        return int(count.read_text())

    return int(lab.once("operations", find))


def at_operation(how: str, trials: int, lab: Lab, number: int) -> str:
    """Meet a fault at an operation, evenly spread over all of them, and go on without it."""
    count = operations(lab)
    at = 1 + number * count // trials if trials < count else 1 + number % count
    place = trial_folder(lab, how, number)
    status, said = lab.end(lab.begin("plain", place, {"FAULT_AT": str(at), "FAULT_HOW": how}))
    where = f"{how} at file operation {at} of {count}"
    if "Traceback" in said:
        return f"{where}: status {status} and a traceback: {said[-700:]}"
    if how != "kill" and status not in (0, 2):
        return f"{where}: status {status}: {said[-300:]}"
    unharmed = lab.unbroken("plain") / "run"
    found = lab.verdict("plain", place) if status else different(place / "run", unharmed)
    shutil.rmtree(place)
    return found and f"{where}, status {status}: {found}"


def room(lab: Lab) -> int:
    """The bytes that a plain run and its cache take on a disk in the end."""
    files = [path for path in lab.unbroken("plain").rglob("*") if path.is_file()]
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in files)


def full_disk(trials: int, lab: Lab, number: int) -> str:
    """A run on a disk of its own that fills up: a line, and going on once there is room.

    The disks are from a few pages to what the run needs, evenly.
    """
    place = trial_folder(lab, "disk", number)
    size = LEAST + (room(lab) - LEAST) * number // trials
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size // PAGE * PAGE // 1024}k", "tmpfs", str(place)], check=False
    )
    if mounted.returncode:
        raise RuntimeError("no disk can be mounted")
    try:
        status, said = lab.end(lab.begin("plain", place))
        where = f"a disk of {size:,} bytes: status {status}"
        if "Traceback" in said:
            return f"{where} and a traceback: {said[-700:]}"
        if status not in (0, 2) or (status == 2 and "space" not in said):
            return f"{where}: {said[-300:]}"
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        found = lab.verdict("plain", place)
        return found and f"{where}: {found}"
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def can_mount(folder: Path) -> bool:
    """True if this user may mount a small disk here."""
    if os.name != "posix" or os.geteuid():
        return False
    place = folder / "mount"
    place.mkdir(exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=False, capture_output=True).returncode:
        return False
    subprocess.run(["umount", str(place)], check=True)
    return True
