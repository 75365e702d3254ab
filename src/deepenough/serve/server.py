"""The server of the service: the address that it listens at, its bounds, its start and its end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from deepenough.engines import AUTO
from deepenough.errors import DeepenoughError
from deepenough.serve.access import Access
from deepenough.serve.app import make_app
from deepenough.serve.connections import bounded_protocol, connection_limit
from deepenough.serve.limits import Limits

BACKLOG = 1024  # clients that wait to be connected
GRACE = 30  # seconds that requests have to end once the service is asked to
HANGING = 10  # seconds after these until the process ends, whatever hangs
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """The options of `serve`."""

    host: str
    port: int
    device: str
    engine: str = AUTO
    max_upload: int
    max_files: int
    allowed_hosts: tuple[str, ...]
    token: str | None
    certfile: Path | None
    keyfile: Path | None

    def __post_init__(self) -> None:
        for option, file in (("certfile", self.certfile), ("keyfile", self.keyfile)):
            if file is not None and not file.is_file():
                raise DeepenoughError(f"--{option} {file}: there is no such file")
        if self.keyfile is not None and self.certfile is None:
            raise DeepenoughError("--keyfile needs --certfile: give both, or a --certfile that has the key in it")
        if self.token is not None and not self.token.strip():
            raise DeepenoughError(
                "--token (or DEEPENOUGH_TOKEN) is empty, and would protect nothing: give a secret, or leave it out"
            )

    @property
    def is_public(self) -> bool:
        """True if others than this machine can connect."""
        return self.host not in LOOPBACK


def serve(run: Path, options: ServerOptions, say: Callable[[str], object]) -> None:
    """Serve until SIGINT or SIGTERM, once what was accepted until then is answered."""
    limits = Limits(upload=options.max_upload * 2**20, files=options.max_files)
    access = Access((options.host, *options.allowed_hosts), options.token)
    app = make_app(run, limits, options.device, access, options.engine)
    model = app.state.service.model
    listening = listen(options.host, options.port)
    port = listening.getsockname()[1]
    shown = f"[{options.host}]" if ":" in options.host else options.host
    if options.is_public and options.token is None:
        say(
            "anyone who can reach this machine may ask; give --token, or put the service behind a proxy that "
            "authenticates"
        )
    address = f"{'https' if options.certfile else 'http'}://{shown}:{port}"
    say(f"serving {run} at {address} with {model.engine.title} (Ctrl-C to stop)")
    for line in model.notes:
        say(line)
    config = uvicorn.Config(
        app,
        http=bounded_protocol(connection_limit()),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        ssl_certfile=options.certfile,
        ssl_keyfile=options.keyfile,
    )
    BoundedServer(config).run(sockets=[listening])


class BoundedServer(uvicorn.Server):
    """A server that is over some seconds after its requests had their time to end, whatever hangs."""

    timer: threading.Timer | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:  # a program that serves may have more to do
            if self.timer is not None:
                self.timer.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.timer = end_within(GRACE + HANGING)
        await super().shutdown(sockets)


def end_within(seconds: float) -> threading.Timer:
    """End this process after some seconds, whatever hangs, unless the timer is cancelled."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
    return timer


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address; port 0 takes any that is free."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)  # with TCP named asyncio sends answers at once
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        return listening
    except OSError as error:
        raise DeepenoughError(
            f"--host {host} --port {port}: can't listen there ({error.strerror or error}); give another --port, "
            "or 0 for any that is free"
        ) from None
