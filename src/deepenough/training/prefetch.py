"""Work that is done one piece ahead of where it is needed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Clock:
    """Seconds that were waited for something."""

    seconds: float = 0.0

    def take(self) -> float:
        """The seconds waited since the last call."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def ahead(pieces: Iterable[T], clock: Clock, count: int = 2) -> Iterator[T]:
    """The same pieces, made by a thread that is `count` of them ahead; `clock` counts what is waited for."""
    source = iter(pieces)
    end = object()

    def make() -> object:
        return next(source, end)

    with ThreadPoolExecutor(1, "ahead") as pool:
        waiting: deque[Future[object]] = deque(pool.submit(make) for _ in range(count))
        while True:
            began = time.perf_counter()
            piece = waiting.popleft().result()
            clock.seconds += time.perf_counter() - began
            if piece is end:
                return
            waiting.append(pool.submit(make))
            yield piece  # type: ignore[misc]
