"""ncnn: a `.param` of text and a `.bin` of weights, for phones. ncnn itself is not needed to write them.

Both formats are simple, and are written from the layers, so that each stays as it is: a converter would fuse and rename
them, and comes with a copy of LibTorch. ncnn has no axis for a batch: images go through one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from deepenough.files import write_whole
from deepenough.frameworks.export import Array, Export, overhang
from deepenough.frameworks.graph_walk import GraphWalk
from deepenough.frameworks.metadata import JSON_FILE, ModelMetadata
from deepenough.frameworks.names import renamed
from deepenough.frameworks.ncnn_tokens import attention, class_token_and_positions
from deepenough.frameworks.refusals import averages_beyond, has_no_centre, unknown_layer
from deepenough.frameworks.target import Runtime, Target
from deepenough.nets.activation import Activation, PRelu
from deepenough.nets.combinators import Elementwise
from deepenough.nets.layers import (
    BatchNorm,
    ChannelShuffle,
    ChannelSlice,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalPool,
    GroupNorm,
    LayerNorm,
    LayerScale,
    Lrn,
    MaxPool,
    Pool,
)
from deepenough.nets.shapes import Visit
from deepenough.nets.tokens import FirstToken, SelfAttention, Tokens

MAGIC = 7767517
"""The first line of a `.param`."""
FLOAT32, FLOAT16 = 0, 0x01306B47
"""The numbers before the weights of a convolution or a dense layer, which say how they are stored."""
CHANNELS_FIRST, CHANNELS_LAST = 4, 3
"""Orders of `Permute` that bring the channels of a map back to the front, and to the end."""


@dataclass(frozen=True)
class NcnnLayer:
    """A line of the `.param`, and the layer's part of the `.bin`."""

    kind: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    parameters: Mapping[int, Any] = field(default_factory=dict)
    weights: bytes = b""

    def line(self) -> str:
        """Return the line."""
        counts = f"{len(self.bottoms)} {len(self.tops)}"
        words = [f"{self.kind:<22}", f"{self.name:<28}", counts, *self.bottoms, *self.tops]
        return " ".join([*words, *(_parameter(key, value) for key, value in self.parameters.items())])


def _parameter(key: int, value: Any) -> str:
    """Return `key=value`: integers, floats with a point or an exponent, and integers in a list by another key."""
    if isinstance(value, (list, tuple)):
        return f"-{23300 + key}={','.join(map(str, (len(value), *value)))}"
    return f"{key}={value:.9e}" if isinstance(value, float) else f"{key}={int(value)}"


