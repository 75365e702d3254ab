"""How often is the answer right? The search itself, on a trainer whose networks have known accuracies.

    python benchmarks/answer_simulated.py [--repetitions 400] [--budget B] [--rows WORDS ...] [--jobs 2]

Curves of true accuracy along a ladder of six depths, measured and made up, each asked with several numbers of decision
images (out of four folds below 9,000) and standard deviations between seeds. All figures are percent of the
repetitions, cost apart. A bar that is missed is marked `!`, or `~` where chance may have done that (1 in 20).

`--rows "flat 9000" "target 0.6"` takes the rows whose names have all the words of one of the patterns; a name is like
`flat; margin; n 9000; sd 0.2` or `slow climb; target 90.5; n 500; sd 0.4`. `--understates` are the points by which a
training of fewer epochs than the recipe's ends under a full one, `--understates-sd` their standard deviation between
architectures. `--scout-bound` prints instead how often any rule could show the answer of the whole ladder where all
depths are level and one is only scouted, by how surely scouts are trusted.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

from answer_bars import bars_of, mark, most_ruled_out
from simulated_answers import CELLS, CURVES, Outcome, Row, TargetOutcome, average, outcome, rows
from simulated_trainer import Truth

from deepenough.search.scouts import SCOUT_UNCERTAINTY
from deepenough.training.recipe import SMALLER

PIECE = 25  # repetitions that a process does at a time
HEADINGS = {
    "shown": "shown",
    "among": "shown among tried",
    "false": "shown, false",
    "among_false": "shown among tried, false",
    "wrong": "wrong by more than the margin",
    "near": "right or one off",
    "holds": "set holds",
    "size": "size of set",
    "seems": "seems",
    "false_mean": "shown, false of the mean over seeds",
    "missed": "none reached it, but one does",
    "cost": "cost",
}
Seen = dict[Row, Outcome | TargetOutcome]


def wanted(every: Iterable[Row], patterns: Sequence[str]) -> list[Row]:
    return [row for row in every if any(all(word in row.label for word in p.split()) for p in patterns or [""])]


def ask(job: tuple[Row, range], budget: float | None) -> tuple[Row, list[Outcome | TargetOutcome]]:
    row, repetitions = job
    return row, [outcome(row, budget, repetition) for repetition in repetitions]


def ask_all(every: Sequence[Row], repetitions: int, budget: float | None, processes: int) -> Seen:
    """Ask every row's question so often; the figures of each row, also told as soon as a row is through."""
    pieces = [range(first, min(first + PIECE, repetitions)) for first in range(0, repetitions, PIECE)]
    jobs = [(row, piece) for row in every for piece in pieces]
    outcomes = defaultdict(list)
    with multiprocessing.Pool(processes) as pool:
        for row, some in pool.imap_unordered(partial(ask, budget=budget), jobs):
            outcomes[row] += some
            if len(outcomes[row]) == repetitions:
                seen = average(outcomes[row])._asdict().items()
                print(f"{row.label}: {', '.join(f'{f} {percent(f, v)}' for f, v in seen)}", file=sys.stderr, flush=True)
    return {row: average(outcomes[row]) for row in every}


def percent(figure: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if figure in ("size", "cost") else f"{100 * value:.1f}"


def print_table(seen: Seen, budget: float | None, repetitions: int) -> None:
    """Print a line for each curve, and their mean; all are asked with as many images."""
    figures = next(iter(seen.values()))._fields
    print("| true accuracy | " + " | ".join(HEADINGS[figure] for figure in figures) + " |")
    print("|---" * (1 + len(figures)) + "|")
    for row, values in seen.items():
        cells = (
            percent(figure, value) + mark(row, budget, figure, values, repetitions)
            for figure, value in values._asdict().items()
        )
        print(f"| {row.curve} | " + " | ".join(cells) + " |")
    mean = average(list(seen.values()))._asdict()
    print("| mean | " + " | ".join(percent(figure, value) for figure, value in mean.items()) + " |\n")


def print_bars(seen: Seen, budget: float | None, repetitions: int) -> None:
    """Print for each bar how many rows miss it, and by how much."""
    missed: dict[str, list[str]] = defaultdict(list)
    count: dict[str, int] = defaultdict(int)
    not_given: dict[str, int] = defaultdict(int)
    for row, values in seen.items():
        for bar in bars_of(row, budget):
            share, name = getattr(values, bar.figure), f"{bar} ({'target' if row.target else 'margin'})"
            count[name] += 1
            not_given[name] += math.isnan(share)
            if bar.missed(share, repetitions):
                doubt = "" if bar.missed(share, repetitions, 0.05) else " ~"
                missed[name].append(f"{row.label}: {100 * share:.1f}{doubt}")
    print("## Bars\n")
    for name, rows_with_it in count.items():
        print(f"- {name}: missed in {len(missed[name])} of {rows_with_it} rows, not given in {not_given[name]}")
        for line in missed[name]:
            print(f"  - {line}")


def print_scout_bound(understates: float, understates_sd: float) -> None:
    """Print how often, in percent, a scout of a level network can rule it out, for uncertainties in points."""
    allowed = (SCOUT_UNCERTAINTY, 0.005, 0.0035, 0.002, 0.0)
    print("| images, points between seeds | " + " | ".join(f"+- {100 * each:g}" for each in allowed) + " |")
    print("|---" * (1 + len(allowed)) + "|")
    for images, seed_sd in CELLS:
        truth = Truth(CURVES["flat"], seed_sd, understates, understates_sd)
        shares = (f"{100 * most_ruled_out(truth, images, allowed=each):.0f}" for each in allowed)
        print(f"| {images:,}, {100 * seed_sd:g} | " + " | ".join(shares) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--budget", type=float, help="as fit's; its default unless given")
    parser.add_argument("--rows", nargs="+", default=[], metavar="WORDS")
    parser.add_argument("--understates", type=float, default=1.0, metavar="POINTS")
    parser.add_argument("--understates-sd", type=float, default=0.5, metavar="POINTS")
    parser.add_argument("--initial-scale", type=float, default=SMALLER, metavar="SHARE", help="as fit's")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--scout-bound", action="store_true", help="print what the most powerful rule could show")
    asked = parser.parse_args()
    if asked.scout_bound:
        print_scout_bound(asked.understates / 100, asked.understates_sd / 100)
        return
    every = wanted(rows(asked.understates / 100, asked.understates_sd / 100, asked.initial_scale), asked.rows)
    if not every:
        parser.error(f"--rows {' '.join(asked.rows)}: no row has all of these words")
    began = time.perf_counter()
    seen = ask_all(every, asked.repetitions, asked.budget, asked.jobs)
    for with_target in (False, True):
        for cell in CELLS:
            part = {row: v for row, v in seen.items() if row.cell == cell and (row.target is not None) == with_target}
            if part:
                question = "with a target" if with_target else "without a target"
                spread = f"{100 * cell.seed_sd:g} points between seeds"
                print(f"## {cell.images:,} images, {spread}, {question}\n")
                print_table(part, asked.budget, asked.repetitions)
    print_bars(seen, asked.budget, asked.repetitions)
    print(f"\n{len(every)} rows, {asked.repetitions} repetitions, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
