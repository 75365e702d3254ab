"""Keras' models as layers of ours, by their configuration: no code of Keras' or the file's is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from deepenough.weights.graphs.described import Described, Stated, described
from deepenough.weights.graphs.graph import Graph, GraphError, check_kinds, plain_name
from deepenough.weights.graphs.images import stated_input
from deepenough.weights.graphs.keras_base import Layer, Reference
from deepenough.weights.graphs.keras_file import LayerArrays, Path_, read_keras_file
from deepenough.weights.graphs.keras_layers import READ, KerasBuilder
from deepenough.weights.keras_images import usual_side

MODELS = ("Functional", "Model", "Sequential")
"""Kinds of layers that hold others."""

FUNCTIONS = {
    "math.truediv": "TrueDivide", "math.divide": "Divide", "math.subtract": "Subtract", "math.multiply": "Multiply",
    "math.add": "Add", "__operators__.add": "Add",
}  # fmt: skip
"""TensorFlow's functions, which Keras 2 has in a network where it adds or scales values, by our readers' kinds."""

REASONS = {
    "Lambda": "it is a program, and nothing in a file is run",
    "TFOpLambda": "it is a function of TensorFlow; known are sums, differences, products and quotients",
    "SlicingOpLambda": "it takes a part of values, as TensorFlow does by `[...]`",
    "Conv2DTranspose": "a transposed convolution makes maps larger, which no classifier here does",
    "UpSampling2D": "it makes maps larger, which no classifier here does",
    "LSTM": "it is recurrent",
    "GRU": "it is recurrent",
}
"""Reasons against kinds, where there is more to say than that they are not known."""

MOST_LAYERS = 10_000
"""Layers of a model that are read; the largest of `keras.applications` has 1,100."""

DEEPEST = 8
"""Models in models that are read."""


def read_keras_graph(path: Path) -> Described | None:
    """The network that a Keras model file describes; None where it holds weights alone."""
    content = read_keras_file(path)
    if content is None:
        return None
    config, arrays, version = content
    file = f"{path} (Keras)"
    try:
        return _read(path, file, config, arrays, version)
    except GraphError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, ArithmeticError) as error:
        raise GraphError(
            f"{file}: its configuration can't be read as that of a model: {type(error).__name__} "
            f"({plain_name(str(error))})"
        ) from None


def _read(path: Path, file: str, config: dict[str, Any], arrays: LayerArrays, version: str) -> Described:
    kind, model = str(config.get("class_name")), config.get("config")
    if kind not in MODELS or not isinstance(model, (dict, list)):
        raise GraphError(f"{file} holds a {plain_name(kind)}; read are models of the kinds Functional and Sequential")
    graph = Graph(file)
    wiring = _Wiring(file, _nested(arrays))
    output = wiring.model(kind, model, (), [], 0)
    layers = wiring.sorted(output)
    check_kinds(file, ((each.name, each.kind) for each in layers), READ, REASONS)
    images = [each for each in layers if each.kind == "InputLayer"]
    if len(images) != 1:
        raise GraphError(f"{file}: it has {len(images)} inputs; expected one, the images")
    name = plain_name(str(model.get("name", "") if isinstance(model, dict) else "") or path.stem)
    sized = _with_size(images[0], name)
    builder = KerasBuilder(graph, sized, old=version.startswith(("1.", "2.")))
    for layer in layers:
        builder.add(sized if layer is images[0] else layer)
    found = builder.value(output)
    wanted, notes = stated_input(graph, builder.given, whole_bytes=builder.whole_bytes)
    if sized is not images[0]:
        height, width = builder.images.shape[1:]
        notes = (f"it takes images of any size, and is read for {height}x{width} pixels", *notes)
    notes = (*wiring.notes, *notes, *builder.notes)
    return described(graph, builder.images, builder.consumed(found), Stated(name, wanted, notes))


def _with_size(images: Layer, network: str) -> Layer:
    """The input with the size that Keras' network of that name has, or 224 pixels, where it takes images of any."""
    for key in ("batch_shape", "batch_input_shape"):
        shape = images.config.get(key)
        if isinstance(shape, (list, tuple)) and len(shape) == 4 and shape[1] is None and shape[2] is None:
            side = usual_side(network)
            return replace(images, config={**images.config, key: [shape[0], side, side, shape[3]]})
    return images


def _nested(arrays: LayerArrays) -> LayerArrays:
    return {tuple(part for part in where if part): found for where, found in arrays.items()}


