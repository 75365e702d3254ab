"""Connections of the service: a bound on their number, and on the time that the head of a request may take."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from deepenough.serve.half_closed import HalfClosingProtocol

HEAD_SECONDS = 10.0
"""Seconds within which the head of a request has to be here, from its first byte or the start of the connection.

Where the rest of a body comes before it, from the answer to that.
"""
RESERVED_FILES = 64  # open files that are not connections
MOST_CONNECTIONS = 4_096

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def connection_limit() -> int:
    """The number of connections that there may be; raises the limit of open files for them, where that can be."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + RESERVED_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    files = wanted if soft == resource.RLIM_INFINITY else soft
    return max(min(files - RESERVED_FILES, MOST_CONNECTIONS), 16)


def bounded_protocol(most: int, seconds: float = HEAD_SECONDS) -> type[H11Protocol]:
    """uvicorn's protocol with bounds: at most `most` connections, and `seconds` for the head of a request.

    When there are too many, the one that has waited longest for a head makes room, so that nobody is locked out by
    those that send nothing.
    """
    heads: MutableMapping[Any, asyncio.TimerHandle] = {}  # connections whose head is not whole, the oldest first

    class BoundedProtocol(HalfClosingProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                if not heads:
                    transport.abort()
                    return
                next(iter(heads)).give_up()
            self.expect_head()

        def data_received(self, data: bytes) -> None:
            if self.owes_head() and self not in heads:  # the next request of a connection
                self.expect_head()
            super().data_received(data)
            if not self.owes_head():
                self.head_is_here()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.conn.their_state is h11.SEND_BODY and self.owes_head() and self not in heads:
                self.expect_head()  # uvicorn's own timer ends with the first byte that comes

        def connection_lost(self, exc: Exception | None) -> None:
            self.head_is_here()
            super().connection_lost(exc)

        def owes_head(self) -> bool:
            """Tell if the next is a head, after what is left of the body of a request that was answered before."""
            answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
            return answered or self.conn.their_state is h11.IDLE

        def expect_head(self) -> None:
            heads[self] = asyncio.get_running_loop().call_later(seconds, self.give_up)

        def head_is_here(self) -> None:
            timer = heads.pop(self, None)
            if timer is not None:
                timer.cancel()

        def give_up(self) -> None:
            """End the connection for want of a head."""
            self.head_is_here()
            if not self.transport.is_closing():
                if self.conn.our_state is h11.IDLE:  # else the last request has its answer
                    self.transport.write(_TIMEOUT)
                self.transport.close()

    return BoundedProtocol
