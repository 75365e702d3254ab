"""Layers of transformers: an image as tokens (T, C), one for each of its patches, and attention between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from deepenough.nets.layer import Layer, Shape, ShapeError

__all__ = ["FirstToken", "SelfAttention", "Tokens"]

NO_TOKENS = "Caffe 1.0 multiplies no two feature maps as matrices, which attention between tokens does"


@dataclass(frozen=True, repr=False)
class Tokens(Layer):
    """A map (C, H, W), a patch embedding, as tokens (1 + H * W, C): the class token, and the positions row by row.

    A trained position embedding is added to each (Dosovitskiy et al. 2020, arXiv 2010.11929, eq. 1). It is one for maps
    of `rows` by `columns`; for maps of another size it is interpolated (bicubic, section 3.2 there). Without a
    `class_token` there are H * W tokens, whose mean is classified (appendix D.3 there); without `position`
    nothing is added.
    """

    rows: int
    columns: int
    class_token: bool = True
    position: bool = True

    keeps_sign = False
    missing: ClassVar[Mapping[str, str]] = {"caffe": NO_TOKENS}

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the map that the positions are for."""
        return self.rows, self.columns

    def output(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise ShapeError("(channels, height, width)")
        return self.class_token + prod(shape[1:]), shape[0]

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        found: dict[str, Shape] = {"class_token": (1, 1, shape[0])} if self.class_token else {}
        count = self.class_token + self.rows * self.columns
        return found | ({"position": (1, count, shape[0])} if self.position else {})


@dataclass(frozen=True, repr=False)
class SelfAttention(Layer):
    """Scaled dot-product attention between tokens: queries, keys and values side by side, (T, 3 C), to (T, C).

    softmax(q k' / sqrt(C / heads)) v for each of `heads` equal parts of the channels (Vaswani et al. 2017, arXiv
    1706.03762, section 3.2). It has no weights: dense layers before and behind it are the projections.
    """

    heads: int

    called = "attention"
    sees_all = True
    keeps_sign = False
    remembered = 2
    missing: ClassVar[Mapping[str, str]] = {"caffe": NO_TOKENS}

    def output(self, shape: Shape) -> Shape:
        if len(shape) != 2 or shape[1] % (3 * self.heads):
            raise ShapeError(f"(tokens, channels), whose channels are queries, keys and values for {self.heads} heads")
        return shape[0], shape[1] // 3

    def macs(self, shape: Shape) -> int:
        """Each query with each key, and the values weighted by that."""
        tokens, channels = self.output(shape)
        return 2 * tokens * tokens * channels


@dataclass(frozen=True, repr=False)
class FirstToken(Layer):
    """The class token of (T, C): (C,)."""

    called = "token"
    missing: ClassVar[Mapping[str, str]] = {"caffe": NO_TOKENS}

    def output(self, shape: Shape) -> Shape:
        if len(shape) != 2:
            raise ShapeError("(tokens, channels): put it behind Tokens()")
        return (shape[1],)
