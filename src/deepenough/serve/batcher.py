"""Predictions of many clients at once: what arrives together goes through the network together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

Asked = TypeVar("Asked")
Given = TypeVar("Given")

TOGETHER = 0.003  # seconds to wait for others that are on their way
LOOK = 0.0003  # seconds between looks for them
MOST = 64  # images at once


class FullError(Exception):
    """More pictures are on their way than the queue may hold."""


class Batcher(Generic[Asked, Given]):
    """One `thread` that works, and a queue before it.

    `work` answers several questions at once, in order; an exception among the answers is raised for whoever asked. At
    most `room` are on their way: more raise FullError. A whole batch costs the event loop one change of threads,
    which is what it spends most on where networks are small.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Sequence[Given | Exception]],
        room: int,
        seen: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._work, self._room, self._seen = work, room, seen
        self.thread = ThreadPoolExecutor(1, "model")
        self._waiting: asyncio.Queue[tuple[Asked, asyncio.Future[Given]]] = asyncio.Queue()
        self.pending = 0

    @contextmanager
    def entered(self, count: int) -> Iterator[None]:
        """Room for so many questions, from their arrival to their answer."""
        if self.pending + count > self._room:
            raise FullError
        self.pending += count
        try:
            yield
        finally:
            self.pending -= count

    async def ask(self, question: Asked) -> Given:
        """The answer to one question."""
        answer: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((question, answer))
        return await answer

    async def alone(self, work: Callable[[], Any]) -> Any:
        """Something else that needs the model: the only thread that touches it does it."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, work)

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            batch = await self._gathered()
            self._seen(len(batch))
            questions = [question for question, _ in batch]
            answers: Sequence[Given | Exception]
            try:
                answers = await self.alone(lambda questions=questions: self._work(questions))  # type: ignore[misc]
            except Exception as error:  # everyone is told; the next batch may go well
                answers = [error] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                with suppress(asyncio.InvalidStateError):  # a client that went away
                    future.set_exception(answer) if isinstance(answer, Exception) else future.set_result(answer)

    async def _gathered(self) -> list[tuple[Asked, asyncio.Future[Given]]]:
        """The next batch. Nobody waits for others when there are none on their way."""
        batch = [await self._waiting.get()]
        until = time.monotonic() + TOGETHER
        while len(batch) < min(MOST, self.pending):
            if not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            elif time.monotonic() < until:
                await asyncio.sleep(LOOK)
            else:
                break
        return batch

    def close(self) -> None:
        self.thread.shutdown(cancel_futures=True)
