"""Keras 3: a functional model of `keras.layers`, the same on its TensorFlow, JAX and PyTorch backends."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from deepenough.files import write_whole
from deepenough.frameworks.export import Array, Export, layer_kinds, overhang
from deepenough.frameworks.metadata import LABELS_FILE, ModelMetadata
from deepenough.frameworks.nested import call
from deepenough.frameworks.refusals import averages_beyond, strides_and_dilates, unknown_layer
from deepenough.frameworks.source import imported, opening, rendered
from deepenough.frameworks.target import Runtime, Target
from deepenough.nets.activation import Activation, PRelu
from deepenough.nets.combinators import Branches, Elementwise, Group
from deepenough.nets.layer import Layer, Shape
from deepenough.nets.layers import (
    AvgPool,
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
    Pool,
    StochasticDepth,
)
from deepenough.nets.shapes import Visit
from deepenough.nets.tokens import FirstToken, SelfAttention, Tokens
from deepenough.nets.walk import Walk

DESCRIPTION = "deepenough.json"
"""The description's name in the archive, where `metadata.json` is Keras' own."""
BACKENDS = ("tensorflow", "jax", "torch")


def _layer_name(path: str) -> str:
    """A layer's name by its module path: Keras' PyTorch backend can't have dots in it."""
    return path.replace(".", "-")


