"""PaddlePaddle: `paddle.nn` layers with their weights, and a static graph of them saved for inference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from deepenough.errors import DeepenoughError
from deepenough.files import write_whole
from deepenough.frameworks.export import Export, layer_kinds, lopsided, overhang
from deepenough.frameworks.metadata import ModelMetadata
from deepenough.frameworks.nested import call, joins, nested
from deepenough.frameworks.refusals import averages_beyond, unknown_layer
from deepenough.frameworks.source import imported, opening, rendered
from deepenough.frameworks.target import Runtime, Target
from deepenough.nets.activation import Activation, LeakyRelu, PRelu
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
    GlobalMaxPool,
    GlobalPool,
    GroupNorm,
    LayerNorm,
    LayerScale,
    Lrn,
    MaxPool,
    StochasticDepth,
    channels,
    window_count,
)
from deepenough.nets.shapes import Visit
from deepenough.nets.tokens import FirstToken, SelfAttention, Tokens


def paddle_source(export: Export) -> str:
    """Write `network.py`: the network in `paddle.nn`."""
    network = nested(export.network, _expression)
    return rendered(
        "paddle.network.py",
        opening=opening(export, "PaddlePaddle"),
        kinds=layer_kinds(export),
        joins=joins(export.network, "paddle", "paddle.concat(parts, axis=1)"),
        network=network,
    )


def _expression(visit: Visit) -> str:
    """Write the call that makes a layer."""
    match visit.layer:
        case Conv(out=out, kernel=kernel, stride=stride, groups=groups, bias=bias) as conv:
            options: dict[str, Any] = {"groups": groups} if groups > 1 else {}
            options |= {"dilation": conv.dilation} if conv.dilation > 1 else {}
            options |= {} if bias else {"bias_attr": False}
            pads = [pad for side in conv.pads(visit.input) for pad in side]
            return call(
                "nn.Conv2D", visit.input[0], out, kernel, stride, pads if lopsided(visit) else pads[0], **options
            )
        case BatchNorm(eps=eps, momentum=momentum):
            kind = "nn.BatchNorm2D" if len(visit.input) == 3 else "nn.BatchNorm1D"
            return call(kind, visit.input[0], momentum=round(1 - momentum, 12), epsilon=eps)
        case LayerNorm(eps=eps):
            return call("ChannelNorm", channels(visit.input), epsilon=eps)
        case GroupNorm(groups=groups, eps=eps):
            return call("nn.GroupNorm", groups, visit.input[0], epsilon=eps)
        case LayerScale():
            return call("ChannelScale", channels(visit.input))
        case LeakyRelu(slope=slope):
            return call("LeakyReLU", slope)
        case PRelu(shared=shared):
            return call("PReLU", 1 if shared else visit.input[0])
        case Activation():
            return call(f"nn.{visit.layer.paddle}", *visit.layer.arguments)
        case Lrn(size=size, alpha=alpha, beta=beta, k=k):
            return call("nn.LocalResponseNorm", size, alpha, beta, k)
        case MaxPool(kernel=kernel):
            return call("nn.MaxPool2D", kernel, visit.layer.step, _padding(visit))
        case AvgPool(kernel=kernel):
            return call("nn.AvgPool2D", kernel, visit.layer.step, _padding(visit), exclusive=False)
        case GlobalPool() if len(visit.input) == 2:
            return f"OverTokens({'paddle.mean' if isinstance(visit.layer, GlobalAvgPool) else 'paddle.max'})"
        case GlobalAvgPool(keep=True):
            return "nn.AdaptiveAvgPool2D(1)"
        case GlobalAvgPool():
            return "nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.Flatten())"
        case GlobalMaxPool():
            return "nn.Sequential(nn.AdaptiveMaxPool2D(1), nn.Flatten())"
        case StochasticDepth(p=p):
            return call("nn.Dropout", p, axis=0)
        case Dropout(p=p):
            return call("nn.Dropout", p)
        case ChannelShuffle(groups=groups):
            return call("nn.ChannelShuffle", groups)
        case ChannelSlice(start=start, stop=stop):
            return call("ChannelSlice", start, stop)
        case Flatten():
            return "nn.Flatten()"
        case Dense(out=out, bias=bias):
            return call("nn.Linear", visit.input[-1], out, **({} if bias else {"bias_attr": False}))
        case Tokens():
            options = {word: False for word in ("class_token", "position") if not getattr(visit.layer, word)}
            return call("Tokens", *reversed(visit.output), **options)
        case SelfAttention(heads=heads):
            return call("SelfAttention", heads)
        case FirstToken():
            return "FirstToken()"
    raise unknown_layer(visit, "PaddlePaddle")


def _padding(visit: Visit) -> int | list[int]:
    """Explicit padding (top, bottom, left, right): Paddle's own rounding up differs where there is padding too."""
    pool: Any = visit.layer
    if all(visit.output[axis] == window_count(visit.input[axis], *pool.window) for axis in (1, 2)):
        return int(pool.padding)
    return [pool.padding, overhang(visit, 1), pool.padding, overhang(visit, 2)]


