"""Batching of requests: pictures that arrive together go through the network together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Generic, TypeVar

from deepenough.serve.refusals import FullError, RefusedError
from deepenough.serve.room import Room

_Question = TypeVar("_Question")
_Reply = TypeVar("_Reply")
_Result = TypeVar("_Result")
Pause = Callable[[], None]

_WAIT = 0.003  # seconds to wait for others that are on their way
_POLL = 0.0003  # seconds between checks for them
_LARGEST_BATCH = 64


class AbandonedError(Exception):
    """Nobody waits any more for the result of heavier work."""


class Batcher(Generic[_Question, _Reply]):
    """One `thread` that works, and two queues before it: questions, and heavier work, of which one at a time is done.

    `work` answers several questions at once, in order; an exception among the answers is raised for its question. Who
    asks is in the `room` for questions, or in the `heavy_room`. A whole batch costs the event loop one change of
    threads, which is what it spends most on where networks are small.

    Heavier work calls the `Pause` that it is given as often as it can: then a batch that has come meanwhile is answered
    within it, by the same thread, since OpenMP's workers are awake for one thread only.
    """

    def __init__(
        self,
        work: Callable[[Sequence[_Question]], Sequence[_Reply | Exception]],
        room: int,
        observe: Callable[[int], None] = lambda size: None,
        heavy: int = 8,
        patience: float = 0.0,
    ) -> None:
        self._work, self._observe = work, observe
        self.room = Room(room, "pictures", patience)
        self.heavy_room = Room(heavy, "explanations")
        self.thread = ThreadPoolExecutor(1, "model")
        self._waiting: asyncio.Queue[tuple[_Question, asyncio.Future[_Reply]]] = asyncio.Queue()
        self._ready: deque[tuple[Callable[[], Any], Future[Any]]] = deque()  # batches that the thread has yet to take
        self._turn = asyncio.Lock()
        self._pausing = False  # the thread's own
        self._jobs, self._last_sign = 0, 0.0

    async def ask(self, question: _Question) -> _Reply:
        """Ask one question, and wait for its answer."""
        answer: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((question, answer))
        return await answer

    async def alone(
        self, work: Callable[[Pause], _Result], patience: float = 30.0, computing: float = 120.0
    ) -> _Result:
        """Run heavier work in its turn: refused after `patience` seconds without one, abandoned after `computing`.

        Cancelled, it is not begun, or ends at its next pause.
        """
        try:
            async with asyncio.timeout(patience):
                await self._turn.acquire()
        except TimeoutError:
            raise FullError(f"other explanations took all of {patience:g} s") from None
        abandoned = threading.Event()

        def pause() -> None:
            if self._pausing:  # a prediction's own passes through the network
                return
            self._last_sign = time.monotonic()
            if abandoned.is_set():
                raise AbandonedError
            self._pausing = True
            try:
                self._step()
            finally:
                self._pausing = False

        try:
            with self._counted():
                async with asyncio.timeout(computing):
                    return await asyncio.get_running_loop().run_in_executor(self.thread, work, pause)
        except TimeoutError:
            raise RefusedError(503, "too-long", f"it took more than {computing:g} s and was cancelled") from None
        finally:
            abandoned.set()
            self._turn.release()

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            batch = await self._next_batch()
            self._observe(len(batch))
            answers: Sequence[_Reply | Exception]
            try:
                answers = await self._answer([question for question, _ in batch])
            except Exception as error:  # everyone is told; the next batch may go well
                answers = [error] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                with suppress(asyncio.InvalidStateError):  # a client that went away
                    future.set_exception(answer) if isinstance(answer, Exception) else future.set_result(answer)

    def stalled(self) -> float:
        """Seconds without a sign of life from the thread while it has something to do."""
        return time.monotonic() - self._last_sign if self._jobs else 0.0

    async def _answer(self, questions: list[_Question]) -> Sequence[_Reply | Exception]:
        answers: Future[Sequence[_Reply | Exception]] = Future()
        self._ready.append((partial(self._work, questions), answers))
        with self._counted():
            self.thread.submit(self._step)  # finds nothing to do where a pause was earlier
            return await asyncio.wrap_future(answers)

    def _step(self) -> None:
        """In the thread: work on a batch that waits, if any does."""
        self._last_sign = time.monotonic()
        try:
            work, answers = self._ready.popleft()
        except IndexError:
            return
        if answers.set_running_or_notify_cancel():
            try:
                answers.set_result(work())
            except BaseException as error:
                answers.set_exception(error)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if not self._jobs:
            self._last_sign = time.monotonic()
        self._jobs += 1
        try:
            yield
        finally:
            self._jobs -= 1

    async def _next_batch(self) -> list[tuple[_Question, asyncio.Future[_Reply]]]:
        """The next batch, without what clients asked that have gone. Nobody waits for others when there are none on
        their way."""
        while (first := await self._waiting.get())[1].done():
            pass
        batch = [first]
        until = time.monotonic() + _WAIT
        while len(batch) < min(_LARGEST_BATCH, self.room.taken):
            if not self._waiting.empty():
                asked = self._waiting.get_nowait()
                batch += [] if asked[1].done() else [asked]
            elif time.monotonic() < until:
                await asyncio.sleep(_POLL)
            else:
                break
        return batch

    def close(self) -> None:
        """End the thread."""
        self.thread.shutdown(cancel_futures=True)