def _model_name(name: str) -> str:
    """A network's name with nothing in it but letters, digits, _ and -."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "network"


def keras_source(export: Export) -> str:
    """Write `network.py`: the network in `keras.layers`."""
    channels, height, width = export.network.input
    mean, std = export.input.mean, export.input.std
    kinds, lines = layer_kinds(export), "\n".join(f"    {line}" for line in _Body(export).lines)
    return rendered(
        "keras.network.py",
        opening=opening(export, "Keras 3"),
        kinds=kinds,
        lines=lines,
        uses_ops=bool(kinds & {"Lrn", "Tokens"}) or export.input.order == "BGR" or "ops." in lines,
        channels=channels,
        height=height,
        width=width,
        order=export.input.order,
        scale=[1 / (255 * s) for s in std],
        offset=[-m / s for m, s in zip(mean, std, strict=True)],
        half=export.precision == "float16",
        name=_model_name(export.network.name),
    )


class _Value(NamedTuple):
    """The variable that holds a value, and whether nothing in it is negative."""

    variable: str
    nonnegative: bool


class _Body(Walk[_Value]):
    """The lines that compute the network, layer by layer."""

    def __init__(self, export: Export) -> None:
        self.at = {visit.path: visit for visit in export.walk}
        self.lines: list[str] = []
        self.reads: dict[str, str] = {}  # what a branch's variable is, before its first layer
        self.through(export.network.stack, _Value("x", False))

    def group(self, layer: Group, value: _Value, path: str) -> _Value:
        self.lines.append(f"# {path}")
        return super().group(layer, value, path)

    def branch(self, label: str, value: _Value) -> _Value:
        variable = _variable(value.variable, label)
        self.reads[variable] = self.reads.get(value.variable, value.variable)
        return _Value(variable, value.nonnegative)

    def joined(self, layer: Branches, value: _Value, ends: Sequence[_Value], path: str) -> _Value:
        read = [self._read(end.variable) for end in ends]
        self.reads.pop(value.variable, None)
        joined = layer.keras if isinstance(layer, Elementwise) else "Concatenate"
        self._call(f"layers.{joined}(name={_layer_name(path)!r})", value.variable, f"[{', '.join(read)}]")
        return _Value(value.variable, all(end.nonnegative for end in ends))

    def single(self, layer: Layer, value: _Value, path: str) -> _Value:
        self._single(self.at[path], value.variable, value.nonnegative)
        return _Value(value.variable, layer.nonnegative or (layer.keeps_sign and value.nonnegative))

    def _single(self, visit: Visit, value: str, nonnegative: bool) -> None:
        layer, name = visit.layer, _layer_name(visit.path)
        match layer:
            case Conv():
                self._convolution(visit, layer, name, value)
            case BatchNorm(eps=eps, momentum=momentum):
                options: dict[str, Any] = {"momentum": round(1 - momentum, 12), "epsilon": eps}
                self._call(call("layers.BatchNormalization", **options, name=name), value)
            case LayerNorm(eps=eps):
                self._call(call("layers.LayerNormalization", epsilon=eps, name=name), value)
            case GroupNorm(groups=groups, eps=eps):
                self._call(call("layers.GroupNormalization", groups, epsilon=eps, name=name), value)
            case LayerScale() if len(visit.input) == 3:
                self._call(call("layers.DepthwiseConv2D", 1, use_bias=False, name=name), value)
            case LayerScale():
                options = {"output_shape": visit.output, "name": name}
                axes = "abc"[: len(visit.input) + 1]
                self._call(call("layers.EinsumDense", f"{axes},{axes[-1]}->{axes}", **options), value)
            case PRelu(shared=shared):
                alike = list(range(1, len(visit.input) + shared))  # axes along which there is one slope
                options = {"shared_axes": alike} if alike else {}
                self._call(call("layers.PReLU", **options, name=name), value)
            case Activation() if layer.parameter:
                self._call(call(f"layers.{layer.keras}", *layer.arguments, name=name), value)
            case Activation():
                self._call(call("layers.Activation", layer.keras, name=name), value)
            case Lrn(size=size, alpha=alpha, beta=beta, k=k):
                given = self._read(value)
                self.lines.append(f"{value} = response_norm({given}, {size}, {alpha!r}, {beta!r}, {k!r})")
            case Pool():
                self._pool(visit, layer, value, nonnegative)
            case GlobalPool():
                kind = "Average" if isinstance(layer, GlobalAvgPool) else "Max"
                options = {"keepdims": True} if len(visit.output) == 3 else {}
                self._call(call(f"layers.Global{kind}Pooling{len(visit.input) - 1}D", **options, name=name), value)
            case StochasticDepth(p=p):
                shape = (None, *[1] * len(visit.input))
                self._call(call("layers.Dropout", p, noise_shape=shape, name=name), value)
            case Dropout(p=p):
                self._call(call("layers.Dropout", p, name=name), value)
            case ChannelShuffle():
                self._shuffle(visit, layer, name, value)
            case ChannelSlice(start=start, stop=stop):
                self.lines.append(f"{value} = {self._read(value)}[..., {start}:{stop}]")
            case Flatten():
                if len(visit.input) == 3:  # our weights read (C, H, W)
                    self._call(call("layers.Permute", (3, 1, 2), name=f"{name}-order"), value)
                self._call(call("layers.Flatten", name=name), value, out=visit.output)
            case Dense(out=out, bias=bias):
                options = {} if bias else {"use_bias": False}
                self._call(call("layers.Dense", out, **options, name=name), value, out=visit.output)
            case Tokens() | SelfAttention() | FirstToken():
                self._of_tokens(visit, name, value)
            case _:
                raise unknown_layer(visit, "Keras")

    def _convolution(self, visit: Visit, layer: Conv, name: str, value: str) -> None:
        kernel, stride, groups = layer.kernel, layer.stride, layer.groups
        options: dict[str, Any] = {} if layer.bias else {"use_bias": False}
        options |= {"dilation_rate": layer.dilation} if layer.dilation > 1 else {}
        if layer.same or (layer.pad and stride == 1 and 2 * layer.pad == layer.extent - 1):
            options["padding"] = "same"
        elif layer.pad:  # "same" is lopsided where there is a stride
            self._call(call("layers.ZeroPadding2D", layer.pad, name=f"{name}-pad"), value)
        if layer.depthwise(visit.input):
            options |= {"depth_multiplier": layer.out // groups} if layer.out > groups else {}
            made = call("layers.DepthwiseConv2D", kernel, stride, **options, name=name)
        else:
            options |= {"groups": groups} if groups > 1 else {}
            made = call("layers.Conv2D", layer.out, kernel, stride, **options, name=name)
        self._call(made, value, out=visit.output)

    def _shuffle(self, visit: Visit, layer: ChannelShuffle, name: str, value: str) -> None:
        groups, each, height, width = layer.apart(visit.input)
        self._call(call("layers.Reshape", (height, width, groups, each), name=f"{name}-apart"), value)
        self._call(call("layers.Permute", (1, 2, 4, 3), name=f"{name}-across"), value)
        self._call(call("layers.Reshape", (height, width, groups * each), name=name), value)

    def _of_tokens(self, visit: Visit, name: str, value: str) -> None:
        given = self._read(value)
        match visit.layer:
            case SelfAttention(heads=heads):
                made = f"self_attention({given}, {heads})"
            case FirstToken():
                made = f"{given}[:, 0]"
            case _:
                words = [word for word in ("class_token", "position") if not getattr(visit.layer, word)]
                made = f"tokens({', '.join([given, f'name={name!r}', *(f'{word}=False' for word in words)])})"
        self.lines.append(f"{value} = {made}  # {'x'.join(map(str, visit.output))}")

    def _pool(self, visit: Visit, layer: Pool, value: str, nonnegative: bool) -> None:
        name = _layer_name(visit.path)
        kind = "AveragePooling2D" if isinstance(layer, AvgPool) else "MaxPooling2D"
        before, after = layer.padding, [overhang(visit, axis) for axis in (1, 2)]
        if before or any(after):
            sides = ((before, after[0]), (before, after[1]))
            if isinstance(layer, AvgPool) or nonnegative:  # a zero changes no maximum of what is never negative
                self._call(call("layers.ZeroPadding2D", sides, name=f"{name}-pad"), value)
            else:
                edges = f"((0, 0), {sides[0]}, {sides[1]}, (0, 0))"
                given = self._read(value)
                self.lines.append(f'{value} = ops.pad({given}, {edges}, constant_values=float("-inf"))')
        self._call(call(f"layers.{kind}", layer.kernel, layer.step, name=name), value, out=visit.output)

    def _call(self, made: str, value: str, given: str = "", out: Shape | None = None) -> None:
        shape = f"  # {'x'.join(map(str, (*out[1:], out[0]) if len(out) == 3 else out))}" if out else ""
        self.lines.append(f"{value} = {made}({given or self._read(value)}){shape}")

    def _read(self, value: str) -> str:
        """The variable that holds a value: the first layer of a branch reads what all branches do."""
        return self.reads.pop(value, value)


def _variable(value: str, label: str) -> str:
    if value != "x":
        return f"{value}_{label}"
    return (
        f"{label}_" if label in ("x", "layers", "ops", "keras", "response_norm", "self_attention", "tokens") else label
    )


def keras_model(export: Export, folder: Path) -> Any:
    """Build the Keras model with its weights; its source is written to `folder`."""
    write_whole(folder / "network.py", keras_source(export))
    model = imported(folder / "network.py").classifier()
    for visit in export.walk:
        tensors = export.tensors(visit.path)
        name = _layer_name(visit.path)
        if isinstance(visit.layer, Tokens):
            for part, tensor in zip(visit.layer.tensors(visit.input), tensors, strict=True):
                model.get_layer(f"{name}-{part}").set_weights([tensor[0]])
        elif tensors:
            model.get_layer(name).set_weights([keras_order(visit, tensor) for tensor in tensors])
    return model


def keras_order(visit: Visit, tensor: Array) -> Array:
    """A layer's tensor in Keras' order, from ours: (H, W, in, out) from (out, in, H, W), (in, out) from (out, in)."""
    match visit.layer:
        case Conv(kernel=kernel) as conv if conv.depthwise(visit.input) and tensor.ndim == 4:
            return tensor.transpose(2, 3, 1, 0).reshape(kernel, kernel, visit.input[0], -1)
        case LayerScale() if len(visit.input) == 3:
            return tensor.reshape(1, 1, -1, 1)
        case PRelu():
            return tensor.reshape(*[1] * (len(visit.input) - 1), -1)
    return tensor.transpose({4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[tensor.ndim])


def choose_backend(*wanted: str) -> None:
    """Choose Keras' backend, before Keras is imported: the first of these that is here, unless the user chose one."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if os.environ.get("KERAS_BACKEND") not in wanted:
        os.environ["KERAS_BACKEND"] = next((name for name in wanted if find_spec(name)), wanted[0])


