"""The pieces that every verdict uses, on made-up predictions."""

from __future__ import annotations

import math
from typing import Any

import pytest

from deepenough.search.statistics import Strata
from deepenough.search.verdict import most_accurate, resolves

COUNT = 4000


def test_the_best_is_the_smaller_of_equals(tried: Any) -> None:
    small, deep, better = tried(0, range(100)), tried(1, range(50, 150)), tried(2, range(99))
    assert most_accurate([deep, small]) is small
    assert most_accurate([small, better, deep]) is better


def test_resolution_is_that_of_the_two_best(tried: Any, strata: Strata) -> None:
    near = resolves([tried(0, range(400)), tried(1, range(401))], strata)
    far = resolves([tried(0, range(400)), tried(1, range(400, 800))], strata)
    assert near < far
    assert far == pytest.approx(1.6449 * math.sqrt(0.2 / COUNT), rel=0.01)
    assert resolves([tried(0, range(0))], strata) == pytest.approx(1.6449 * math.sqrt(0.08 / COUNT), rel=1e-3)
