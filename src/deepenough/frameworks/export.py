"""The classifier that is written for a framework: a network, its tensors, and what happens to an image before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.nets.combinators import Auxiliary
from deepenough.nets.layer import Layer, Stack, joined_path, named
from deepenough.nets.layers import Conv, Pool
from deepenough.nets.network import Network
from deepenough.nets.norms_before_pools import norms_before_pools
from deepenough.nets.shapes import Visit, visits
from deepenough.nets.tokens import Tokens
from deepenough.nets.walk import rewritten
from deepenough.preprocessing import Preprocessing

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Export:
    """A classifier to be written.

    `state` holds float32 arrays by the module paths of `build(network)`. `precision` is "float32", "float16" or
    "int8"; for the last, `calibration` holds pixels uint8 (N, H, W, C) to fix the ranges by, and `network` becomes one
    whose norms stand before max pools where that computes the same, so that they can be folded into weights. `source`
    names the run or the weights that it is made of.
    """

    network: Network
    state: Mapping[str, Array]
    input: Preprocessing
    classes: tuple[str, ...]
    precision: str = "float32"
    calibration: npt.NDArray[np.uint8] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.precision == "int8":
            foldable = norms_before_pools(self.network, lambda path: bool((self.state[f"{path}.weight"] >= 0).all()))
            object.__setattr__(self, "network", foldable)

    @classmethod
    def of(cls, network: Network, state: Mapping[str, Any], wanted: Preprocessing, classes: tuple[str, ...]) -> Export:
        """Without what serves in training only: auxiliary branches, the counters of batch norms.

        Position embeddings for images of another size are interpolated.
        """
        body = replace(network, stack=tuple(layer for layer in network.stack if not isinstance(layer, Auxiliary)))
        places = {visit.path for visit in visits(body)}
        kept = {
            key: np.ascontiguousarray(value, np.float32)
            for key, value in state.items()
            if key.rpartition(".")[0] in places and not key.endswith("num_batches_tracked")
        }
        return cls(*_at_size(body, kept), wanted, classes)

    @cached_property
    def walk(self) -> list[Visit]:
        """The network's layers in the order of computation."""
        return list(visits(self.network))

    def added_to_tokens(self, visit: Visit) -> Array | None:
        """Class token and positions, summed, for tokens that begin with zeros for a class token; None without both."""
        found = {word: self.state[f"{visit.path}.{word}"] for word in visit.layer.tensors(visit.input)}
        if not found:
            return None
        added = np.zeros((1, *visit.output), np.float32) + found.get("position", np.float32(0))
        if "class_token" in found:
            added[:, :1] += found["class_token"]
        return added

    def tensors(self, path: str) -> list[Array]:
        """A layer's tensors: weight and bias; of a batch norm scale, shift, mean and variance; of tokens both."""
        names = ("weight", "bias", "running_mean", "running_var", "class_token", "position")
        return [self.state[f"{path}.{name}"] for name in names if f"{path}.{name}" in self.state]


def _at_size(network: Network, state: dict[str, Array]) -> tuple[Network, dict[str, Array]]:
    """The network with position embeddings that are for the size of its images, and its state."""
    resized_tokens: dict[str, Layer] = {}
    for visit in visits(network):
        if not isinstance(visit.layer, Tokens) or visit.layer.grid == visit.input[1:]:
            continue
        import torch

        from deepenough.nets.modules import interpolated

        _, rows, columns = visit.input
        resized_tokens[visit.path] = replace(visit.layer, rows=rows, columns=columns)
        key = f"{visit.path}.position"
        if key in state:
            moved = interpolated(torch.from_numpy(state[key]), visit.layer.grid, (rows, columns))
            state = state | {key: np.ascontiguousarray(moved.numpy())}

    if not resized_tokens:
        return network, state

    def resized(stack: Stack, path: str) -> Stack:
        return tuple(resized_tokens.get(joined_path(path, name), layer) for name, layer in named(stack))

    return replace(network, stack=rewritten(network.stack, resized)), state


def layer_kinds(export: Export) -> set[str]:
    """The kinds of layers that there are; "PaddedConv2d" for convolutions whose padding is lopsided."""
    return {visit.layer.kind for visit in export.walk} | {"PaddedConv2d" for visit in export.walk if lopsided(visit)}


def lopsided(visit: Visit) -> bool:
    """Tell whether a layer is a convolution that pads its sides differently."""
    return isinstance(visit.layer, Conv) and len({pad for side in visit.layer.pads(visit.input) for pad in side}) > 1


def overhang(visit: Visit, axis: int) -> int:
    """Count the pixels by which a pool's windows reach beyond the image at its end: padding, and what `ceil` adds.

    `axis` is 1 for the height, 2 for the width. With so much padding a pool that rounds down gives the same windows.
    """
    pool = visit.layer
    assert isinstance(pool, Pool)
    reach = (visit.output[axis] - 1) * pool.step + pool.kernel
    return max(reach - visit.input[axis] - pool.padding, 0)
