"""Prefetching: pieces of work are done in a background thread before they are needed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class WaitTimer:
    """Seconds that were waited for something."""

    seconds: float = 0.0

    def take(self) -> float:
        """The seconds waited since the last call."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def prefetch(pieces: Iterable[T], timer: WaitTimer, count: int = 2) -> Iterator[T]:
    """Make pieces in a background thread that is `count` of them ahead; `timer` counts the time waited for them."""
    source = iter(pieces)
    end = object()

    def make() -> object:
        return next(source, end)

    with ThreadPoolExecutor(1, "prefetch") as pool:
        waiting: deque[Future[object]] = deque(pool.submit(make) for _ in range(count))
        while True:
            began = time.perf_counter()
            piece = waiting.popleft().result()
            timer.seconds += time.perf_counter() - began
            if piece is end:
                return
            waiting.append(pool.submit(make))
            yield piece  # type: ignore[misc]
