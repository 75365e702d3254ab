"""The options of the server, and HTTPS."""

from __future__ import annotations

import asyncio
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deepenough import DeepenoughError
from deepenough.cli.serve import serve_command
from deepenough.serve import server
from deepenough.serve.server import BoundedEventLoop, BoundedServer, ServerOptions, end_within, listen, serve

OPTIONS: dict[str, Any] = {
    "host": "127.0.0.1", "port": 0, "device": "cpu", "max_upload": 20, "max_files": 32, "allowed_hosts": (),
    "token": None, "certfile": None, "keyfile": None, "engine": "torch", "log_format": "text", "access_log": True,
}  # fmt: skip


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DeepenoughError, match=r"--certfile .*cert.pem: there is no such file"):
        ServerOptions(**{**OPTIONS, "certfile": tmp_path / "cert.pem"})
    key = tmp_path / "key.pem"
    key.touch()
    with pytest.raises(DeepenoughError, match="--keyfile needs --certfile"):
        ServerOptions(**{**OPTIONS, "keyfile": key})


@pytest.mark.parametrize("token", ["", "  "])
def test_an_empty_token_is_refused(token: str) -> None:
    with pytest.raises(DeepenoughError, match=r"--token .* is empty, and would protect nothing: give a secret"):
        ServerOptions(**{**OPTIONS, "token": token})


@pytest.mark.parametrize("variable", ["", " "])
def test_an_empty_variable_is_no_token(finished: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPENOUGH_TOKEN", variable)
    monkeypatch.setattr("deepenough.serve.server.end_within", lambda seconds: None)
    with pytest.raises(DeepenoughError, match="is empty, and would protect nothing"):
        serve_command.main([str(finished)], standalone_mode=False)


def test_a_handshake_that_never_comes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who connect to an HTTPS service and send nothing have the time of a head, not the minute of asyncio."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)

    async def ask() -> bytes:
        with listen("127.0.0.1", 0) as listening:
            secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            await asyncio.get_running_loop().create_server(asyncio.Protocol, sock=listening, ssl=secure)
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            async with asyncio.timeout(40):
                found = await reader.read()
            writer.close()
            return found

    with asyncio.Runner(loop_factory=BoundedEventLoop) as runner:
        assert runner.run(ask()) == b""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "0.0.0.0", "token": "secret"}, False),
    ],
)
def test_it_says_when_anyone_may_ask(
    finished: Path, changes: dict[str, Any], told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(BoundedServer, "run", lambda self, sockets: [each.close() for each in sockets])
    serve({"shapes": finished}, ServerOptions(**{**OPTIONS, **changes}), lines.append)
    assert any("anyone who can reach this machine may ask" in line for line in lines) is told
    assert lines[-1].startswith(f"serving {finished} at http://{changes.get('host', '127.0.0.1')}:")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_https(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run([*words.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    servers: list[BoundedServer] = []
    begin = BoundedServer.__init__

    def keep(self: BoundedServer, *given: Any) -> None:
        begin(self, *given)
        servers.append(self)

    monkeypatch.setattr(BoundedServer, "__init__", keep)
    lines: list[str] = []
    options = ServerOptions(**{**OPTIONS, "certfile": certificate, "keyfile": key})
    thread = threading.Thread(target=serve, args=({"shapes": finished}, options, lines.append), daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not (servers and servers[0].started):
        assert time.monotonic() < end
        time.sleep(0.05)
    address = lines[-1].split()[3]
    assert address.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=str(certificate))
    assert httpx2.get(f"{address}/health", verify=trusting).json() == {"status": "ok"}
    servers[0].should_exit = True
    thread.join(60)
    assert not thread.is_alive()


def test_the_process_outlives_a_server_that_ended(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[threading.Timer] = []
    startup = BoundedServer.startup

    async def and_end(self: BoundedServer, sockets: Any = None) -> None:
        await startup(self, sockets)
        self.should_exit = True

    def kept(seconds: float) -> threading.Timer:
        timers.append(end_within(seconds))
        return timers[-1]

    monkeypatch.setattr(BoundedServer, "startup", and_end)
    monkeypatch.setattr(server, "end_within", kept)
    serve({"shapes": finished}, ServerOptions(**OPTIONS), lambda line: None)
    (timer,) = timers
    timer.join(20)
    assert not timer.is_alive()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP there")
@pytest.mark.parametrize("moment", ["make_app", "listen", "announce"])
def test_a_reload_that_is_asked_for_at_the_start_is_done(
    finished: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, reloaded = getattr(server, moment), []

    def with_signal(*given: Any) -> Any:
        signal.raise_signal(signal.SIGHUP)
        return work(*given)

    async def reload(self: BoundedServer) -> None:
        reloaded.append(self.started)
        self.should_exit = True

    monkeypatch.setattr(server, moment, with_signal)
    monkeypatch.setattr(server, "end_within", lambda seconds: threading.Timer(0, lambda: None))
    monkeypatch.setattr(BoundedServer, "reload", reload)
    serve({"shapes": finished}, ServerOptions(**OPTIONS), lambda line: None)
    assert reloaded == [True]


def test_the_process_ends_whatever_hangs(finished: Path) -> None:
    program = f"""
import time
from pathlib import Path
from deepenough.cli.serve import serve_command
from deepenough.serve import server

server.GRACE, server.HANGING = 1, 1
options = server.ServerOptions(**{OPTIONS!r})
make = server.make_app

def hanging(*given):
    app = make(*given)
    app.state.models.get().batcher.thread.submit(time.sleep, 1000)  # nothing ends that
    return app

server.make_app = hanging
startup = server.BoundedServer.startup

async def and_end(self, sockets=None):
    await startup(self, sockets)
    self.should_exit = True

server.BoundedServer.startup = and_end
server.serve({{'shapes': Path({str(finished)!r})}}, options, print)
"""
    began = time.monotonic()
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert process.returncode == 1, process.stderr
    assert time.monotonic() - began < 100
