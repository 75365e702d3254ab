"""Ctrl-C, however often: one line and a status, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from deepenough.cli.console import Console
from deepenough.progress_bars import Bars

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent to other processes")

SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal, also where tests run in the background
import deepenough.__main__ as command, deepenough.cli.app as app, deepenough.ctrl_c as ctrl_c

def ready():
    print("ready", flush=True)
    time.sleep(20)

class Finalized:
    def __del__(self):
        ready()

def stubborn():
    while True:
        try:
            ready()
        except KeyboardInterrupt:
            pass

def cut_off():
    try:
        ready()
    except KeyboardInterrupt:
        raise ImportError("cannot import name") from None

def work(**more):
    {work}

app.cli.main = work
ctrl_c.SAME_WISH = {same_wish}
command.main()
"""


def stopped(work: str, signals: int, gap: float = 0.005, same_wish: float = 1.0) -> tuple[int, str]:
    """The status and the words to stderr of a command that does `work` and is interrupted so many times."""
    script = SCRIPT.format(work=work, same_wish=same_wish)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            time.sleep(gap)
        _, err = process.communicate(timeout=30)
        return process.returncode, err


@pytest.mark.parametrize("signals", [1, 5])
def test_quick_ones_are_one_wish(signals: int) -> None:
    assert stopped("ready()", signals) == (130, "deepenough: stopped\n")


def test_one_that_a_finalizer_swallows_comes_again() -> None:
    status, err = stopped("Finalized(); time.sleep(20)", 1)
    assert (status, err) == (130, "deepenough: stopped\n")


def test_an_import_that_was_cut_off_is_no_error() -> None:
    assert stopped("cut_off()", 5) == (130, "deepenough: stopped\n")


def test_a_second_wish_can_not_be_denied() -> None:
    status, err = stopped("stubborn()", 2, gap=0.5, same_wish=0.1)
    assert (status, err.strip()) == (130, "deepenough: stopped")


def test_other_errors_keep_their_traceback() -> None:
    script = SCRIPT.format(work='raise ValueError("a mistake of ours")', same_wish=1.0)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ValueError: a mistake of ours" in done.stderr


def test_a_task_that_fails_ends_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    bars: Bars = Console().bars()
    with bars:
        for label, done in (("reading", 3), ("looking", 0)):
            with suppress(ValueError), bars.task(label) as advance:
                if done:
                    advance(done, 10)
                raise ValueError("bad")
        with bars.task("writing") as advance:
            advance(1, 1)
    *failed, finished = bars.progress.tasks
    for task, share in zip(failed, (30, 0), strict=True):
        assert (task.percentage, task.fields["note"], task.finished) == (share, "failed", False)
        assert task.stop_time is not None
    assert finished.finished
