"""The end of a process while one of its threads may be inside a call of C++ that does not come back.

Once the interpreter finalizes, Python ends a daemon thread as soon as it asks for the GIL, before version 3.14 by
pthread_exit. In a thread that comes back from a call of torch's, that unwinds through a destructor which must not
throw, and the process aborts: "terminate called without an active exception", status -6. So a process with a thread
inside such a call leaves without finalizing.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

WAIT = 30.0  # seconds for a call to come back, in a process whose exit status only finalization would give
_POLL = 0.02  # seconds between checks for it
_lock = threading.Lock()
_inside = 0  # threads within `foreign_call`
_ending = False  # from here on none gets in
_status: int | None = None  # that `leave` was given


@contextmanager
def foreign_call() -> Iterator[None]:
    """A call of C++ in a daemon thread, which may take longer than the process lives.

    Raises SystemExit, which ends the thread, where the process is at its end.
    """
    global _inside
    with _lock:
        if _ending:
            raise SystemExit
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1


def leave(status: int) -> NoReturn:
    """`sys.exit`, with the status also where the process can't finalize."""
    global _status
    _status = status
    # Registered last, it runs first: all is done, and a Ctrl-C would be a traceback of the interpreter's own end.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


@atexit.register  # it runs last of all, where this module was imported first
def _skip_finalization() -> None:
    """Leave here and now where a thread is inside a foreign call. What was registered before this module was imported
    is not run then."""
    global _ending
    with _lock:
        _ending = True
    status = 1 if hasattr(sys, "last_value") else _status  # an error that nobody caught has been printed
    until = time.monotonic() + (WAIT if status is None else 0.0)
    while _inside:
        if time.monotonic() > until:
            for stream in (sys.stdout, sys.stderr):
                with suppress(AttributeError, OSError, ValueError):  # there is none, or it is closed
                    stream.flush()
            os._exit(1 if status is None else status)
        time.sleep(_POLL)
