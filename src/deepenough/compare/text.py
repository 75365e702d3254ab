"""A comparison in words, for the page and the terminal."""

from __future__ import annotations

from deepenough.compare.results import SAME, FrameworkComparison, FrameworkResult
from deepenough.report.text import amount

__all__ = ["amount", "failures", "fastest", "first", "gradient_check", "modes", "rate", "relative_difference", "size"]


def modes(result: FrameworkResult) -> list[str]:
    """The modes that were measured, in their order."""
    keys = [key.partition(", ")[2] for key in (*result.first, *result.speed, *result.failed) if ", " in key]
    return list(dict.fromkeys(keys))


def rate(result: FrameworkResult, task: str, mode: str) -> str:
    """Images a second."""
    value = result.speed.get(f"{task}, {mode}")
    if value is None:
        return "failed" if f"{task}, {mode}" in result.failed else "–"
    return _speed(value)


def _speed(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def first(result: FrameworkResult, task: str, mode: str) -> str:
    """Seconds of the first step."""
    value = result.first.get(f"{task}, {mode}")
    return "–" if value is None else f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def size(value: int | None) -> str:
    """Bytes, in MB or GB."""
    if value is None:
        return "–"
    if value >= 1e9:
        return f"{value / 1e9:.2f} GB"
    return f"{value / 1e6:.1f} MB" if value < 1e7 else f"{value / 1e6:.0f} MB"


def relative_difference(value: float | None) -> str:
    """A relative difference with one digit."""
    return "–" if value is None else "0" if value == 0 else f"{value:.0e}"


def fastest(found: FrameworkComparison) -> str:
    """The fastest framework at training and at prediction."""
    parts = []
    for task, verb in (("train", "trains"), ("infer", "predicts")):
        speeds = [
            (value, result.framework, key.partition(", ")[2])
            for result in found.results
            for key, value in result.speed.items()
            if key.startswith(task)
        ]
        if speeds:
            value, framework, mode = max(speeds)
            parts.append(f"{framework} ({mode}) {verb} fastest here, {_speed(value)} images a second")
    return "; ".join(parts) + "." if parts else "Nothing could be measured."


def gradient_check(found: FrameworkComparison) -> str:
    """The outcome of the check that a training step is the same everywhere."""
    checked = [(result, result.gradient_difference) for result in found.results]
    trained = [(result, difference) for result, difference in checked if difference is not None]
    if len(trained) < 2:
        return "No second framework trained, so no step could be compared."
    wrong = [(result, difference) for result, difference in trained if result.differs]
    if wrong:
        reasons = (f"{result.framework} by {by:.0e} ({result.allowed:.0e} is allowed)" for result, by in wrong)
        return f"One training step differs: {'; '.join(reasons)}."
    exact = [difference for _, difference in trained if difference <= SAME]
    text = (
        "One training step (in float64) from these weights gives the same loss and gradients in "
        f"{len(exact)} frameworks: the largest relative difference is {max(exact):.0e}."
    )
    rest = [f"{result.framework} differs by {by:.0e}" for result, by in trained if by > SAME]
    if rest:
        text += f" {'; '.join(rest)}: it computes norms in float32, whose rounding moves PyTorch as far."
    return text


def failures(found: FrameworkComparison) -> list[str]:
    """The measurements that failed, with the reasons."""
    return [f"{result.framework}, {key}: {reason}" for result in found.results for key, reason in result.failed.items()]
