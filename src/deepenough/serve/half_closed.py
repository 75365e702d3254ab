"""Clients that send their request and then close their side of the connection alone (`shutdown(SHUT_WR)`)."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

FIRST_LOOK = 0.2
"""Seconds from the end of what a client sends until it is seen whether it is still there: most answers come before."""
NEXT_LOOK = 0.05  # seconds; each look has twice as long until the next, up to
LONGEST_LOOK = 1.0

_FIRST = b"H"  # of the answer, whatever it is: all begin with HTTP/1.1


class HalfClosingProtocol(H11Protocol):
    """uvicorn's protocol, which ends a connection when its client sends no more; here it gets its answers first.

    A client that closes its side alone and one that closes the whole socket, as a program does that is over, send the
    same FIN. They can be told apart only by what comes back for something that is written: nothing, or a reset. So an
    answer that takes its time begins with its first byte: a client that waits gets the others later, and one that has
    gone resets the connection, which counts as hanging up. An answer that is quicker is given to both, and so is one to
    a client whose resets don't arrive, as behind a network that is down. Before a request is whole a FIN is the end, as
    it was, and under TLS, where asyncio can't write to a connection whose other side is closed.
    """

    looking: asyncio.TimerHandle | None = None  # at a client that sends no more
    begun: bool = False

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection, if there is a whole request to be answered. It may be called more than once."""
        if self.scheme == "https" or not self.owes_answer():
            return False
        if self.looking is None:
            self.looking = self.loop.call_later(FIRST_LOOK, self.look, NEXT_LOOK)
        return True

    def on_response_complete(self) -> None:
        super().on_response_complete()  # begins what came after that request
        if self.looking is not None and not self.owes_answer():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.looking is not None:
            self.looking.cancel()
        super().connection_lost(exc)

    def owes_answer(self) -> bool:
        """Tell if a request that is here as a whole has no whole answer yet."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def look(self, pause: float) -> None:
        """End the connection if its client is gone; look again later otherwise."""
        if self.transport.is_closing():
            return
        if not self.begun and not self.cycle.response_started:
            self.begun = True
            self.cycle.transport = _Begun(self.transport)  # type: ignore[assignment]
        connection = self.transport.get_extra_info("socket")
        # asyncio reads no more from it, and so doesn't see a reset before it writes again.
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
            return
        self.looking = self.loop.call_later(pause, self.look, min(2 * pause, LONGEST_LOOK))


class _Begun:
    """The transport of an answer whose first byte is written already."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._owed = transport, _FIRST
        transport.write(_FIRST)

    def write(self, data: bytes) -> None:
        if data:
            data, self._owed = data.removeprefix(self._owed), b""
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
