"""A function in several processes of its own at once, which end when one fails, or a stop is asked."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from deepenough.errors import DeepenoughError

LOOK = 0.2  # seconds between looks for a stop
GRACE = 5.0  # seconds that a process has for ending


def side_by_side(target: Callable[..., Any], given: Sequence[tuple[Any, ...]], check: Callable[[], None]) -> list[Any]:
    """What `target(*each)` returns for each of `given`, every one in a process of its own.

    `check` is asked all the time; what it raises ends them all, and so does an error of one of them.
    """
    context = multiprocessing.get_context("spawn")
    found: dict[int, Any] = {}
    ends: dict[Connection, int] = {}
    workers = []
    try:
        for number, each in enumerate(given):
            check()
            mine, theirs = context.Pipe(duplex=False)
            worker = context.Process(target=_answer, args=(theirs, target, each), daemon=True)
            with _deaf():
                worker.start()
            workers.append(worker)
            theirs.close()
            ends[mine] = number
        while ends:
            check()
            for end in wait(list(ends), LOOK):
                assert isinstance(end, Connection)
                number = ends.pop(end)
                found[number] = _heard(end, number)
        for worker in workers:
            worker.join(GRACE)
        return [found[number] for number in range(len(given))]
    finally:
        _end(workers)


def _heard(end: Connection, number: int) -> Any:
    try:
        error, answer = end.recv()
    except EOFError:
        raise DeepenoughError(f"process {number} ended without a word; was it killed, or is memory short?") from None
    if error:
        raise DeepenoughError(f"process {number}: {error}")
    return answer


def _answer(end: Connection, target: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """What a worker does."""
    answer: tuple[str | None, Any]
    try:
        answer = None, target(*given)
    except Exception as error:  # anything: the parent tells it in one line
        answer = str(error) if isinstance(error, DeepenoughError) else f"{type(error).__name__}: {error}", None
    with suppress(OSError):  # the parent is gone
        end.send(answer)


def _end(workers: Sequence[Any]) -> None:
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
    for worker in workers:
        worker.join(GRACE)
        if worker.is_alive():
            worker.kill()
            worker.join()


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that starts meanwhile never hears a terminal's Ctrl-C, which goes to all: its parent ends it.

    Blocked rather than ignored: a Ctrl-C that comes meanwhile reaches this process afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which would unblock the signal if it were started meanwhile
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
