"""Fixtures of records that are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_records import looked_at, made, write_run

from deepenough.record import schema as r


@pytest.fixture
def make() -> Callable[..., r.Record]:
    return made


@pytest.fixture
def save(tmp_path: Path) -> Callable[[r.Record], Path]:
    """Save a record with its pictures as a run; the run's folder."""
    return lambda record: write_run(record, tmp_path)


@pytest.fixture
def looked() -> Callable[[r.Record], r.Record]:
    return looked_at
