"""Connections that send nothing, or half a head, lock nobody out."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import uvicorn

from deepenough.serve.app import make_app
from deepenough.serve.connections import bounded_protocol, connection_limit
from deepenough.serve.server import listen

HALF = b"GET /health HTTP/1.1\r\nHost: loc"


@contextmanager
def serving(run: Path, most: int, seconds: float) -> Iterator[int]:
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(make_app(run), http=bounded_protocol(most, seconds), log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(30)


def connect(port: int, content: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(content)
    return connection


def answered(connection: socket.socket) -> int:
    """Read a whole answer: its status."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.read()
    return response.status


def test_half_a_head_ends_with_a_word(finished: Path) -> None:
    with serving(finished, 100, 3.0) as port:
        silent, half = connect(port), connect(port, HALF)
        for each in (silent, half):
            assert answered(each) == 408
            assert each.recv(4096) == b""
        slow = connect(port, HALF)
        time.sleep(0.1)
        slow.sendall(b"alhost\r\n\r\n")
        assert answered(slow) == 200
        slow.sendall(HALF)  # the next request of the same connection
        assert answered(slow) == 408


def test_the_ones_that_send_nothing_make_room(finished: Path) -> None:
    with serving(finished, 10, 60.0) as port:
        stalled = [connect(port, HALF) for _ in range(50)]
        for _ in range(5):
            assert httpx2.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
        assert {answered(each) for each in stalled[:40]} == {408}


BODY_TO_COME = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"


def test_the_rest_of_a_body_that_nobody_needs_has_its_time(finished: Path) -> None:
    with serving(finished, 100, 2.0) as port:
        stalled = connect(port, BODY_TO_COME)
        assert answered(stalled) == 200
        stalled.sendall(b"x")
        assert stalled.recv(4096) == b""  # within the time of a connection's test
        late = connect(port, BODY_TO_COME)
        assert answered(late) == 200
        late.sendall(bytes(1_000_000) + b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answered(late) == 200


def test_bodies_that_never_end_lock_nobody_out(finished: Path) -> None:
    with serving(finished, 5, 60.0) as port:
        stalled = []
        for _ in range(8):
            each = connect(port, BODY_TO_COME)
            assert answered(each) == 200
            each.sendall(b"x")
            stalled.append(each)
        assert httpx2.get(f"http://127.0.0.1:{port}/health/live").status_code == 200


def test_there_are_fewer_connections_than_files_may_be_open() -> None:
    resource = pytest.importorskip("resource")
    most = connection_limit()
    assert (
        16 <= most < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        or resource.getrlimit(resource.RLIMIT_NOFILE)[0] == resource.RLIM_INFINITY
    )
