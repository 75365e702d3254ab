"""Clients that send a request and close their side of the connection alone get their answer; those that go do not."""

from __future__ import annotations

import asyncio
import io
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image

from deepenough.serve import half_closed
from deepenough.serve.app import make_app
from deepenough.serve.connections import bounded_protocol
from deepenough.serve.server import listen

LONG = 60.0  # seconds; nothing here takes as long


@contextmanager
def serving(app: Any) -> Iterator[Callable[[bytes], socket.socket]]:
    """Serve an app: what connects to it, and sends something."""
    config = uvicorn.Config(app, http=bounded_protocol(100, LONG), log_level="warning", access_log=False)
    server, listening = uvicorn.Server(config), listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()

    def connect(content: bytes) -> socket.socket:
        connection = socket.create_connection(listening.getsockname(), timeout=LONG)
        connection.sendall(content)
        return connection

    try:
        yield connect
    finally:
        server.should_exit = True
        thread.join(LONG)


def rest(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    with connection, connection.makefile("rb") as file:
        return file.read()


def post(path: str, kind: str, content: bytes, version: str = "1.1") -> bytes:
    head = f"POST {path} HTTP/{version}\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}"
    return f"{head}\r\n\r\n".encode() + content


def picture() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(content, "PNG")
    return content.getvalue()


def requests(name: str) -> list[bytes]:
    """One for each route that works for its client."""
    part = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + picture() + b"\r\n"
    tensor = b'{"inputs":[{"name":"images","datatype":"UINT8","shape":[1,16,16,3],"data":[%s]}]}' % b",".join(
        [b"0"] * 768
    )
    raw = [post(path, "image/png", picture()) for path in ("/predict", "/explain", "/depths")]
    many = post("/predict", "multipart/form-data; boundary=xx", 3 * part + b"--xx--\r\n")
    return [*raw, many, post(f"/v2/models/{name}/infer", "application/json", tensor)]


def test_every_route_answers_a_client_that_sends_no_more(finished: Path) -> None:
    with serving(make_app({"x": finished})) as connect:
        for request in [*requests("x"), post("/predict", "image/png", picture(), "1.0")]:
            connection = connect(request)
            connection.shutdown(socket.SHUT_WR)
            assert rest(connection).startswith(b"HTTP/1.1 200 OK\r\n"), request[:60]
        connection = connect(requests("x")[0] * 3)  # one after another, and all are answered
        connection.shutdown(socket.SHUT_WR)
        assert rest(connection).count(b"HTTP/1.1 200 OK\r\n") == 3


class Slow:
    """An app that answers when it is let, and tells when its client hangs up."""

    def __init__(self) -> None:
        self.asked, self.may_answer, self.gone = threading.Event(), threading.Event(), threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        message = await receive()
        self.asked.set()
        answering = asyncio.create_task(asyncio.to_thread(self.may_answer.wait, LONG))
        while not answering.done() and message["type"] != "http.disconnect":
            hearing = asyncio.create_task(receive())
            await asyncio.wait((answering, hearing), return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                message = hearing.result()
            hearing.cancel()
        if message["type"] == "http.disconnect":
            self.gone.set()
            self.may_answer.set()
        else:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.setattr(half_closed, "FIRST_LOOK", 0.0)
    slow = Slow()
    yield slow
    slow.may_answer.set()


def test_an_answer_that_takes_its_time_begins_with_its_first_byte(slow: Slow) -> None:
    with serving(slow) as connect:
        connection = connect(post("/", "image/png", b"x"))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"H"
        assert not slow.gone.is_set()
        slow.may_answer.set()
        answer = rest(connection)
    assert answer.startswith(b"TTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nok")
    assert not slow.gone.is_set()


def test_a_client_that_closes_its_socket_hangs_up(slow: Slow) -> None:
    with serving(slow) as connect:
        connection = connect(post("/", "image/png", b"x"))
        assert slow.asked.wait(LONG)
        connection.close()
        assert slow.gone.wait(LONG)


def test_a_client_that_resets_a_half_closed_connection_hangs_up(slow: Slow) -> None:
    with serving(slow) as connect:
        connection = connect(post("/", "image/png", b"x"))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"H"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        assert slow.gone.wait(LONG)


@pytest.mark.parametrize("cut", [20, -1])
def test_a_request_that_will_never_be_whole_ends_at_once(slow: Slow, cut: int) -> None:
    with serving(slow) as connect:
        connection = connect(post("/", "image/png", b"xyz")[:cut])
        connection.shutdown(socket.SHUT_WR)
        assert rest(connection) == b""
        assert slow.gone.wait(LONG if cut < 0 else 0) is (cut < 0)


@pytest.mark.parametrize("cut", [20, -1])
def test_half_a_request_after_a_whole_one_ends_with_the_answer_to_that(slow: Slow, cut: int) -> None:
    with serving(slow) as connect:
        connection = connect(post("/", "image/png", b"xyz") + post("/", "image/png", b"xyz")[:cut])
        assert slow.asked.wait(LONG)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"H"
        slow.may_answer.set()
        assert rest(connection).endswith(b"\r\n\r\nok")
