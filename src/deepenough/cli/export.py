"""The command `export` in a terminal."""

from __future__ import annotations

import json
from typing import Any

from rich import box
from rich.table import Table

from deepenough.cli.console import Bars, Console
from deepenough.exporting.export import Cost, Exported, as_json
from deepenough.exporting.export import export as written
from deepenough.frameworks.target import DIFFERENCE

NOT_THE_SAME = 1


def export(console: Console, model: str, in_json: bool, **options: Any) -> int:
    """Write a model for a framework, print what was seen; the exit status."""
    with Bars(console.progress) as bars:
        done = written(model, reporter=bars, **options)
    if in_json:
        content = {"folder": str(done.folder), "model": str(done.model), **as_json(done)}
        print(json.dumps(content, indent=1))  # noqa: T201
        return NOT_THE_SAME if done.passed is False else 0
    if done.checks:
        console.out.print(table(done))
    for line in done.skipped:
        console.out.print(line, style="yellow", markup=False, highlight=False)
    if done.cost is not None:
        console.out.print(costs(done.cost, done.precision), markup=False, highlight=False)
    console.out.print(verdict(done), style="red" if done.passed is False else "", markup=False, highlight=False)
    for label, path in (("model", done.model), ("use it", done.folder / "README.md")):
        console.out.print(f"{label}: {path}", markup=False, highlight=False, soft_wrap=True)
    return NOT_THE_SAME if done.passed is False else 0


def table(done: Exported) -> Table:
    """A row for each runtime and batch size."""
    shown = Table(title=f"Compared on {done.source}", title_justify="left", title_style="dim", box=box.SIMPLE_HEAD)
    for heading in ("Run by", "Batch", "Images", "Largest difference", "Same top-1"):
        shown.add_column(heading, justify="left" if heading == "Run by" else "right")
    for check in done.checks:
        difference = f"{check.difference:.1e} of the largest logit"
        shown.add_row(check.runtime, str(check.batch), str(check.images), difference, f"{check.same_top1}")
    return shown


def costs(cost: Cost, precision: str) -> str:
    """What a lower precision costs, in a sentence."""
    return (
        f"{precision}: {cost.after:.1%} of {cost.images:,} right, {cost.before:.1%} before; it loses "
        f"{100 * cost.difference:+.1f} points (95% bounds {100 * cost.lower:+.1f} to {100 * cost.upper:+.1f})"
    )


def verdict(done: Exported) -> str:
    """Whether it predicts the same, in a sentence."""
    if done.passed is None:
        return "written, and not checked"
    if done.precision != "float32":
        return "runs" if done.passed else "FAILED: it does not predict as well; the model is renamed .failed"
    if done.passed:
        return f"predicts the same: differences under {DIFFERENCE:g} of the largest logit, every top-1 the same"
    return (
        f"FAILED: differences have to be under {DIFFERENCE:g} of the largest logit and every top-1 the same; "
        "the model is renamed .failed"
    )
