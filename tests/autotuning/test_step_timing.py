"""Timing steps: how many, when a device is waited for, and what counts."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trials import make_trial

from deepenough.autotuning import step_timing
from deepenough.autotuning.configuration import StepConfiguration
from deepenough.autotuning.step_timing import StepTimer, StepTrial, time_steps
from deepenough.training.callbacks import Action
from deepenough.training.feed import batches
from deepenough.training.loop import TrainingLoop
from deepenough.training.process_group import ProcessGroup


def test_a_group_on_gpus_sees_in_every_step_that_a_trial_is_over() -> None:
    """A trial may have fewer steps an epoch than a training lets pass between two looks."""
    wishes = type("Wishes", (), {"device": SimpleNamespace(type="cuda"), "__gt__": lambda self, other: True})()
    group = type("Two", (ProcessGroup,), {"size": 2})()
    state: Any = SimpleNamespace(step=3)
    for look, stops in ((1, True), (10, False)):
        loop = TrainingLoop(None, None, None, group=group, look=look)  # type: ignore[arg-type]
        assert loop._stops(state, Action.GO_ON, wishes) is stops


class Machine:
    """A device that takes 3 ms for a step which Python starts in 1 ms, and its clock."""

    def __init__(self) -> None:
        self.now, self.done, self.waits = 0.0, 0.0, 0

    def perf_counter(self) -> float:
        return self.now

    def step(self, seconds: float = 0.003) -> None:
        self.now += 0.001
        self.done = max(self.done, self.now) + seconds

    def wait(self) -> None:
        self.now, self.waits = max(self.now, self.done), self.waits + 1


def test_a_device_is_not_waited_for_after_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    monkeypatch.setattr(step_timing, "time", machine)
    timer = StepTimer(warm=3, wait=machine.wait)
    machine.step(0.5)  # the first is slow
    while not timer.over():
        machine.step()
    pace, first = timer.times()
    assert pace == pytest.approx(0.003, rel=0.05)  # waited for each time it would be 0.004
    assert first == pytest.approx(0.5, rel=0.05)
    assert machine.waits == 3 + 8  # the steps before, and after 1, 2, 4, ... 128 of those that count


@pytest.mark.parametrize("more", [0, 1])
def test_a_step_after_enough_changes_no_time(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a group the others hear with the next step that it is enough."""
    machine = Machine()
    monkeypatch.setattr(step_timing, "time", machine)
    timer = StepTimer(warm=2)
    over = -more
    while over < 1:
        machine.step()
        machine.wait()
        machine.now += 0.2 * (not timer.ends)  # the first is slow
        over += timer.over()
    assert timer.times() == pytest.approx((0.004, 0.2))


def test_a_slow_configuration_ends_with_one_step_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not with one of those before, which are slower."""
    machine = Machine()
    monkeypatch.setattr(step_timing, "time", machine)
    timer = StepTimer(warm=3, least=1, limit=0.4, wait=machine.wait)
    machine.step(0.5)
    while not timer.over():
        machine.step(0.1)
    assert timer.times()[0] == pytest.approx(0.1, rel=0.05)
    assert len(timer.ends) == 4


def test_steps_that_were_not_waited_for_are_no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    monkeypatch.setattr(step_timing, "time", machine)
    timer = StepTimer(warm=1, wait=machine.wait)
    for _ in range(8):
        machine.step()
        timer.over()
    assert math.isnan(timer.ends[-1])
    assert timer.times()[0] == pytest.approx(0.0035, rel=0.2)


@given(count=st.integers(1, 3000), batch=st.integers(1, 300))
def test_one_size_is_the_larger_of_an_epoch(count: int, batch: int) -> None:
    index, size = step_timing._one_size(np.arange(count), batch)
    assert size == max(len(each) for each in batches(np.arange(count), batch, seed=0, epoch=0))
    assert {len(each) for each in batches(index, size, seed=0, epoch=0)} == {size}


def test_without_memory_for_recordings_a_configuration_is_timed_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_timing, "uses_cuda_graphs", lambda device, group: True)
    asked: list[bool] = []

    def once(trial: StepTrial, configuration: StepConfiguration, limit: float, records: bool) -> StepConfiguration:
        asked.append(records)
        if records or len(asked) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return replace(configuration, seconds=0.5)

    monkeypatch.setattr(step_timing, "_time", once)
    assert time_steps(make_trial(), StepConfiguration()).seconds == 0.5
    assert time_steps(make_trial(), StepConfiguration()).seconds == math.inf
    assert asked == [True, False, True, False]
