"""Properties of the families and of the walks, against torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import deepenough.nets as nets
from deepenough.errors import DeepenoughError
from deepenough.nets import FAMILIES
from deepenough.nets.build import build
from deepenough.nets.grow import grow, grows
from deepenough.nets.norms_before_pools import norms_before_pools
from deepenough.nets.shapes import visits

SIDES = st.integers(8, 56) | st.sampled_from([64, 97])
SMALL = st.integers(8, 28) | st.just(48)
INPUTS = st.tuples(st.integers(1, 5), SIDES, SIDES)
FEW = settings(max_examples=8)


@given(st.sampled_from(sorted(FAMILIES)), INPUTS, st.integers(0, 40), st.floats(0.1, 2), st.integers(2, 20))
@settings(max_examples=60)
def test_a_family_has_every_depth_from_its_shallowest(
    name: str, shape: tuple[int, int, int], more: int, width: float, classes: int
) -> None:
    family = FAMILIES[name]
    depth = family.depth_of(family.fewest, shape) + more
    net = family.network(shape, classes, depth=depth, width=width)
    assert nets.depth(net) == depth
    assert net.classes == classes
    assert nets.loads(nets.dumps(net)) == net == eval(repr(net), dict(vars(nets)))


@given(st.sampled_from(sorted(FAMILIES)), INPUTS, st.integers(1, 5))
@settings(max_examples=30)
def test_whole_blocks_are_spread_evenly(name: str, shape: tuple[int, int, int], blocks: int) -> None:
    family = FAMILIES[name]
    assert set(family.layers_of(family.depth_of(blocks, shape), shape)) == {family.block * blocks}


@given(st.sampled_from(sorted(FAMILIES)), INPUTS, st.integers(0, 7), st.sampled_from([0.25, 0.5]))
@FEW
def test_walks_say_what_torch_does(name: str, shape: tuple[int, int, int], more: int, width: float) -> None:
    family = FAMILIES[name]
    net = family.network(shape, 3, depth=family.depth_of(family.fewest, shape) + more, width=width)
    compare_with_torch(net)


@pytest.mark.parametrize(
    "name",
    [
        "googlenet", "squeezenet1_1", "resnet18", "alexnet", "densenet121", "mobilenet_v3_small", "efficientnet_b2_tf",
        "regnet_y_400mf", "convnext_atto", "vit_tiny_patch16_224",
    ],
)  # fmt: skip
def test_walks_say_what_torch_does_for_published_ones(name: str) -> None:
    compare_with_torch(nets.NETWORKS[name]())


def compare_with_torch(net: nets.Network) -> None:
    model = build(net).eval()
    seen: dict[str, tuple[int, ...]] = {}

    def keep(path: str) -> object:
        def hook(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
            seen[path] = tuple(output.shape[1:])

        return hook

    walk = list(visits(net))
    for visit in walk:
        model.get_submodule(visit.path).register_forward_hook(keep(visit.path))  # type: ignore[arg-type]
    # The counter passes over the kernel that a CPU computes attention by.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *net.input))
    assert seen == {visit.path: visit.output for visit in walk}
    assert nets.macs(net) * 2 == counter.get_total_flops()
    assert nets.parameters(net, training=True) == sum(p.numel() for p in model.parameters())


@given(
    st.lists(st.tuples(st.sampled_from(["conv", "pool", "sum", "concat"]), st.integers(1, 5), st.integers(1, 2)),
             min_size=1, max_size=5)
)  # fmt: skip
@settings(max_examples=15)
def test_the_receptive_field_is_where_gradients_arrive(parts: list[tuple[str, int, int]]) -> None:
    stack: list[nets.Layer] = []
    for kind, kernel, stride in parts:
        odd = nets.Conv(1, kernel // 2 * 2 + 1, bias=False)
        stack.append({
            "conv": nets.Conv(1, max(kernel, stride), stride, bias=False),
            "pool": nets.AvgPool(max(kernel, stride), stride),
            "sum": nets.Sum(((odd, odd), ())),
            "concat": nets.Group((nets.Concat(((odd,), (odd, odd))), nets.Conv(1, 1, bias=False))),
        }[kind])  # fmt: skip
    side = 241  # the largest field drawn here is 189 pixels
    net = nets.Network("n", (1, side, side), tuple(stack))
    expected = nets.receptive_field(net)
    model = build(nets.Network("n", net.input, (*stack, nets.GlobalAvgPool(), nets.Dense(1))))
    model.requires_grad_(False)
    for parameter in model.parameters():
        parameter.fill_(1.0)
    line = torch.zeros(1, 1, side, side, dtype=torch.float32, requires_grad=True)
    x: torch.Tensor = line
    for layer in list(model.children())[:-2]:
        x = layer(x)
    row, column = x.shape[2] // 2, x.shape[3] // 2
    x[0, 0, row, column].backward()
    assert line.grad is not None
    touched = line.grad[0, 0].abs().sum(0).nonzero().flatten()
    assert int(touched[-1] - touched[0]) + 1 == expected


@given(st.tuples(st.integers(1, 5), SMALL, SMALL), st.integers(1, 2), st.integers(1, 2), st.integers(0, 3))
@FEW
def test_a_grown_network_gives_the_same_outputs(shape: tuple[int, int, int], blocks: int, more: int, seed: int) -> None:
    family = FAMILIES["residual"]
    shallow = family.network(shape, 4, depth=family.depth_of(blocks, shape), width=0.25)
    deep = family.network(shape, 4, depth=family.depth_of(blocks + more, shape), width=0.25)
    model = build(shallow, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():  # trained: no scale is zero any more
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    images = torch.randn(3, *shape, generator=generator)
    model(images)  # running statistics other than their start
    grown = build(deep, seed + 1)
    grown.load_state_dict(grow(model.state_dict(), shallow, deep, seed))
    with torch.no_grad():
        assert torch.equal(model.eval()(images), grown.eval()(images))
    assert all(torch.equal(v, grown.state_dict()[k]) for k, v in model.state_dict().items())


def test_blocks_without_activations_between_start_as_identities_too() -> None:
    """Linear bottlenecks: their sums alone change nothing at first. A sigmoid behind a sigmoid does."""

    def net(blocks: int, *, zero: bool = True, between: tuple[nets.Layer, ...] = ()) -> nets.Network:
        main = (nets.Conv(4), nets.BatchNorm(zero_init=zero))
        body = [layer for n in range(blocks) for layer in (nets.Sum((main, ()), name=f"b{n}"), *between)]
        level = nets.Group((nets.Conv(4), nets.Sigmoid(), *body), name="level1")
        return nets.Network(f"{blocks}", (1, 8, 8), (level, nets.GlobalAvgPool(), nets.Dense(2)))

    assert grows(net(1), net(3))
    shallow, deep = build(net(1), 0).eval(), build(net(3), 1).eval()
    deep.load_state_dict(grow(shallow.state_dict(), net(1), net(3)))
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(shallow(images), deep(images))
    assert not grows(net(1, zero=False), net(3, zero=False))
    assert not grows(net(1, between=(nets.Sigmoid(name="s"),)), net(1, between=(nets.Sigmoid(name="s"),) * 2))


def test_the_families_that_grow_are_those_whose_blocks_start_as_identities() -> None:
    def pair(name: str, blocks: int) -> tuple[nets.Network, nets.Network]:
        family = FAMILIES[name]
        few, many = (family.network(depth=family.depth_of(count, (3, 32, 32))) for count in (blocks, 2 * blocks or 1))
        return few, many

    assert [name for name in FAMILIES if grows(*pair(name, 1))] == ["residual", "mobile"]
    assert not grows(*pair("residual", 0))


def test_growing_into_another_network_is_refused() -> None:
    make = FAMILIES["residual"].network
    shallow = make(depth=7)
    state = build(shallow).state_dict()
    for other in (make(depth=11, width=2), make(depth=11, classes=3), make((1, 32, 32), depth=11),
                  FAMILIES["plain"].network(depth=7)):  # fmt: skip
        with pytest.raises(DeepenoughError, match="from scratch"):
            grow(state, shallow, other)
    with pytest.raises(DeepenoughError):
        grow(build(make(depth=11)).state_dict(), make(depth=11), shallow)


def test_weights_are_a_function_of_network_and_seed() -> None:
    net = FAMILIES["residual"].network(depth=7, width=0.5)
    before = torch.get_rng_state()
    one, two, other = (build(net, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["stem.conv.weight"], other["stem.conv.weight"])
    wide = build(nets.Network("n", (64, 8, 8), (nets.Conv(64), nets.GlobalAvgPool(), nets.Dense(2)))).state_dict()
    assert float(wide["conv.weight"].std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert one["level1.block1.main.norm2.weight"].abs().sum() == 0


def test_a_depth_below_the_shallowest_is_an_error() -> None:
    with pytest.raises(
        DeepenoughError, match="--depth 2: the shallowest residual network for images of 1x28x28 has depth 3"
    ):
        FAMILIES["residual"].network((1, 28, 28), depth=2)


def test_a_block_of_one_convolution_starts_as_the_identity() -> None:
    """A deeper network of any depth can start from a shallower one of whole blocks."""
    shallow, deep = (FAMILIES["residual"].network((1, 28, 28), 4, depth=depth) for depth in (7, 8))
    model, grown = build(shallow, 0).eval(), build(deep, 1).eval()
    grown.load_state_dict(grow(model.state_dict(), shallow, deep))
    images = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(images), grown(images))


def test_the_shallowest_residual_network_has_no_blocks() -> None:
    net = FAMILIES["residual"].network((1, 28, 28), 10, depth=3)
    assert nets.depth(net) == 3
    assert build(net)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert nets.loads(nets.dumps(net)) == net
    with pytest.raises(DeepenoughError, match="has 1 or more"):
        FAMILIES["plain"].depth_of(0, (1, 28, 28))


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 50)])
def test_stems_pool_before_their_norm_and_compute_what_the_usual_order_does(
    family: str, shape: tuple[int, int, int]
) -> None:
    rule = FAMILIES[family]
    net = rule.network(shape, 3, depth=rule.depth_of(1, shape), width=0.25)
    first, second, third, *_ = visits(net)
    assert [type(each.layer) for each in (first, second, third)] == [nets.Conv, nets.MaxPool, nets.BatchNorm]
    assert norms_before_pools(net, lambda path: path != "stem.norm") == net
    usual = norms_before_pools(net, lambda path: True)
    layers = [type(each.layer) for each in list(visits(usual))[:4]]
    assert layers == [nets.Conv, nets.BatchNorm, nets.Relu, nets.MaxPool]
    model, other = build(net).eval(), build(usual).eval()
    draw = torch.Generator().manual_seed(0)
    state = model.state_dict()
    for name in ("running_mean", "running_var"):
        next(tensor for key, tensor in state.items() if key.endswith(name)).uniform_(0.5, 2, generator=draw)
    model.load_state_dict(state)
    other.load_state_dict(state)
    images = torch.randn(2, *shape, generator=draw)
    torch.testing.assert_close(model(images), other(images))
    state["stem.norm.weight"][:4].neg_()
    model.load_state_dict(state)
    other.load_state_dict(state)
    assert not torch.allclose(model(images), other(images)), "negative scales turn the largest into the smallest"


def test_norms_inside_branches_are_put_before_their_pools() -> None:
    pooled = (nets.Conv(3), nets.MaxPool(3, 1, 1), nets.BatchNorm())
    stack = (nets.Sum((pooled, ())), nets.MaxPool(2), nets.BatchNorm(), nets.GlobalAvgPool(), nets.Dense(2))
    network, asked = nets.Network("n", (3, 8, 8), stack), []
    moved = norms_before_pools(network, lambda path: asked.append(path) is None)
    assert asked == [visit.path for visit in visits(network) if isinstance(visit.layer, nets.BatchNorm)][:1]
    kinds = [type(visit.layer) for visit in visits(moved)]
    assert kinds[:3] == [nets.Conv, nets.BatchNorm, nets.MaxPool]
    assert kinds[3:6] == [nets.Sum, nets.MaxPool, nets.BatchNorm], "a sum has no weights for the norm's scales"


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(DeepenoughError, match="8x8"):
        FAMILIES["plain"].network((3, 7, 30), depth=5)


def test_auxiliary_heads_exist_in_training_only() -> None:
    head = nets.Auxiliary((nets.GlobalAvgPool(), nets.Dense(3)), weight=0.25)
    net = nets.Network("n", (1, 8, 8), (nets.Conv(4), head, nets.GlobalAvgPool(), nets.Dense(3)))
    model = build(net)
    images = torch.ones(2, 1, 8, 8)
    logits, [(weight, side)] = model(images)
    assert (weight, side.shape) == (0.25, (2, 3))
    assert torch.equal(model.eval()(images), logits)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_torch_export_gives_the_same_logits(family: str) -> None:
    rule = FAMILIES[family]
    model = build(rule.network((1, 9, 11), 3, depth=rule.depth_of(1, (1, 9, 11)), width=0.25)).eval()
    images = torch.randn(2, 1, 9, 11, generator=torch.Generator().manual_seed(0))
    exported = torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},)).module()
    torch.testing.assert_close(exported(images), model(images))
    torch.testing.assert_close(exported(images[:1]), model(images[:1]))
