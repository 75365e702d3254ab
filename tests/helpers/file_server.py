"""A server of files, as publishers have: it takes ranges, and breaks off, refuses or waits where a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves `files` by their paths.

    It answers by the next of `script`, then whole: a number of bytes to break off after, an HTTP status such as "503",
    or "ignore", which sends the whole file whatever range was asked for. While `slow` is clear it waits.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.script: list[int | str] = []
        self.asked: list[str] = []
        self.ranges: list[str | None] = []
        self.sent = 0
        self.slow = threading.Event()
        self.slow.set()

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients that hang up are part of the tests

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer while in this context."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield
        self.slow.set()
        self.shutdown()
        thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(f"{self.path} {asked}")
        server.ranges.append(asked)
        answer = server.script.pop(0) if server.script else "whole"
        server.slow.wait(10)
        content = server.files.get(self.path.lstrip("/"))
        if content is None or (isinstance(answer, str) and answer.isdigit()):
            self.send_error(404 if content is None else int(answer))
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and answer != "ignore" else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if isinstance(answer, int):
            body = body[:answer]
        self.wfile.write(body)
        server.sent += len(body)

    def log_message(self, *words: object) -> None:
        pass
