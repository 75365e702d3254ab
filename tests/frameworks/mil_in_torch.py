"""The operations of Core ML's programs in torch, by their documentation: what a package computes where no Core ML is.

A program of its own, since coremltools imports the frameworks that it finds: a line of stdin names a package, a file
with pixels, and one for the answers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deepenough.frameworks.coreml_read_back import operations, read_program


def padded(x: Tensor, pad: Any, value: float = 0.0) -> Tensor:
    above, below, left, right = (int(side) for side in pad)
    return F.pad(x, (left, right, above, below), value=value)


def conv(x: Tensor, weight: Tensor, pad: Any, bias: Any = None, **sides: Any) -> Tensor:
    strides, dilations = ([int(each) for each in sides[name]] for name in ("strides", "dilations"))
    return F.conv2d(padded(x, pad), weight, bias, strides, 0, dilations, int(sides["groups"]))


def pooled(pool: Callable[..., Tensor], outside: float) -> Callable[..., Tensor]:
    def of(x: Tensor, kernel_sizes: Any, strides: Any, pad: Any, **_: Any) -> Tensor:
        return pool(padded(x, pad, outside), [int(k) for k in kernel_sizes], [int(s) for s in strides])

    return of


def batch_norm(x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor, beta: Tensor, epsilon: Any) -> Tensor:
    return F.batch_norm(x, mean, variance, gamma, beta, eps=float(epsilon))


def layer_norm(x: Tensor, axes: Any, gamma: Tensor, beta: Tensor, epsilon: Any) -> Tensor:
    assert [int(axis) % x.ndim for axis in axes] == [x.ndim - 1]
    return F.layer_norm(x, gamma.shape, gamma, beta, float(epsilon))


def gelu(x: Tensor, mode: str) -> Tensor:
    assert mode == "EXACT"
    return F.gelu(x)


def sliced(x: Tensor, begin: Any, end: Any, squeeze_mask: Any = (), **_: Any) -> Tensor:
    x = x[tuple(slice(int(first), int(last)) for first, last in zip(begin, end, strict=True))]
    return x.squeeze([axis for axis, gone in enumerate(squeeze_mask) if gone])


def matmul(x: Tensor, y: Tensor, transpose_y: Any = False, **_: Any) -> Tensor:
    return x @ (y.mT if transpose_y else y)


IN_TORCH: Mapping[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "real_div": lambda x, y: x / y,
    "identity": lambda x: x,
    "conv": lambda pad_type, **given: conv(**given),
    "linear": lambda x, weight, bias=None: F.linear(x, weight, bias),
    "matmul": matmul,
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "instance_norm": lambda x, epsilon: F.instance_norm(x, eps=float(epsilon)),
    "local_response_norm": lambda x, size, alpha, beta, k: F.local_response_norm(x, int(size), alpha, beta, k),
    "max_pool": pooled(F.max_pool2d, float("-inf")),
    "avg_pool": pooled(F.avg_pool2d, 0.0),  # padding counts
    "reduce_mean": lambda x, axes, keep_dims: x.mean([int(axis) for axis in axes], bool(keep_dims)),
    "reduce_max": lambda x, axes, keep_dims: x.amax([int(axis) for axis in axes], bool(keep_dims)),
    "relu": lambda x: F.relu(x),
    "relu6": lambda x: F.relu6(x),
    "sigmoid": lambda x: torch.sigmoid(x),
    "sigmoid_hard": lambda x, alpha, beta: (x * float(alpha) + float(beta)).clamp(0, 1),
    "silu": lambda x: F.silu(x),
    "gelu": gelu,
    "tanh": lambda x: torch.tanh(x),
    "leaky_relu": lambda x, alpha: F.leaky_relu(x, float(alpha)),
    "prelu": lambda x, alpha: F.prelu(x, alpha),
    "elu": lambda x, alpha: F.elu(x, float(alpha)),
    "softplus": lambda x: F.softplus(x),
    "softmax": lambda x, axis: x.softmax(int(axis)),
    "reshape": lambda x, shape: x.reshape([int(side) for side in shape]),
    "transpose": lambda x, perm: x.permute([int(axis) for axis in perm]),
    "expand_dims": lambda x, axes: reduce(lambda y, axis: y.unsqueeze(int(axis)), axes, x),
    "squeeze": lambda x, axes: x.squeeze([int(axis) for axis in axes]),
    "concat": lambda values, axis, interleave: torch.cat(values, int(axis)),
    "split": lambda x, num_splits, axis: x.chunk(int(num_splits), int(axis)),
    "slice_by_index": sliced,
}


def argument(given: Any, values: Mapping[str, Any]) -> Any:
    """An argument of an operation: what an earlier one gave, or a constant."""
    if isinstance(given, (list, tuple)):
        return [argument(each, values) for each in given]
    if given.name in values:
        return values[given.name]
    constant = given.val
    return torch.from_numpy(np.array(constant)) if getattr(constant, "dtype", None) == np.float32 else constant


def run(program: Any, images: Tensor) -> dict[str, Any]:
    """Everything that the program computes of one image (1, C, H, W)."""
    values: dict[str, Any] = {"images": images}
    for each in operations(program):
        given = {key: argument(value, values) for key, value in each.inputs.items() if value is not None}
        if each.op_type == "classify":
            shares, names = given["probabilities"][0], given["classes"]
            values["classLabel"] = names[int(shares.argmax())]
            values["classLabel_probs"] = dict(zip(names, shares.tolist(), strict=True))
            continue
        made = IN_TORCH[each.op_type](**given)
        made = made if isinstance(made, tuple) else (made,)
        assert [tuple(value.shape) for value in made] == [tuple(end.shape) for end in each.outputs], each.name
        values.update({end.name: value for end, value in zip(each.outputs, made, strict=True)})
    return values


def main() -> None:
    from coremltools.models.utils import load_spec

    for line in sys.stdin:
        job = json.loads(line)
        program = read_program(Path(job["package"]))
        description = load_spec(job["package"]).description
        (images,) = description.input
        colours = type(images.type.imageType).ColorSpace.Name(images.type.imageType.colorSpace)
        answers, labels = [], []
        for pixels in np.load(job["pixels"]):
            planes = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
            found = run(program, planes.flip(1) if colours == "BGR" else planes)
            answers.append(found["logits"][0].numpy())
            labels.append(found["classLabel"])
            assert found["classLabel"] == max(found["classLabel_probs"], key=found["classLabel_probs"].get)
        np.save(job["answers"], np.stack(answers))
        ends = [end.name for end in (*description.input, *description.output)]
        sys.stdout.write("ran " + json.dumps({"ends": ends, "labels": labels, "colours": colours}) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        main()