def _describe(path: Path, metadata: ModelMetadata) -> None:
    """Add files with the description and the class names to the archive: `load_model` passes them over."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in ((DESCRIPTION, metadata.dumps()), (LABELS_FILE, metadata.labels())):
            archive.writestr(zipfile.ZipInfo(name), text)


class KerasTarget(Target):
    """A `.keras` archive, and the source that it was made from."""

    name = "keras"
    title = "Keras 3"
    extra = "keras"
    packages = ("keras",)
    files = ("model.keras", "network.py")
    needed_files = ("model.keras",)
    needs = "keras"
    readable = "model.keras"
    runtimes = tuple(Runtime(f"Keras on {name}", ("keras", name), {}, {"KERAS_BACKEND": name}) for name in BACKENDS)
    layout = "NHWC"
    refused: ClassVar[Mapping[str, str]] = {
        "int8": "Keras quantises weights for matrix products, not whole convolutional networks; take --to litert"
    }
    notes = (
        "`model.keras` loads with `keras.saving.load_model`, on the TensorFlow, JAX or PyTorch backend, whichever "
        "is installed. Its files `deepenough.json` and `labels.txt` have class names and preprocessing; Keras passes "
        "over them, and does not save them again.",
        "`network.py` is the same network in `keras.layers`, to read and to change; normalisation is its layer "
        "`normalise`.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The model and its source."""
        choose_backend(*BACKENDS)
        keras_model(export, folder).save(folder / self.readable)
        _describe(folder / self.readable, ModelMetadata.of(export))

    def refuses(self, visit: Visit) -> str | None:
        return averages_beyond(visit, self.title) or strides_and_dilates(visit)
