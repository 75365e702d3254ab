"""Modules of our own give torch's numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deepenough import nets
from deepenough.nets.build import GlobalAverage, LocalResponseNorm, build
from deepenough.nets.modules import ChannelNorm, DropPath, SelfAttentionOf

FORMATS = (torch.contiguous_format, torch.channels_last)


def learn(layer: Callable[[Tensor], Tensor], pixels: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer gives, and the gradient of what it is given."""
    images = pixels.clone(memory_format=torch.preserve_format).requires_grad_()
    found = layer(images)
    (found * wanted).sum().backward()
    assert images.grad is not None
    return found.detach(), images.grad


@settings(max_examples=50)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 4),
    memory_format=st.sampled_from(FORMATS),
    dtype=st.sampled_from((torch.float32, torch.float64, torch.bfloat16, torch.float16)),
    seed=st.integers(0, 99),
)
def test_a_global_average_is_torchs_mean(
    shape: tuple[int, int, int, int], memory_format: torch.memory_format, dtype: torch.dtype, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randn(shape, dtype=dtype, generator=random).contiguous(memory_format=memory_format)
    wanted = torch.randn(shape[:2], dtype=dtype, generator=random)
    ours = learn(GlobalAverage(), pixels, wanted)
    torchs = learn(lambda x: x.mean((2, 3)), pixels, wanted)
    assert all(torch.equal(a, b) for a, b in zip(ours, torchs, strict=True))


def test_half_precision_does_not_overflow() -> None:
    assert GlobalAverage()(torch.full((1, 1, 224, 224), 2.0, dtype=torch.float16)).item() == 2


@pytest.mark.parametrize("memory_format", FORMATS)
def test_its_gradient_is_spread_without_a_copy(memory_format: torch.memory_format) -> None:
    """A copy would take the time of a batch norm, and its format would slow down the ReLU before it."""
    grown = []
    images = torch.randn(2, 3, 8, 8).contiguous(memory_format=memory_format).requires_grad_()
    before = images * 1
    before.register_hook(lambda gradient: grown.append(gradient.untyped_storage().nbytes()))
    GlobalAverage()(before).sum().backward()
    assert grown == [4 * 2 * 3]


@pytest.mark.parametrize("memory_format", FORMATS)
@given(size=st.integers(1, 7), channels=st.integers(1, 9), beta=st.sampled_from([0.75, 0.5, 1.3]))
@settings(max_examples=25)
def test_local_responses_are_normed_as_torchs(
    memory_format: torch.memory_format, size: int, channels: int, beta: float
) -> None:
    draw = torch.Generator().manual_seed(size * 10 + channels)
    x = torch.randn(2, channels, 3, 4, dtype=torch.float64, generator=draw).contiguous(memory_format=memory_format)
    wanted = torch.randn(x.shape, dtype=torch.float64, generator=draw).contiguous(memory_format=memory_format)
    found = learn(LocalResponseNorm(size, 0.3, beta, 1.5), x, wanted)
    expected = learn(torch.nn.LocalResponseNorm(size, 0.3, beta, 1.5), x, wanted)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
        assert mine.is_contiguous(memory_format=memory_format)


def test_local_responses_can_be_differentiated_twice_and_compiled() -> None:
    norm = LocalResponseNorm(5, 0.3, 0.75, 1.5)
    x = torch.randn(1, 6, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(norm, x)
    assert torch.autograd.gradgradcheck(norm, x)
    wanted = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    compiled = torch.compile(norm, backend="aot_eager", fullgraph=True)
    found, expected = ((y := how(x), *torch.autograd.grad(y, x, wanted)) for how in (compiled, norm))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_local_responses_of_half_precision_are_computed_in_float32() -> None:
    x = torch.randn(2, 8, 3, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    found, expected = LocalResponseNorm(5, 0.3, 0.75, 1.5)(x), torch.nn.LocalResponseNorm(5, 0.3, 0.75, 1.5)(x.float())
    assert found.dtype == x.dtype
    torch.testing.assert_close(found.float(), expected, rtol=2**-8, atol=0)  # one rounding


@pytest.mark.parametrize("memory_format", FORMATS)
@given(shape=st.tuples(*[st.integers(1, 6)] * 4), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_channels_are_normed_at_each_position(
    memory_format: torch.memory_format, shape: tuple[int, int, int, int], seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, dtype=torch.float64, generator=draw).contiguous(memory_format=memory_format)
    norm = ChannelNorm(shape[1], eps=1e-3).double()
    torch.nn.init.uniform_(norm.weight, generator=draw)
    centred = x - x.mean(1, keepdim=True)
    wanted = centred / (centred.square().mean(1, keepdim=True) + 1e-3).sqrt() * norm.weight[:, None, None]
    torch.testing.assert_close(norm(x), wanted)
    tokens = x.flatten(2).transpose(1, 2)
    torch.testing.assert_close(norm(tokens), wanted.flatten(2).transpose(1, 2))


def test_stochastic_depth_drops_whole_images_and_keeps_the_mean() -> None:
    drop, x = DropPath(0.25), torch.rand(2000, 3, 2, 2, generator=torch.Generator().manual_seed(0)) + 1
    torch.manual_seed(5)
    found = drop(x)
    torch.manual_seed(5)
    assert torch.equal(found, drop(x))
    kept = (found != 0).flatten(1)
    assert torch.equal(kept.all(1), kept.any(1))
    assert float(kept.all(1).float().mean()) == pytest.approx(0.75, abs=0.04)
    torch.testing.assert_close(found[kept.all(1)], x[kept.all(1)] / 0.75)
    assert torch.equal(drop.eval()(x), x)


@given(
    tokens=st.integers(1, 6), heads=st.integers(1, 4), width=st.integers(1, 5), seed=st.integers(0, 99)
)  # fmt: skip
@settings(max_examples=25)
def test_attention_is_the_formula_of_its_paper(tokens: int, heads: int, width: int, seed: int) -> None:
    size = heads * width
    x = torch.randn(2, tokens, 3 * size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = SelfAttentionOf(heads)(x)
    queries, keys, values = x.split(size, 2)
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        weights = (queries[..., part] @ keys[..., part].mT / width**0.5).softmax(2)
        torch.testing.assert_close(found[..., part], weights @ values[..., part])


@given(side=st.integers(1, 12), kernel=st.integers(1, 5), stride=st.integers(1, 4))
@settings(max_examples=50)
def test_same_padding_is_tensorflows(side: int, kernel: int, stride: int) -> None:
    """As its documentation has it: ceil(size / stride) values, and the odd pixel at the end."""
    layer = nets.Conv(2, kernel, stride, same=True, bias=False)
    rest = side % stride
    total = max(kernel - (rest or stride), 0)
    assert layer.pads((1, side, side)) == ((total // 2, total - total // 2),) * 2
    net = nets.Network("n", (1, side, side), (layer, nets.GlobalAvgPool()))
    assert nets.layer_table(net)[0].output_shape == (2, -(-side // stride), -(-side // stride))
    module = build(net).get_submodule("conv")
    x = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    assert module(x).shape[1:] == (2, -(-side // stride), -(-side // stride))
    first = torch.nn.functional.pad(x, [total // 2] * 2 + [total // 2] * 2)[..., :kernel, :kernel]
    wanted = (first * module.weight[..., : first.shape[2], : first.shape[3]]).sum((1, 2, 3))
    torch.testing.assert_close(module(x)[0, :, 0, 0], wanted)


def test_a_gate_scales_and_adds_neither_depth_nor_field() -> None:
    gate = (nets.GlobalAvgPool(keep=True), nets.Conv(2, 1), nets.Relu(), nets.Conv(4, 1), nets.Sigmoid())
    plain = (nets.Conv(4, name="conv"), nets.GlobalAvgPool(), nets.Dense(3))
    gated = nets.Network("n", (3, 8, 8), (plain[0], nets.Product(((), gate), name="se"), *plain[1:]))
    assert (nets.depth(gated), nets.receptive_field(gated)) == (2, 3)
    assert nets.parameters(gated) - nets.parameters(nets.Network("n", (3, 8, 8), plain)) == 4 * 2 + 2 + 2 * 4 + 4
    model, images = build(gated), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x = model.get_submodule("conv")(images)
    factors = model.get_submodule("se.gate")(x)
    assert factors.shape == (2, 4, 1, 1)
    wanted = (x * factors).mean((2, 3))
    torch.testing.assert_close(model(images), model.get_submodule("dense")(wanted))
