"""The classifier that is written for a framework: a network, its tensors, and what happens to an image before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.nets.combinators import Auxiliary
from deepenough.nets.layers import Pool
from deepenough.nets.network import Network
from deepenough.nets.shapes import Visit, visits
from deepenough.preprocessing import Preprocessing

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Export:
    """A classifier to be written.

    `state` holds float32 arrays by the module paths of `build(network)`. `precision` is "float32", "float16" or
    "int8"; for the last, `calibration` holds pixels uint8 (N, H, W, C) to fix the ranges by.
    """

    network: Network
    state: Mapping[str, Array]
    input: Preprocessing
    classes: tuple[str, ...]
    precision: str = "float32"
    calibration: npt.NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, network: Network, state: Mapping[str, Any], wanted: Preprocessing, classes: tuple[str, ...]) -> Export:
        """Without what serves in training only: auxiliary branches, the counters of batch norms."""
        body = replace(network, stack=tuple(layer for layer in network.stack if not isinstance(layer, Auxiliary)))
        places = {visit.path for visit in visits(body)}
        kept = {
            key: np.ascontiguousarray(value, np.float32)
            for key, value in state.items()
            if key.rpartition(".")[0] in places and not key.endswith("num_batches_tracked")
        }
        return cls(body, kept, wanted, classes)

    @cached_property
    def walk(self) -> list[Visit]:
        """The network's layers in the order of computation."""
        return list(visits(self.network))

    def tensors(self, path: str) -> list[Array]:
        """A layer's tensors: weight and bias; of a batch norm scale, shift, mean and variance."""
        names = ("weight", "bias", "running_mean", "running_var")
        return [self.state[f"{path}.{name}"] for name in names if f"{path}.{name}" in self.state]


def overhang(visit: Visit, axis: int) -> int:
    """Count the pixels by which a pool's windows reach beyond the image at its end: padding, and what `ceil` adds.

    `axis` is 1 for the height, 2 for the width. With so much padding a pool that rounds down gives the same windows.
    """
    pool = visit.layer
    assert isinstance(pool, Pool)
    reach = (visit.output[axis] - 1) * pool.step + pool.kernel
    return max(reach - visit.input[axis] - pool.padding, 0)
