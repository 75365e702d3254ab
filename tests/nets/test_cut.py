"""Where networks can end, and that a cut network computes what the whole one computes up to there."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from export_cases import narrow

from deepenough import nets
from deepenough.errors import DeepenoughError
from deepenough.nets import (
    FAMILIES,
    NETWORKS,
    Activation,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Group,
    Layer,
    Network,
    Relu,
    Sum,
    depth,
    shapes,
)
from deepenough.nets.build import build
from deepenough.nets.cut import cut_at, cuts
from deepenough.nets.shapes import ShapeWalk, output_shape, visits

pytestmark = pytest.mark.seconds(12)

SIDE = 96  # the smallest that AlexNet takes


def test_levels_without_blocks_have_no_places() -> None:
    shallow = FAMILIES["residual"].network(input=(3, 32, 32), classes=3, depth=3)
    found = cuts(shallow)
    assert found
    assert all(any(visit.path.startswith(c.place) for visit in visits(shallow)) for c in found)


def test_the_places_of_a_network_are_its_blocks_and_its_layers_with_their_activations() -> None:
    def places(name: str) -> list[str]:
        return [c.place for c in cuts(NETWORKS[name]())]

    assert places("squeezenet1_1") == ["conv1", *(f"fire{n}" for n in range(2, 10))]
    assert places("alexnet") == [*(f"conv{n}" for n in range(1, 6)), "dense1", "dense2"]
    assert places("resnet50") == [
        "stem.conv",
        *(f"level{level}.block{block}" for level, count in enumerate((3, 4, 6, 3), 1) for block in range(1, count + 1)),
    ]
    for shape in ((1, 16, 16), (1, 28, 28), (3, 224, 224)):  # the stem of larger images has a pool before its norm
        shallow = FAMILIES["residual"].network(shape, 3, depth=9)
        first = cuts(shallow)[0]
        assert first.place == "stem.conv"
        assert output_shape(replace(shallow, stack=first.stack))[1] == {16: 16, 28: 14, 224: 56}[shape[1]]
    assert places("googlenet") == [
        "conv1",
        "conv2",
        "conv3",
        *(f"inception{m}" for m in ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]),
    ]


@pytest.mark.parametrize("name", [*NETWORKS, *FAMILIES])
def test_a_cut_computes_what_the_whole_network_does_up_to_there(name: str) -> None:
    _check_cuts(_small(name))


def _check_cuts(whole: Network) -> None:
    module = build(whole, seed=3).eval()
    state = module.state_dict()
    places = cuts(whole)
    heard: dict[str, torch.Tensor] = {}
    for c in places:
        module.get_submodule(c.path).register_forward_hook(lambda _, __, out, p=c.place: heard.update({p: out}))
    images = torch.randn(1, *whole.input, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        module(images)
        for c in (places[0], places[len(places) // 2], places[-1]):
            shorter = build(cut_at(whole, c.place, 7)).eval()
            kept = shorter.state_dict()
            new = [key for key in kept if key.startswith(("scale.", "head."))]
            shorter.load_state_dict({key: kept[key] if key in new else state[key] for key in kept})
            out: list[torch.Tensor] = []
            shorter.get_submodule(c.path).register_forward_hook(lambda _, __, x, out=out: out.append(x))
            assert shorter(images).shape == (1, 7)
            assert torch.equal(out[0], heard[c.place])


@pytest.mark.parametrize("name", [*NETWORKS, *FAMILIES])
def test_cuts_are_ordinary_networks_that_grow_deeper(name: str) -> None:
    whole = _small(name)
    made = [cut_at(whole, c.place, 5) for c in cuts(whole)]
    depths = [depth(network) for network in made]
    assert depths == sorted(set(depths))
    assert depths[-1] == depth(whole)
    for network in made:
        assert network.classes == 5
        assert nets.loads(nets.dumps(network)) == network


def test_no_cut_lies_between_a_sum_and_its_activation_or_in_a_branch() -> None:
    for name in NETWORKS:
        whole = NETWORKS[name]()
        walk = [visit for visit in visits(whole) if not isinstance(visit.layer, BatchNorm)]
        after = {visit.path: behind.layer for visit, behind in pairwise(walk)}
        layers = {visit.path: visit.layer for visit in walk}
        for c in cuts(whole):
            last = layers.get(c.path)  # None for a group that is a block, which has no layer of its own
            assert last is None or isinstance(last, (Activation, Sum, Concat))
            assert not isinstance(last, Sum) or not isinstance(after[c.path], Activation)
            assert ".main" not in c.path
            assert ".shortcut" not in c.path


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet", "mobilenet_v2", "vit_tiny_patch16_224"])
def test_a_network_is_walked_once_for_all_its_places(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[Network] = []

    class Counted(ShapeWalk):
        def __init__(self, network: Network, training: bool) -> None:
            walked.append(network)
            super().__init__(network, training)

    monkeypatch.setattr(shapes, "ShapeWalk", Counted)
    network = NETWORKS[name]()
    network.walks.clear()
    assert cuts(network)
    assert walked == [network]


def test_auxiliary_heads_are_left_out() -> None:
    assert not any(
        "auxiliary" in visit.path for visit in visits(cut_at(NETWORKS["googlenet"](), "inception5b", 3), training=True)
    )


def bottleneck(wide: int, out: int, stride: int, name: str, *, residual: bool = False) -> Layer:
    """MobileNetV2's (Sandler et al. 2018, table 1): the last convolution has no activation."""
    stack = (
        *(Conv(wide, 1, bias=False), BatchNorm(), Relu()),
        *(Conv(wide, 3, stride, groups=wide, bias=False), BatchNorm(), Relu()),
        *(Conv(out, 1, bias=False), BatchNorm()),
    )
    return Sum((stack, ()), name=name) if residual else Group(stack, name=name)