@dataclass(frozen=True)
class _Place:
    """A layer of a model and which of its calls: the file's reference to what it gives."""

    name: str
    call: int


_Read = list[tuple[_Place, int]]
"""The calls whose values a call reads, and which of the values that each gives."""


class _Wiring:
    """Flattens models in models to layers that read each other's values."""

    def __init__(self, file: str, arrays: LayerArrays) -> None:
        self.file = file
        self.arrays = arrays
        self.layers: dict[Reference, Layer] = {}
        self.notes: list[str] = []

    def model(self, kind: str, config: Any, inside: Path_, given: Sequence[Reference], depth: int) -> Reference:
        """Add the layers of a model that is given values, and tell which gives what it gives."""
        if depth > DEEPEST:
            raise GraphError(f"{self.file}: its models are nested more than {DEEPEST} deep, which is not read")
        entries = config["layers"] if isinstance(config, dict) else config
        if not isinstance(entries, list) or len(entries) + len(self.layers) > MOST_LAYERS:
            raise GraphError(f"{self.file}: it has more than {MOST_LAYERS:,} layers, or none")
        return (self._sequential if kind == "Sequential" else self._functional)(config, entries, inside, given, depth)

    def sorted(self, output: Reference) -> list[Layer]:
        """The layers that `output` depends on, each behind those that it reads."""
        needed: dict[Reference, Sequence[Reference]] = {}
        waiting = [output]
        while waiting:
            place = waiting.pop()
            if place not in needed:
                if place not in self.layers:
                    raise GraphError(f"{self.file}: it reads {plain_name(place[-2])!r}, which no layer gives")
                needed[place] = self.layers[place].inputs
                waiting += needed[place]
        try:
            return [self.layers[place] for place in TopologicalSorter(needed).static_order()]
        except CycleError:
            raise GraphError(f"{self.file}: its layers read each other's values in a circle") from None

    def _add(
        self, entry: Any, inside: Path_, call: int, given: Sequence[Reference], arguments: Any, depth: int
    ) -> Reference:
        """Add one call of a layer; the values that a model inside gives are those of its last layer."""
        kind, config = entry["class_name"], entry["config"]
        name = str(entry.get("name") or config.get("name") or kind)
        if not _is_keras_own(entry):
            raise GraphError(
                f"{self.file}: layer {plain_name(name)!r} is of a class that is not Keras' own "
                f"({plain_name(str(kind))}): it is a program, and nothing in a file is run"
            )
        if kind == "TFOpLambda":
            kind = FUNCTIONS.get(str(config.get("function")), kind)
        where = (*inside, name)
        place: Reference = (*where, call)
        if kind in MODELS:
            if call:
                raise GraphError(f"{self.file}: model {plain_name(name)!r} is used in several places; known is one")
            return self.model(kind, config, where, given, depth + 1)
        outer = (where[0], where[-1])
        arrays = self.arrays.get(where, self.arrays.get(outer if len(where) > 1 else where, []))
        if call and arrays:
            raise GraphError(f"{self.file}: layer {plain_name(name)!r} is used in several places with the same weights")
        read, outputs = arguments if arguments else ((), ())
        self.layers[place] = Layer(name, str(kind), config, tuple(given), read, arrays, place, tuple(outputs))
        return place

    def _sequential(
        self, config: Any, entries: list[Any], inside: Path_, given: Sequence[Reference], depth: int
    ) -> Reference:
        last = given[0] if given else None
        for entry in entries:
            if entry["class_name"] == "InputLayer":
                if last is None:
                    last = self._add(entry, inside, 0, (), (), depth)
                continue
            if last is None:  # Keras 2 has the shape of the images in the first layer
                shape = entry["config"].get("batch_input_shape")
                shape = shape or (config.get("build_input_shape") if isinstance(config, dict) else None)
                first = {"class_name": "InputLayer", "config": {"name": "images", "batch_shape": shape}}
                last = self._add(first, inside, 0, (), (), depth)
            last = self._add(entry, inside, 0, (last,), (), depth)
        if last is None:
            raise GraphError(f"{self.file}: a model in it has no layers")
        return last

    def _functional(
        self, config: Any, entries: list[Any], inside: Path_, given: Sequence[Reference], depth: int
    ) -> Reference:
        inputs = [name for name, _ in _ends(config["input_layers"])]
        places: dict[_Place, Reference] = {}
        if given:
            if len(inputs) != len(given):
                raise GraphError(
                    f"{self.file}: a model in it has {len(inputs)} inputs, and is given {len(given)} values"
                )
            places = {_Place(name, 0): value for name, value in zip(inputs, given, strict=True)}
        calls = []
        first = _first_calls(entries, config["output_layers"])
        for entry in entries:
            name = str(entry.get("name") or entry["config"]["name"])
            if entry["class_name"] == "InputLayer" and not entry.get("inbound_nodes"):
                if _Place(name, 0) not in places:
                    places[_Place(name, 0)] = self._add(entry, inside, 0, (), (), depth)
                continue
            for call, node in enumerate(entry["inbound_nodes"], first.get(name, 0)):
                places_read, arguments = _arguments(node)
                read = [place for place, _ in places_read]
                calls.append((_Place(name, call), entry, read, (arguments, [output for _, output in places_read])))
        by_place = {place: (entry, read, arguments) for place, entry, read, arguments in calls}
        order = TopologicalSorter({place: read for place, (_, read, _) in by_place.items()})
        try:
            ordered = list(order.static_order())
        except CycleError:
            raise GraphError(f"{self.file}: its layers read each other's values in a circle") from None
        for place in ordered:
            if place in places:
                continue
            if place not in by_place:
                raise GraphError(f"{self.file}: it reads {plain_name(place.name)!r}, which no layer gives")
            entry, read, arguments = by_place[place]
            call = place.call - first.get(place.name, 0)
            places[place] = self._add(entry, inside, call, [places[each] for each in read], arguments, depth)
        (name, call), *others = _ends(config["output_layers"])
        if not inside:
            self.notes += [f"of its outputs, {plain_name(other)!r} is left out" for other, _ in others]
        if _Place(name, call) not in places:
            raise GraphError(f"{self.file}: its output is of {plain_name(name)!r}, which no layer gives")
        return places[_Place(name, call)]


