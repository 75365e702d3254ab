"""SIGHUP before there is a server that reads models anew: it ends nothing, and is not lost."""

from __future__ import annotations

import signal
import threading

import pytest

from deepenough.serve.reload_signal import EarlyReload

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
