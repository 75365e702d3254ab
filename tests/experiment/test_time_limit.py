"""The time limit of a run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from typing import Any

import pytest

from deepenough import process_start
from deepenough.experiment.call import Call
from deepenough.experiment.time_limit import CLOSING_LEAST, TimeLimit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the time to so many seconds."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: seconds)

    return set_to


def test_that_the_least_does_not_fit_is_foreseen(clock: Any) -> None:
    limit = TimeLimit(20.0, began=100.0)
    clock(110.0)
    assert limit.foreseen("residual-3", 10.0 - CLOSING_LEAST) == ""
    assert limit.foreseen("residual-3", 13.0 - CLOSING_LEAST).endswith("it will be overrun by about 3.0 s")
    clock(125.0)
    assert "overrun by about" in limit.foreseen("residual-3", 0.0)


def test_an_overrun_is_told(clock: Any) -> None:
    limit = TimeLimit(20.0, began=100.0)
    clock(119.0)
    assert limit.overrun == ""
    clock(123.0)
    assert limit.overrun == "the time limit of 20 s was overrun by 3.0 s"


def test_a_command_begins_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere a process may have lived long before the call."""
    monkeypatch.setattr(process_start, "_commands", [])
    monkeypatch.setattr(process_start, "process_age", lambda: 1000.0)
    before = time.monotonic()
    assert Call().began >= before
    process_start.command_starts()
    assert Call().began <= time.monotonic() - 1000.0


def test_what_waited_before_it_became_a_command_does_not_count() -> None:
    """The start of a process that the system tells is that of the shell, which `exec` leaves as it is."""
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("no shell is here")
    assert age_in([shell, "-c", 'sleep 1; exec "$@"', "sh", sys.executable], AGE) < 0.9


def test_what_a_process_computed_counts() -> None:
    least = 0.3
    assert age_in([sys.executable], f"import time\nwhile time.process_time() < {least}: pass\n{AGE}") >= least


def test_a_long_age_is_not_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", lambda: 1000.0)
    assert process_start.process_age() == process_start.MOST


AGE = "from deepenough.process_start import process_age; print(process_age())"


def age_in(python: list[str], program: str) -> float:
    """The age that a program prints."""
    return float(subprocess.run([*python, "-c", program], capture_output=True, text=True, check=True).stdout)
