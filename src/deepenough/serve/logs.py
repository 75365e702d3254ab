"""The logs of the service: one line a request, as text or as JSON, each with the id of its request.

Lines are written by a thread of their own, so that nobody waits for whoever reads them.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import re
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Literal, TextIO

LogFormat = Literal["text", "json"]
LOG_FORMATS = ("text", "json")
ACCESS = "deepenough.serve.access"
"""The logger of requests."""
REPEATS = 10
"""Lines of one kind in `REPEAT_SECONDS`; of the rest only the number is told, with the next line of that kind."""
REPEAT_SECONDS = 10.0
LAST_SECONDS = 2.0
"""Seconds that the last lines have to be written."""
_KINDS = 1_000  # kinds of lines that are counted at a time
_WAITING = 10_000  # lines that wait to be written; what comes on top is left out
_LOGGERS = ("uvicorn", "asyncio", "deepenough.serve")
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is answered in this context; empty outside of one."""

access_log = logging.getLogger(ACCESS)


def take_request_id(given: str | None) -> str:
    """The id that a client gave its request, where it is well-formed, or a new one."""
    return given if given is not None and _ID.fullmatch(given) else uuid.uuid4().hex


def log_request(fields: Mapping[str, Any]) -> None:
    """Log a request that was answered: its client, method, path, status and seconds."""
    if access_log.isEnabledFor(logging.INFO):
        access_log.info("%s %s %s", fields["method"], fields["path"], fields["status"], extra={"fields": fields})


class RepeatFilter(logging.Filter):
    """Leaves out lines of one kind where there are many: warnings and errors by their text, refused requests by their
    status. Requests that were answered are all kept."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[object, tuple[float, int]] = {}  # when its time began, and how many since then

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "fields", {}).get("status", 500)
        if status < 400 or (record.name != ACCESS and record.levelno < logging.WARNING):
            return True
        kind = (record.name, record.levelno, status if record.name == ACCESS else str(record.msg))
        began, count = self._kinds.get(kind, (record.created, 0))
        if record.created - began >= REPEAT_SECONDS:
            record.left_out = max(count - REPEATS, 0)
            began, count = record.created, 0
        if kind not in self._kinds and len(self._kinds) >= _KINDS:
            self._kinds.clear()
        self._kinds[kind] = began, count + 1
        return count < REPEATS


class IdFilter(logging.Filter):
    """Adds the id of the request in whose context a line was made."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class TextFormatter(logging.Formatter):
    """`2026-11-28T20:13:48.123Z INFO POST /predict 200 127.0.0.1 0.012 s id=...`."""

    def format(self, record: logging.LogRecord) -> str:
        words = [_time(record), record.levelname, record.getMessage()]
        if fields := getattr(record, "fields", None):
            words += [fields["client"], f"{fields['seconds']:.3f} s"]
        if told := getattr(record, "request_id", ""):
            words.append(f"id={told}")
        if left_out := getattr(record, "left_out", 0):
            words.append(f"({left_out} more like this before)")
        line = " ".join(words)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger and message, and what is known of the request."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        for name in ("request_id", "left_out"):
            if value := getattr(record, name, None):
                told[name] = value
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)  # ASCII, so that no client can put anything of its own into a terminal


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z"


class AccessFilter(logging.Filter):
    """Lets through the lines of requests, or all others."""

    def __init__(self, access: bool) -> None:
        super().__init__()
        self.access = access

    def filter(self, record: logging.LogRecord) -> bool:
        return (record.name == ACCESS) is self.access


class BoundedQueueHandler(logging.handlers.QueueHandler):
    """Hands lines to the thread that writes them; leaves out what it can't take any more."""

    queue: queue.Queue[logging.LogRecord | None]

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # it stays in this process

    def enqueue(self, record: logging.LogRecord) -> None:
        if not self.queue.full():
            self.queue.put_nowait(record)


class OutputHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream; those that it does not take, as when its reader is gone, are lost without a word."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 # the name that logging calls
        if not isinstance(sys.exc_info()[1], (OSError, ValueError)):  # ValueError: the stream is closed
            super().handleError(record)


class LogWriter(threading.Thread):
    """Writes what waits in a queue. At its end not for longer than `LAST_SECONDS` seconds, where nobody reads it."""

    def __init__(self, lines: queue.Queue[logging.LogRecord | None], outputs: Sequence[logging.Handler]) -> None:
        super().__init__(name="log", daemon=True)
        self.lines, self.outputs = lines, outputs

    def run(self) -> None:
        while (record := self.lines.get()) is not None:
            for output in self.outputs:
                output.handle(record)

    def end(self) -> None:
        """Write what still waits."""
        with suppress(queue.Full):
            self.lines.put(None, timeout=LAST_SECONDS)
        self.join(LAST_SECONDS)


@contextmanager
def logging_to(log_format: LogFormat, access: bool) -> Iterator[None]:
    """Write the logs of the service while the context lasts: requests to standard output, trouble to standard error."""
    formatter = JsonFormatter() if log_format == "json" else TextFormatter()
    outputs = []
    for stream, is_access in ((sys.stdout, True), (sys.stderr, False)):
        output = OutputHandler(stream)
        output.setFormatter(formatter)
        output.addFilter(AccessFilter(is_access))
        outputs.append(output)
    lines: queue.Queue[logging.LogRecord | None] = queue.Queue(_WAITING)
    handler, writer = BoundedQueueHandler(lines), LogWriter(lines, outputs)
    handler.addFilter(IdFilter())
    handler.addFilter(RepeatFilter())
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(each.level, each.propagate) for each in (*loggers, access_log)]
    for each in loggers:
        each.addHandler(handler)
        each.propagate = False
        each.setLevel(logging.WARNING)
    logging.getLogger("deepenough.serve").setLevel(logging.INFO)
    access_log.setLevel(logging.INFO if access else logging.CRITICAL)
    writer.start()
    try:
        yield
    finally:
        for each, (level, propagate) in zip((*loggers, access_log), before, strict=True):
            each.removeHandler(handler)
            each.setLevel(level)
            each.propagate = propagate
        writer.end()
