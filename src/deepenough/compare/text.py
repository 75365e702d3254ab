"""What a comparison says, in words, for the page and the terminal."""

from __future__ import annotations

from deepenough.compare.comparison import SAME, Comparison, Row
from deepenough.report.text import amount

__all__ = ["amount", "check", "difference", "failures", "first", "headline", "modes", "rate", "size"]


def modes(row: Row) -> list[str]:
    """The modes that were measured, in their order."""
    keys = [key.partition(", ")[2] for key in (*row.first, *row.speed, *row.failed) if ", " in key]
    return list(dict.fromkeys(keys))


def rate(row: Row, task: str, mode: str) -> str:
    """Images a second."""
    value = row.speed.get(f"{task}, {mode}")
    if value is None:
        return "failed" if f"{task}, {mode}" in row.failed else "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def first(row: Row, task: str, mode: str) -> str:
    """Seconds of the first step."""
    value = row.first.get(f"{task}, {mode}")
    return "–" if value is None else f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def size(value: int | None) -> str:
    """Bytes, in MB or GB."""
    if value is None:
        return "–"
    return (
        f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB" if value < 1e7 else f"{value / 1e6:.0f} MB"
    )


def difference(value: float | None) -> str:
    """A relative difference."""
    return "–" if value is None else "0" if value == 0 else f"{value:.0e}"


def headline(found: Comparison) -> str:
    """Who was the fastest, at training and at prediction."""
    parts = []
    for task, verb in (("train", "trains"), ("infer", "predicts")):
        speeds = [
            (value, row.side, key.partition(", ")[2])
            for row in found.rows
            for key, value in row.speed.items()
            if key.startswith(task)
        ]
        if speeds:
            value, side, mode = max(speeds)
            number = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
            parts.append(f"{side} ({mode}) {verb} fastest here, {number} images a second")
    return "; ".join(parts) + "." if parts else "Nothing could be measured."


def check(found: Comparison) -> str:
    """Whether a training step was the same everywhere."""
    rows = [row for row in found.rows if row.gradient_difference is not None]
    if len(rows) < 2:
        return "No second framework trained, so no step could be compared."
    wrong = [row for row in rows if row.differs]
    if wrong:
        words = "; ".join(
            f"{row.side} by {row.gradient_difference:.0e} ({row.allowed:.0e} is allowed)" for row in wrong
        )
        return f"One training step differs: {words}."
    exact = [row for row in rows if row.gradient_difference is not None and row.gradient_difference <= SAME]
    largest = max(row.gradient_difference or 0.0 for row in exact)
    text = (
        "One training step (in float64) from these weights gives the same loss and gradients in "
        f"{len(exact)} frameworks: the largest relative difference is {largest:.0e}."
    )
    rest = [f"{row.side} differs by {row.gradient_difference:.0e}" for row in rows if row not in exact]
    if rest:
        text += f" {'; '.join(rest)}: it computes norms in float32, whose rounding moves PyTorch as far."
    return text


def failures(found: Comparison) -> list[str]:
    """What could not be measured, and why."""
    return [f"{row.side}, {key}: {reason}" for row in found.rows for key, reason in row.failed.items()]
