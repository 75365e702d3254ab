"""Modules of our own give torch's numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deepenough.nets.build import GlobalAverage, LocalResponseNorm

FORMATS = (torch.contiguous_format, torch.channels_last)


def learn(layer: Callable[[Tensor], Tensor], pixels: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer gives, and the gradient of what it is given."""
    images = pixels.clone(memory_format=torch.preserve_format).requires_grad_()
    found = layer(images)
    (found * wanted).sum().backward()
    assert images.grad is not None
    return found.detach(), images.grad


@settings(deadline=None, max_examples=50)
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
@settings(max_examples=25, deadline=None)
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
