"""SIGHUP, which asks for models to be read anew, while there is no server yet that could."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from types import FrameType

RELOAD_SIGNAL = "SIGHUP"


class EarlyReload:
    """A context in which SIGHUP is kept until a server asks for it; it would end the process.

    A process that is started with the signal blocked, so that nothing is lost before this context, takes it from here
    on. Without SIGHUP (Windows), and beside the main thread, which alone has signals, this does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self.terminal = is_terminal()
        self._context = ExitStack()

    def __enter__(self) -> EarlyReload:
        if hasattr(signal, RELOAD_SIGNAL) and threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGHUP, self._keep)
            self._context.callback(signal.signal, signal.SIGHUP, signal.SIG_DFL if before is None else before)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def _keep(self, number: int, frame: FrameType | None) -> None:
        if self.terminal and not is_terminal():  # it means that the terminal is gone
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            signal.raise_signal(signal.SIGHUP)
        self.asked = True

    def take(self) -> bool:
        """Tell if the signal came, once."""
        asked, self.asked = self.asked, False
        return asked


def is_terminal() -> bool:
    """Tell if standard input is a terminal that is still there."""
    try:
        return os.isatty(0)
    except OSError:
        return False
