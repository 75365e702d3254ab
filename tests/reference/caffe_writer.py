"""Networks in Caffe's own words: a prototxt and a .caffemodel with random weights, by the layers of the releases.

It knows nothing of deepenough: names, sizes and order are written from the released prototxt files.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

V1_TYPES = {"Concat": 3, "Convolution": 4, "Dropout": 6, "InnerProduct": 14, "LRN": 15, "Pooling": 17, "ReLU": 18}
PARAMS = {"Convolution": ("convolution_param", 106, 10), "InnerProduct": ("inner_product_param", 117, 17),
          "LRN": ("lrn_param", 118, 18), "Pooling": ("pooling_param", 121, 19),
          "BatchNorm": ("batch_norm_param", 139, 0), "Scale": ("scale_param", 142, 0),
          "Eltwise": ("eltwise_param", 110, 24)}  # fmt: skip
NUMBERS = {
    "Convolution": {"num_output": 1, "bias_term": 2, "pad": 3, "kernel_size": 4, "group": 5, "stride": 6},
    "InnerProduct": {"num_output": 1},
    "LRN": {"local_size": 1, "alpha": 2, "beta": 3, "k": 5},
    "Pooling": {"pool": 1, "kernel_size": 2, "stride": 3, "pad": 4, "global_pooling": 12},
    "BatchNorm": {"use_global_stats": 1, "eps": 3},
    "Scale": {"bias_term": 4},
    "Eltwise": {"operation": 1},
}


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def entry(number: int, content: bytes | bytearray | str | int | float) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    if isinstance(content, float):
        return varint(number << 3 | 5) + struct.pack("<f", content)
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


class Caffe:
    """Layers one after another. Each method returns the name of what it gives."""

    def __init__(self, side: int, *, v1: bool = False, classes: int = 7) -> None:
        self.random = np.random.default_rng(0)
        self.v1, self.classes = v1, classes
        self.text = f'name: "net"\ninput: "data"\ninput_shape {{ dim: 2 dim: 3 dim: {side} dim: {side} }}\n'
        self.binary = bytearray(entry(1, "net"))
        self.shapes: dict[str, tuple[int, int]] = {"data": (3, side)}

    def layer(
        self, kind: str, name: str, bottoms: list[str], top: str, blobs: tuple[Any, ...] = (), **params: Any
    ) -> str:
        text = f'layer {{ name: "{name}" type: "{kind}" ' + "".join(f'bottom: "{bottom}" ' for bottom in bottoms)
        text += f'top: "{top}" '
        code = b""
        if params:
            message, number, number_v1 = PARAMS[kind]
            stated = {k: ("MAX", "AVE")[v] if k == "pool" else str(v).lower() for k, v in params.items()}
            text += f"{message} {{ {' '.join(f'{key}: {value}' for key, value in stated.items())} }} "
            inner = b"".join(entry(NUMBERS[kind][k], int(v) if isinstance(v, bool) else v) for k, v in params.items())
            code = entry(number_v1 if self.v1 else number, inner)
        self.text += text + "}\n"
        data = b"".join(entry(6 if self.v1 else 7, self.blob(blob)) for blob in blobs)
        ends = [(2, bottom) for bottom in bottoms] if self.v1 else [(3, bottom) for bottom in bottoms]
        ends += [(3 if self.v1 else 4, top)]
        wires = b"".join(entry(number, end) for number, end in ends)
        if self.v1:
            self.binary += entry(2, wires + entry(4, name) + entry(5, V1_TYPES[kind]) + data + code)
        else:
            self.binary += entry(100, entry(1, name) + entry(2, kind) + wires + data + code)
        return top

    def blob(self, values: Any) -> bytes:
        if self.v1:  # four sides, ones in front
            sides = (1,) * (4 - values.ndim) + values.shape
            return b"".join(entry(n, side) for n, side in enumerate(sides, 1)) + entry(5, values.tobytes())
        shape = entry(1, b"".join(varint(side) for side in values.shape))
        return entry(5, values.tobytes()) + entry(7, shape)

    def numbers(self, *shape: int, scale: float = 1.0, low: float | None = None) -> Any:
        made = self.random.standard_normal(shape) if low is None else self.random.random(shape) + low
        return (scale * made).astype(np.float32)

    def conv(
        self, name: str, bottom: str, out: int, kernel: int, stride: int = 1, pad: int = 0, group: int = 1,
        bias: bool = True,
    ) -> str:  # fmt: skip
        channels, side = self.shapes[bottom]
        fan_in = channels // group * kernel * kernel
        blobs = [self.numbers(out, channels // group, kernel, kernel, scale=(2 / fan_in) ** 0.5)]
        blobs += [self.numbers(out, scale=0.1)] if bias else []
        params: dict[str, Any] = {"num_output": out, "kernel_size": kernel}
        params |= {
            k: v for k, v, default in (("stride", stride, 1), ("pad", pad, 0), ("group", group, 1)) if v != default
        }
        params |= {} if bias else {"bias_term": False}
        self.shapes[name] = (out, (side + 2 * pad - kernel) // stride + 1)
        return self.layer("Convolution", name, [bottom], name, tuple(blobs), **params)

    def relu(self, bottom: str, name: str = "") -> str:
        return self.layer("ReLU", name or f"relu_{bottom}", [bottom], bottom)

    def pool(self, name: str, bottom: str, kernel: int, stride: int, pad: int = 0, kind: int = 0) -> str:
        channels, side = self.shapes[bottom]
        count = -(-(side + 2 * pad - kernel) // stride) + 1
        count -= pad > 0 and (count - 1) * stride >= side + pad
        self.shapes[name] = (channels, count)
        params = {"pool": kind, "kernel_size": kernel, "stride": stride} | ({"pad": pad} if pad else {})
        return self.layer("Pooling", name, [bottom], name, **params)

    def global_pool(self, name: str, bottom: str) -> str:
        self.shapes[name] = (self.shapes[bottom][0], 1)
        return self.layer("Pooling", name, [bottom], name, pool=1, global_pooling=True)

    def lrn(self, name: str, bottom: str, **params: Any) -> str:
        self.shapes[name] = self.shapes[bottom]
        return self.layer("LRN", name, [bottom], name, **({"local_size": 5, "alpha": 1e-4, "beta": 0.75} | params))

    def dense(self, name: str, bottom: str, out: int) -> str:
        channels, side = self.shapes[bottom]
        fan_in = channels * side * side
        blobs = (self.numbers(out, fan_in, scale=(2 / fan_in) ** 0.5), self.numbers(out, scale=0.1))
        self.shapes[name] = (out, 1)
        return self.layer("InnerProduct", name, [bottom], name, blobs, num_output=out)

    def concat(self, name: str, bottoms: list[str]) -> str:
        self.shapes[name] = (sum(self.shapes[b][0] for b in bottoms), self.shapes[bottoms[0]][1])
        return self.layer("Concat", name, bottoms, name)

    def norm(self, suffix: str, bottom: str) -> str:
        """Sums with their factor, then scale and shift, in place."""
        count = self.shapes[bottom][0]
        factor = np.array([999.982], np.float32)
        statistics = (factor * self.numbers(count, scale=0.1), factor * self.numbers(count, low=0.5), factor)
        self.layer("BatchNorm", f"bn{suffix}", [bottom], bottom, statistics, use_global_stats=True)
        blobs = (self.numbers(count, low=0.4, scale=0.5), self.numbers(count, scale=0.1))
        return self.layer("Scale", f"scale{suffix}", [bottom], bottom, blobs, bias_term=True)

    def add(self, name: str, bottoms: list[str]) -> str:
        self.shapes[name] = self.shapes[bottoms[0]]
        return self.layer("Eltwise", name, bottoms, name)


def alexnet(net: Caffe, **lrn: float) -> None:
    """bvlc_alexnet/deploy.prototxt."""
    x = net.relu(net.conv("conv1", "data", 96, 11, 4), "relu1")
    x = net.pool("pool1", net.lrn("norm1", x, **lrn), 3, 2)
    x = net.relu(net.conv("conv2", x, 256, 5, pad=2, group=2), "relu2")
    x = net.pool("pool2", net.lrn("norm2", x, **lrn), 3, 2)
    x = net.relu(net.conv("conv3", x, 384, 3, pad=1), "relu3")
    x = net.relu(net.conv("conv4", x, 384, 3, pad=1, group=2), "relu4")
    x = net.relu(net.conv("conv5", x, 256, 3, pad=1, group=2), "relu5")
    _dense(net, net.pool("pool5", x, 3, 2))


def caffenet(net: Caffe) -> None:
    """bvlc_reference_caffenet/deploy.prototxt: pools before it normalises."""
    x = net.relu(net.conv("conv1", "data", 96, 11, 4), "relu1")
    x = net.lrn("norm1", net.pool("pool1", x, 3, 2))
    x = net.relu(net.conv("conv2", x, 256, 5, pad=2, group=2), "relu2")
    x = net.lrn("norm2", net.pool("pool2", x, 3, 2))
    x = net.relu(net.conv("conv3", x, 384, 3, pad=1), "relu3")
    x = net.relu(net.conv("conv4", x, 384, 3, pad=1, group=2), "relu4")
    x = net.relu(net.conv("conv5", x, 256, 3, pad=1, group=2), "relu5")
    _dense(net, net.pool("pool5", x, 3, 2))


def _dense(net: Caffe, x: str) -> None:
    x = net.relu(net.dense("fc6", x, 4096), "relu6")
    x = net.relu(net.dense("fc7", x, 4096), "relu7")
    net.dense("fc8", x, net.classes)


def vgg(net: Caffe, counts: tuple[int, ...]) -> None:
    """VGG_ILSVRC_16_layers_deploy.prototxt, and that of 19."""
    x = "data"
    for level, (count, width) in enumerate(zip(counts, (64, 128, 256, 512, 512), strict=True), 1):
        for number in range(1, count + 1):
            x = net.relu(net.conv(f"conv{level}_{number}", x, width, 3, pad=1))
        x = net.pool(f"pool{level}", x, 2, 2)
    _dense(net, x)


def googlenet(net: Caffe, *, heads: bool) -> None:
    """bvlc_googlenet/train_val.prototxt."""
    x = net.relu(net.conv("conv1/7x7_s2", "data", 64, 7, 2, 3))
    x = net.lrn("pool1/norm1", net.pool("pool1/3x3_s2", x, 3, 2))
    x = net.relu(net.conv("conv2/3x3_reduce", x, 64, 1))
    x = net.lrn("conv2/norm2", net.relu(net.conv("conv2/3x3", x, 192, 3, pad=1)))
    x = net.pool("pool2/3x3_s2", x, 3, 2)
    for name, widths in INCEPTIONS.items():
        x = _inception(net, f"inception_{name}", x, *widths)
        if heads and name in ("4a", "4d"):
            _side(net, "loss1" if name == "4a" else "loss2", x)
        if name in ("3b", "4e"):
            x = net.pool(f"pool{name[0]}/3x3_s2", x, 3, 2)
    net.dense("loss3/classifier", net.global_pool("pool5/7x7_s1", x), net.classes)


INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip


def _inception(net: Caffe, name: str, x: str, one: int, r3: int, three: int, r5: int, five: int, pool: int) -> str:
    a = net.relu(net.conv(f"{name}/1x1", x, one, 1))
    b = net.relu(net.conv(f"{name}/3x3_reduce", x, r3, 1))
    b = net.relu(net.conv(f"{name}/3x3", b, three, 3, pad=1))
    c = net.relu(net.conv(f"{name}/5x5_reduce", x, r5, 1))
    c = net.relu(net.conv(f"{name}/5x5", c, five, 5, pad=2))
    d = net.relu(net.conv(f"{name}/pool_proj", net.pool(f"{name}/pool", x, 3, 1, 1), pool, 1))
    return net.concat(f"{name}/output", [a, b, c, d])


def _side(net: Caffe, name: str, x: str) -> None:
    x = net.relu(net.conv(f"{name}/conv", net.pool(f"{name}/ave_pool", x, 5, 3, kind=1), 128, 1))
    net.dense(f"{name}/classifier", net.relu(net.dense(f"{name}/fc", x, 1024)), net.classes)


def squeezenet(net: Caffe) -> None:
    """SqueezeNet_v1.1/deploy.prototxt."""
    x = net.pool("pool1", net.relu(net.conv("conv1", "data", 64, 3, 2)), 3, 2)
    widths = {
        2: (16, 64),
        3: (16, 64),
        4: (32, 128),
        5: (32, 128),
        6: (48, 192),
        7: (48, 192),
        8: (64, 256),
        9: (64, 256),
    }
    for number, (squeeze, expand) in widths.items():
        s = net.relu(net.conv(f"fire{number}/squeeze1x1", x, squeeze, 1))
        one = net.relu(net.conv(f"fire{number}/expand1x1", s, expand, 1))
        three = net.relu(net.conv(f"fire{number}/expand3x3", s, expand, 3, pad=1))
        x = net.concat(f"fire{number}/concat", [one, three])
        if number in (3, 5):
            x = net.pool(f"pool{number}", x, 3, 2)
    net.global_pool("pool10", net.relu(net.conv("conv10", x, net.classes, 1)))


def resnet(net: Caffe, names: Callable[[int], list[str]], *, stem_bias: bool, pad: int = 0, late: bool = False) -> None:
    """ResNet-*-deploy.prototxt. `late` strides in the 3x3, as the release does not."""
    x = net.relu(net.norm("_conv1", net.conv("conv1", "data", 64, 7, 2, 3, bias=stem_bias)))
    x = net.pool("pool1", x, 3, 2, pad)
    for level, width in ((2, 64), (3, 128), (4, 256), (5, 512)):
        for place, letter in enumerate(names(level)):
            stride = 2 if level > 2 and place == 0 else 1
            name = f"{level}{letter}_branch"
            early, then = (1, stride) if late else (stride, 1)
            shortcut = x
            if place == 0:
                shortcut = net.norm(f"{name}1", net.conv(f"res{name}1", x, 4 * width, 1, stride, bias=False))
            y = net.relu(net.norm(f"{name}2a", net.conv(f"res{name}2a", x, width, 1, early, bias=False)))
            y = net.relu(net.norm(f"{name}2b", net.conv(f"res{name}2b", y, width, 3, then, 1, bias=False)))
            y = net.norm(f"{name}2c", net.conv(f"res{name}2c", y, 4 * width, 1, bias=False))
            x = net.relu(net.add(f"res{level}{letter}", [shortcut, y]))
    net.dense("fc1000", net.global_pool("pool5", x), net.classes)


def letters(*counts: int) -> Callable[[int], list[str]]:
    """Blocks of conv2_x to conv5_x: a, b, c ... to six; longer nets have a, b1, b2 ... in their middle levels."""

    def names(level: int) -> list[str]:
        count = counts[level - 2]
        if max(counts) > 6 and level in (3, 4):
            return ["a", *(f"b{number}" for number in range(1, count))]
        return list("abcdef"[:count])

    return names
