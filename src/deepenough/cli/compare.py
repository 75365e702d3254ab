"""The command `compare` in a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from deepenough.cli.console import Bars, Console
from deepenough.compare import text as words
from deepenough.compare.comparison import Comparison, compare
from deepenough.compare.page import write_comparison
from deepenough.nets.choose import choose

DIFFERENT = 1


def run(console: Console, name: str, out: Path | None, shape: Any, depth: Any, width: Any, **options: Any) -> int:
    """Measure, print the table, write the page; the exit status."""
    network = choose(name, shape=shape, depth=depth, width=width)
    folder = out or Path(f"comparison-{network.name}")
    with Bars(console.progress) as bars:
        found = compare(network, reporter=bars, **options)
    console.out.print(table(found))
    for line in (words.headline(found), words.check(found), *words.failures(found)):
        console.out.print(line, markup=False, highlight=False)
    page = write_comparison(found, folder)
    console.out.print(f"page: {page}", markup=False, highlight=False, soft_wrap=True)
    return DIFFERENT if any(row.differs for row in found.rows) else 0


def table(found: Comparison) -> Table:
    """A row for each framework and mode."""
    size = "x".join(map(str, found.input))
    shown = Table(
        title=f"{found.network} at {size}, batch {found.batch}; {found.machine}",
        title_justify="left",
        title_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    headings = ("Framework", "Mode", "Train/s", "Predict/s", "First step", "First predict", "Memory", "Disk", "Lines")
    for heading in headings:
        shown.add_column(heading, justify="left" if heading in ("Framework", "Mode") else "right")
    for row in found.rows:
        if row.problem:
            shown.add_row(row.side, row.problem)
        for number, mode in enumerate(words.modes(row)):
            own = [row.version, mode] if number == 0 else ["", mode]
            speeds = [words.rate(row, "train", mode), words.rate(row, "infer", mode)]
            firsts = [words.first(row, "train", mode), words.first(row, "infer", mode)]
            peak = words.size(row.peak or row.peak_infer)
            rest = [peak, words.size(row.disk), "–" if row.lines is None else str(row.lines)] if number == 0 else []
            shown.add_row(*own, *speeds, *firsts, *rest)
    return shown