def _state(export: Export) -> dict[str, Any]:
    """The tensors by Paddle's names, in its orders: dense weights are (in, out)."""
    names = {"running_mean": "_mean", "running_var": "_variance"}
    found = {}
    for key, value in export.state.items():
        place, _, name = key.rpartition(".")
        found[f"{place}.{names.get(name, name)}"] = value.T if value.ndim == 2 else value
    return found


def _describe(path: Path, metadata: ModelMetadata) -> None:
    """Name the graph's output, and put the description beside the program: Paddle passes entries over that it lacks.

    `paddle.jit.save` has no option for either. There is one output, which the program calls `fetch_name_0`.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    (fetch,) = (
        operation
        for region in content["program"]["regions"]
        for block in region["blocks"]
        for operation in block["ops"]
        if operation["#"] == "1.fetch"
    )
    for attribute in fetch["A"]:
        if attribute["N"] == "name":
            attribute["AT"]["D"] = "logits"
    write_whole(path, json.dumps({**content, "metadata": metadata.to_json()}, separators=(",", ":")))


class PaddleTarget(Target):
    """A static graph, and the layers that it was made from with their weights."""

    name = "paddle"
    title = "PaddlePaddle"
    extra = "paddle"
    packages = ("paddle",)
    files = ("model.json", "model.pdiparams", "network.py", "weights.pdparams")
    needed_files = ("model.json", "model.pdiparams")
    needs = "paddlepaddle"
    readable = "weights.pdparams"
    runtimes = (Runtime("PaddlePaddle", ("paddle",)),)
    refused: ClassVar[Mapping[str, str]] = {
        "float16": "Paddle's CPU kernels have no half precision, so it could not be checked; take --to onnx or litert",
        "int8": "what paddle.quantization gives keeps its weights in float32, and no saved program of it runs for any "
        "batch size; Paddle's other way takes programs of before version 3 only (.pdmodel); take --to onnx, litert or "
        "torch",
    }
    notes = (
        "`model.json` and `model.pdiparams` are a static graph for `paddle.inference`, for any batch size. "
        "The input is `images`, the output `logits`; the entry `metadata` of `model.json` has class names and "
        "preprocessing.",
        "`network.py` is the same network in `paddle.nn` layers, to read, to change and to train on; "
        "`network.load()` gives it with the weights of `weights.pdparams`.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The layers' source, their weights, and the static graph with any batch size."""
        import paddle

        write_whole(folder / "network.py", paddle_source(export))
        written = imported(folder / "network.py")
        made = written.network()
        wanted, own = _state(export), made.state_dict()
        missing = sorted(set(own) ^ set(wanted))
        if missing:
            raise DeepenoughError(f"PaddlePaddle's layers and the network's tensors differ: {', '.join(missing[:5])}")
        made.set_state_dict({key: paddle.to_tensor(value) for key, value in wanted.items()})
        paddle.save(made.state_dict(), str(folder / self.readable))
        model = written.load(folder)
        spec = paddle.static.InputSpec([None, *export.network.input], "uint8", "images")
        paddle.jit.save(model, str(folder / "model"), input_spec=[spec])
        _describe(folder / self.files[0], ModelMetadata.of(export))

    def refuses(self, visit: Visit) -> str | None:
        return averages_beyond(visit, self.title)
