"""PyTorch: a module in plain torch with safetensors, and a `torch.export` program of it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deepenough.errors import DeepenoughError
from deepenough.files import write_whole
from deepenough.frameworks.export import Export, layer_kinds, lopsided
from deepenough.frameworks.metadata import JSON_FILE, PRODUCER, ModelMetadata
from deepenough.frameworks.nested import call, joins, nested
from deepenough.frameworks.refusals import unknown_layer
from deepenough.frameworks.source import imported, opening, rendered
from deepenough.frameworks.target import Runtime, Target, absent
from deepenough.frameworks.torch_int8 import QUANTISER, quantised
from deepenough.nets.activation import Activation, PRelu
from deepenough.nets.layers import (
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
    Pool,
    StochasticDepth,
    channels,
)
from deepenough.nets.shapes import Visit
from deepenough.nets.tokens import FirstToken, SelfAttention, Tokens


def torch_source(export: Export) -> str:
    """Write `network.py`: the network in plain torch."""
    network = nested(export.network, _expression)
    return rendered(
        "torch.network.py",
        opening=opening(export, "PyTorch"),
        kinds=layer_kinds(export),
        joins=joins(export.network, "torch", "torch.cat(parts, dim=1)"),
        network=network,
    )


def _expression(visit: Visit) -> str:
    """Write the call that makes a layer."""
    match visit.layer:
        case Conv(out=out, kernel=kernel, stride=stride, groups=groups, bias=bias) as conv:
            options: dict[str, Any] = {"groups": groups} if groups > 1 else {}
            options |= {"dilation": conv.dilation} if conv.dilation > 1 else {}
            options |= {} if bias else {"bias": False}
            if lopsided(visit):
                return call("PaddedConv2d", visit.input[0], out, kernel, stride, conv.pads(visit.input), **options)
            return call("nn.Conv2d", visit.input[0], out, kernel, stride, conv.pads(visit.input)[0][0], **options)
        case BatchNorm(eps=eps, momentum=momentum):
            return call(f"nn.BatchNorm{len(visit.input) - 1 or 1}d", visit.input[0], eps=eps, momentum=momentum)
        case LayerNorm(eps=eps):
            return call("ChannelNorm", channels(visit.input), eps=eps)
        case GroupNorm(groups=groups, eps=eps):
            return call("nn.GroupNorm", groups, visit.input[0], eps=eps)
        case LayerScale():
            return call("ChannelScale", channels(visit.input))
        case PRelu(shared=shared):
            return call("nn.PReLU", 1 if shared else visit.input[0])
        case Activation():
            return call(f"nn.{visit.layer.torch}", *visit.layer.arguments)
        case Lrn(size=size, alpha=alpha, beta=beta, k=k):
            return call("nn.LocalResponseNorm", size, alpha, beta, k)
        case Pool(kernel=kernel, padding=padding, ceil=ceil):
            kind = "nn.MaxPool2d" if isinstance(visit.layer, MaxPool) else "nn.AvgPool2d"
            return call(kind, kernel, visit.layer.step, padding, **({"ceil_mode": True} if ceil else {}))
        case GlobalPool() if len(visit.input) == 2:
            return f"OverTokens({'torch.mean' if isinstance(visit.layer, GlobalAvgPool) else 'torch.amax'})"
        case GlobalAvgPool(keep=True):
            return "nn.AdaptiveAvgPool2d(1)"
        case GlobalAvgPool():
            return "nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())"
        case GlobalMaxPool():
            return "nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())"
        case StochasticDepth(p=p):
            return call("StochasticDepth", p)
        case Dropout(p=p):
            return call("nn.Dropout", p)
        case ChannelShuffle(groups=groups):
            return call("nn.ChannelShuffle", groups)
        case ChannelSlice(start=start, stop=stop):
            return call("ChannelSlice", start, stop)
        case Flatten():
            return "nn.Flatten()"
        case Dense(out=out, bias=bias):
            return call("nn.Linear", visit.input[-1], out, **({} if bias else {"bias": False}))
        case Tokens():
            options = {word: False for word in ("class_token", "position") if not getattr(visit.layer, word)}
            return call("Tokens", *reversed(visit.output), **options)
        case SelfAttention(heads=heads):
            return call("SelfAttention", heads)
        case FirstToken():
            return "FirstToken()"
    raise unknown_layer(visit, "PyTorch")


PROGRAM_NOTE = (
    "`model.pt2` is a `torch.export` program, for any batch size: `torch.export.load('model.pt2').module()`. "
    "Its extra file `metadata.json` has class names and preprocessing"
)
INT8_NOTE = (
    "Weights are int8, and what layers are given is rounded to 7 bits, by torchao's quantization of exported programs; "
    "it is read without torchao. As it is, it computes in float32 between its roundings, slower than float32 alone. "
    "On x86 processors `torch.compile` with `torch._inductor.config.freezing = True`, as in "
    "`predict.load(compiled=True)`, puts integer kernels in their place, which takes a C++ compiler and half "
    "a minute in each process for each batch size."
)


class TorchTarget(Target):
    """A module in plain torch, its weights, and a `torch.export` program."""

    name = "torch"
    title = "PyTorch"
    extra = ""
    packages = ("torch", "safetensors")
    files = ("model.pt2", "network.py", "weights.safetensors")
    needed_files = ("model.pt2",)
    needs = "torch"
    readable = "weights.safetensors"
    runtimes = (
        Runtime("PyTorch, the exported program", ("torch",)),
        Runtime("PyTorch, the plain module", ("torch", "safetensors"), {"plain": True}),
    )
    notes = (
        f"{PROGRAM_NOTE}, as has the header of `weights.safetensors`.",
        "`network.py` is the same network in plain PyTorch, to read, to change and to train on; "
        "`network.load()` gives it with the weights of `weights.safetensors`.",
    )

    def check(self, precision: str) -> None:
        super().check(precision)
        if precision == "int8" and absent((QUANTISER,)):
            raise DeepenoughError(
                f"--int8 --to torch needs {QUANTISER}, not installed here: pip install 'deepenough[{QUANTISER}]'"
            )

    def runtimes_for(self, precision: str) -> tuple[Runtime, ...]:
        return self.runtimes[:1] if precision == "int8" else self.runtimes

    def predict_values(self, export: Export) -> dict[str, Any]:
        return {"notes": (f"{PROGRAM_NOTE}.", INT8_NOTE)} if export.precision == "int8" else {}

    def write(self, export: Export, folder: Path) -> None:
        """The module's source, its weights, and the exported program with any batch size; of int8 the program alone."""
        with TemporaryDirectory() as temporary:
            self._write(export, folder, Path(temporary) if export.precision == "int8" else folder)

    def _write(self, export: Export, folder: Path, sources: Path) -> None:
        import torch
        from safetensors.torch import save

        dtype = torch.float16 if export.precision == "float16" else torch.float32
        state = {key: torch.from_numpy(value).to(dtype) for key, value in export.state.items()}
        program_file, source_file, weights_file = folder / self.files[0], *(sources / name for name in self.files[1:])
        metadata = ModelMetadata.of(export)
        write_whole(weights_file, save(state, {PRODUCER: metadata.dumps()}))
        write_whole(source_file, torch_source(export))
        module = imported(source_file).load(sources)
        images = torch.zeros((2, *export.network.input), dtype=torch.uint8)
        batches = ({0: torch.export.Dim("batch", min=1)},)
        with torch.no_grad():
            program = torch.export.export(module, (images,), dynamic_shapes=batches)
            if export.precision == "int8":
                program = torch.export.export(quantised(program, export), (images,), dynamic_shapes=batches)
        torch.export.save(program, program_file, extra_files={JSON_FILE: metadata.dumps()})
