"""Layers as values, paths, shape errors, and JSON that is not a network."""

from __future__ import annotations

import json
import pickle

import pytest

import deepenough.nets as nets
from deepenough.errors import DeepenoughError
from deepenough.nets import (
    Auxiliary,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Group,
    MaxPool,
    Network,
    Product,
    Relu,
    Sum,
    Tokens,
)


def test_repr_leaves_defaults_out() -> None:
    assert repr(Conv(8)) == "Conv(8)"
    assert repr(Conv(8, 1, bias=False, name="squeeze")) == "Conv(8, name='squeeze', kernel=1, bias=False)"
    assert repr(Relu()) == "Relu()"


def test_paths_read_like_the_network() -> None:
    block = Sum(((Conv(4), Relu(), Conv(4)), ()), name="block1")
    net = Network("n", (3, 8, 8), (Conv(4), Group((block, Relu()), name="level1"), GlobalAvgPool(), Dense(2)))
    assert [row.path for row in nets.layer_table(net)] == [
        "conv",
        "level1.block1.main.conv1",
        "level1.block1.main.relu",
        "level1.block1.main.conv2",
        "level1.block1",
        "level1.relu",
        "pool",
        "dense",
    ]


def test_a_copy_of_a_network_takes_no_walks_along() -> None:
    """What was found in a walk stays with the network, and out of what is sent to other processes."""
    net = Network("n", (3, 8, 8), (Conv(4), GlobalAvgPool(), Dense(2)))
    untouched = pickle.dumps(net)
    assert net.classes == 2
    assert len(nets.layer_table(net)) == 3
    assert pickle.dumps(net) == untouched
    assert pickle.loads(untouched) == net
    assert net.with_classes(5).classes == 5


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        ((Group((MaxPool(2), Conv(4, 5, padding=0)), name="level1"),), ["level1.conv", "(3, 4, 4)", "at least 5"]),
        ((Conv(8, groups=2),), ["conv", "(3, 8, 8)", "2 groups"]),
        ((nets.GroupNorm(2),), ["norm", "(3, 8, 8)", "2 groups"]),
        ((Flatten(), nets.GroupNorm(2)), ["norm", "(192,)", "before Flatten"]),
        ((Conv(8, 5, padding=0, dilation=2),), ["conv", "(3, 8, 8)", "at least 9"]),
        ((Dense(2),), ["dense", "(3, 8, 8)", "Flatten()"]),
        ((Flatten(), Conv(2)), ["conv", "(192,)", "before Flatten"]),
        ((Sum(((Conv(4),), ()), name="block1"),), ["block1", "main (4, 8, 8)", "shortcut (3, 8, 8)"]),
        ((Concat(((MaxPool(2),), ())),), ["concat", "branch1 (3, 4, 4)", "branch2 (3, 8, 8)"]),
        ((Product(((), (GlobalAvgPool(keep=True), Conv(2, 1)))),), ["product", "gate (2, 1, 1)", "its channels"]),
        ((Tokens(8, 8), nets.SelfAttention(2)), ["attention", "(65, 3)", "2 heads"]),
        ((nets.ChannelSlice(2, 9),), ["slice", "(3, 8, 8)", "channels up to 9"]),
        ((nets.ChannelSlice(2, 2),), ["slice", "(3, 8, 8)", "a stop behind the start, 2"]),
        ((Tokens(8, 8), nets.ChannelSlice(0, 1)), ["slice", "(65, 3)", "not tokens"]),
        ((Tokens(8, 8), nets.PRelu()), ["prelu", "(65, 3)", "PRelu(shared=True)"]),
        ((nets.FirstToken(),), ["token", "(3, 8, 8)", "Tokens()"]),
        ((Flatten(), Tokens(2, 2)), ["tokens", "(192,)", "(channels, height, width)"]),
        ((Tokens(8, 8), nets.BatchNorm()), ["norm", "(65, 3)", "LayerNorm()"]),
        ((Tokens(8, 8, class_token=False), nets.BatchNorm()), ["norm", "(64, 3)", "LayerNorm()"]),
        ((Tokens(8, 8), Conv(2)), ["conv", "(65, 3)", "before Flatten"]),
        ((Tokens(8, 8), Concat(((), ()))), ["concat", "not tokens"]),
    ],
)
def test_a_shape_error_names_layer_input_and_need(stack: nets.Stack, words: list[str]) -> None:
    with pytest.raises(nets.ShapeError) as caught:
        nets.output_shape(Network("n", (3, 8, 8), stack))
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv(0),
        lambda: Conv(4, stride=0),
        lambda: Conv(4, dilation=0),
        lambda: Conv(4, name="a.b"),
        lambda: MaxPool(2, padding=2),
        lambda: nets.Dropout(1.0),
        lambda: nets.StochasticDepth(-0.1),
        lambda: Conv(4, padding=1, same=True),
        lambda: nets.SelfAttention(0),
        lambda: Tokens(0, 3),
        lambda: nets.BatchNorm(eps=float("nan")),
        lambda: Sum(((),)),
        lambda: Network("n", (3, 8), ()),  # type: ignore[arg-type]
        lambda: Network("n", (3, 8, 8), (Group((Auxiliary((Dense(2),)),)),)),
        lambda: nets.output_shape(Network("n", (3, 8, 8), (Conv(4, name="conv1"), Conv(4), Conv(4)))),
    ],
)
def test_what_makes_no_sense_is_refused(make: object) -> None:
    with pytest.raises(DeepenoughError):
        make()  # type: ignore[operator]


def _json(**changes: object) -> str:
    document = json.loads(nets.dumps(Network("n", (3, 8, 8), (Conv(4), Flatten(), Dense(2)))))
    return json.dumps(document | changes)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("[]", "not a network"),
        (_json(format=99), "format 99"),
        (_json(colour=1), "colour"),
        (_json(input=[3, 8]), "input"),
        (_json(input="3x8x8"), "input"),
        (_json(stack=[{"kind": "Covn", "out": 3}]), "Conv"),
        (_json(stack=[{"kind": "Conv"}]), "lacks out"),
        (_json(stack=[{"kind": "Conv", "out": "4"}]), "out"),
        (_json(stack=[{"kind": "Conv", "out": True}]), "out"),
        (_json(stack=[{"kind": "Conv", "out": 4, "kernal": 3}]), "kernel"),
        (_json(stack=[{"kind": "Sum", "branches": 3}]), "branches"),
        (_json(stack=[3]), "kind"),
        ("[" * 100_000, "deep"),
    ],
)
def test_json_that_is_no_network_is_explained(text: str, word: str) -> None:
    with pytest.raises(DeepenoughError, match=word):
        nets.loads(text)
