"""Rows of the matrix: processes that are killed or asked to stop, or lose their terminal, at any moment."""

from __future__ import annotations

import os
import pty
import random
import select
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forkserver import Forked
from runs import Lab, trial_folder, wait_for_training

TRIES = 8
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
KILLED = ("plain", "target", "folds", "plain", "pretrained", "plain", "target", "folds", "second seed", "plain")


class Terminal:
    """A terminal that is read as one on a screen would be, until it is closed."""

    def __init__(self) -> None:
        self._ours, self._theirs = pty.openpty()
        self.name = os.ttyname(self._theirs)
        self.shown = ""
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._closing.is_set():
            if select.select([self._ours], [], [], 0.02)[0]:
                with suppress(OSError):  # the process has ended
                    self.shown += os.read(self._ours, 1 << 16).decode(errors="replace")

    def close(self) -> None:
        """Close it, as a window is closed: the kernel tells the processes that it was theirs."""
        self._closing.set()
        self._reader.join()
        os.close(self._theirs)
        os.close(self._ours)


@dataclass
class Begun:
    """A run at the moment at which something is to happen to it."""

    place: Path
    process: Forked
    moment: float
    """Seconds since its start, or since its first checkpoint."""
    terminal: Terminal | None


def begin_and_wait(lab: Lab, row: str, number: int, kind: str, in_terminal: bool = False) -> Begun:
    """Begin a run and wait for a random moment of it.

    Every other moment is of the whole run, start and report included, the others are of its trainings. A run that has
    ended before is begun again, for an earlier moment.
    """
    share, (whole, trained) = random.Random(f"{row} {number}").uniform(0.0, 1.0), lab.lasting(kind)
    for _ in range(TRIES):
        terminal = Terminal() if in_terminal else None
        place = trial_folder(lab, row, number)
        process = lab.begin(kind, place, terminal=terminal.name if terminal else "")
        if number % 2:
            wait_for_training(process, place)
        moment = share * (trained if number % 2 else whole)
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        if process.poll() is None:
            return Begun(place, process, moment, terminal)
        if terminal:
            terminal.close()
        share *= 0.8
    raise RuntimeError(f"a run ({kind}) ended {TRIES} times before its moment")


def stopped_at_random(lab: Lab, row: str, number: int, kind: str, how: signal.Signals) -> str:
    """Begin a run, signal all its processes at a random moment, and go on: "" where the answer is the same."""
    begun = begin_and_wait(lab, row, number, kind)
    started = descendants(begun.process.pid) if how is signal.SIGKILL else []
    with suppress(ProcessLookupError):
        os.killpg(begun.process.pid, how)
    for pid in started:  # which lead sessions of their own, as the processes of torchrun and Ray do
        with suppress(ProcessLookupError):
            os.kill(pid, how)
    status, said = lab.end(begun.process)
    where = f"{kind}, {how.name} after {begun.moment:.2f} s (status {status})"
    if "Traceback" in said and how is not signal.SIGKILL:
        return f"{where}: a traceback: {said[-600:]}"
    found = lab.verdict(kind, begun.place)
    shutil.rmtree(begun.place)
    return found and f"{where}: {found}"


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they did."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(folder.name))
    found, new = [], [pid]
    while new:
        new = [child for each in new for child in children.get(each, [])]
        found += new
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
    kind = ("plain", "target", "folds")[number % 3]
    begun = begin_and_wait(lab, "terminal", number, kind, in_terminal=True)
    assert begun.terminal is not None
    begun.terminal.close()
    where = f"{kind}, terminal closed after {begun.moment:.2f} s"
    try:
        begun.process.wait(120)
    except subprocess.TimeoutExpired:
        begun.process.kill()
        return f"{where}: the run did not end in 120 s"
    shown = begun.terminal.shown
    found = f"a traceback: {shown[-600:]}" if "Traceback" in shown else lab.verdict(kind, begun.place)
    shutil.rmtree(begun.place)
    return found and f"{where} (status {begun.process.returncode}): {found}"
