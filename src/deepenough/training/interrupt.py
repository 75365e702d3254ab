"""Ctrl-C and SIGTERM end a run politely: a checkpoint first, then a word on how to go on."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from deepenough.errors import DeepenoughError


class Interrupted(DeepenoughError):  # noqa: N818 - the name that users read
    """A training that was asked to stop; its checkpoint is saved."""

    exit_status = 130


class Stop:
    """A flag that SIGINT and SIGTERM set while the context lasts; calling it asks whether it is set.

    A second Ctrl-C ends the process at once, as it would have without this.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> Stop:
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may handle signals; a host's own handling stays
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is signal.SIG_IGN:
                continue  # whoever started us, as a shell does in the background, wants it ignored
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
