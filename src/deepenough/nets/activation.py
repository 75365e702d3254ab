"""Activations: functions of each value by itself. A class here is all that there is to say of one, in every framework.

To add one, write its class and add its name to `__all__`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from deepenough.nets.layer import Layer, Shape, ShapeError
from deepenough.nets.layers import channels

__all__ = ["Activation", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Relu6",
           "Sigmoid", "Silu", "Tanh"]  # fmt: skip


class Own:
    """The activation's own number, in the table of an activation that has one."""


OWN = Own()


class Slopes:
    """The trained slopes, in the table of an activation that has them."""


SLOPES = Slopes()


class Node(NamedTuple):
    """A layer or operator of a framework whose networks are graphs.

    `inputs` counts: 0 is what the activation is given, 1 what its first node gives, and so on. The last node's output
    is the activation's. `constants` are inputs behind them (ONNX, TensorFlow.js).
    """

    kind: str
    inputs: tuple[int, ...] = (0,)
    attributes: Mapping[str, Any] = {}
    constants: tuple[Any, ...] = ()


@dataclass(frozen=True, repr=False)
class Activation(Layer, base=True):
    """A function of each value by itself.

    Where a framework lacks it, its line is left out and `missing` has the reason. One that has a number, `parameter`
    being its name, is in torch, Paddle and Keras a layer that takes it as its only argument, and `OWN` stands for it in
    graphs.
    """

    parameter: ClassVar[str] = ""
    torch: ClassVar[str] = ""  # the module in torch.nn
    paddle: ClassVar[str] = ""  # the layer in paddle.nn
    keras: ClassVar[str] = ""  # what keras.layers.Activation takes; TensorFlow and LiteRT are written by way of Keras
    onnx: ClassVar[tuple[Node, ...]] = ()
    caffe: ClassVar[tuple[Node, ...]] = ()
    coreml: ClassVar[tuple[Node, ...]] = ()
    ncnn: ClassVar[tuple[Node, ...]] = ()  # one layer; attributes are parameters by their numbers
    tfjs: ClassVar[tuple[Node, ...]] = ()
    inplace: ClassVar[bool] = False  # torch's module has `inplace`, and its backward pass needs only the output
    idempotent: ClassVar[bool] = False  # applying it twice is applying it once

    @property
    def arguments(self) -> tuple[float, ...]:
        """The number that it has, if it has one."""
        return (getattr(self, self.parameter),) if self.parameter else ()

    def nodes(self, framework: str) -> tuple[Node, ...]:
        """The nodes in a framework whose networks are graphs, with its own number."""
        table: tuple[Node, ...] = getattr(self, framework)
        return tuple(
            node._replace(attributes=self._filled(node.attributes), constants=tuple(map(self._filled, node.constants)))
            for node in table
        )

    def _filled(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._filled(each) for key, each in value.items()}
        return self.arguments[0] if value is OWN else value

    @staticmethod
    @abstractmethod
    def of(x: float) -> float:
        """The function itself, which every framework's is compared with; a number of its own is the default one."""


@dataclass(frozen=True, repr=False)
class Relu(Activation):
    """max(x, 0)."""

    torch = paddle = "ReLU"
    keras = "relu"
    onnx = (Node("Relu"),)
    caffe = (Node("ReLU"),)
    coreml = (Node("relu"),)
    ncnn = (Node("ReLU"),)
    tfjs = (Node("Relu"),)
    inplace = idempotent = nonnegative = True

    @staticmethod
    def of(x: float) -> float:
        return max(x, 0.0)


@dataclass(frozen=True, repr=False)
class LeakyRelu(Activation):
    """x, and `slope` times x where it is negative (Maas et al. 2013, section 2)."""

    slope: float = 0.01

    parameter = "slope"
    torch = paddle = keras = "LeakyReLU"
    onnx = (Node("LeakyRelu", attributes={"alpha": OWN}),)
    caffe = (Node("ReLU", attributes={"relu_param": {"negative_slope": OWN}}),)
    coreml = (Node("leaky_relu", attributes={"alpha": OWN}),)
    ncnn = (Node("ReLU", attributes={"0": OWN}),)
    tfjs = (Node("LeakyRelu", attributes={"alpha": OWN}),)

    @staticmethod
    def of(x: float, slope: float = 0.01) -> float:
        return x if x >= 0 else slope * x


