"""Packages of Core ML that are not the network: what `write` says of each. A program, as `mil_in_torch.py` is."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from export_cases import CASES, export_of

from deepenough.errors import DeepenoughError
from deepenough.frameworks import coreml
from deepenough.frameworks.coreml import CoremlGraph, CoremlTarget
from deepenough.frameworks.coreml_read_back import compare_with_network
from deepenough.frameworks.export import Array, Export
from deepenough.nets import Activation, Branches, Conv, Flatten, MaxPool, Network, Sigmoid
from deepenough.nets.layer import Shape
from deepenough.nets.layers import Pool
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


class AnotherActivation(CoremlGraph):
    def _activation(self, layer: Activation, path: str, value: Any) -> Any:
        return super()._activation(Sigmoid(), path, value)


class AnotherEps(CoremlGraph):
    def _batch_norm(self, visit: Visit, eps: float, value: Any) -> Any:
        return super()._batch_norm(visit, 2 * eps, value)


class AnotherStride(CoremlGraph):
    def _pool(self, visit: Visit, layer: Pool, value: Any) -> Any:
        """At the one place of a window as large as the map, where the shape is the same."""
        return super()._pool(visit, replace(layer, stride=3), value)


class OtherPadding(CoremlGraph):
    def _convolution(self, visit: Visit, layer: Conv, value: Any) -> Any:
        return super()._convolution(visit, Shifted(**vars(layer)), value)


class Shifted(Conv):
    def pads(self, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
        (above, below), sides = super().pads(shape)
        return (above + below, 0), sides


class NoNormalisation(CoremlGraph):
    def _normalised(self, images: Any) -> Any:
        return self.mb.mul(x=images, y=np.float32(7), name="normalise__std")


class AnotherMean(CoremlGraph):
    def __init__(self, export: Export, images: Any) -> None:
        moved = replace(export.input, mean=tuple(0.5 * each for each in export.input.mean))
        super().__init__(replace(export, input=moved), images)


class AnotherOperand(CoremlGraph):
    """Each sum adds its first end to itself."""

    def joined(self, layer: Branches, value: Any, ends: Sequence[Any], path: str) -> Any:
        return super().joined(layer, value, [ends[0], ends[0]], path)


class OneMore(CoremlGraph):
    def _normalised(self, images: Any) -> Any:
        return self.mb.relu(x=super()._normalised(images), name="surplus")


class Exchanged(Export):
    def tensors(self, path: str) -> list[Array]:
        return super().tensors(path)[::-1]


def exchanged(export: Export) -> Export:
    return Exchanged(export.network, export.state, export.input, export.classes)


def flipped(export: Export) -> Export:
    """The same with the other order of colours."""
    other = {"RGB": "BGR", "BGR": "RGB"}[export.input.order]
    return replace(export, input=replace(export.input, order=other))


def main() -> None:
    whole, colour = (export_of(name, CASES[name]()) for name in ("residual-1x28", "relu6"))
    whole_pool = export_of("relu6", Network("pool", (3, 9, 8), (Conv(10), MaxPool(8, 2), Flatten())))
    kinds = {
        "none": (CoremlGraph, whole, whole),
        "one bit of a weight": (OneBit, whole, whole),
        "a shape": (WiderMaps, whole, whole),
        "a layer left out": (NoNorms, whole, whole),
        "statistics exchanged": (CoremlGraph, exchanged(whole), whole),
        "another activation": (AnotherActivation, whole, whole),
        "another eps": (AnotherEps, whole, whole),
        "another stride": (AnotherStride, whole_pool, whole_pool),
        "other padding": (OtherPadding, whole, whole),
        "no normalisation": (NoNormalisation, whole, whole),
        "another mean": (AnotherMean, whole, whole),
        "another operand": (AnotherOperand, whole, whole),
        "one more operation": (OneMore, whole, whole),
        "another order of colours": (CoremlGraph, flipped(colour), colour),
        "other classes": (CoremlGraph, replace(whole, classes=whole.classes[::-1]), whole),
    }
    said = {}
    for name, (graph, written, meant) in kinds.items():
        coreml.CoremlGraph = graph  # type: ignore[misc]
        coreml.compare_with_network = lambda package, _, meant=meant: compare_with_network(package, meant)
        said[name] = ""
        try:
            CoremlTarget().write(written, Path(sys.argv[1]))
        except DeepenoughError as error:
            said[name] = str(error)
    sys.stdout.write("told " + json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
