"""The server of the service: the address that it listens at, its bounds, its start and its end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn

from deepenough.engines import AUTO
from deepenough.errors import DeepenoughError
from deepenough.reload_signal import RELOAD_SIGNAL, EarlyReload, is_terminal
from deepenough.serve.access import Access
from deepenough.serve.app import make_app
from deepenough.serve.connections import HEAD_SECONDS, bounded_protocol, connection_limit
from deepenough.serve.limits import Limits
from deepenough.serve.logs import LogFormat, logging_to
from deepenough.serve.models import Models

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
    log_format: LogFormat
    access_log: bool
    workers: int = 1

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


def serve(runs: Mapping[str, Path], options: ServerOptions, say: Callable[[str], object]) -> None:
    """Serve models by their name until SIGINT or SIGTERM, once what was accepted until then is answered."""
    with EarlyReload() as early:
        server = make_server(runs, options)
        listening = listen(options.host, options.port)
        announce(runs, options, listening, server.start_notes(), say)
        server.answer(listening, early)


def make_server(runs: Mapping[str, Path], options: ServerOptions) -> BoundedServer:
    """Make the server of models by their name; they are loaded now."""
    limits = Limits(upload=options.max_upload * 2**20, files=options.max_files)
    limits = replace(limits, waiting=max(limits.waiting, limits.files))  # so that the largest request fits in
    access = Access((options.host, *options.allowed_hosts), options.token)
    app = make_app(runs, limits, options.device, access, options.engine)
    config = uvicorn.Config(
        app,
        http=bounded_protocol(connection_limit()),
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # the address of a client is that of its connection: a header could say anything
        timeout_graceful_shutdown=GRACE,
        ssl_certfile=options.certfile,
        ssl_keyfile=options.keyfile,
    )
    return BoundedServer(config, app.state.models, options)


@dataclass(frozen=True)
class StartNotes:
    """The titles of the engines that models run on, and notes on how these were chosen."""

    engines: tuple[str, ...]
    notes: tuple[str, ...]


def announce(
    runs: Mapping[str, Path],
    options: ServerOptions,
    listening: socket.socket,
    notes: StartNotes,
    say: Callable[[str], object],
) -> None:
    """Say where models are served, and by what."""
    port = listening.getsockname()[1]
    shown = f"[{options.host}]" if ":" in options.host else options.host
    if options.is_public and options.token is None:
        say(
            "anyone who can reach this machine may ask; give --token, or put the service behind a proxy that "
            "authenticates"
        )
    address = f"{'https' if options.certfile else 'http'}://{shown}:{port}"
    names = ", ".join(map(str, runs.values()))
    processes = f" in {options.workers} processes" if options.workers > 1 else ""
    say(f"serving {names} at {address} with {', '.join(notes.engines)}{processes} (Ctrl-C to stop)")
    for line in notes.notes:
        say(line)


class BoundedServer(uvicorn.Server):
    """A server that is over some seconds after its requests had their time to end, whatever hangs. It reads its models
    anew on SIGHUP."""

    timer: threading.Timer | None = None
    early: EarlyReload | None = None

    def __init__(self, config: uvicorn.Config, models: Models, options: ServerOptions) -> None:
        super().__init__(config)
        self.models, self.options = models, options
        self.reloading: set[asyncio.Task[None]] = set()
        self.terminal = is_terminal()

    def start_notes(self) -> StartNotes:
        """The engines of the models, and the notes on them, each by its model where there are several."""
        models = {name: self.models.get(name).model for name in self.models.runs}
        notes = [
            line if len(models) == 1 else f"{name}: {line}" for name, model in models.items() for line in model.notes
        ]
        return StartNotes(tuple(dict.fromkeys(model.engine.title for model in models.values())), tuple(notes))

    def answer(self, listening: socket.socket, early: EarlyReload) -> None:
        """Answer at a socket until SIGINT or SIGTERM. The models are read anew if that was asked for `early`."""
        self.early = early
        with logging_to(self.options.log_format, self.options.access_log), long_lived_objects():
            self.run(sockets=[listening])

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            loop = BoundedEventLoop if self.config.is_ssl else self.config.get_loop_factory()
            with asyncio.Runner(loop_factory=loop) as runner:
                runner.run(self.serve(sockets))
        finally:  # a program that serves may have more to do
            if self.timer is not None:
                self.timer.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)  # models that are read anew before it started them would be started twice
        if hasattr(signal, RELOAD_SIGNAL) and threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.hang_up)
        if self.early is not None and self.early.take():
            self.hang_up()

    def hang_up(self) -> None:
        """Read the models anew, or end where the signal means that the terminal is gone."""
        if self.terminal and not is_terminal():
            self.should_exit = True
            return
        task = asyncio.create_task(self.reload())
        self.reloading.add(task)
        task.add_done_callback(self.reloading.discard)

    async def reload(self) -> None:
        await self.models.reload()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.models.draining = True
        self.timer = end_within(GRACE + HANGING)
        await super().shutdown(sockets)


class BoundedEventLoop(asyncio.SelectorEventLoop):
    """An event loop whose servers wait for a TLS handshake as long as for the head of a request."""

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", HEAD_SECONDS)
        return await super().create_server(*args, **options)


@contextmanager
def long_lived_objects() -> Iterator[None]:
    """Spare what has been imported and loaded the garbage collector, which would look through it again and again: a
    third of the service's time where hundreds of requests wait."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


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
