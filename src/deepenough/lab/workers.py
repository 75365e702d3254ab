"""Calls in parallel processes, which all end when one of them fails or a stop is asked for."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from deepenough.ctrl_c import blocking_signals
from deepenough.errors import DeepenoughError

_POLL = 0.2  # seconds between checks for a stop
_GRACE = 5.0  # seconds that a process has for ending


def call_in_parallel(
    target: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], check_stop: Callable[[], None]
) -> list[Any]:
    """Call `target(*each)` for each of `arguments` in a process of its own, and return the results in their order.

    An error in a process ends all of them, and so does one that `check_stop` raises, which is called over and over.
    """
    context = multiprocessing.get_context("spawn")
    results: dict[int, Any] = {}
    pending: dict[Connection, int] = {}
    workers = []
    try:
        for number, each in enumerate(arguments):
            check_stop()
            receiver, sender = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(sender, target, each), daemon=True)
            with blocking_signals("SIGINT"):
                worker.start()
            workers.append(worker)
            sender.close()
            pending[receiver] = number
        while pending:
            check_stop()
            for ready in wait(list(pending), _POLL):
                assert isinstance(ready, Connection)
                number = pending.pop(ready)
                results[number] = _receive(ready, number)
        for worker in workers:
            worker.join(_GRACE)
        return [results[number] for number in range(len(arguments))]
    finally:
        _end(workers)


def _receive(receiver: Connection, number: int) -> Any:
    try:
        error, result = receiver.recv()
    except EOFError:
        raise DeepenoughError(
            f"process {number} ended without a result; was it killed, or did memory run out?"
        ) from None
    if error:
        raise DeepenoughError(f"process {number}: {error}")
    return result


def _work(sender: Connection, target: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Call the target and send its result, or the text of its error; runs in the worker."""
    answer: tuple[str | None, Any]
    try:
        answer = None, target(*arguments)
    except Exception as error:  # of any kind: the parent reports it in one line
        answer = str(error) if isinstance(error, DeepenoughError) else f"{type(error).__name__}: {error}", None
    with suppress(OSError):  # the parent is gone
        sender.send(answer)


def _end(workers: Sequence[Any]) -> None:
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
    for worker in workers:
        worker.join(_GRACE)
        if worker.is_alive():
            worker.kill()
            worker.join()
