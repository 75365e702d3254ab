"""Modules of our own give torch's numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deepenough.nets.build import GlobalAverage

FORMATS = (torch.contiguous_format, torch.channels_last)


def learn(average: Callable[[Tensor], Tensor], pixels: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """What an average gives, and the gradient of what it is given."""
    images = pixels.clone(memory_format=torch.preserve_format).requires_grad_()
    found = average(images)
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
