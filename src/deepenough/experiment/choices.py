"""The choices of options whose names come from rooms that take long to import: each imports them when called."""

from __future__ import annotations


def families() -> tuple[str, ...]:
    """The names of the families."""
    from deepenough.nets.families import FAMILIES

    return tuple(FAMILIES)


def presets() -> tuple[str, ...]:
    """The names of what pretrained weights may expect of an image."""
    from deepenough.weights.preset_names import PRESETS

    return tuple(PRESETS)


def runtimes() -> tuple[str, ...]:
    """The names of the runtimes that latency can be measured in."""
    from deepenough.runtimes.table import RUNTIMES

    return tuple(RUNTIMES)


def loggers() -> tuple[str, ...]:
    """The names of what curves can be written for."""
    from deepenough.training.loggers import LOGGERS

    return tuple(LOGGERS)
