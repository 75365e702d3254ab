"""Activations: functions of each value by itself. A class here is all that there is to say of one, in every framework.

To add one, write its class and add its name to `__all__`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from deepenough.nets.layer import Layer

__all__ = ["Activation", "Relu", "Sigmoid"]


class Node(NamedTuple):
    """A layer or operator of a framework whose networks are graphs.

    `inputs` counts: 0 is what the activation is given, 1 what its first node gives, and so on. The last node's output
    is the activation's.
    """

    kind: str
    inputs: tuple[int, ...] = (0,)
    attributes: Mapping[str, Any] = {}


@dataclass(frozen=True, repr=False)
class Activation(Layer, base=True):
    """A function of each value by itself.

    Where a framework lacks it, its line is left out and `missing` has the reason.
    """

    torch: ClassVar[str] = ""  # the module in torch.nn, made without arguments
    paddle: ClassVar[str] = ""  # the layer in paddle.nn, made without arguments
    keras: ClassVar[str] = ""  # what keras.layers.Activation takes; TensorFlow and LiteRT are written by way of Keras
    onnx: ClassVar[tuple[Node, ...]] = ()
    caffe: ClassVar[tuple[Node, ...]] = ()
    inplace: ClassVar[bool] = False  # torch's module has `inplace`, and its backward pass needs only the output
    idempotent: ClassVar[bool] = False  # applying it twice is applying it once

    @staticmethod
    @abstractmethod
    def of(x: float) -> float:
        """The function itself, which every framework's is compared with."""


@dataclass(frozen=True, repr=False)
class Relu(Activation):
    """max(x, 0)."""

    torch = paddle = "ReLU"
    keras = "relu"
    onnx = (Node("Relu"),)
    caffe = (Node("ReLU"),)
    inplace = idempotent = nonnegative = True

    @staticmethod
    def of(x: float) -> float:
        return max(x, 0.0)


@dataclass(frozen=True, repr=False)
class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    torch = paddle = "Sigmoid"
    keras = "sigmoid"
    onnx = (Node("Sigmoid"),)
    caffe = (Node("Sigmoid"),)
    nonnegative = True

    @staticmethod
    def of(x: float) -> float:
        return 1 / (1 + math.exp(-x))