def mobile() -> Network:
    """A small MobileNetV2: linear bottlenecks, with a sum around those that keep their shape."""
    first = (Conv(8, groups=8, bias=False), BatchNorm(), Relu(), Conv(4, 1, bias=False), BatchNorm())
    same = [bottleneck(48, 8, 1, name, residual=True) for name in ("block3", "block4")]
    stack = (
        Group((Conv(8, 3, 2, bias=False), BatchNorm(), Relu()), name="stem"),
        Group(first, name="block1"),
        Group((bottleneck(24, 8, 2, "block2"), *same), name="level2"),
        bottleneck(48, 12, 2, "block5"),
        Group((Conv(64, 1, bias=False), BatchNorm(), Relu()), name="last"),
        Group((GlobalAvgPool(), Dense(16), Relu(), Dropout(), Dense(5)), name="classifier"),
    )
    return Network("mobile", (3, 32, 32), stack)


def test_a_block_without_an_activation_behind_it_ends_where_it_ends() -> None:
    whole = mobile()
    found = cuts(whole)
    assert [c.place for c in found] == [
        "stem.conv", "block1", "level2.block2", "level2.block3", "level2.block4", "block5", "last.conv",
        "classifier.dense1",
    ]  # fmt: skip
    assert [c.path for c in found] == [
        "stem.relu", "block1", "level2.block2", "level2.block3", "level2.block4", "block5", "last.relu",
        "classifier.relu",
    ]  # fmt: skip
    assert [depth(cut_at(whole, c.place, 5)) for c in found] == [2, 4, 7, 10, 13, 16, 17, 18]
    _check_cuts(whole)


@pytest.mark.parametrize(
    ("end", "last"),
    [
        ((GlobalAvgPool(), Dropout()), "norm"),
        ((Flatten(),), "flatten"),
        ((Group((GlobalAvgPool(), Dropout()), name="pools"),), "pools.dropout"),
    ],
)
@pytest.mark.parametrize("before", [(), (Conv(6), Relu())])
def test_a_layer_without_an_activation_is_the_end_of_the_whole_network(
    before: tuple[Layer, ...], end: tuple[Layer, ...], last: str
) -> None:
    whole = Network("plain", (3, 8, 8), (*before, Conv(4, name="late"), BatchNorm(name="norm"), *end, Dense(5)))
    found = cuts(whole)
    assert [(c.place, c.path) for c in found] == [("conv", "relu")] * bool(before) + [("late", last)]
    _check_cuts(whole)


def test_the_end_before_a_classifier_in_a_group_needs_no_activation() -> None:
    head = Group((Dropout(), Dense(5)), name="classifier")
    whole = Network("grouped", (3, 8, 8), (Conv(4), BatchNorm(), GlobalAvgPool(), head))
    assert [(c.place, c.path) for c in cuts(whole)] == [("conv", "norm")]
    _check_cuts(whole)


@pytest.mark.parametrize("stack", [(Flatten(), Dense(5)), (GlobalAvgPool(),), ()])
def test_a_network_with_no_weights_before_its_classifier_has_no_places(stack: tuple[Layer, ...]) -> None:
    assert cuts(Network("none", (3, 8, 8), stack)) == []


def test_a_misspelt_place_is_answered_with_the_nearest() -> None:
    with pytest.raises(DeepenoughError, match=r"fire77.*fire7"):
        cut_at(NETWORKS["squeezenet1_1"](), "fire77", 10)


def _small(name: str) -> Network:
    """A network with few channels, for small images: where it can be cut is a matter of its layers alone."""
    if name in FAMILIES:
        family, shape = FAMILIES[name], (3, 32, 32)
        return family.network(input=shape, classes=10, depth=family.depth_of(2, shape), width=0.5)
    return narrow(NETWORKS[name](), 8, (3, SIDE, SIDE))
