"""Schedules against torch's."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from deepenough.errors import DeepenoughError
from deepenough.training.schedule import schedule


def torch_rates(make: object, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = make(optimizer)  # type: ignore[operator]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@settings(max_examples=25)
@given(steps=st.integers(8, 200), warmup=st.floats(0.15, 0.9))
def test_onecycle_is_torchs(steps: int, warmup: float) -> None:
    ours = schedule("onecycle", lr=0.3, steps=steps, warmup=warmup)
    theirs = torch_rates(
        lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.3, total_steps=steps, pct_start=warmup, cycle_momentum=False),
        steps - 1,
    )
    assert [ours(step) for step in range(steps - 1)] == pytest.approx(theirs, rel=1e-9)


@settings(max_examples=25)
@given(steps=st.integers(8, 200), warmup=st.floats(0.1, 0.8))
def test_cosine_is_torchs(steps: int, warmup: float) -> None:
    rise = int(warmup * steps)
    ours = schedule("cosine", lr=0.3, steps=steps, warmup=warmup)
    theirs = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=steps - rise), steps - rise)
    assert [ours(step) for step in range(rise, steps)] == pytest.approx(theirs, rel=1e-6, abs=1e-12)
    assert [ours(step) for step in range(rise)] == pytest.approx([0.3 * (s + 1) / (rise + 1) for s in range(rise)])


def test_constant_rises_and_stays() -> None:
    ours = schedule("constant", lr=2.0, steps=10, warmup=0.3)
    assert [ours(step) for step in range(10)] == pytest.approx([0.5, 1.0, 1.5] + [2.0] * 7)


@settings(max_examples=60)
@given(name=st.sampled_from(["onecycle", "cosine", "constant"]), steps=st.integers(1, 60), warmup=st.floats(0, 1))
def test_rates_are_in_range_whatever_the_length(name: str, steps: int, warmup: float) -> None:
    rates = [schedule(name, lr=0.7, steps=steps, warmup=warmup)(step) for step in range(steps)]
    assert all(math.isfinite(rate) and 0 <= rate <= 0.7 + 1e-12 for rate in rates)
    assert max(rates) > 0


def test_unknown_schedule_names_the_nearest() -> None:
    with pytest.raises(DeepenoughError, match="onecycle"):
        schedule("one-cycle", lr=1, steps=1, warmup=0)
