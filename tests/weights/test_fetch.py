"""Fetching from a server that breaks off, ignores Range, sends something else, or is not there."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer

from deepenough import download as module
from deepenough.errors import DeepenoughError
from deepenough.progress import Reporter
from deepenough.weights.fetch import cached, fetch, weights_folder
from deepenough.weights.names import NAMED, Named

CONTENT = np.random.default_rng(0).bytes(600_000)
HALF = 300_000
FILE = "models/thing-1234.pth"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FileServer]:
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module, "PAUSE", 0.0)
    server = FileServer()
    server.files[FILE] = CONTENT
    with server.running():
        yield server


@pytest.fixture
def thing(server: FileServer) -> Named:
    return replace(
        NAMED["resnet18.tv_in1k"], name="thing", url=server.url + FILE, sha256=hashlib.sha256(CONTENT).hexdigest()
    )


class Told(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_a_whole_download_is_kept(server: FileServer, thing: Named) -> None:
    assert cached(thing) is None
    path = fetch(thing)
    assert path == weights_folder() / "thing-1234.pth" == cached(thing)
    assert path.read_bytes() == CONTENT
    assert fetch(thing) == path
    assert server.ranges == [None]  # the second time nothing is asked
    assert not path.with_name(f"{path.name}.part").exists()


def test_a_broken_download_goes_on(server: FileServer, thing: Named) -> None:
    server.script = [HALF]
    assert fetch(thing).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert server.sent == len(CONTENT)  # no byte twice


def test_a_later_run_goes_on_too(server: FileServer, thing: Named) -> None:
    server.script = [HALF, "503", "503", "503", "503"]
    with pytest.raises(DeepenoughError, match="503"):
        fetch(thing)
    assert fetch(thing).read_bytes() == CONTENT
    assert server.sent == len(CONTENT)


def test_many_breaks_are_no_failure_while_bytes_come(server: FileServer, thing: Named) -> None:
    server.script = [100_000] * 5
    assert fetch(thing).read_bytes() == CONTENT
    assert server.sent == len(CONTENT)


def test_a_server_that_ignores_range(server: FileServer, thing: Named) -> None:
    server.script = [HALF, "ignore"]
    assert fetch(thing).read_bytes() == CONTENT
    assert server.ranges[1] == f"bytes={HALF}-"


@pytest.mark.parametrize("begun", [CONTENT, CONTENT + b"more", b"other" * 1000, b"x" * len(CONTENT)])
def test_whatever_an_earlier_run_left(server: FileServer, thing: Named, begun: bytes) -> None:
    weights_folder().mkdir(parents=True)
    (weights_folder() / "thing-1234.pth.part").write_bytes(begun)
    assert fetch(thing).read_bytes() == CONTENT


def test_a_wrong_hash_is_an_error_and_leaves_nothing(server: FileServer, thing: Named) -> None:
    server.files[FILE] = b"<html>log in</html>"
    with pytest.raises(DeepenoughError) as error:
        fetch(thing)
    assert thing.sha256 in str(error.value)
    assert hashlib.sha256(server.files[FILE]).hexdigest() in str(error.value)
    assert [path.name for path in weights_folder().iterdir() if not path.name.startswith(".")] == []
    assert server.ranges == [None]  # a fresh download is not tried again


def test_only_the_publishers_digits_are_known(server: FileServer, thing: Named) -> None:
    assert fetch(replace(thing, sha256=thing.sha256[:8])).read_bytes() == CONTENT
    with pytest.raises(DeepenoughError, match=r"00000000 \(first 8 digits\)"):
        fetch(replace(thing, sha256="00000000"))


def test_a_file_that_is_gone_is_not_asked_for_again(server: FileServer, thing: Named) -> None:
    server.script = ["404"]
    with pytest.raises(DeepenoughError, match="404"):
        fetch(thing)
    assert server.ranges == [None]


def test_without_a_network_the_error_says_what_to_put_where(server: FileServer, thing: Named) -> None:
    offline = replace(thing, url="http://127.0.0.1:9/models/thing-1234.pth")
    with pytest.raises(DeepenoughError) as error:
        fetch(offline)
    assert offline.url in str(error.value)
    assert str(weights_folder() / "thing-1234.pth") in str(error.value)
    assert "another machine" in str(error.value)
    (weights_folder() / "thing-1234.pth").write_bytes(CONTENT)
    assert fetch(offline).read_bytes() == CONTENT


def test_a_damaged_file_is_fetched_anew(server: FileServer, thing: Named) -> None:
    path = fetch(thing)
    path.write_bytes(CONTENT[:-1] + b"?")
    told = Told()
    assert fetch(thing, told).read_bytes() == CONTENT
    assert "damaged" in told.lines[0]


def test_two_at_once_ask_once(server: FileServer, thing: Named) -> None:
    server.slow.clear()
    told, paths = [Told(), Told()], []
    threads = [threading.Thread(target=lambda t=t: paths.append(fetch(thing, t))) for t in told]
    for thread in threads:
        thread.start()
    for _ in range(500):
        if any(t.lines for t in told):
            break
        threading.Event().wait(0.01)
    server.slow.set()
    for thread in threads:
        thread.join(20)
    assert [path.read_bytes() == CONTENT for path in paths] == [True, True]
    assert server.ranges == [None]
    assert sum("waiting" in line for t in told for line in t.lines) == 1


def asked(server: FileServer, times: int) -> None:
    """Wait until the server was asked so many times."""
    end = time.monotonic() + 20
    while len(server.ranges) < times:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="another process is forked")
def test_the_lock_of_a_killed_process_is_free(server: FileServer, thing: Named) -> None:
    server.slow.clear()
    holder = os.fork()
    if not holder:
        fetch(thing)
        os._exit(0)
    asked(server, 1)
    told = Told()
    waiting = threading.Thread(target=fetch, args=(thing, told))
    waiting.start()
    while not told.lines:
        time.sleep(0.01)
    assert "waiting" in told.lines[0]
    assert len(server.ranges) == 1
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    asked(server, 2)
    server.slow.set()
    waiting.join(20)
    assert (weights_folder() / "thing-1234.pth").read_bytes() == CONTENT


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="a timer stands in for Ctrl-C")
@pytest.mark.parametrize("held", [False, True], ids=["while it fetches", "while it waits for another"])
def test_ctrl_c_leaves_no_lock(server: FileServer, thing: Named, held: bool) -> None:
    def interrupt(*words: object) -> None:
        raise KeyboardInterrupt

    server.slow.clear()
    other = threading.Thread(target=fetch, args=(thing,))
    if held:
        other.start()
        asked(server, 1)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            fetch(thing)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    server.slow.set()
    if held:
        other.join(20)
    told = Told()
    assert fetch(thing, told).read_bytes() == CONTENT
    assert told.lines == []


def test_a_silent_server_is_given_up(server: FileServer, thing: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    server.slow.clear()
    with pytest.raises(DeepenoughError, match="timed out"):
        fetch(thing)
    server.slow.set()


def test_a_cache_that_can_not_be_written(tmp_path: Path, thing: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(tmp_path / "file"))
    with pytest.raises(DeepenoughError, match="DEEPENOUGH_CACHE"):
        fetch(thing)


def test_a_name_that_is_not_known_is_not_looked_up_again(thing: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def unknown(*words: object, **more: object) -> object:
        asked.append(words)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DeepenoughError, match="name resolution"):
        fetch(replace(thing, url="http://nowhere.invalid/thing-1234.pth"))
    assert len(asked) == 1