def _is_keras_own(entry: Any) -> bool:
    """Tell if a layer is of a class of Keras': files say the module, which is Keras 2's own too, and the package of
    users' own."""
    module, registered = entry.get("module"), str(entry.get("registered_name") or "")
    package, _, rest = registered.partition(">")
    return (module is None or str(module).split(".")[0] in ("keras", "tf_keras")) and (not rest or package == "keras")


def _ends(stated: Any) -> list[tuple[str, int]]:
    """The layers that a model begins or ends with: one, or a list of them."""
    if isinstance(stated, dict):
        stated = list(stated.values())
    ends = [stated] if stated and isinstance(stated[0], str) else stated
    return [(str(name), int(call)) for name, call, *_ in ends]


def _first_calls(entries: list[Any], output_layers: Any) -> dict[str, int]:
    """The number of the first call of each model in a model: Keras 2 often counts from 1, since making one is a call.

    It is that of the first call that anything reads.
    """
    models = {str(entry.get("name") or entry["config"]["name"]) for entry in entries if entry["class_name"] in MODELS}
    if not models:
        return {}
    read = [_Place(name, call) for name, call in _ends(output_layers)]
    for entry in entries:
        for node in entry.get("inbound_nodes") or ():
            read += [place for place, _ in _arguments(node)[0]]
    first: dict[str, int] = {}
    for place in read:
        if place.name in models:
            first[place.name] = min(first.get(place.name, place.call), place.call)
    return first


def _arguments(node: Any) -> tuple[_Read, tuple[Any, ...]]:
    """The values that a call reads, and all its arguments by place, then by name; values are `None` there."""
    if isinstance(node, dict):
        read: _Read = []
        positional = [_argument(part, read) for part in node["args"]]
        named = {key: _argument(part, read) for key, part in node.get("kwargs", {}).items()}
        return read, (positional, named)
    of_function = bool(node) and isinstance(node[0], str)  # Keras 2 from here on
    node = [node] if of_function else node
    places = [(_Place(str(part[0]), int(part[1])), 0) for part in node]
    more = [value for part in node if len(part) > 3 and isinstance(part[3], dict) for value in part[3].values()]
    others = [value for value in more if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)]
    numbers = {str(at): value for at, value in enumerate(more) if of_function and isinstance(value, (int, float))}
    arguments = ([None] if of_function else [], numbers)
    return [*places, *((_Place(value[0], int(value[1])), 0) for value in others)], arguments


def _argument(part: Any, read: _Read) -> Any:
    if isinstance(part, dict) and part.get("class_name") == "__keras_tensor__":
        name, call, output = part["config"]["keras_history"]
        read.append((_Place(str(name), int(call)), int(output)))
        return None
    if isinstance(part, list):
        return [_argument(each, read) for each in part]
    return part
