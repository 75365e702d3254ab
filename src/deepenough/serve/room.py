"""Room for so many things at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deepenough.serve.refusals import FullError


class Room:
    """Room for `most` things at a time. Who finds none waits in the order of coming, at most `patience` seconds, and
    at most `most` wait.

    Args:
        most: the things that there is room for.
        what: what they are, for those who find no room.
        patience: seconds; 0 where nobody waits.
    """

    def __init__(self, most: int, what: str, patience: float = 0.0) -> None:
        self.most, self.what, self.patience = most, what, patience
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def check(self) -> None:
        """Raise FullError where it is no use to wait; costs nothing, so that it can come before a body is read."""
        if self.taken >= self.most and (not self.patience or len(self._waiting) >= self.most):
            raise self._full()

    def take(self, count: int = 1) -> None:
        """Take room that there is now. Raises FullError."""
        if self.taken + count > self.most:
            raise self._full()
        self.taken += count

    def leave(self, count: int = 1) -> None:
        """Give room back, and let in those who wait for it."""
        self.taken -= count
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.done():
                if self.taken + wanted > self.most:
                    break
                self.taken += wanted
                turn.set_result(None)
            self._waiting.popleft()

    @asynccontextmanager
    async def entered(self, count: int = 1) -> AsyncIterator[None]:
        """Room for so many things while the context lasts. Raises FullError."""
        if not self.patience or (not self._waiting and self.taken + count <= self.most):
            self.take(count)
        else:
            await self._wait(count)
        try:
            yield
        finally:
            self.leave(count)

    async def _wait(self, count: int) -> None:
        if count > self.most or len(self._waiting) >= self.most:
            raise self._full()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            async with asyncio.timeout(self.patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # let in at the moment of giving up
                self.leave(count)
            else:
                turn.cancel()
                self.leave(0)  # those behind may be content with less
            if isinstance(error, TimeoutError):
                raise self._full() from None
            raise

    def _full(self) -> FullError:
        return FullError(f"{self.taken} {self.what} are already waiting, and there is room for {self.most}")