@dataclass(frozen=True, repr=False)
class PRelu(Activation):
    """x, and a trained slope times x where it is negative (He et al. 2015, arXiv 1502.01852, section 2.1).

    There is a slope for each channel, or with `shared` one for all. They start at 0.25, as there. As all that has one
    dimension they do not decay, which would draw them towards a ReLU's.
    """

    shared: bool = False

    torch = paddle = keras = "PReLU"
    onnx = (Node("PRelu", constants=(SLOPES,)),)
    caffe = (Node("PReLU"),)
    coreml = (Node("prelu"),)
    ncnn = (Node("PReLU"),)
    tfjs = (
        Node("Relu"), Node("Minimum", constants=(0.0,)), Node("Mul", (2,), constants=(SLOPES,)), Node("AddV2", (1, 3)),
    )  # fmt: skip

    start: ClassVar[float] = 0.25

    def output(self, shape: Shape) -> Shape:
        if len(shape) == 2 and not self.shared:
            raise ShapeError("(channels, height, width) or (features,): tokens take PRelu(shared=True)")
        return shape

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return {"weight": (1 if self.shared else channels(shape),)}

    @staticmethod
    def of(x: float, slope: float = 0.25) -> float:
        return x if x >= 0 else slope * x


@dataclass(frozen=True, repr=False)
class Elu(Activation):
    """x, and `alpha` * (exp(x) - 1) where it is negative (Clevert et al. 2015, arXiv 1511.07289)."""

    alpha: float = 1.0

    parameter = "alpha"
    torch = paddle = keras = "ELU"
    onnx = (Node("Elu", attributes={"alpha": OWN}),)
    caffe = (Node("ELU", attributes={"elu_param": {"alpha": OWN}}),)
    coreml = (Node("elu", attributes={"alpha": OWN}),)
    ncnn = (Node("ELU", attributes={"0": OWN}),)
    tfjs = (
        Node("Relu"), Node("Minimum", constants=(0.0,)), Node("Expm1", (2,)), Node("Mul", (3,), constants=(OWN,)),
        Node("AddV2", (1, 4)),
    )  # fmt: skip

    @staticmethod
    def of(x: float, alpha: float = 1.0) -> float:
        return x if x >= 0 else alpha * math.expm1(x)


@dataclass(frozen=True, repr=False)
class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    torch = paddle = "Sigmoid"
    keras = "sigmoid"
    onnx = (Node("Sigmoid"),)
    caffe = (Node("Sigmoid"),)
    coreml = (Node("sigmoid"),)
    ncnn = (Node("Sigmoid"),)
    tfjs = (Node("Sigmoid"),)
    nonnegative = True

    @staticmethod
    def of(x: float) -> float:
        return 1 / (1 + math.exp(-x))


def _caffe_clipped(shift: float, scale: float, top: float) -> tuple[Node, ...]:
    """Nodes 1 to 5 of min(max(scale * x + shift, 0), top), which Caffe has no layer for: relu(y) - relu(y - top)."""
    return (
        Node("Power", attributes={"power_param": {"scale": scale, "shift": shift}}),
        Node("ReLU", (1,)),
        Node("Power", (1,), {"power_param": {"shift": -top}}),
        Node("ReLU", (3,)),
        Node("Eltwise", (2, 4), {"eltwise_param": {"operation": "SUM", "coeff": [1.0, -1.0]}}),
    )


