"""Caffe's nets as layers of ours: V0, V1 and current layers, with or without the `.prototxt` beside the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError
from deepenough.nets.activation import Node
from deepenough.preprocessing import Preprocessing
from deepenough.weights.caffemodel import CaffeLayer, CaffeNet, read_net
from deepenough.weights.graphs.activations import KINDS, Pattern, Written, match_pattern
from deepenough.weights.graphs.caffe_layers import NetBuilder
from deepenough.weights.graphs.caffe_text import definition_beside, read_definition
from deepenough.weights.graphs.described import Described, Stated, described
from deepenough.weights.graphs.graph import Graph, GraphError, check_kinds, decimal, plain_name

DATA = ("Input", "Data", "ImageData", "HDF5Data", "Hdf5Data", "MemoryData", "WindowData", "DummyData")
"""Kinds of layers that give images, and labels behind them."""

ENDS = ("Accuracy", "Silence", "SoftmaxWithLoss", "EuclideanLoss", "HingeLoss", "InfogainLoss", "ContrastiveLoss",
        "MultinomialLogisticLoss", "SigmoidCrossEntropyLoss", "ArgMax", "Argmax")  # fmt: skip
"""Kinds of layers whose outputs are no part of the network: losses, and what is measured."""

READ = ("BatchNorm", "Concat", "Convolution", "Dropout", "ELU", "Eltwise", "Flatten", "InnerProduct", "LRN", "PReLU",
        "Padding", "Pooling", "Power", "ReLU", "Reshape", "Scale", "Sigmoid", "Slice", "Softmax", "Split")  # fmt: skip
"""Kinds of layers that are read."""

REASONS = {
    "Deconvolution": "a transposed convolution makes maps larger, which no classifier here does",
    "Python": "it is a program, and nothing in a file is run",
}
"""Reasons against kinds, where there is more to say than that they are not known."""

PATTERNS = tuple(Pattern(kind, kind.caffe) for kind in KINDS if kind.caffe)
OUR_WORDS = re.compile(r"order (RGB|BGR).*less the mean \(([^()]*)\), times the scale \(([^()]*)\)")
OUR_GREY = re.compile(r"0\.\.255, less the mean \(([^()]*)\), times the scale \(([^()]*)\)")
"""The words that deepenough writes at the head of a `.prototxt`."""


def states_layers(path: Path, net: CaffeNet) -> bool:
    """Tell whether the net in a `.caffemodel` or a definition beside it says what its layers read and how they compute.

    Some have weights alone: names, kinds and blobs.
    """
    return definition_beside(path) is not None or _describes_itself(net)


def _describes_itself(net: CaffeNet) -> bool:
    return any(layer.kind == "Convolution" and layer.bottoms and layer.parameters is not None for layer in net.layers)


def read_caffe_graph(path: Path, usual: tuple[int, ...] = (), read: CaffeNet | None = None) -> Described:
    """The network that a `.caffemodel` describes, by its `.prototxt` where one of the same layers lies beside it.

    One that doesn't fit may be another network's, which is no reason not to read a file that describes itself. `usual`
    is the shape (C, H, W) of its images where it states none; `read` is the file's net, if it was read already.
    """
    net, beside = read or read_net(path), definition_beside(path)
    if beside is None:
        return _read(path, "(Caffe)", net, usual)
    words = f"(Caffe, defined by {beside.name})"
    try:
        return _read(path, words, _with_arrays(read_definition(beside), net, path), usual, beside=beside)
    except DeepenoughError as error:
        if not _describes_itself(net):
            raise
        reason = str(error).removeprefix(f"{path} {words}: ").replace(f"{path} has", "the file has")
        other = f"{plain_name(beside.name)} beside it does not define it ({reason}); it is read as it describes itself"
        return _read(path, f"(Caffe; {other})", net, usual, notes=(other,))


def _read(
    path: Path,
    words: str,
    net: CaffeNet,
    usual: tuple[int, ...],
    *,
    beside: Path | None = None,
    notes: tuple[str, ...] = (),
) -> Described:
    """The network that a net makes, which is of a definition `beside` the file, or of the file itself."""
    file = f"{path} {words}"
    if usual:
        net = _with_input(net)
    nodes, images = _written(file, net)
    output, left_out = _output(file, nodes, images)
    needed, activations = _needed(nodes, output)
    check_kinds(file, ((each.name, each.kind) for each, _ in needed), (*READ, *_single_kinds()), REASONS)
    shape = _shape(file, net, needed=not usual)
    graph = Graph(file)
    builder = NetBuilder(graph, images, graph.images(shape or usual))
    for node, layer in needed:
        if node.output in activations:
            kind, given = activations[node.output]
            builder.activation(node, kind, given)
        else:
            builder.add(node, layer)
    wanted = _input(net, beside, builder)
    name = net.name if net.name.strip() else path.stem
    size = f"{usual[2]}x{usual[1]}" if usual else ""
    assumed = "" if shape else f"it doesn't say the size of its images; the usual {size} is taken"
    stated = Stated(plain_name(name), wanted, notes, left_out=tuple(left_out), assumed=assumed)
    return described(graph, builder.images, builder.value(output, "output"), stated)


def _single_kinds() -> set[str]:
    return {pattern.nodes[0].kind for pattern in PATTERNS if len(pattern.nodes) == 1}


def _with_arrays(defined: CaffeNet, weights: CaffeNet, path: Path) -> CaffeNet:
    """The definition with the blobs of the layers of the same names."""
    arrays = {layer.name: layer.arrays for layer in weights.layers if layer.arrays}
    if not any(layer.name in arrays for layer in defined.layers):
        raise GraphError(
            f"{path} has none of the layers that the .prototxt beside it defines; is it another network's?"
        )
    if skipped := _skipped(defined, weights):
        raise GraphError(
            f"{path} has weights of {', '.join(repr(plain_name(name)) for name in skipped[:3])} between layers that "
            "the .prototxt beside it defines; is it another network's?"
        )
    layers = tuple(replace(layer, arrays=arrays.get(layer.name, ())) for layer in defined.layers)
    return replace(defined, layers=layers, name=defined.name or weights.name)


def _skipped(defined: CaffeNet, weights: CaffeNet) -> list[str]:
    """The layers with weights that a file's own output needs, and that a definition lacks before its last one of them:
    VGG-19 has all layers of VGG-16, and more between them. A definition may end before the file's own does."""
    if not _describes_itself(weights):
        return []
    try:
        nodes, images = _written("", _with_input(weights))
        needed, _ = _needed(nodes, _output("", nodes, images)[0])
    except GraphError:
        return []
    names = {layer.name for layer in defined.layers}
    order = [layer.name for _, layer in needed if layer.arrays]
    last = max((place for place, name in enumerate(order) if name in names), default=0)
    return [name for name in order[:last] if name not in names]


