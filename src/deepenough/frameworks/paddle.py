"""PaddlePaddle: `paddle.nn` layers with their weights, and a static graph of them saved for inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError
from deepenough.files import write_whole
from deepenough.frameworks.export import Export, overhang
from deepenough.frameworks.nested import call, joins, nested
from deepenough.frameworks.refusals import averages_beyond, unknown_layer
from deepenough.frameworks.source import imported, opening
from deepenough.frameworks.target import Runtime, Target
from deepenough.nets.activation import Activation
from deepenough.nets.layers import (
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Lrn,
    MaxPool,
)
from deepenough.nets.shapes import Visit

GRAPH, PARAMETERS, MODULE, WEIGHTS = "model.json", "model.pdiparams", "network.py", "weights.pdparams"

HELPERS = '''
from functools import reduce
from pathlib import Path

import paddle
from paddle import Tensor, nn


def stack(**layers: nn.Layer) -> nn.Layer:
    """Layers one after another."""
    return nn.Sequential(*layers.items())


class Branches(nn.Layer):
    """Layers that read the same, and whose outputs are joined."""

    def __init__(self, **branches: nn.Layer) -> None:
        super().__init__()
        for label, branch in branches.items():
            self.add_sublayer(label, branch)

    def forward(self, x: Tensor) -> Tensor:
        return self.join([branch(x) for branch in self.children()])
'''

CLASSIFIER = '''

class Classifier(nn.Layer):
    """Pixels uint8, RGB or grey, (N, C, H, W), to logits float32 (N, classes)."""

    def __init__(self, network: nn.Layer) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        x = images.astype("float32") / 255
        if ORDER == "BGR":
            x = paddle.flip(x, [1])
        mean, std = (paddle.to_tensor(values, dtype="float32").reshape([1, -1, 1, 1]) for values in (MEAN, STD))
        return self.network((x - mean) / std)
'''

LOAD = '''

def load(folder: str | Path = Path(__file__).parent) -> Classifier:
    """The classifier with its weights, in evaluation mode. `.network` is what takes normalised images."""
    made = Classifier(network())
    made.network.set_state_dict(paddle.load(str(Path(folder) / "weights.pdparams")))
    made.eval()
    return made
'''


def module_source(export: Export) -> str:
    """`network.py`: the network in `paddle.nn`."""
    return (
        opening(export, "PaddlePaddle")
        + HELPERS
        + joins("paddle", "paddle.concat(parts, axis=1)")
        + CLASSIFIER
        + '\n\ndef network() -> nn.Layer:\n    """The network: normalised images to logits."""\n'
        + f"    return {nested(export.network, expression)}\n"
        + LOAD
    )


def expression(visit: Visit) -> str:
    """The call that makes a layer."""
    match visit.layer:
        case Conv(out=out, kernel=kernel, stride=stride, groups=groups, bias=bias) as conv:
            options: dict[str, Any] = {"groups": groups} if groups > 1 else {}
            options |= {} if bias else {"bias_attr": False}
            return call("nn.Conv2D", visit.input[0], out, kernel, stride, conv.pad, **options)
        case BatchNorm(eps=eps, momentum=momentum):
            kind = "nn.BatchNorm2D" if len(visit.input) == 3 else "nn.BatchNorm1D"
            return call(kind, visit.input[0], momentum=round(1 - momentum, 12), epsilon=eps)
        case Activation():
            return f"nn.{visit.layer.paddle}()"
        case Lrn(size=size, alpha=alpha, beta=beta, k=k):
            return call("nn.LocalResponseNorm", size, alpha, beta, k)
        case MaxPool(kernel=kernel):
            return call("nn.MaxPool2D", kernel, visit.layer.step, _padding(visit))
        case AvgPool(kernel=kernel):
            return call("nn.AvgPool2D", kernel, visit.layer.step, _padding(visit), exclusive=False)
        case GlobalAvgPool():
            return "nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.Flatten())"
        case GlobalMaxPool():
            return "nn.Sequential(nn.AdaptiveMaxPool2D(1), nn.Flatten())"
        case Dropout(p=p):
            return call("nn.Dropout", p)
        case Flatten():
            return "nn.Flatten()"
        case Dense(out=out, bias=bias):
            return call("nn.Linear", visit.input[0], out, **({} if bias else {"bias_attr": False}))
    raise unknown_layer(visit, "PaddlePaddle")


def _padding(visit: Visit) -> int | list[int]:
    """Explicit padding (top, bottom, left, right): Paddle's own rounding up differs where there is padding too."""
    pool: Any = visit.layer
    after = [overhang(visit, axis) for axis in (1, 2)]
    if all(visit.output[axis] == _floor(visit, axis) for axis in (1, 2)):
        return int(pool.padding)
    return [pool.padding, after[0], pool.padding, after[1]]