_CAFFE_PRODUCT = {"eltwise_param": {"operation": "PROD"}}
_TFJS_HARD_SIGMOID = (
    Node("AddV2", constants=(3.0,)), Node("Relu6", (1,)), Node("Mul", (2,), constants=(1 / 6,)),
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Relu6(Activation):
    """min(max(x, 0), 6), the clipped ReLU of MobileNetV2 (Krizhevsky 2010)."""

    torch = paddle = "ReLU6"
    keras = "relu6"
    onnx = (Node("Clip", constants=(0.0, 6.0)),)
    caffe = _caffe_clipped(0.0, 1.0, 6.0)
    coreml = (Node("relu6"),)
    ncnn = (Node("Clip", attributes={"0": 0.0, "1": 6.0}),)
    tfjs = (Node("Relu6"),)
    inplace = idempotent = nonnegative = True

    @staticmethod
    def of(x: float) -> float:
        return min(max(x, 0.0), 6.0)


@dataclass(frozen=True, repr=False)
class Silu(Activation):
    """x * sigmoid(x), also called swish (Elfwing et al. 2017, arXiv 1702.03118)."""

    torch = "SiLU"
    paddle = "Silu"
    keras = "silu"
    onnx = (Node("Sigmoid"), Node("Mul", (0, 1)))
    caffe = (Node("Sigmoid"), Node("Eltwise", (0, 1), _CAFFE_PRODUCT))
    coreml = (Node("silu"),)
    ncnn = (Node("Swish"),)
    tfjs = (Node("Sigmoid"), Node("Mul", (0, 1)))

    @staticmethod
    def of(x: float) -> float:
        return x / (1 + math.exp(-x))


@dataclass(frozen=True, repr=False)
class HardSigmoid(Activation):
    """min(max(x + 3, 0), 6) / 6 (Howard et al. 2019, arXiv 1905.02244, section 5.2)."""

    torch = paddle = "Hardsigmoid"
    keras = "hard_sigmoid"
    onnx = (Node("HardSigmoid", attributes={"alpha": 1 / 6, "beta": 0.5}),)
    caffe = _caffe_clipped(0.5, 1 / 6, 1.0)
    coreml = (Node("sigmoid_hard", attributes={"alpha": 1 / 6, "beta": 0.5}),)
    ncnn = (Node("HardSigmoid", attributes={"0": 1 / 6, "1": 0.5}),)
    tfjs = _TFJS_HARD_SIGMOID
    nonnegative = True

    @staticmethod
    def of(x: float) -> float:
        return min(max(x + 3, 0.0), 6.0) / 6


@dataclass(frozen=True, repr=False)
class HardSwish(Activation):
    """x * hard_sigmoid(x) (Howard et al. 2019, arXiv 1905.02244, section 5.2)."""

    torch = paddle = "Hardswish"
    keras = "hard_silu"
    onnx = (Node("HardSwish"),)
    caffe = (*_caffe_clipped(0.5, 1 / 6, 1.0), Node("Eltwise", (0, 5), _CAFFE_PRODUCT))
    coreml = (Node("sigmoid_hard", attributes={"alpha": 1 / 6, "beta": 0.5}), Node("mul", (0, 1)))
    ncnn = (Node("HardSwish", attributes={"0": 1 / 6, "1": 0.5}),)
    tfjs = (*_TFJS_HARD_SIGMOID, Node("Mul", (0, 3)))

    @staticmethod
    def of(x: float) -> float:
        return x * min(max(x + 3, 0.0), 6.0) / 6


@dataclass(frozen=True, repr=False)
class Gelu(Activation):
    """x times the normal distribution function of x, exactly (Hendrycks & Gimpel 2016, arXiv 1606.08415, section 2)."""

    torch = paddle = "GELU"
    keras = "gelu"
    onnx = (Node("Gelu"),)
    coreml = (Node("gelu", attributes={"mode": "EXACT"}),)
    ncnn = (Node("GELU", attributes={"0": 0}),)
    tfjs = (
        Node("Mul", constants=(math.sqrt(0.5),)), Node("Erf", (1,)), Node("AddV2", (2,), constants=(1.0,)),
        Node("Mul", (0, 3)), Node("Mul", (4,), constants=(0.5,)),
    )  # fmt: skip
    missing: ClassVar[Mapping[str, str]] = {"caffe": "Caffe 1.0 has no error function, which GELU is made of"}

    @staticmethod
    def of(x: float) -> float:
        return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


@dataclass(frozen=True, repr=False)
class Tanh(Activation):
    """The hyperbolic tangent."""

    torch = paddle = "Tanh"
    keras = "tanh"
    onnx = (Node("Tanh"),)
    caffe = (Node("TanH"),)
    coreml = (Node("tanh"),)
    ncnn = (Node("TanH"),)
    tfjs = (Node("Tanh"),)

    @staticmethod
    def of(x: float) -> float:
        return math.tanh(x)


@dataclass(frozen=True, repr=False)
class Mish(Activation):
    """x * tanh(log(1 + exp(x))) (Misra 2019, arXiv 1908.08681)."""

    torch = paddle = "Mish"
    keras = "mish"
    onnx = (Node("Mish"),)
    caffe = (Node("BNLL"), Node("TanH", (1,)), Node("Eltwise", (0, 2), _CAFFE_PRODUCT))
    coreml = (Node("softplus"), Node("tanh", (1,)), Node("mul", (0, 2)))
    ncnn = (Node("Mish"),)
    tfjs = (Node("Softplus"), Node("Tanh", (1,)), Node("Mul", (0, 2)))

    @staticmethod
    def of(x: float) -> float:
        return x * math.tanh(math.log1p(math.exp(x)))
