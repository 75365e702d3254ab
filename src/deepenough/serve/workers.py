"""Several processes that answer at one address. Each reads the models by itself; one that ends is started anew."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from deepenough.ctrl_c import blocking_signals
from deepenough.errors import DeepenoughError
from deepenough.machine import cores
from deepenough.reload_signal import RELOAD_SIGNAL, EarlyReload
from deepenough.serve.logs import logging_to
from deepenough.serve.metrics import SHARED_FOLDER
from deepenough.serve.server import GRACE, HANGING, ServerOptions, StartNotes, announce, listen, make_server

SHORT_LIFE = 10.0
"""Seconds: a worker that ended sooner is started anew only after as long, so that no time goes into starting alone."""
RELOADED = 1
"""Message of a worker that was asked to read its models anew; texts are the reasons that one can't start."""
_THREADS = "OMP_NUM_THREADS"
_FORWARDED = ("SIGINT", "SIGTERM", RELOAD_SIGNAL)

logger = logging.getLogger(__name__)


def serve_by_workers(runs: Mapping[str, Path], options: ServerOptions, say: Callable[[str], object]) -> None:
    """Serve models by `options.workers` processes until SIGINT or SIGTERM, as `server.serve` does by one.

    Raises DeepenoughError where a worker can't start.
    """
    listening = listen(options.host, options.port)
    with tempfile.TemporaryDirectory(prefix="deepenough-metrics-") as folder, shared_by(options.workers, folder):
        workers = ServiceWorkers(runs, options, listening)
        with workers.taking_signals():
            notes = workers.start_all()
            if notes is not None:  # None where it was ended before
                announce(runs, options, listening, notes, say)
                with logging_to(options.log_format, options.access_log):
                    workers.watch()


@contextmanager
def shared_by(workers: int, folder: str) -> Iterator[None]:
    """Give processes that start in this context their share of the cores, and a folder for their counts."""
    before = {name: os.environ.get(name) for name in (_THREADS, SHARED_FOLDER)}
    os.environ.setdefault(_THREADS, str(max(cores() // workers, 1)))
    os.environ[SHARED_FOLDER] = folder
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class ServiceWorker:
    """A process that answers, and the end of the pipe at which it is heard."""

    def __init__(self, runs: Mapping[str, Path], options: ServerOptions, listening: socket.socket) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.messages, theirs = spawn.Pipe(duplex=False)
        self.process = spawn.Process(target=run_worker, args=(dict(runs), options, listening, theirs))
        # A terminal's Ctrl-C comes to all of its processes; what asks for a reload waits until the worker can take it.
        with blocking_signals(*(each for each in ("SIGINT", RELOAD_SIGNAL) if hasattr(signal, each))):
            self.process.start()
        theirs.close()  # so that its end is heard
        self.since = time.monotonic()

    def start_notes(self) -> StartNotes | str | None:
        """The notes of its start, once it answers; the reason that it can't; None if it ended without a word."""
        try:
            return self.messages.recv()  # type: ignore[no-any-return]
        except EOFError:
            return None

    def signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, number)


class ServiceWorkers:
    """The processes of a service."""

    def __init__(self, runs: Mapping[str, Path], options: ServerOptions, listening: socket.socket) -> None:
        self.make: Callable[[], ServiceWorker] = lambda: ServiceWorker(runs, options, listening)
        self.count = options.workers
        self.all: list[ServiceWorker] = []
        self.ending = threading.Event()

    @contextmanager
    def taking_signals(self) -> Iterator[None]:
        """Hand on to the workers what this process is asked; whatever hangs, they end with the context."""
        numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
        before = {number: signal.signal(number, self.hand_on) for number in numbers}
        try:
            yield
        finally:
            self.end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def hand_on(self, number: int, frame: object) -> None:
        """Hand a signal on: SIGINT as SIGTERM, and as SIGKILL where the service is about to end already."""
        if number in (signal.SIGINT, signal.SIGTERM):
            hurry = number == signal.SIGINT and self.ending.is_set()
            self.ending.set()
            number = signal.SIGKILL if hurry and hasattr(signal, "SIGKILL") else signal.SIGTERM
        for worker in self.all:
            worker.signal(number)

    def start_all(self) -> StartNotes | None:
        """Start the workers. Returns the first one's notes, or None if the service was ended meanwhile.

        The first starts alone: it measures the engines undisturbed, and a run that can't be read is told once.
        """
        first: StartNotes | None = None
        for number in (1, self.count - 1):
            for _ in range(number):
                self.all.append(self.make())  # each is told of signals from now on
            for worker in self.all[len(self.all) - number :]:
                notes = worker.start_notes()
                if self.ending.is_set():
                    return None
                if not isinstance(notes, StartNotes):
                    raise DeepenoughError(notes or "a process of the service ended while it started")
                first = first or notes
        return first

    def watch(self) -> None:
        """Start anew what ends, and hand on what one worker tells all, until the service is to end."""
        while not self.ending.is_set():
            messages: list[Connection] = [worker.messages for worker in self.all]
            for heard in wait(messages, timeout=1.0):  # a signal may come between the question above and this
                worker = next(each for each in self.all if each.messages is heard)
                try:
                    self.listen(worker, worker.messages.recv())
                except EOFError:
                    self.replace(worker)

    def listen(self, worker: ServiceWorker, message: object) -> None:
        """Act on a message of a worker."""
        if message == RELOADED and hasattr(signal, "SIGHUP"):
            for other in self.all:
                if other is not worker:
                    other.signal(signal.SIGHUP)
        elif isinstance(message, str):
            logger.error("process %s can't answer: %s", worker.process.pid, message)

    def replace(self, worker: ServiceWorker) -> None:
        """Start a worker in the place of one that ended."""
        worker.process.join(HANGING)
        self.all.remove(worker)
        if worker.process.pid is not None:
            mark_process_dead(worker.process.pid)  # type: ignore[no-untyped-call]
        rest = max(SHORT_LIFE - (time.monotonic() - worker.since), 0.0)
        if not self.ending.wait(rest):
            logger.error("process %s ended (exit status %s): another one starts", *told(worker))
            self.all.append(self.make())

    def end(self) -> None:
        """End the workers; those that hang are killed."""
        self.ending.set()
        for worker in self.all:
            worker.signal(signal.SIGTERM)
        until = time.monotonic() + GRACE + HANGING + 5  # by then they have ended themselves
        for worker in self.all:
            worker.process.join(max(until - time.monotonic(), 0.1))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def told(worker: ServiceWorker) -> tuple[int | None, int | None]:
    """The number and the exit status of a worker's process."""
    return worker.process.pid, worker.process.exitcode


def run_worker(runs: dict[str, Path], options: ServerOptions, listening: socket.socket, messages: Connection) -> None:
    """Answer at a socket, as one process of a service, until SIGTERM or the end of the process that started this."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    with EarlyReload() as early:
        try:
            server = make_server(runs, options)
        except DeepenoughError as error:
            messages.send(str(error))
            return
        server.models.tell_others = lambda: messages.send(RELOADED)
        messages.send(server.start_notes())
        server.answer(listening, early)


def end_with_parent() -> None:
    """End this process as SIGTERM does, once the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        signal.raise_signal(signal.SIGTERM)
