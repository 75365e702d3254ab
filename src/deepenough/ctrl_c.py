"""Ctrl-C in a command: the first one stops it, quick further ones are the same wish, and none ends in a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SAME_WISH = 1.0  # seconds within which another Ctrl-C means the one before
_STATUS = 128 + signal.SIGINT
_AGAIN = 0.05  # seconds until an interrupt is repeated that some code swallowed
_last: float | None = None  # when the last Ctrl-C came that was taken for a wish of its own


def stop_quietly() -> None:
    """Handle Ctrl-C for the rest of this process. One that is ignored, as in the background of a shell, stays so."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGINT, _interrupt)
    before = sys.unraisablehook

    def repeat(unraisable: sys.UnraisableHookArgs) -> None:
        """An interrupt that came within a finalizer or the like, where Python swallows it, comes again."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)
            return
        timer = threading.Timer(_AGAIN, _interrupt_again)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = repeat


def stopping() -> bool:
    """True once Ctrl-C was pressed: what fails from then on, as an import that was cut off, fails for that."""
    return _last is not None


def end_quietly() -> None:
    """From here on Ctrl-C ends the process at once: there is nothing left but to leave."""
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN if stopping() else signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _last
    now = time.monotonic()
    if _last is not None and now - _last < SAME_WISH:
        return
    if _last is not None:  # it has been asked to stop and does not: a wish that can't be denied
        os.write(2, b"\ndeepenough: stopped\n")
        os._exit(_STATUS)
    _last = now
    raise KeyboardInterrupt


def _interrupt_again() -> None:
    global _last
    _last = None
    os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def blocking_signals(*names: str) -> Iterator[None]:
    """Block signals, so that processes that are started meanwhile never receive them: their parent ends them.

    Blocked rather than ignored: one that comes meanwhile reaches this process afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker  # takes a while, and few commands start processes

    resource_tracker.ensure_running()  # which would unblock SIGINT and SIGTERM if it were started meanwhile
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in names})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
