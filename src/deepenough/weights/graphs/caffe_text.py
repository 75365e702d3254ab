"""The definition of a net that lies beside a `.caffemodel`: its `.prototxt`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepenough.errors import first_line
from deepenough.nets.serialization import LONGEST_TEXT
from deepenough.weights.caffe_messages import V1_TYPES, message
from deepenough.weights.caffemodel import V1_KINDS, CaffeLayer, CaffeNet, input_shapes, text_of, v0_layer
from deepenough.weights.graphs.graph import GraphError, plain_name

DEPLOY = ("deploy.prototxt", "train_val.prototxt")
"""Names of definitions as Caffe's own models have them, the preferred one first."""

DEEPEST = 30
"""Braces in braces of a definition that are read."""


def definition_beside(path: Path) -> Path | None:
    """The definition of a `.caffemodel`: the file of its name, Caffe's usual names, or the only one in its folder."""
    for name in (f"{path.stem}.prototxt", *DEPLOY):
        if path.with_name(name).is_file():
            return path.with_name(name)
    found = [file for file in path.parent.glob("*.prototxt") if file.is_file() and "solver" not in file.name]
    deploys = [file for file in found if "deploy" in file.name] or found
    return deploys[0] if len(deploys) == 1 else None


def read_definition(file: Path) -> CaffeNet:
    """Read a `.prototxt` as it is for prediction. Fields that change nothing there are passed over."""
    from google.protobuf import text_format

    with file.open("rb") as opened:
        content = opened.read(LONGEST_TEXT + 1)
    if len(content) > LONGEST_TEXT:
        raise GraphError(f"{file}: it has more than {LONGEST_TEXT:,} characters, which are not read")
    text = content.decode("utf-8", "replace")
    if _deepest(text) > DEEPEST:
        raise GraphError(f"{file} is nested too deeply to be read")
    try:
        net = text_format.Parse(text, message("NetText")(), allow_unknown_field=True)
    except (text_format.ParseError, ValueError, RecursionError) as error:
        raise GraphError(f"{file} is not a definition of Caffe: {plain_name(first_line(error))}") from None
    read = [_v1_layer(entry) for entry in net.layers if _is_for_prediction(entry)]
    read += [_layer(entry, text_of(entry.type)) for entry in net.layer if _is_for_prediction(entry)]
    shapes = [tuple(shape.dim) for shape in net.input_shape]
    return CaffeNet(text_of(net.name), tuple(read), tuple(map(text_of, net.input)), input_shapes(net, shapes))


def _deepest(text: str) -> int:
    depth = deepest = 0
    for letter in text:
        depth += (letter in "{<") - (letter in "}>")
        deepest = max(deepest, depth)
    return deepest


def _is_for_prediction(entry: Any) -> bool:
    """Tell whether a layer is there when a net predicts: in the phase TEST."""
    phases = [rule.phase for rule in entry.include if rule.HasField("phase")]
    absent = [rule.phase for rule in entry.exclude if rule.HasField("phase")]
    return (not phases or 1 in phases) and 1 not in absent


def _v1_layer(entry: Any) -> CaffeLayer:
    if entry.HasField("layer"):
        return v0_layer(entry.layer, entry.bottom, entry.top)
    return _layer(entry, V1_KINDS.get(entry.type, V1_TYPES[0]))


def _layer(entry: Any, kind: str) -> CaffeLayer:
    return CaffeLayer(text_of(entry.name), kind, (), None, _names(entry.bottom), _names(entry.top), entry)


def _names(given: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(map(text_of, given))
