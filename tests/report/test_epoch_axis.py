"""The axes of epochs have their ticks at whole epochs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.record import Record
from deepenough.report.figures import report_figures
from deepenough.report.plotting import epoch_ticks

Make = Callable[..., Record]


@given(first=st.integers(0, 500), number=st.integers(1, 3_000))
def test_ticks_are_whole_and_evenly_spaced_among_the_epochs(first: int, number: int) -> None:
    ticks = epoch_ticks(range(first, first + number))["tickvals"]
    assert 1 <= len(ticks) <= 8
    assert all(isinstance(tick, int) for tick in ticks)
    assert set(ticks) <= set(range(first, first + number))
    assert len({b - a for a, b in pairwise(ticks)}) <= 1
    assert len(ticks) >= min(number, 3)


def test_parts_of_epochs_have_the_whole_ones_among_them() -> None:
    assert epoch_ticks([0.5, 1.0, 1.5, 2.0, 2.5])["tickvals"] == [1, 2]
    assert epoch_ticks([0.25, 0.5, 0.75]) == {}


@pytest.mark.parametrize("epochs", [1, 2, 4])
@pytest.mark.parametrize("folds", [1, 3])
def test_curves_and_maps_of_a_short_training_have_a_tick_an_epoch(
    make: Make, looked: Callable[[Record], Record], epochs: int, folds: int
) -> None:
    record = looked(make(folds=folds))
    for candidate in record.candidates:
        for training in candidate.trainings:
            del training.curve[epochs:]
    figures: dict[str, Any] = report_figures(record)
    drawn = [figure for name, figure in figures.items() if name.startswith(("curves", "losses", "gradients"))]
    assert len(drawn) >= 3
    for figure in drawn:
        assert figure["layout"]["xaxis"]["tickvals"] == [*range(1, epochs + 1)]
