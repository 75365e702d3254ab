"""The base of the frameworks: what is written for one, what it can't do, and how it is run."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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
    `system` is the only one that it exists on, where there is one. `gpu`: it computes on graphics cards of NVIDIA only.
    """

    name: str
    packages: tuple[str, ...]
    arguments: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    system: str = ""
    gpu: bool = False

    @property
    def absence(self) -> str:
        """Return why there is no such runtime here, installed or not; "" where there is one."""
        if self.system not in ("", "macOS" if platform.system() == "Darwin" else platform.system()):
            return f"it exists on {self.system} only"
        if self.gpu:
            import torch

            return "" if torch.cuda.is_available() else "there is no NVIDIA GPU here"
        return ""

    @property
    def exists_here(self) -> bool:
        """Tell whether there is such a runtime for this system, installed or not."""
        return not self.absence


class Target(ABC):
    """A framework that a network can be exported to: one subclass a framework, in a file of the framework's name.

    `predict.py` of an export includes the template `NAME.predict.py.jinja`: imports, and a function `load` that gives a
    function from pixels uint8 (N, H, W, C) to logits (N, classes).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    extra: ClassVar[str]  # of this package
    packages: ClassVar[tuple[str, ...]]  # that have to be importable to write for it
    files: ClassVar[tuple[str, ...]]  # that `write` makes in a folder, the model first
    runtimes: ClassVar[tuple[Runtime, ...]]
    needed_files: ClassVar[tuple[str, ...]]  # that `predict.py` reads: it and these can be passed on alone
    needs: ClassVar[str]  # to install to run it, besides Pillow
    built: ClassVar[tuple[str, ...]] = ()  # files that `predict.py` makes of the model when it is run
    largest_batch: ClassVar[int | None] = None  # None: any
    layout: ClassVar[str] = "NCHW"  # the order of an image's axes that the model takes
    refused: ClassVar[Mapping[str, str]] = {}  # the reason for each precision that there is none of
    notes: ClassVar[tuple[str, ...]] = ()
    any_network: ClassVar[bool] = True  # False: it has certain networks, and takes no others of the same layers
    snippets: ClassVar[tuple[str, ...]] = ()  # programs like predict.py in other languages, each from its template
    read_back: ClassVar[str] = ""  # said of what `write` reads back and compares, where its runtime may not exist
    readable: ClassVar[str] = ""  # the file that deepenough reads back as weights, bit for bit

    @abstractmethod
    def write(self, export: Export, folder: Path) -> None:
        """Write the model and what belongs to it."""

    def more_files(self, precision: str) -> tuple[str, ...]:
        """Return the names of other models that `write` makes in a precision, for the same images."""
        return ()

    def runtimes_for(self, precision: str) -> tuple[Runtime, ...]:
        """Return the ways to run what is written in a precision: those of all, and those of its other models."""
        return self.runtimes

    def refuses(self, visit: Visit) -> str | None:
        """Return the reason why a layer can't be written, or None."""
        return None

    def preparation(self, export: Export) -> str:
        """Describe what has to be done to pixels in 0..255, where that is not inside the model."""
        return ""

    def predict_values(self, export: Export) -> dict[str, Any]:
        """Return what the template of `predict.py` is filled with, besides what all are."""
        return {}

    def refusal(self, network: Network) -> str | None:
        """Name the first of the network's layers that can't be written, with the reason, or return None."""
        for visit in visits(network):
            if reason := visit.layer.missing.get(self.name) or self.refuses(visit):
                return f"{visit.path}: {reason}"
        return None

    def check(self, precision: str) -> None:
        """Raise the error for a precision that it has none of, or for a package that is not installed."""
        if precision in self.refused:
            option = {"float16": "half"}.get(precision, precision)
            raise DeepenoughError(f"--{option} --to {self.name}: {self.refused[precision]}")
        missing = absent(self.packages)
        if missing:
            raise DeepenoughError(
                f"--to {self.name} needs {', '.join(missing)}, not installed here: "
                f"pip install 'deepenough[{self.extra}]'"
            )


def absent(packages: tuple[str, ...]) -> list[str]:
    """Return those of the packages that can't be imported."""
    return [name for name in packages if find_spec(name) is None]