class NcnnGraph(GraphWalk[str]):
    """The layers of a network in ncnn's words. A walk's value is the name of a blob."""

    def __init__(self, export: Export) -> None:
        export, _ = renamed(export)
        super().__init__(export)
        self.half = export.precision == "float16"
        self.layers: list[NcnnLayer] = []
        channels, height, width = export.network.input
        images = self.layer("Input", "images", [], {0: width, 1: height, 2: channels})
        self.last = self.through(export.network.stack, self._normalised(images))

    def layer(
        self,
        kind: str,
        name: str,
        bottoms: Sequence[str],
        parameters: Mapping[int, Any] | None = None,
        weights: bytes = b"",
        tops: tuple[str, ...] = (),
    ) -> str:
        """Add a layer, and return its blob, which has its name where no others are given."""
        self.layers.append(NcnnLayer(kind, name, tuple(bottoms), tops or (name,), parameters or {}, weights))
        return name

    def constant(self, name: str, values: Array) -> str:
        """Add numbers that are no other layer's weights, as rows (T, C)."""
        rows, columns = values.shape
        return self.layer("MemoryData", name, [], {0: columns, 1: rows}, plain(values))

    def reshaped(self, name: str, bottom: str, *shape: int) -> str:
        """Add a change of shape; the last axis is the first given, as everywhere in ncnn."""
        return self.layer("Reshape", name, [bottom], dict(enumerate(shape)))

    def tagged(self, values: Array) -> bytes:
        """Return the weights of a convolution or a dense layer in the precision of the export."""
        kind, stored = (FLOAT16, "<f2") if self.half else (FLOAT32, "<f4")
        data = values.astype(stored).tobytes()
        return np.array(kind, "<u4").tobytes() + data + bytes(-len(data) % 4)

    def _normalised(self, images: str) -> str:
        """(images / 255 - mean) / std, channels in the network's order."""
        wanted, value = self.export.input, images
        if wanted.order == "BGR":
            parts = tuple(f"normalise.{colour}" for colour in ("red", "green", "blue"))
            self.layer("Slice", "normalise.colours", [value], {0: [1, 1, -233]}, tops=parts)
            value = self.layer("Concat", "normalise.bgr", parts[::-1], {0: 0})
        factors = 1 / (255 * np.array(wanted.std))
        shifts = -np.array(wanted.mean) / np.array(wanted.std)
        weights = plain(factors) + plain(shifts)
        return self.layer("Scale", "normalise", [value], {0: len(factors), 1: 1}, weights)

    def concatenated(self, ends: Sequence[str], name: str) -> str:
        return self.layer("Concat", name, ends, {0: 0})

    def combined(self, layer: Elementwise, first: str, second: str, name: str) -> str:
        return self.layer("BinaryOp", name, [first, second], {0: layer.ncnn})

    def _activation(self, layer: Activation, path: str, value: str) -> str:
        (node,) = layer.nodes("ncnn")
        return self.layer(node.kind, path, [value], {int(key): number for key, number in node.attributes.items()})

    def _convolution(self, visit: Visit, layer: Conv, value: str) -> str:
        weight, *bias = self.export.tensors(visit.path)
        (above, below), (left, right) = layer.pads(visit.input)
        stated = {0: layer.out, 1: layer.kernel, 2: layer.dilation, 3: layer.stride, 4: left, 14: above, 15: right}
        stated |= {16: below, 5: len(bias), 6: weight.size}
        stated |= {7: layer.groups} if layer.groups > 1 else {}
        kind = "ConvolutionDepthWise" if layer.groups > 1 else "Convolution"
        return self.layer(kind, visit.path, [value], stated, self.tagged(weight) + plain(*bias))

    def _pool(self, visit: Visit, layer: Pool, value: str) -> str:
        """Windows that fit into stated padding (mode 1); those of means count it."""
        kind = 0 if isinstance(layer, MaxPool) else 1
        stated = {0: kind, 1: layer.kernel, 2: layer.step, 3: layer.padding, 13: layer.padding}
        stated |= {14: overhang(visit, 2), 15: overhang(visit, 1), 5: 1, 6: 1}
        return self.layer("Pooling", visit.path, [value], stated)

    def _global_pool(self, visit: Visit, layer: GlobalPool, value: str) -> str:
        path, mean = visit.path, isinstance(layer, GlobalAvgPool)
        if len(visit.input) == 2:  # over tokens
            return self.layer("Reduction", path, [value], {0: 3 if mean else 4, 1: 0, 3: [0], 4: 0, 5: 1})
        if len(visit.output) == 3:
            pooled = self.layer("Pooling", f"{path}.flat", [value], {0: int(mean), 4: 1})
            return self.reshaped(path, pooled, 1, 1, visit.output[0])
        return self.layer("Pooling", path, [value], {0: int(mean), 4: 1})

    def _layer_norm(self, visit: Visit, eps: float, value: str) -> str:
        path, image, tensors = visit.path, len(visit.input) == 3, self.export.tensors(visit.path)
        if image:
            value = self.layer("Permute", f"{path}.last", [value], {0: CHANNELS_LAST})
        stated = {0: tensors[0].size, 1: eps, 2: 1}
        normed = self.layer("LayerNorm", f"{path}.norm" if image else path, [value], stated, plain(*tensors))
        return self.layer("Permute", path, [normed], {0: CHANNELS_FIRST}) if image else normed

    def _layer_scale(self, visit: Visit, value: str) -> str:
        (factors,) = self.export.tensors(visit.path)
        if len(visit.input) == 2:  # whose rows a `Scale` would take for channels
            given = self.constant(f"{visit.path}.weight", factors[None])
            return self.layer("BinaryOp", visit.path, [value, given], {0: 2})
        return self.layer("Scale", visit.path, [value], {0: factors.size, 1: 0}, plain(factors))

    def written(self, visit: Visit, value: str) -> str:
        layer, path, tensors = visit.layer, visit.path, self.export.tensors(visit.path)
        match layer:
            case Conv():
                return self._convolution(visit, layer, value)
            case BatchNorm(eps=eps):
                scale, offset, mean, variance = tensors
                blob = plain(scale, mean, variance, offset)
                return self.layer("BatchNorm", path, [value], {0: scale.size, 1: eps}, blob)
            case LayerNorm(eps=eps):
                return self._layer_norm(visit, eps, value)
            case GroupNorm(groups=groups, eps=eps):
                stated = {0: groups, 1: visit.input[0], 2: eps, 3: 1}
                return self.layer("GroupNorm", path, [value], stated, plain(*tensors))
            case LayerScale():
                return self._layer_scale(visit, value)
            case PRelu():
                (slopes,) = tensors
                return self.layer("PReLU", path, [value], {0: slopes.size}, plain(slopes))
            case Activation():
                return self._activation(layer, path, value)
            case Lrn(size=size, alpha=alpha, beta=beta, k=k):
                return self.layer("LRN", path, [value], {0: 0, 1: size, 2: alpha, 3: beta, 4: k})
            case Pool():
                return self._pool(visit, layer, value)
            case GlobalPool():
                return self._global_pool(visit, layer, value)
            case Dropout():
                return value  # it does nothing in inference
            case ChannelShuffle(groups=groups):
                return self.layer("ShuffleChannel", path, [value], {0: groups})
            case ChannelSlice(start=start, stop=stop):
                return self.layer("Crop", path, [value], {9: [start], 10: [stop], 11: [0]})
            case Flatten():
                return self.layer("Flatten", path, [value])
            case Dense(out=out, bias=bias):
                matrix, *shift = tensors
                blob = self.tagged(matrix) + plain(*shift)
                return self.layer("InnerProduct", path, [value], {0: out, 1: bias, 2: matrix.size}, blob)
            case Tokens():
                return class_token_and_positions(self, visit, value)
            case SelfAttention(heads=heads):
                return attention(self, visit, heads, value)
            case FirstToken():
                first = self.layer("Crop", f"{path}.row", [value], {9: [0], 10: [1], 11: [0]})
                return self.reshaped(path, first, visit.output[0])
        raise unknown_layer(visit, "ncnn")


