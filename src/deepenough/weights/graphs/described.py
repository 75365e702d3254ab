"""A network that a file describes, with its weights and what it says of the images that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deepenough.errors import DeepenoughError
from deepenough.nets.activation import HardSigmoid, Sigmoid
from deepenough.nets.layers import Flatten, Weighted
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits
from deepenough.preprocessing import Preprocessing
from deepenough.weights.graphs.branches import steps
from deepenough.weights.graphs.graph import Graph, GraphError, Operation
from deepenough.weights.graphs.naming import Paths, named_stack

TOLERANCE = 1e-3
"""Difference of logits, as a share of the largest, up to which a network is taken to be the one that is described."""

LARGEST_MAP = 2**31
"""Values of the largest map of a described network, for one image."""


@dataclass(frozen=True, eq=False)
class Described:
    """A network of a file's own description.

    `state` holds float32 tensors by the module paths of `network`. `input` is None where the file says nothing of how
    its images are normalised. `notes` say what was changed or taken for granted; `left_out` are the layers beside the
    last one whose values nothing reads, such as heads for training; `assumed` is a note on the size of the images,
    where the file doesn't state it.
    """

    network: Network
    state: Mapping[str, Tensor]
    input: Preprocessing | None
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()
    assumed: str = ""

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The notes for who reads the network as it is described."""
        left_out = f"what {', '.join(map(repr, self.left_out[:3]))} gives is left out" if self.left_out else ""
        return (*filter(None, (left_out, self.assumed)), *self.notes)


@dataclass(frozen=True)
class Stated:
    """The facts that a file states of its network beside the layers.

    `name` is what it is called; `input` the preprocessing, where it is part of the graph; `blocks` the starts of the
    names of layers that are one block each, where names have them; `left_out` and `assumed` are as in `Described`.
    """

    name: str
    input: Preprocessing | None
    notes: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    assumed: str = ""


def described(graph: Graph, images: Operation, output: Operation, stated: Stated) -> Described:
    """The network between `images` and `output`, which is what a softmax would be given."""
    notes = stated.notes
    if output is images:
        raise GraphError(f"{graph.file}: it has no layers between the images and what it gives")
    output, notes = _without_sigmoid(graph, output, notes)
    if output.shape[1:] == (1, 1):
        output = graph.layer("logits", "Flatten", Flatten(), output)
    if len(output.shape) != 1:
        raise GraphError(
            f"{graph.file}: it gives {' x '.join(map(str, output.shape))} values for an image; a classifier gives one "
            "for each class"
        )
    if output.shape == (1,):
        raise GraphError(f"{graph.file}: it gives one value for an image; a classifier here gives one for each class")
    found = steps(graph.file, images, output)
    stack, paths = named_stack(found, stated.blocks)
    network = Network(stated.name, images.shape, stack)  # type: ignore[arg-type]  # three sides, as `images` says
    _check_shapes(graph, network, paths)
    state = {
        f"{path}.{key}": torch.from_numpy(np.ascontiguousarray(array, np.float32).copy())
        for operation, path in paths.items()
        for key, array in operation.tensors.items()
    }
    return Described(network, state, stated.input, notes, left_out=stated.left_out, assumed=stated.assumed)


def _without_sigmoid(graph: Graph, output: Operation, notes: tuple[str, ...]) -> tuple[Operation, tuple[str, ...]]:
    """Leave out a sigmoid at the end: a softmax follows here, which wants what the sigmoid is given."""
    if isinstance(output.layer, HardSigmoid):
        raise graph.refusal(output.name, "HardSigmoid", "it is the end of the network, where a softmax follows here")
    if not isinstance(output.layer, Sigmoid):
        return output, notes
    note = "its sigmoid is left out: it answered yes or no for each class, and here the classes exclude each other"
    return output.inputs[0], (*notes, note)


def _check_shapes(graph: Graph, network: Network, paths: Paths) -> None:
    """Raise where our layers give other shapes than the file's, or where they would take more memory than there is."""
    given = {path: operation for operation, path in paths.items()}
    weighted = False
    try:
        for visit in visits(network):
            weighted |= isinstance(visit.layer, Weighted)
            operation = given.get(visit.path)
            if operation is not None and operation.shape not in (visit.output, (*visit.output, 1, 1)):
                raise graph.refusal(operation.name, visit.layer.kind, f"it gives {visit.output} here")
            if np.prod([float(side) for side in visit.output]) > LARGEST_MAP:
                raise graph.refusal(visit.path, visit.layer.kind, f"it gives more than {LARGEST_MAP:,} values an image")
    except GraphError:
        raise
    except DeepenoughError as error:
        raise GraphError(f"{graph.file}: {error}") from None
    if not weighted:
        raise GraphError(f"{graph.file}: none of its layers has weights")
