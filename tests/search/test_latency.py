"""Latency as a size: which networks can be told apart, and what the search makes of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.search.architectures import Architecture, between, search_space
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.latency import Latency, told_apart
from deepenough.search.question import Measure, Question
from deepenough.search.target_search import TargetSearch

times = st.lists(st.floats(1e-5, 1.0), min_size=1, max_size=9)


@given(times)
def test_a_latency_is_the_median_with_its_quartiles(seconds: list[float]) -> None:
    found = Latency.of(seconds)
    assert found.median == pytest.approx(np.median(seconds))
    assert (found.lower, found.upper) == pytest.approx((np.percentile(seconds, 25), np.percentile(seconds, 75)))
    assert found.told_apart == found.median


@given(st.lists(times, min_size=1, max_size=8))
def test_groups_hold_what_overlaps_with_their_fastest(several: list[list[float]]) -> None:
    plain = [Latency.of(seconds) for seconds in several]
    found = told_apart(plain)
    assert [replace(each, told_apart=each.median) for each in found] == plain
    fastest = {each.told_apart: min((x for x in found if x.told_apart == each.told_apart), key=lambda x: x.median)
               for each in found}  # fmt: skip
    for each in found:
        assert fastest[each.told_apart].median == each.told_apart <= each.median
        assert each.lower <= fastest[each.told_apart].upper
    order = sorted(found, key=lambda each: each.median)
    for one, other in pairwise(order):
        assert one.told_apart <= other.told_apart
        if one.told_apart != other.told_apart:
            assert other.lower > fastest[one.told_apart].upper


def timed(space: tuple[Architecture, ...], seconds: dict[str, tuple[float, ...]]) -> tuple[Architecture, ...]:
    """The search space as latencies order it, from the times of a fake timer."""
    latencies = told_apart([Latency.of(seconds[each.name]) for each in space])
    found = [replace(each, latency=latency) for each, latency in zip(space, latencies, strict=True)]
    return tuple(sorted(found, key=lambda each: each.measure(Measure.LATENCY)))


SPACE = search_space(["residual"], [1.0, 4.0], (1, 28, 28), 10, max_depth=11)
NAMES = ["residual-3", "residual-7", "residual-11", "residual-3-w4", "residual-7-w4", "residual-11-w4"]


def test_a_tie_goes_by_depth_and_then_by_multiply_accumulates() -> None:
    assert {each.name for each in SPACE} == set(NAMES)
    apart = {name: (number + 1.0,) for number, name in enumerate(reversed(NAMES))}
    assert [each.name for each in timed(SPACE, apart)] == NAMES[::-1]
    alike = timed(SPACE, dict.fromkeys(NAMES, (1.0, 2.0)))
    assert [each.name for each in alike] == [
        "residual-3", "residual-3-w4", "residual-7", "residual-7-w4", "residual-11", "residual-11-w4",
    ]  # fmt: skip


def test_the_smallest_parameters_first_does_not_hold_for_latency(trainer: Any) -> None:
    """With a target the search climbs by latency: here the wide networks are the fast ones."""
    seconds = {name: (1.0 + number,) for number, name in enumerate([*NAMES[3:], *NAMES[:3]])}
    space = timed(SPACE, seconds)
    paper = trainer(lambda blocks, epochs, seed: 0.85 if blocks < 2 else 0.97)
    job = TargetSearch(Question(target=0.9, minimize=Measure.LATENCY, budget=9.0), space, paper, lambda _: None)
    verdict = job.run()
    assert [c.architecture.name for c in job.tried if c.role == "search space"] == NAMES[3:]
    assert verdict.chosen.architecture.name == "residual-11-w4"
    assert "residual-11-w4 is enough" in verdict.text


def test_without_a_target_the_answer_is_about_the_fastest(trainer: Any) -> None:
    space = timed(SPACE, {name: (1.0 + number,) for number, name in enumerate([*NAMES[3:], *NAMES[:3]])})
    paper = trainer(lambda blocks, epochs, seed: {0: 0.90, 1: 0.95, 2: 0.954}[blocks])
    job = EnoughSearch(Question(minimize=Measure.LATENCY, budget=2.0), space, paper, lambda _: None)
    verdict = job.run()
    assert verdict.chosen.architecture.name == "residual-7-w4"
    assert [c.architecture.name for c in job.space_candidates()] == [*NAMES[3:], *NAMES[:3]]


def test_what_lies_between_two_is_interpolated_by_multiply_accumulates() -> None:
    four, eight = search_space(["residual"], [1.0], (1, 28, 28), 10)[3:5]
    assert between(four, eight).latency is None  # type: ignore[union-attr]
    low, high = (replace(each, latency=Latency.of([s])) for each, s in ((four, 2.0), (eight, 4.0)))
    middle = between(low, high)
    assert middle is not None
    assert middle.latency is not None
    share = (middle.macs - low.macs) / (high.macs - low.macs)
    assert middle.latency.median == pytest.approx(2.0 + 2.0 * share)
    assert not middle.latency.measured
    assert low.measure(Measure.LATENCY) < middle.measure(Measure.LATENCY) < high.measure(Measure.LATENCY)