def _with_input(net: CaffeNet) -> CaffeNet:
    """The net with what its first layer reads as its images, where it has no input and no layer of data."""
    if net.inputs or any(layer.kind in DATA for layer in net.layers):
        return net
    first = net.layers[0].bottoms[:1] if net.layers else ()
    return replace(net, inputs=first)


Nodes = list[tuple[Written, CaffeLayer]]


def _written(file: str, net: CaffeNet) -> tuple[Nodes, str]:
    """The layers with a name of its own for each value, where Caffe may write over one; and the name of the images."""
    now = {name: name for name in net.inputs}
    nodes: Nodes = []
    images = net.inputs[0] if net.inputs else ""
    for number, layer in enumerate(net.layers):
        kind = layer.kind
        if kind in DATA:
            for top in layer.tops:
                now[top] = f"{top}@{number}"
            images = images or f"{layer.tops[0]}@{number}" if layer.tops else images
            continue
        for bottom in layer.bottoms:
            if bottom not in now:
                raise GraphError(
                    f"{file}: layer {plain_name(layer.name)!r} of kind {plain_name(kind)} reads "
                    f"{plain_name(bottom)!r}, which no layer before it gives"
                )
        given = tuple(now[bottom] for bottom in layer.bottoms)
        for place, top in enumerate(layer.tops):
            now[top] = f"{top}@{number}"
            attributes = {**_attributes(layer), "top": place}
            nodes.append((Written(layer.name, kind, given, now[top], attributes), layer))
        if not layer.tops:
            nodes.append((Written(layer.name, kind, given, f"@{number}", _attributes(layer)), layer))
    if not images:
        raise GraphError(f"{file}: none of its layers gives images (Input, Data), and it states no input")
    return nodes, images


