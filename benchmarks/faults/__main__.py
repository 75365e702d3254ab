"""The fault matrix: what runs, caches and images survive, at stated counts.

    python benchmarks/faults [--short] [--share 0.1] [--only kill --only flips] [--corpus FOLDER] [--jobs 2]

Each row prints `N survived of M`. A trial is survived where the run, killed or stopped or refused with a line, goes on
to the weights and the record of an unbroken one, bit for bit; where what was damaged is made anew or refused by name;
where nothing hostile is executed, hangs or ends in a traceback. `--short` is minutes, the whole a night; `--share`
takes a part of either. The status is 1 where anything was not survived. Copies of an image across splits (planted
leaks) have a benchmark of their own, `benchmarks/duplicates.py`.
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
from forkserver import ForkServer
from runs import Lab, open_lab

Trial = Callable[[Lab, int], str]


@dataclass(frozen=True)
class Row:
    """A kind of fault: how often it is tried in the short form and at a release, and one trial of it."""

    name: str
    short: int
    long: int
    trial: Trial
    alone: bool = False  # in this process, so not several at once


def rows(lab: Lab, corpus: Path | None, share: float, short: bool) -> Iterator[Row]:
    """All rows of the matrix."""
    yield Row("kill -9 at a random moment, resumed to the same bits", 30, 300, kills.killed)
    yield Row("kill -9 under torchrun", 2, 20, kills.killed_torchrun)
    yield Row("kill -9 with Ray", 1, 10, kills.killed_ray)
    for how in kills.STOPS:
        yield Row(how.name, 20, 100, partial(kills.stopped, signal.Signals(how)))
    yield Row("terminal closed", 20, 100, kills.terminal_closed)
    for how, few, many in (("kill", 20, 270), ("ENOSPC", 20, 100), ("EIO", 20, 100), ("EACCES", 20, 100)):
        trials = scaled(few if short else many, share)
        yield Row(f"{how} at a file operation", few, many, partial(operations.at_operation, how, trials))
    if operations.can_mount(lab.folder):
        yield Row("a disk that is full", 10, 50, operations.full_disk)
    else:
        print("a disk that is full: skipped, since no small disk can be mounted here (needs root)")
    yield Row("cuts and flips in files of a run and its cache, read", 500, 20_000, damage.noticed, alone=True)
    yield Row("cuts and flips in a run that is resumed", 20, 400, damage.survived_resume)
    yield Row("images changed before resuming", 7, 70, damage.data_changed)
    yield Row("malicious weights", 10, 200, hostile.weights)
    yield Row("malicious sources", 9, 90, hostile.source)
    yield Row("bad images", 100, 2_000, hostile.bad_image, alone=True)
    if corpus is not None:
        count = sum(path.is_file() for path in corpus.rglob("*"))
        yield Row(f"bad images of {corpus.name}", count, count, partial(hostile.corpus, corpus), alone=True)


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
    parser.add_argument("--short", action="store_true", help="the counts of the short form")
    parser.add_argument("--share", type=float, default=1.0, help="of the counts")
    parser.add_argument("--only", action="append", default=[], help="rows whose name has this in it; again for more")
    parser.add_argument("--without", action="append", default=[], help="rows to leave out")
    parser.add_argument("--corpus", type=Path, help="a folder of bad images, beside those that are made")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ForkServer() as forks:
        lab = open_lab(Path(folder), forks)
        print("| fault | survived | of | minutes |\n|---|---|---|---|")
        for row in rows(lab, asked.corpus, asked.share, asked.short):
            if asked.only and not any(word in row.name for word in asked.only):
                continue
            if any(word in row.name for word in asked.without):
                continue
            start, count = time.monotonic(), scaled(row.short if asked.short else row.long, asked.share)
            lost = survive(row, lab, count, asked.jobs)
            minutes = (time.monotonic() - start) / 60
            print(f"| {row.name} | {count - len(lost)} survived | of {count} | {minutes:.1f} |", flush=True)
            for found in lost:
                print(f"  not survived: {found}", file=sys.stderr, flush=True)
            failed += len(lost)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