def plain(*tensors: npt.NDArray[Any]) -> bytes:
    """Return numbers as ncnn keeps all but the weights of convolutions and dense layers: float32, one after another."""
    return b"".join(tensor.astype("<f4").tobytes() for tensor in tensors)


def with_splits(layers: Sequence[NcnnLayer], last: str) -> list[NcnnLayer]:
    """Return the layers with a `Split` behind each blob that several read, and `last` as "logits".

    In ncnn a blob has one reader.
    """
    readers = Counter(bottom for layer in layers for bottom in layer.bottoms)
    taken: Counter[str] = Counter()
    done: list[NcnnLayer] = []
    for layer in layers:
        bottoms = []
        for bottom in layer.bottoms:
            bottoms.append(bottom if readers[bottom] == 1 else f"{bottom}.copy{taken[bottom]}")
            taken[bottom] += 1
        tops = tuple("logits" if top == last else top for top in layer.tops)
        done.append(NcnnLayer(layer.kind, layer.name, tuple(bottoms), tops, layer.parameters, layer.weights))
        for top in layer.tops:
            if readers[top] > 1:
                copies = tuple(f"{top}.copy{number}" for number in range(readers[top]))
                done.append(NcnnLayer("Split", f"{top}.split", (top,), copies))
    return done


class NcnnTarget(Target):
    """The layers as text, and their weights."""

    name = "ncnn"
    title = "ncnn"
    extra = "ncnn"
    packages = ()
    files = ("model.param", "model.bin", JSON_FILE)
    needed_files = files
    needs = "ncnn"
    runtimes = (Runtime("ncnn", ("ncnn",)),)
    refused: ClassVar[Mapping[str, str]] = {
        "int8": "weights are written in float32 and float16 only; take --to litert or onnx",
    }
    notes = (
        "`model.param` and `model.bin` run on phones with ncnn, one image at a time; the input is `images`, which "
        "`ncnn::Mat::from_pixels` makes of RGB pixels (`PIXEL_RGB`) or, for grey models, of grey ones (`PIXEL_GRAY`); "
        "the output is `logits`. To compute in float32 set `use_fp16_packed`, `use_fp16_storage`, "
        "`use_fp16_arithmetic`, `use_bf16_packed` and `use_bf16_storage` of `ncnn::Option` to false, as far as your "
        "version has them; `predict.py` does so.",
        f"ncnn's own files have no place for text: `{JSON_FILE}` has class names, preprocessing, source and version.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """Layers, weights, and the description beside them."""
        graph = NcnnGraph(export)
        layers = with_splits(graph.layers, graph.last)
        blobs = sum(len(layer.tops) for layer in layers)
        lines = [str(MAGIC), f"{len(layers)} {blobs}", *(layer.line() for layer in layers)]
        write_whole(folder / "model.param", "\n".join(lines) + "\n")
        write_whole(folder / "model.bin", b"".join(layer.weights for layer in layers))
        write_whole(folder / JSON_FILE, ModelMetadata.of(export).dumps())

    def refuses(self, visit: Visit) -> str | None:
        return has_no_centre(visit, self.title) or averages_beyond(visit, self.title)

    def predict_values(self, export: Export) -> dict[str, Any]:
        channels, height, width = export.network.input
        colours = {1: "grey", 3: "RGB"}.get(channels, "channels")
        takes = f"float32 `({channels}, {height}, {width})`, {colours}, 0..255, one image at a time"
        return {"takes": f"{takes}. Normalisation is inside, and the order of the channels"}
