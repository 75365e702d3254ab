"""Start `python -m MODULE` or a script in a tenth of a second: fork a process that has imported everything already.

    with ForkServer() as server:
        process = server.popen(["-m", "deepenough", "fit", ...], stdout=PIPE)
        output, _ = process.communicate(timeout=60)

What is started is a real process: it leads a session of its own, can be signalled and killed, has its own environment,
and ends as the interpreter ends. What it does not show is how long imports take, or what is imported; tests of that
start a new interpreter.

Run as a program, this file is the server. It must have one thread when it forks, so it imports and computes nothing.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import IO, Any

PRELOADED = ("torch.distributed.run", "torch._dynamo", "captum.attr", "uvicorn", "sklearn.ensemble")
"""What commands import when they run, beside `deepenough`'s own modules."""


class Forked:
    """A process that the server started, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, args: Sequence[str], pid: int, status: socket.socket, stdout: Any, stderr: Any) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self.stdout: IO[str] | None = stdout
        self.stderr: IO[str] | None = stderr
        self._status = status

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, negative for a signal, once it has ended."""
        if self.returncode is None:
            self._status.settimeout(timeout if timeout is None else max(timeout, 1e-6))
            try:
                word = self._status.recv(8)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0) from None
            self._status.close()
            self.returncode = os.waitstatus_to_exitcode(int.from_bytes(word))
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote to stdout and stderr, once it has ended; "" for what is no pipe."""
        until = None if timeout is None else time.monotonic() + timeout
        said = {"stdout": "", "stderr": ""}

        def read(name: str) -> None:
            if pipe := getattr(self, name):
                with suppress(ValueError):  # the pipe was closed after the time was up
                    said[name] = pipe.read()
                pipe.close()

        readers = [threading.Thread(target=read, args=(name,), daemon=True) for name in said]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if until is None else max(until - time.monotonic(), 0.0))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
        self.wait(None if until is None else max(until - time.monotonic(), 0.0))
        return said["stdout"], said["stderr"]

    def send_signal(self, number: int) -> None:
        """Signal it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The server, from the side of who asks it."""

    def __init__(self) -> None:
        self._socket, other = socket.socketpair()
        # With one thread for each library; what it forks decides for itself.
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        env["JE_ARROW_MALLOC_CONF"] = (
            "background_thread:false"  # of pyarrow, which pandas imports, and scikit-learn that
        )
        with other:
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(other.fileno())],
                env=env, pass_fds=[other.fileno()], stdin=DEVNULL, stdout=DEVNULL, start_new_session=True,
            )  # fmt: skip

    @classmethod
    def of_this_process(cls) -> ForkServer:
        """A server that is a fork of this process. In what it starts this call never returns."""
        server = cls.__new__(cls)
        server._socket, other = socket.socketpair()
        if os.fork():
            other.close()
            return server
        server._socket.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        run(serve(other))
        sys.exit()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._server.wait()

    def popen(
        self,
        args: Sequence[object],
        *,
        env: dict[str, str] | None = None,
        cwd: Path | str | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> Forked:
        """Start `python ARGS`, where ARGS are `-m MODULE ...` or `SCRIPT ...`, in a session of its own.

        `stdout` and `stderr` are as for `subprocess.Popen`: None, PIPE, DEVNULL or, for stderr, STDOUT.
        """
        words = [str(word) for word in args]
        request = {
            "args": words,
            "env": dict(os.environ if env is None else env),
            "cwd": str(cwd or Path.cwd()),
            "interrupted": signal.getsignal(signal.SIGINT) is not signal.SIG_IGN,  # a child inherits that
        }
        status, told = socket.socketpair()
        null = os.open(os.devnull, os.O_RDWR)
        out, out_end = _stream(stdout, null, 1)
        err, err_end = (None, out_end) if stderr == STDOUT else _stream(stderr, null, 2)
        _send(self._socket, request, [told.fileno(), null, out_end, err_end])
        told.close()
        for end in {null, out_end, err_end} - {1, 2}:
            os.close(end)
        pid = status.recv(8)
        if not pid:
            raise RuntimeError("the fork server has ended")
        return Forked(words, int.from_bytes(pid), status, out, err)

    def run(self, args: Sequence[object], *, timeout: float | None = None, **more: Any) -> subprocess.CompletedProcess:
        """Start it and wait for its end."""
        process = self.popen(args, **{"stdout": PIPE, "stderr": PIPE} | more)
        out, err = process.communicate(timeout)
        return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def _stream(wanted: int | None, null: int, inherited: int) -> tuple[IO[str] | None, int]:
    """Our end of a stream, where there is one, and the process's end."""
    if wanted is None:
        return None, inherited
    if wanted == DEVNULL:
        return None, null
    assert wanted == PIPE
    ours, theirs = os.pipe()
    return open(ours, encoding="utf-8", errors="replace"), theirs  # noqa: PTH123 - a descriptor


