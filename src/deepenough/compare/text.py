"""A comparison in words, for the page and the terminal."""

from __future__ import annotations

from deepenough.compare.results import SAME, FrameworkComparison, FrameworkResult
from deepenough.language import gettext as _
from deepenough.language import sentence_space
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
        return _("failed") if f"{task}, {mode}" in result.failed else "–"
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
    for task in ("train", "infer"):
        speeds = [
            (value, result.framework, key.partition(", ")[2])
            for result in found.results
            for key, value in result.speed.items()
            if key.startswith(task)
        ]
        if speeds:
            value, framework, mode = max(speeds)
            figures = {"framework": framework, "mode": mode, "speed": _speed(value)}
            parts.append(
                _("%(framework)s (%(mode)s) trains fastest here, %(speed)s images a second", **figures)
                if task == "train"
                else _("%(framework)s (%(mode)s) predicts fastest here, %(speed)s images a second", **figures)
            )
    return _("%(words)s.", words=_("; ").join(parts)) if parts else _("Nothing could be measured.")


def gradient_check(found: FrameworkComparison) -> str:
    """The outcome of the check that a training step is the same everywhere."""
    checked = [(result, result.gradient_difference) for result in found.results]
    trained = [(result, difference) for result, difference in checked if difference is not None]
    if len(trained) < 2:
        return _("No second framework trained, so no step could be compared.")
    wrong = [(result, difference) for result, difference in trained if result.differs]
    if wrong:
        reasons = (
            _(
                "%(framework)s by %(difference)s (%(allowed)s is allowed)",
                framework=result.framework,
                difference=f"{by:.0e}",
                allowed=f"{result.allowed:.0e}",
            )
            for result, by in wrong
        )
        return _("One training step differs: %(reasons)s.", reasons=_("; ").join(reasons))
    exact = [difference for _, difference in trained if difference <= SAME]
    text = _(
        "One training step (in float64) from these weights gives the same loss and gradients in %(count)s frameworks: "
        "the largest relative difference is %(difference)s.",
        count=len(exact),
        difference=f"{max(exact):.0e}",
    )
    rest = [
        _("%(framework)s differs by %(difference)s", framework=result.framework, difference=f"{by:.0e}")
        for result, by in trained
        if by > SAME
    ]
    if rest:
        reason = _(
            "%(differences)s: it computes norms in float32, whose rounding moves PyTorch as far.",
            differences=_("; ").join(rest),
        )
        text = sentence_space().join([text, reason])
    return text


def failures(found: FrameworkComparison) -> list[str]:
    """The measurements that failed, with the reasons."""
    return [
        _("%(framework)s, %(task)s: %(reason)s", framework=result.framework, task=key, reason=reason)
        for result in found.results
        for key, reason in result.failed.items()
    ]
