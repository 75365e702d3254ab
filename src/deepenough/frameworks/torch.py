"""PyTorch: a module in plain torch with safetensors, and a `torch.export` program of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepenough.files import write_whole
from deepenough.frameworks.export import Export
from deepenough.frameworks.nested import call, joins, nested
from deepenough.frameworks.refusals import unknown_layer
from deepenough.frameworks.source import imported, opening
from deepenough.frameworks.target import Runtime, Target
from deepenough.nets.activation import Activation
from deepenough.nets.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Lrn,
    MaxPool,
    Pool,
)
from deepenough.nets.shapes import Visit

PROGRAM, MODULE, WEIGHTS = "model.pt2", "network.py", "weights.safetensors"

HELPERS = '''
from collections import OrderedDict
from functools import reduce
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn


def stack(**layers: nn.Module) -> nn.Module:
    """Layers one after another."""
    return nn.Sequential(OrderedDict(layers))


class Branches(nn.Module):
    """Modules that read the same, and whose outputs are joined."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        for label, branch in branches.items():
            self.add_module(label, branch)

    def forward(self, x: Tensor) -> Tensor:
        return self.join([branch(x) for branch in self.children()])
'''

CLASSIFIER = '''

class Normalise(nn.Module):
    """Pixels uint8, RGB or grey, (N, C, H, W), to what the network was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        x = images.float() / 255
        return ((x.flip(1) if ORDER == "BGR" else x) - self.mean) / self.std


class Classifier(nn.Module):
    """Pixels uint8 (N, C, H, W) to logits float32 (N, classes). The network in between computes in `dtype`."""

    def __init__(self, network: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.network = network.to(dtype)
        self.dtype = dtype

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.normalise(images).to(self.dtype)).float()
'''

LOAD = '''

def load(folder: str | Path = Path(__file__).parent) -> Classifier:
    """The classifier with its weights, in evaluation mode. `.network` is what takes normalised images."""
    state = load_file(Path(folder) / "weights.safetensors")
    made = Classifier(network(), next(iter(state.values())).dtype)
    # Batch norms count batches in training; that is not kept.
    missing, unexpected = made.network.load_state_dict(state, strict=False)
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + unexpected
    if wrong:
        raise ValueError(f"weights.safetensors does not fit the network: {wrong}")
    return made.eval()
'''


def module_source(export: Export) -> str:
    """`network.py`: the network in plain torch."""
    return (
        opening(export, "PyTorch")
        + HELPERS
        + joins("torch", "torch.cat(parts, dim=1)")
        + CLASSIFIER
        + '\n\ndef network() -> nn.Module:\n    """The network: normalised images to logits."""\n'
        + f"    return {nested(export.network, expression)}\n"
        + LOAD
    )


def expression(visit: Visit) -> str:
    """The call that makes a layer."""
    match visit.layer:
        case Conv(out=out, kernel=kernel, stride=stride, groups=groups, bias=bias) as conv:
            options: dict[str, Any] = {"groups": groups} if groups > 1 else {}
            options |= {} if bias else {"bias": False}
            return call("nn.Conv2d", visit.input[0], out, kernel, stride, conv.pad, **options)
        case BatchNorm(eps=eps, momentum=momentum):
            return call(f"nn.BatchNorm{len(visit.input) - 1 or 1}d", visit.input[0], eps=eps, momentum=momentum)
        case Activation():
            return f"nn.{visit.layer.torch}()"
        case Lrn(size=size, alpha=alpha, beta=beta, k=k):
            return call("nn.LocalResponseNorm", size, alpha, beta, k)
        case Pool(kernel=kernel, padding=padding, ceil=ceil):
            kind = "nn.MaxPool2d" if isinstance(visit.layer, MaxPool) else "nn.AvgPool2d"
            return call(kind, kernel, visit.layer.step, padding, **({"ceil_mode": True} if ceil else {}))
        case GlobalAvgPool():
            return "nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())"
        case GlobalMaxPool():
            return "nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())"
        case Dropout(p=p):
            return call("nn.Dropout", p)
        case Flatten():
            return "nn.Flatten()"
        case Dense(out=out, bias=bias):
            return call("nn.Linear", visit.input[0], out, **({} if bias else {"bias": False}))
    raise unknown_layer(visit, "PyTorch")


def write(export: Export, folder: Path) -> None:
    """The module's source, its weights, and the exported program with any batch size."""
    import torch
    from safetensors.torch import save

    dtype = torch.float16 if export.precision == "float16" else torch.float32
    state = {key: torch.from_numpy(value).to(dtype) for key, value in export.state.items()}
    write_whole(folder / WEIGHTS, save(state))
    write_whole(folder / MODULE, module_source(export))
    module = imported(folder / MODULE).load(folder)
    images = torch.zeros((2, *export.network.input), dtype=torch.uint8)
    with torch.no_grad():
        program = torch.export.export(module, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    torch.export.save(program, folder / PROGRAM)


def load(export: Export) -> str:
    """For `predict.py`."""
    return '''
import torch

RUNTIME = f"PyTorch {torch.__version__}"


def load(plain: bool = False):
    """The classifier: pixels uint8 (N, H, W, C) to logits (N, classes). `plain`: network.py, not the program."""
    if plain:
        import network

        model = network.load()
    else:
        model = torch.export.load(FOLDER / "model.pt2").module()

    @torch.no_grad()
    def logits(pixels):
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
        return model(images).numpy()

    return logits
'''


TARGET = Target(
    name="torch",
    title="PyTorch",
    extra="",
    packages=("torch", "safetensors"),
    files=(PROGRAM, MODULE, WEIGHTS),
    write=write,
    load=load,
    needs="torch",
    readable=WEIGHTS,
    runtimes=(
        Runtime("PyTorch, the exported program", ("torch",)),
        Runtime("PyTorch, the plain module", ("torch", "safetensors"), {"plain": True}),
    ),
    refused={
        "int8": "PyTorch's quantisation depends on the backend that will run the program; take --to onnx or litert"
    },
    notes=(
        "`model.pt2` is a `torch.export` program, for any batch size: `torch.export.load('model.pt2').module()`.",
        "`network.py` is the same network in plain PyTorch, to read, to change and to train on; "
        "`network.load()` gives it with the weights of `weights.safetensors`.",
    ),
)