def _floor(visit: Visit, axis: int) -> int:
    pool: Any = visit.layer
    return int((visit.input[axis] + 2 * pool.padding - pool.kernel) // pool.step + 1)


def state(export: Export) -> dict[str, Any]:
    """The tensors by Paddle's names, in its orders: dense weights are (in, out)."""
    names = {"running_mean": "_mean", "running_var": "_variance"}
    found = {}
    for key, value in export.state.items():
        place, _, name = key.rpartition(".")
        found[f"{place}.{names.get(name, name)}"] = value.T if value.ndim == 2 else value
    return found


def write(export: Export, folder: Path) -> None:
    """The layers' source, their weights, and the static graph with any batch size."""
    import paddle

    write_whole(folder / MODULE, module_source(export))
    written = imported(folder / MODULE)
    made = written.network()
    wanted, own = state(export), made.state_dict()
    missing = sorted(set(own) ^ set(wanted))
    if missing:
        raise DeepenoughError(f"PaddlePaddle's layers and the network's tensors differ: {', '.join(missing[:5])}")
    made.set_state_dict({key: paddle.to_tensor(value) for key, value in wanted.items()})
    paddle.save(made.state_dict(), str(folder / WEIGHTS))
    model = written.load(folder)
    spec = paddle.static.InputSpec([None, *export.network.input], "uint8", "images")
    paddle.jit.save(model, str(folder / "model"), input_spec=[spec])


def load(export: Export) -> str:
    """For `predict.py`."""
    return '''
import numpy as np
import paddle
from paddle import inference

RUNTIME = f"PaddlePaddle {paddle.__version__}"


def load():
    """The classifier: pixels uint8 (N, H, W, C) to logits (N, classes)."""
    config = inference.Config(str(FOLDER / "model.json"), str(FOLDER / "model.pdiparams"))
    config.disable_gpu()
    config.disable_glog_info()
    predictor = inference.create_predictor(config)
    images = predictor.get_input_handle(predictor.get_input_names()[0])
    answer = predictor.get_output_handle(predictor.get_output_names()[0])

    def logits(pixels):
        images.copy_from_cpu(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        predictor.run()
        return answer.copy_to_cpu()

    return logits
'''


TARGET = Target(
    name="paddle",
    title="PaddlePaddle",
    extra="paddle",
    packages=("paddle",),
    files=(GRAPH, PARAMETERS, MODULE, WEIGHTS),
    write=write,
    load=load,
    refuses=(averages_beyond,),
    needs="paddlepaddle",
    readable=WEIGHTS,
    runtimes=(Runtime("PaddlePaddle", ("paddle",)),),
    refused={
        "float16": "Paddle's CPU kernels have no half precision, so it could not be checked; take --to onnx or litert",
        "int8": "PaddleSlim, which quantises for Paddle, is no longer kept up; take --to onnx or litert",
    },
    notes=(
        "`model.json` and `model.pdiparams` are a static graph for `paddle.inference`, for any batch size.",
        "`network.py` is the same network in `paddle.nn` layers, to read, to change and to train on; "
        "`network.load()` gives it with the weights of `weights.pdparams`.",
    ),
)