def _attributes(layer: CaffeLayer) -> dict[str, Any]:
    """The parameters of the kinds that activations are made of, defaults filled in."""
    match layer.kind:
        case "Power":
            stated = layer.stated.power_param
            return {"power_param": {key: decimal(getattr(stated, key)) for key in ("power", "scale", "shift")}}
        case "Eltwise":
            stated = layer.stated.eltwise_param
            return {"eltwise_param": {"operation": stated.operation, "coeff": list(map(decimal, stated.coeff))}}
        case "ReLU":
            return {"relu_param": {"negative_slope": decimal(layer.stated.relu_param.negative_slope)}}
    return {}


def _same(written: Written, node: Node) -> bool:
    """Tell whether a node has what the table of activations says, within single precision."""
    if written.kind == "ReLU":
        return bool(written.attributes["relu_param"]["negative_slope"] == 0)
    for title, wanted in node.attributes.items():
        found: dict[str, Any] = dict(written.attributes.get(title, {}))
        usual: dict[str, Any] = {
            "power": 1.0,
            "scale": 1.0,
            "shift": 0.0,
            "coeff": [],
            "operation": found.get("operation"),
        }
        expected = usual | dict(wanted)
        names = {"PROD": 0, "SUM": 1, "MAX": 2}
        for key, value in found.items():
            theirs = names.get(expected[key], expected[key]) if key == "operation" else expected[key]
            if not _close(value, theirs):
                return False
    return True


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_close, one, other))
    return abs(float(one) - float(other)) <= 1e-6 * max(abs(float(one)), abs(float(other)))


def _output(file: str, nodes: Nodes, images: str) -> tuple[str, list[str]]:
    """The name of the value that the network gives, the last that no other layer reads; and of layers beside it."""
    inside = [node for node, _ in nodes if node.kind not in ENDS]
    read = {name for node in inside for name in node.inputs}
    reached = {images}
    for node in inside:
        if reached.intersection(node.inputs):
            reached.add(node.output)
    ends = [node for node in inside if node.output in reached and node.output not in read]
    ends = [node for node in ends if node.kind != "Split"] or ends
    sliced = [node for node in ends if node.kind != "Slice"]
    if not sliced:
        raise GraphError(f"{file}: it has no layers between the images and what it gives")
    return sliced[-1].output, [plain_name(node.name) for node in sliced[:-1]]


Activations = dict[str, tuple[Any, str]]
"""By the name of a value, the activation that gives it, and the name of the value that it is applied to."""


def _needed(nodes: Nodes, output: str) -> tuple[Nodes, Activations]:
    """The layers that the output depends on, in order; and which of them are activations, made of several or not."""
    makers = {node.output: node for node, _ in nodes}
    wanted, kept = {output}, []
    activations: Activations = {}
    for node, layer in reversed(nodes):
        if node.output not in wanted:
            continue
        kept.append((node, layer))
        found = _activation(node, makers)
        if found is not None:
            activations[node.output] = found
            wanted.add(found[1])
        else:
            wanted.update(node.inputs)
    return kept[::-1], activations


def _activation(node: Written, makers: Mapping[str, Written]) -> tuple[Any, str] | None:
    longest = sorted(PATTERNS, key=lambda pattern: -len(pattern.nodes))
    for pattern in longest:
        if pattern.nodes[-1].kind == node.kind:
            given = match_pattern(pattern, node, makers, _same)
            if given is not None:
                return pattern.kind, given
    return None


