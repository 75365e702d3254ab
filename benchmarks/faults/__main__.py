"""The fault matrix: what runs, caches and images survive, at stated counts.

    python benchmarks/faults [--short | --control] [--share 0.1] [--only kill --only flips] [--corpus FOLDER] [--jobs 2]

Each row prints `N survived of M`. A trial is survived where the run, killed or stopped or refused with a line, goes on
to the weights and the record of an unbroken one, bit for bit; where what was damaged is made anew or refused by name;
where nothing hostile is executed, hangs or ends in a traceback. `--short` is minutes, the whole a night; `--share`
takes a part of either. The status is 1 where anything was not survived.

`--control` tries each row on a variant of the package that is broken on purpose (`broken.py`), of which it prints
`N noticed of M`: a matrix that can't fail shows nothing. The status is 1 where a row noticed none.

Copies of an image across splits (planted leaks) and false pairs have a benchmark of their own,
`benchmarks/duplicates.py`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import damage
import hostile
import kills
import operations
from bombs import BOMBS
from forkserver import ForkServer
from hostile_sources import SOURCES
from hostile_weights import WEIGHTS
from runs import Lab, open_lab

Trial = Callable[[Lab, int], str]
CONTROLS = 4


@dataclass(frozen=True)
class Row:
    """A kind of fault: how often it is tried in the short form and at a release, and one trial of it."""

    name: str
    short: int
    long: int
    trial: Trial
    control: str  # the variant that the row has to notice
    controls: int = CONTROLS  # trials of it, since not each fault meets what is broken
    alone: bool = False  # in this process, so not several at once


def rows(lab: Lab, asked: argparse.Namespace) -> Iterator[Row]:
    """All rows of the matrix."""
    yield Row("kill -9 at a random moment", 30, 300, kills.killed, "checkpoints")
    yield Row("kill -9 under torchrun, two processes", 2, 20, kills.killed_torchrun, "checkpoints", 2)
    yield Row("kill -9 with Ray", 1, 10, kills.killed_ray, "checkpoints", 2)
    for how in kills.STOPS:
        yield Row(how.name, 20, 100, partial(kills.stopped, signal.Signals(how)), "checkpoints")
    yield Row("terminal closed", 20, 100, kills.terminal_closed, "checkpoints")
    for how, few, many in (("kill", 20, 270), ("ENOSPC", 20, 100), ("EIO", 20, 100), ("EACCES", 20, 100)):
        trials = CONTROLS if asked.control else scaled(few if asked.short else many, asked.share)
        trial = partial(operations.at_operation, how, trials)
        yield Row(f"{how} at a file operation", few, many, trial, "checkpoints" if how == "kill" else "errors")
    if operations.can_mount(lab.folder):
        trials = CONTROLS if asked.control else scaled(10 if asked.short else 50, asked.share)
        yield Row("a disk that is full", 10, 50, partial(operations.full_disk, trials), "errors")
    else:
        print("a disk that is full: skipped, since no small disk can be mounted here (needs root)")
    yield Row("cuts and flips in files of a run and its cache", 500, 20_000, damage.noticed, "checks", 40, alone=True)
    yield Row("cuts and flips in a run that is resumed", 20, 400, damage.survived_resume, "checks", 10)
    yield Row("images changed before resuming", 7, 70, damage.data_changed, "fingerprints", 5)
    yield Row("malicious weights", 2 * len(WEIGHTS), 20 * len(WEIGHTS), hostile.weights, "unpickling")
    yield Row("malicious sources", 2 * len(SOURCES), 20 * len(SOURCES), hostile.source, "unpacking")
    yield Row("bad images", 200, 5_000, hostile.bad_image, "silence", 10, alone=True)
    yield Row("images made to harm", 2 * len(BOMBS), 10 * len(BOMBS), hostile.bomb, "silence", alone=True)
    if asked.corpus is not None:
        files = sum(path.is_file() for path in asked.corpus.rglob("*"))
        trial = partial(hostile.corpus, asked.corpus)
        yield Row(f"bad images of {asked.corpus.name}", files, files, trial, "silence", alone=True)


def scaled(count: int, share: float) -> int:
    """A share of a count, at least one."""
    return max(round(count * share), 1)


def survive(row: Row, lab: Lab, count: int, jobs: int) -> list[str]:
    """Try a row `count` times: what was not survived."""

    def once(number: int) -> str:
        try:
            return row.trial(lab, number)
        except Exception as error:
            return f"trial {number}: {type(error).__name__} {error}"

    with ThreadPoolExecutor(1 if row.alone else jobs) as pool:
        return [found for found in pool.map(once, range(count)) if found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--control", action="store_true", help="try each row on a package that is broken on purpose")
    parser.add_argument("--short", action="store_true", help="the counts of the short form")
    parser.add_argument("--share", type=float, default=1.0, help="of the counts")
    parser.add_argument("--only", action="append", default=[], help="rows whose name has this in it; again for more")
    parser.add_argument("--without", action="append", default=[], help="rows to leave out")
    parser.add_argument("--corpus", type=Path, help="a folder of bad images, beside those that are made")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ForkServer() as forks:
        lab = open_lab(Path(folder), forks)
        print(f"| fault | {'noticed' if asked.control else 'survived'} | of | minutes |\n|---|---|---|---|")
        chosen = [row for row in rows(lab, asked) if chosen_by(asked, row.name)]
        passed = [(controlled if asked.control else tried)(row, lab, asked) for row in chosen]
    sys.exit(0 if all(passed) else 1)


def chosen_by(asked: argparse.Namespace, name: str) -> bool:
    """True for a row that is asked for."""
    return (not asked.only or any(word in name for word in asked.only)) and not any(
        word in name for word in asked.without
    )


def tried(row: Row, lab: Lab, asked: argparse.Namespace) -> bool:
    """Try a row and print what came of it: true where all was survived."""
    start, count = time.monotonic(), scaled(row.short if asked.short else row.long, asked.share)
    lost = survive(row, lab, count, asked.jobs)
    minutes = (time.monotonic() - start) / 60
    print(f"| {row.name} | {count - len(lost)} survived | of {count} | {minutes:.1f} |", flush=True)
    for found in lost:
        print(f"  not survived: {found}", file=sys.stderr, flush=True)
    return not lost


def controlled(row: Row, lab: Lab, asked: argparse.Namespace) -> bool:
    """Try a row on the variant that is broken for it, and print how often it noticed: true where it did."""
    start, count = time.monotonic(), scaled(row.controls, asked.share)
    lab.broken = row.control
    try:
        lost = survive(row, lab, count, 1)
    finally:
        lab.broken = ""
    minutes = (time.monotonic() - start) / 60
    print(f"| {row.name} ({row.control}) | {len(lost)} noticed | of {count} | {minutes:.1f} |", flush=True)
    print(f"  for example: {lost[0] if lost else 'none'}", file=sys.stderr, flush=True)
    return bool(lost)


if __name__ == "__main__":
    main()