def _send(to: socket.socket, request: dict[str, Any], descriptors: list[int]) -> None:
    """A request: its length with the descriptors, then its text."""
    content = json.dumps(request).encode()
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
    to.sendmsg([len(content).to_bytes(8)], [rights])
    to.sendall(content)


def _receive(given: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """A request, or None where nobody asks any more."""
    length, rights, _, _ = given.recvmsg(8, socket.CMSG_SPACE(4 * array.array("i").itemsize))
    if not length:
        return None
    descriptors = array.array("i")
    descriptors.frombytes(rights[0][2])
    content = b""
    while len(content) < int.from_bytes(length):
        content += given.recv(int.from_bytes(length) - len(content))
    return json.loads(content), list(descriptors)


def preload() -> None:
    """Import what the commands import."""
    import deepenough

    for name in PRELOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    for module in pkgutil.walk_packages(deepenough.__path__, "deepenough."):
        if not module.name.endswith("__main__") and ".workers." not in module.name:
            with suppress(ImportError):  # of an optional package
                importlib.import_module(module.name)
    sys.modules.pop("torch.distributed.run", None)  # it may be what is asked for; what it imports is here


def serve(given: socket.socket) -> list[str] | None:
    """Fork for each request. This returns in the processes that were forked, with their arguments."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while received := _receive(given):
        request, descriptors = received
        if not os.fork():
            given.close()
            _fork_and_keep(descriptors[0])
            _become(request, *descriptors)
            return request["args"]
        for descriptor in descriptors:
            os.close(descriptor)
    return None


def _fork_and_keep(status: int) -> None:
    """Fork once more. The parent tells what becomes of the child and ends with it; this returns in the child."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if not pid:
        return
    with suppress(OSError):  # nobody may want to know any more
        os.closerange(0, status)
        os.closerange(status + 1, 256)
        os.write(status, pid.to_bytes(8))
        os.write(status, os.waitpid(pid, 0)[1].to_bytes(8))
    os._exit(0)


def _become(request: dict[str, Any], status: int, null: int, out: int, err: int) -> None:
    """Be as a new process is."""
    os.setsid()
    for number, descriptor in enumerate((null, out, err)):
        os.dup2(descriptor, number)
    for descriptor in {status, null, out, err}:
        os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):  # as Python opens them: a file can seek, a pipe can't
        stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    signal.signal(signal.SIGINT, signal.default_int_handler if request["interrupted"] else signal.SIG_IGN)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    module, *rest = request["args"]
    sys.path[0] = request["cwd"] if module == "-m" else str(Path(module).parent)
    sys.argv = rest if module == "-m" else [module, *rest]
    for folder in request["env"].get("PYTHONPATH", "").split(os.pathsep):
        if (Path(folder) / "sitecustomize.py").is_file():
            runpy.run_path(f"{folder}/sitecustomize.py")


def main() -> None:
    """Import, serve, and in each process that was forked run what was asked for, to the interpreter's own end."""
    preload()
    threads = sum(1 for _ in Path("/proc/self/task").iterdir()) if Path("/proc/self/task").is_dir() else 1
    assert threads == 1, f"{threads} threads: a fork would have one of them"
    gc.freeze()
    run(serve(socket.socket(fileno=int(sys.argv[1]))))


def run(args: list[str] | None) -> None:
    """Run the module or script that was asked for, if any was."""
    if args is None:
        return
    if args[0] == "-m":
        runpy.run_module(args[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(args[0], run_name="__main__")


if __name__ == "__main__":
    main()
