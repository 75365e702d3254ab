"""Tensors whose names say nothing, as `nn.Sequential` numbers its children: their order and shapes tell the network."""

from __future__ import annotations

from collections.abc import Iterator

from deepenough.weights.match import FileLayout, last_layer
from deepenough.weights.torch_file import AnyTensors

HEAD_TENSORS = ("weight", "bias")
"""The tensors of a head, which a file may lack."""


def in_order(layout: FileLayout, found: AnyTensors) -> Iterator[tuple[AnyTensors, AnyTensors]]:
    """Find all tensors of a network but its head one after the other, in the layout's order.

    Each time the tensors by the layout's names, and the others by their own. The first convolution may have another
    shape, which `stems` settles.
    """
    if len(found) < len(layout.names) - len(HEAD_TENSORS):
        return
    wanted = layout.shapes
    head = f"{last_layer(layout.network)}."
    body = [(name, wanted[key]) for key, name in layout.names.items() if not key.startswith(head)]
    names = list(found)
    for start in range(len(names) - len(body) + 1):
        part = names[start : start + len(body)]
        if all(
            _leaf(name) == _leaf(theirs) and (number == 0 or layout.is_shape(found[theirs].shape, shape))
            for number, ((name, shape), theirs) in enumerate(zip(body, part, strict=True))
        ):
            inside = {name: found[theirs] for (name, _), theirs in zip(body, part, strict=True)}
            yield inside, {name: found[name] for name in names if name not in set(part)}


def are_alike(ours: AnyTensors, theirs: AnyTensors) -> bool:
    """Tell whether most of our names end as the file's do, so that the file's publisher is the layout's."""
    ends = {id(tensor): _end(name) for name, tensor in theirs.items()}
    same = sum(ends.get(id(tensor)) == _end(name) for name, tensor in ours.items())
    return 2 * same >= len(ours)


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _end(name: str) -> tuple[str, ...]:
    return tuple(name.split(".")[-2:])
