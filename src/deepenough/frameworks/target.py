"""What the frameworks' files have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError
from deepenough.nets.network import Network
from deepenough.nets.shapes import Visit, visits

if TYPE_CHECKING:
    from deepenough.frameworks.export import Export

DIFFERENCE = 1e-4
"""Largest difference of logits, relative to the largest logit, at which two float32 models are the same."""


@dataclass(frozen=True)
class Runtime:
    """One way to run what was written, in a process of its own.

    `predict.py`'s `load` is called with `arguments`, under `environment`, where all `packages` can be imported.
    """

    name: str
    packages: tuple[str, ...]
    arguments: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """A framework that a network can be exported to.

    Args:
        packages: what has to be importable to write for it
        files: what `write` makes in a folder, the model first
        load: gives source code for `predict.py`: imports, and a function `load` that gives a function from pixels uint8
            (N, H, W, C) to logits (N, classes)
        needs: what to install to run it, besides Pillow
        layout: in which order the model takes an image's axes
        refuses: functions of a layer and the title that may give a reason why the layer can't be written
        refused: the reason for each precision that there is none of
        readable: the file that deepenough reads back as weights, bit for bit, if there is one
        prepared: says what has to be done to pixels before, where that is not inside the model
    """

    name: str
    title: str
    extra: str
    packages: tuple[str, ...]
    files: tuple[str, ...]
    write: Callable[[Export, Path], None]
    load: Callable[[Export], str]
    runtimes: tuple[Runtime, ...]
    needs: str
    layout: str = "NCHW"
    refuses: tuple[Callable[[Visit, str], str | None], ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    readable: str = ""
    prepared: Callable[[Export], str] | None = None

    def refusal(self, network: Network) -> str | None:
        """The first of the network's layers that can't be written, with the reason, or None."""
        for visit in visits(network):
            reasons = (visit.layer.missing.get(self.name), *(check(visit, self.title) for check in self.refuses))
            if reason := next(filter(None, reasons), None):
                return f"{visit.path}: {reason}"
        return None

    def check(self, precision: str) -> None:
        """Raise the error for a precision that it has none of, or for a package that is not installed."""
        if precision in self.refused:
            raise DeepenoughError(f"--{NAMES[precision]} --to {self.name}: {self.refused[precision]}")
        missing = absent(self.packages)
        if missing:
            raise DeepenoughError(
                f"--to {self.name} needs {', '.join(missing)}, not installed here: "
                f"pip install 'deepenough[{self.extra}]'"
            )


NAMES = {"float16": "half", "int8": "int8"}
"""The options that ask for a precision."""


def absent(packages: tuple[str, ...]) -> list[str]:
    """Those of the packages that can't be imported."""
    return [name for name in packages if find_spec(name) is None]
