"""Caffe: a `.prototxt` and a `.caffemodel` that BVLC Caffe 1.0 and OpenCV read. Caffe itself is not needed to write it.

Caffe rounds the sizes of pools up, so a pool that rounds down is followed by slices that drop its last row and column.
Normalisation stays outside: Caffe's layers take what its own data layers made.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from deepenough.files import write_whole
from deepenough.frameworks.caffe_training import training_files
from deepenough.frameworks.export import Array, Export
from deepenough.frameworks.refusals import has_no_centre, unknown_layer
from deepenough.frameworks.target import Runtime, Target
from deepenough.nets.activation import Activation, PRelu
from deepenough.nets.combinators import Branches, Elementwise, Product
from deepenough.nets.layer import Layer
from deepenough.nets.layers import (
    BatchNorm,
    ChannelSlice,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalPool,
    LayerScale,
    Lrn,
    MaxPool,
    Pool,
    StochasticDepth,
    window_count,
)
from deepenough.nets.shapes import Visit
from deepenough.nets.walk import Walk
from deepenough.weights.caffe_messages import message


class _Top(NamedTuple):
    """The name of what a layer gives. `shared`: another layer reads it too, so that it may not be written over."""

    name: str
    shared: bool = False


class _Net(Walk[_Top]):
    """The layers of the network, in Caffe's words."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self.at = {visit.path: visit for visit in export.walk}
        self.layers: list[Any] = []
        self.layer("Input", "data", [], input_param={"shape": {"dim": [1, *export.network.input]}})
        self.last = self.through(export.network.stack, _Top("data", shared=True)).name
        if isinstance(export.walk[-1].layer, GlobalPool):  # (N, classes, 1, 1)
            self.last = self.layer("Flatten", "logits", [self.last])

    def layer(
        self,
        kind: str,
        name: str,
        bottoms: list[str],
        top: str | list[str] = "",
        blobs: tuple[Array, ...] = (),
        **parameters: Any,
    ) -> str:
        """Add a layer. The name of its (first) top, which is its own unless given."""
        tops = top if isinstance(top, list) else [top or name]
        self.layers.append(
            message("LayerParameter")(
                name=name.encode(),
                type=kind.encode(),
                bottom=[bottom.encode() for bottom in bottoms],
                top=[top.encode() for top in tops],
                blobs=[_blob(blob, scalar=kind == "PReLU" and blob.size == 1) for blob in blobs],
                **parameters,
            )
        )
        return str(tops[0]) if tops else ""

    def branch(self, label: str, value: _Top) -> _Top:
        return _Top(value.name, shared=True)

    def joined(self, layer: Branches, value: _Top, ends: Sequence[_Top], path: str) -> _Top:
        tops = [end.name for end in ends]
        if isinstance(layer, Product):
            return _Top(self._product(layer, tops, path))
        if isinstance(layer, Elementwise):
            return _Top(self.layer("Eltwise", path, tops, eltwise_param={"operation": layer.caffe}))
        return _Top(self.layer("Concat", path, tops, concat_param={"axis": 1}))

    def single(self, layer: Layer, value: _Top, path: str) -> _Top:
        in_place = isinstance(layer, (BatchNorm, Dropout)) or (isinstance(layer, Activation) and len(layer.caffe) == 1)
        bottom, shared = value
        ends = path == next(reversed(self.at))  # OpenCV finds outputs by layers' names: the last needs its own
        top = self._single(self.at[path], bottom, bottom if in_place and not shared and not ends else path)
        return _Top(top, shared and top == bottom)

    def _product(self, layer: Product, tops: list[str], path: str) -> str:
        """Scale the first by each of the others, by one value for a channel where that is what they have."""
        visit, top = self.at[path], tops[0]
        for number, ((label, _), gate) in enumerate(zip(layer.stacks[1:], tops[1:], strict=True), 1):
            name = path if number == len(tops) - 1 else f"{path}.{number}"
            inside = [each.output for each in self.export.walk if each.path.startswith(f"{path}.{label}.")]
            if (inside or [visit.input])[-1] == visit.output:
                top = self.layer("Eltwise", name, [top, gate], eltwise_param={"operation": layer.caffe})
            else:
                flat = self.layer("Flatten", f"{path}.{label}.flat", [gate])
                top = self.layer("Scale", name, [top, flat], scale_param={"axis": 0})
        return top

    def _activation(self, layer: Activation, path: str, bottom: str, top: str) -> str:
        tops = [bottom]
        for number, node in enumerate(layer.nodes("caffe"), 1):
            name, above = (path, top) if number == len(layer.caffe) else (f"{path}.{number}", "")
            bottoms = [tops[place] for place in node.inputs]
            tops.append(self.layer(node.kind, name, bottoms, above, **node.attributes))
        return tops[-1]

    def _single(self, visit: Visit, bottom: str, top: str) -> str:
        layer, path = visit.layer, visit.path
        tensors = tuple(self.export.tensors(path))
        stated: dict[str, Any]
        match layer:
            case Conv():
                return self._convolution(visit, layer, bottom)
            case BatchNorm(eps=eps):
                scale, shift, mean, variance = tensors
                blobs = (mean, variance, np.ones(1, np.float32))  # sums, and by what to divide them
                stated = {"use_global_stats": True, "eps": eps}
                self.layer("BatchNorm", path, [bottom], top, blobs, batch_norm_param=stated)
                return self.layer("Scale", f"{path}.scale", [top], top, (scale, shift), scale_param={"bias_term": True})
            case PRelu(shared=shared):
                stated = {"prelu_param": {"channel_shared": shared}, "param": [{"decay_mult": 0}]}
                return self.layer("PReLU", path, [bottom], top, tensors, **stated)
            case Activation():
                return self._activation(layer, path, bottom, top)
            case LayerScale():
                return self.layer("Scale", path, [bottom], blobs=tensors, scale_param={"bias_term": False})
            case StochasticDepth():
                return bottom  # it does nothing in inference
            case Dropout(p=p):
                return self.layer("Dropout", path, [bottom], top, dropout_param={"dropout_ratio": p})
            case Lrn(size=size, alpha=alpha, beta=beta, k=k):
                # OpenCV takes k for 1 whatever is stated: x / (k + s) ** b is k ** -b * x / (1 + s / k) ** b.
                stated = {"local_size": size, "alpha": alpha / k, "beta": beta, "k": 1.0}
                normed = self.layer("LRN", path, [bottom], lrn_param=stated)
                if k == 1:
                    return normed
                return self.layer("Power", f"{path}.scale", [normed], power_param={"scale": k**-beta})
            case Pool():
                return self._pool(visit, layer, bottom)
            case GlobalPool():
                kind = "AVE" if isinstance(layer, GlobalAvgPool) else "MAX"
                stated = {"pool": kind, "global_pooling": True}
                return self.layer("Pooling", path, [bottom], pooling_param=stated)
            case ChannelSlice(start=start, stop=stop):
                parts = {f"{path}.before": start, path: stop - start, f"{path}.behind": visit.input[0] - stop}
                return self._sliced(path, 1, bottom, parts)
            case Flatten():
                return self.layer("Flatten", path, [bottom])
            case Dense(out=out, bias=bias):
                stated = {"num_output": out} | ({} if bias else {"bias_term": False})
                return self.layer("InnerProduct", path, [bottom], blobs=tensors, inner_product_param=stated)
        raise unknown_layer(visit, "Caffe")

    def _convolution(self, visit: Visit, layer: Conv, bottom: str) -> str:
        """A convolution; where it pads the end more, one that pads both ends as much, less the values too many."""
        stated: dict[str, Any] = {"num_output": layer.out, "kernel_size": [layer.kernel], "stride": [layer.stride]}
        stated |= {} if layer.groups == 1 else {"group": layer.groups}
        stated |= {} if layer.dilation == 1 else {"dilation": [layer.dilation]}
        stated |= {} if layer.bias else {"bias_term": False}
        pads = layer.pads(visit.input)
        more = [-(-(after - before) // layer.stride) for before, after in pads]
        wide = [before + many * layer.stride for (before, _), many in zip(pads, more, strict=True)]
        stated |= {"pad": wide[:1]} if wide[0] == wide[1] else {"pad_h": wide[0], "pad_w": wide[1]}
        blobs = tuple(self.export.tensors(visit.path))
        top = self.layer("Convolution", visit.path, [bottom], blobs=blobs, convolution_param=stated)
        for axis in (1, 2):
            made = window_count(visit.input[axis], layer.extent, layer.stride, wide[axis - 1])
            top = self._cut(visit, axis, top, more[axis - 1], made)
        return top

    def _pool(self, visit: Visit, layer: Pool, bottom: str) -> str:
        path = visit.path
        kind = "MAX" if isinstance(layer, MaxPool) else "AVE"
        stated = {"pool": kind, "kernel_size": layer.kernel, "stride": layer.step}
        stated |= {"pad": layer.padding} if layer.padding else {}
        top = self.layer("Pooling", path, [bottom], pooling_param=stated)
        for axis in (1, 2):
            made = rounded_up(visit.input[axis], layer.kernel, layer.step, layer.padding)
            top = self._cut(visit, axis, top, 0, made)
        return top

    def _cut(self, visit: Visit, axis: int, top: str, before: int, made: int) -> str:
        """Keep what a layer gives by our count, of the rows (axis 1) or columns (2) that Caffe `made` of it."""
        wanted = visit.output[axis]
        if made == wanted:
            return top
        kept = f"{visit.path}.{('rows', 'columns')[axis - 1]}"
        parts = {f"{kept}.start": before, kept: wanted, f"{kept}.rest": made - before - wanted}
        return self._sliced(kept, axis + 1, top, parts)

    def _sliced(self, kept: str, axis: int, bottom: str, parts: Mapping[str, int]) -> str:
        """Keep one of the parts of an axis, whose sizes are given by the names of their tops."""
        tops = [name for name, size in parts.items() if size > 0]
        ends = list(itertools.accumulate(parts[name] for name in tops))
        self.layer("Slice", kept, [bottom], tops, slice_param={"axis": axis, "slice_point": ends[:-1]})
        for name in tops:
            if name != kept:
                self.layer("Silence", f"{name}.silence", [name], [])
        return kept


def _blob(array: Array, *, scalar: bool) -> bytes:
    """A blob of weights; a scalar has no axes in Caffe, which is a blob without a shape to it and to OpenCV."""
    shape = {} if scalar else {"shape": {"dim": array.shape}}
    return message("BlobProto")(data=[array.astype("<f4").tobytes()], **shape).SerializeToString()  # type: ignore[no-any-return]


def rounded_up(size: int, kernel: int, stride: int, padding: int) -> int:
    """Count the windows of Caffe's pools."""
    count = -(-(size + 2 * padding - kernel) // stride) + 1
    return count - 1 if padding and (count - 1) * stride >= size + padding else count


def _binary(name: str, layers: Sequence[Any]) -> bytes:
    """Return the `.caffemodel`. Protocol buffers joined end to end are one message, so no copy of it all is built."""
    net = message("NetParameter")
    parts = (net(layer=[layer.SerializeToString()]).SerializeToString() for layer in layers)
    return b"".join([net(name=name.encode()).SerializeToString(), *parts])


def definition(name: str, layers: Sequence[Any], comment: str) -> str:
    """Return the prototxt, with a comment in front. It has no blobs: they are removed from the layers."""
    from google.protobuf.text_format import MessageToString

    head = MessageToString(message("NetParameter")(name=name.encode()))
    for layer in layers:
        layer.ClearField("blobs")
    return f"# {comment}\n{head}" + "".join(f"layer {{\n{MessageToString(layer, indent=2)}}}\n" for layer in layers)


class CaffeTarget(Target):
    """A definition and its weights."""

    name = "caffe"
    title = "Caffe"
    extra = "caffe"
    packages = ()
    files = ("model.caffemodel", "model.prototxt", "train_val.prototxt", "solver.prototxt")
    needed_files = ("model.caffemodel", "model.prototxt", "preprocess.json")
    needs = "opencv-python-headless<5"
    readable = "model.caffemodel"
    runtimes = (Runtime("OpenCV", ("cv2",)),)
    refused: ClassVar[Mapping[str, str]] = {
        "float16": "Caffe 1.0 has no half precision; take --to onnx or litert",
        "int8": "Caffe 1.0 has no integer layers; take --to onnx or litert",
    }
    notes = (
        "`model.prototxt` and `model.caffemodel` are read by BVLC Caffe 1.0 and by OpenCV before version 5.",
        "`train_val.prototxt` and `solver.prototxt` train it in Caffe: `caffe train -solver solver.prototxt -weights "
        "model.caffemodel`, with images in the lists `train.txt` and `val.txt`. Norms keep their statistics.",
        "Caffe has no layer for normalisation as it is needed here: the data has to be prepared (see Input below).",
    )

    def write(self, export: Export, folder: Path) -> None:
        """Definition and weights, and the files for training in Caffe."""
        net = _Net(export)
        name, layers = export.network.name, net.layers
        write_whole(folder / "model.caffemodel", _binary(name, layers))
        write_whole(folder / "model.prototxt", definition(name, layers, self.preparation(export)))
        for file, text in training_files(export, layers, net.last).items():
            write_whole(folder / file, text)

    def refuses(self, visit: Visit) -> str | None:
        return has_no_centre(visit, self.title)

    def preparation(self, export: Export) -> str:
        wanted = export.input
        mean, scale = ([f"{255 * v:.6g}" for v in wanted.mean], [f"{1 / (255 * v):.6g}" for v in wanted.std])
        order = "" if len(mean) != 3 else f"channels in the order {wanted.order}, "
        return f"data: {order}0..255, less the mean ({', '.join(mean)}), times the scale ({', '.join(scale)})"

    def predict_values(self, export: Export) -> dict[str, Any]:
        mean, std = export.input.mean, export.input.std
        return {"mean": [255 * v for v in mean], "scale": [1 / (255 * v) for v in std], "last": repr(_Net(export).last)}
