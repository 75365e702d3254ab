"""SIGHUP before there is a server that reads models anew: it ends nothing, and is not lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from deepenough.cli import serve
from deepenough.errors import DeepenoughError
from deepenough.reload_signal import EarlyReload

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP there")


def test_the_signal_is_kept_once_and_then_as_before() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with EarlyReload() as early:
        assert not early.take()
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert early.take()
        assert not early.take()
    assert signal.getsignal(signal.SIGHUP) is before


def test_a_signal_that_came_while_it_was_blocked_is_kept() -> None:
    """So a process is started, which has no handler before it has imported this."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
    with EarlyReload() as early:
        assert early.take()
        assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_signal_ends_no_command_that_imports_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def signalled(name: str) -> None:
        """No package is there, and the signal comes while one is sought."""
        signal.raise_signal(signal.SIGHUP)

    came: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, frame: came.append(number))
    try:
        monkeypatch.setattr(serve, "find_spec", signalled)
        with pytest.raises(DeepenoughError, match="serving needs"):
            serve.serve_command.main(["run"], standalone_mode=False)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not came


def test_what_keeps_the_signal_is_imported_in_no_time() -> None:
    """A command enters it before anything that takes seconds."""
    program = "import sys, deepenough.cli.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "fastapi", "pydantic", "uvicorn"} & set(done.stdout.split())