def _shape(file: str, net: CaffeNet, *, needed: bool) -> tuple[int, ...]:
    """The shape of the images (C, H, W); where it is not stated and not `needed`, it is empty."""
    inputs = (layer.stated for layer in net.layers if layer.kind == "Input")
    stated = (tuple(each.input_param.shape.dim) for each in inputs if each.HasField("input_param"))
    shapes = [*net.shapes, *stated]
    if shapes and len(shapes[0]) == 4:
        return shapes[0][1:]
    if shapes:
        raise GraphError(f"{file}: it is given values of the shape {' x '.join(map(str, shapes[0]))}; read are images")
    sides = [layer.stated.transform_param.crop_size for layer in net.layers if layer.kind in DATA]
    side = next(filter(None, sides), 0)
    if not side and not needed:
        return ()
    if not side:
        raise GraphError(
            f"{file}: it doesn't say the size of its images; put the deploy .prototxt of the network beside it"
        )
    return _channels(net), side, side


def _channels(net: CaffeNet) -> int:
    """The channels of the images, which only the first convolution tells."""
    for layer in net.layers:
        if layer.kind == "Convolution" and layer.arrays and layer.arrays[0].ndim == 4:
            return int(layer.arrays[0].shape[1]) * (layer.stated.convolution_param.group or 1)
    return 3


def _input(net: CaffeNet, beside: Path | None, builder: NetBuilder) -> Preprocessing | None:
    """Read the preparation of images from the net, or from deepenough's comment in its definition: Caffe's are BGR."""
    channels, height, width = builder.images.shape
    found = _stated_input(net, beside, channels, (height, width))
    if builder.scaled is None:
        return found[0] if found else None
    scale, shift = builder.scaled
    if found is not None:
        raise GraphError(
            f"{builder.graph.file}: a Power layer changes its images (x {scale:g} {shift:+g}), and it says a mean or "
            "scale as well; put both into one"
        )
    return _normalised((height, width), "BGR", [-shift / scale], [scale], channels)


def _stated_input(
    net: CaffeNet, beside: Path | None, channels: int, size: tuple[int, int]
) -> tuple[Preprocessing | None] | None:
    """The preparation that deepenough's comment or a data layer states; a tuple of None where another file has it."""
    text = "" if beside is None else beside.read_bytes()[:4096].decode("utf-8", "replace").split("\n", 1)[0]
    if found := (OUR_WORDS if channels == 3 else OUR_GREY).search(text):
        *order, mean, scale = found.groups()
        means, scales = ([float(part) for part in each.split(",")] for each in (mean, scale))
        return (_normalised(size, (order or ["RGB"])[0], means, scales, channels),)
    for layer in net.layers:
        if layer.kind not in DATA or not layer.stated.HasField("transform_param"):
            continue
        stated = layer.stated.transform_param
        if stated.mean_file:
            return (None,)  # it lies in another file
        if stated.mean_value or stated.HasField("scale"):
            means = list(map(decimal, stated.mean_value)) or [0.0]
            return (_normalised(size, "BGR", means, [decimal(stated.scale)], channels),)
    return None


def _normalised(
    size: tuple[int, int], order: str, means: Sequence[float], scales: Sequence[float], channels: int
) -> Preprocessing | None:
    """(pixels - mean) * scale as ours, of pixels in 0..1."""
    if (
        not all(map(isfinite, means))
        or len(means) not in (1, channels)
        or len(scales) not in (1, channels)
        or not all(0 < scale < inf for scale in scales)
    ):
        return None
    mean, std = (list(values) * (channels // len(values)) for values in (means, scales))
    order = order if channels == 3 else "RGB"
    return Preprocessing(
        size, None, order=order, mean=tuple(m / 255 for m in mean), std=tuple(1 / (255 * s) for s in std)
    )
