"""Packages of Core ML that are not the network: what `write` says of each. A program, as `mil_in_torch.py` is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from export_cases import CASES, export_of

from deepenough.errors import DeepenoughError
from deepenough.frameworks import coreml
from deepenough.frameworks.coreml import CoremlGraph, CoremlTarget
from deepenough.frameworks.export import Array, Export
from deepenough.nets.shapes import Visit


class OneBit(CoremlGraph):
    def weight(self, key: str) -> Any:
        values = super().weight(key).copy()
        values.view(np.uint32).flat[0] ^= 1
        return values


class WiderMaps(CoremlGraph):
    def _normalised(self, images: Any) -> Any:
        return super()._normalised(self.mb.concat(values=[images, images], axis=3, name="wide"))


class NoNorms(CoremlGraph):
    def _batch_norm(self, visit: Visit, eps: float, value: Any) -> Any:
        return value


class Exchanged(Export):
    def tensors(self, path: str) -> list[Array]:
        return super().tensors(path)[::-1]


def exchanged(export: Export) -> Export:
    return Exchanged(export.network, export.state, export.input, export.classes)


def main() -> None:
    whole = export_of("residual-1x28", CASES["residual-1x28"]())
    kinds = {
        "none": (CoremlGraph, whole),
        "one bit of a weight": (OneBit, whole),
        "a shape": (WiderMaps, whole),
        "a layer left out": (NoNorms, whole),
        "statistics exchanged": (CoremlGraph, exchanged(whole)),
    }
    said = {}
    for name, (graph, export) in kinds.items():
        coreml.CoremlGraph = graph  # type: ignore[misc]
        said[name] = ""
        try:
            CoremlTarget().write(export, Path(sys.argv[1]))
        except DeepenoughError as error:
            said[name] = str(error)
    sys.stdout.write("told " + json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
