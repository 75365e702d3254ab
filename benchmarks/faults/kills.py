"""Rows of the matrix: processes that are killed or asked to stop, or lose their terminal, at any moment."""

from __future__ import annotations

import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from runs import KINDS, Lab, trial_folder

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
KILLED = (*("plain", "target", "plain", "folds", "plain") * 3, "pretrained", "second seed")


def stopped_at_random(lab: Lab, row: str, number: int, kind: str, how: signal.Signals) -> str:
    """Begin a run, signal all its processes at a random moment, and go on: "" where the answer is the same."""
    place = trial_folder(lab, row, number)
    moment = random.Random(f"{row} {number}").uniform(0.02, 0.98) * lab.lasting(kind)
    process = lab.begin(kind, place)
    with suppress(Exception):
        process.wait(moment)
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
    status, said = lab.end(process)
    if how is signal.SIGKILL:
        for left in workers_of(place):
            with suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
    elif "Traceback" in said:
        return f"{how.name} after {moment:.2f} s ended with {status} in a traceback: {said[-600:]}"
    found = lab.verdict(kind, place)
    shutil.rmtree(place)
    return found and f"{kind}, {how.name} after {moment:.2f} s: {found}"


def workers_of(place: Path) -> list[int]:
    """The processes that were started for a run and outlived the one that was killed, as torchrun's may."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with suppress(OSError):
                if f"DEEPENOUGH_CACHE={place}/".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
    return found


def killed(lab: Lab, number: int) -> str:
    """kill -9: mostly of short runs, in turn with those that take longer."""
    return stopped_at_random(lab, "kill", number, KILLED[number % len(KILLED)], signal.SIGKILL)


def killed_torchrun(lab: Lab, number: int) -> str:
    """kill -9 of all processes of a run under torchrun."""
    return stopped_at_random(lab, "torchrun", number, "torchrun", signal.SIGKILL)


def killed_ray(lab: Lab, number: int) -> str:
    """kill -9 of a run that trains with Ray."""
    return stopped_at_random(lab, "ray", number, "ray", signal.SIGKILL)


def stopped(how: signal.Signals, lab: Lab, number: int) -> str:
    """A signal that asks for an end."""
    return stopped_at_random(lab, how.name, number, ("plain", "target", "folds")[number % 3], how)


def terminal_closed(lab: Lab, number: int) -> str:
    """A run in a terminal of its own, which is closed at a random moment."""
    place = trial_folder(lab, "terminal", number)
    moment = random.Random(f"terminal {number}").uniform(0.3, 0.98) * lab.lasting("plain")
    ours, theirs = pty.openpty()
    env = os.environ | {"DEEPENOUGH_CACHE": str(place / "cache"), "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    words = [str(lab.data), "--out", str(place / "run"), *KINDS["plain"].split()]
    program = (
        "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execv(sys.executable, [sys.executable, '-m', 'deepenough', 'fit', *sys.argv[1:]])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words], env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    run, until = place / "run" / "record.json", time.monotonic() + 200
    while not run.is_file() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)  # interpreters take seconds to start
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    os.close(ours)
    try:
        process.wait(120)
    except subprocess.TimeoutExpired:
        process.kill()
        return "it did not end"
    found = lab.verdict("plain", place)
    shutil.rmtree(place)
    return found and f"terminal closed: {found}"
