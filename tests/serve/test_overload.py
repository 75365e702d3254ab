"""Many clients, slow clients, and clients that go: nobody else waits for them."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi.testclient import TestClient
from PIL import Image

from deepenough.serve.app import make_app
from deepenough.serve.batcher import Batcher, FullError
from deepenough.serve.connections import bounded_protocol
from deepenough.serve.limits import PIECE, Limits
from deepenough.serve.refusals import RefusedError
from deepenough.serve.server import listen

RAW = {"Content-Type": "application/octet-stream"}


def picture(side: int = 16) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(content, "PNG")
    return content.getvalue()


@contextmanager
def serving(run: Path, limits: Limits) -> Iterator[tuple[str, int]]:
    """A service on a socket: its address, and its port."""
    listening = listen("127.0.0.1", 0)
    app, protocol = make_app(run, limits), bounded_protocol(1_000)
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    port = listening.getsockname()[1]
    yield f"http://127.0.0.1:{port}", port
    server.should_exit = True
    thread.join(30)


def begin(port: int, path: str, length: int, content: bytes = b"") -> socket.socket:
    """A request whose body says it has `length` bytes, of which these come."""
    connection = socket.create_connection(("127.0.0.1", port))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


def soon(what: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def meter(url: str, name: str) -> float:
    lines = httpx2.get(f"{url}/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)


def status(connection: socket.socket) -> int:
    connection.settimeout(30)
    return int(connection.recv(4096).split()[1])


def test_stalled_uploads_lock_nobody_out(finished: Path) -> None:
    with serving(finished, Limits(waiting=4, idle=3.0)) as (url, port):
        stalled = [begin(port, "/predict", 1000, b"x") for _ in range(20)]
        soon(lambda: meter(url, "deepenough_uploads") == 20)
        began = time.monotonic()
        for path in ("/predict", "/explain"):
            assert httpx2.post(f"{url}{path}", content=picture(), headers=RAW).status_code == 200
        assert time.monotonic() - began < 3
        assert {status(each) for each in stalled} == {408}
        assert meter(url, "deepenough_uploads") == meter(url, "deepenough_upload_bytes") == 0
        for each in stalled:
            each.close()


def test_what_is_uploaded_is_bounded(finished: Path) -> None:
    limits = Limits(upload=100_000, bodies=2, uploads=4, idle=20.0)
    with serving(finished, limits) as (url, port):
        stalled = [begin(port, "/predict", 90_000, b"x" * 89_000) for _ in range(2)]
        soon(lambda: meter(url, "deepenough_upload_bytes") == 178_000)
        answer = httpx2.post(f"{url}/predict", content=b"x" * 90_000, headers=RAW)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "1")
        assert "room for 200,000" in answer.json()["detail"]
        assert httpx2.post(f"{url}/predict", content=picture(), headers=RAW).status_code == 200
        stalled += [begin(port, "/predict", 1000) for _ in range(2)]
        soon(lambda: meter(url, "deepenough_uploads") == 4)
        answer = httpx2.post(f"{url}/predict", content=picture(), headers=RAW)
        assert (answer.status_code, answer.json()["detail"][:28]) == (503, "4 uploads are already under ")
        for each in stalled:
            each.close()
        soon(lambda: meter(url, "deepenough_uploads") == 0)
        assert meter(url, "deepenough_upload_bytes") == 0
        assert httpx2.post(f"{url}/predict", content=picture(), headers=RAW).status_code == 200


def test_a_trickle_is_a_stalled_upload_and_a_slow_one_is_not(finished: Path) -> None:
    with serving(finished, Limits(idle=1.0)) as (_, port):
        answered: dict[int, tuple[int, float]] = {}

        def send(size: int) -> None:
            began = time.monotonic()
            with begin(port, "/predict", 5 * size) as connection, suppress(OSError):
                for _ in range(5):
                    connection.sendall(b"x" * size)
                    time.sleep(0.4)
                answered[size] = status(connection), time.monotonic() - began

        threads = [threading.Thread(target=send, args=(size,)) for size in (1, PIECE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answered.pop(PIECE)[0] == 415
        assert {told for told, _ in answered.values()} <= {408}


def test_a_client_that_hangs_up_is_no_error_of_ours(finished: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(finished, Limits()) as (url, port), caplog.at_level(logging.INFO):
        logging.getLogger("uvicorn").propagate = True
        with begin(port, "/predict", 1000, b"x"):
            soon(lambda: meter(url, "deepenough_uploads") == 1)
        soon(lambda: meter(url, 'deepenough_requests_total{route="/predict",status="499"}') == 1)
        head = "multipart/form-data; boundary=b"
        assert httpx2.post(f"{url}/predict", content=b"no boundary", headers={"Content-Type": head}).status_code == 400
        assert meter(url, 'deepenough_requests_total{route="/predict",status="500"}') == 0
    told = [record.name for record in caplog.records if record.name.startswith(("uvicorn", "python_multipart"))]
    assert told == []


def test_work_whose_client_has_gone_is_not_done(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepenough.serve.half_closed.FIRST_LOOK", 0.0)
    with serving(finished, Limits()) as (url, port):
        path = "/explain?method=occlusion"
        content = picture()
        asked = [begin(port, path, len(content), content) for _ in range(6)]
        soon(lambda: meter(url, "deepenough_pending_explanations") > 0)
        for each in asked:
            each.close()
        soon(lambda: meter(url, "deepenough_pending_explanations") == 0)
        counted = 'deepenough_requests_total{route="/explain",status='
        assert meter(url, f'{counted}"499"') >= 4
        assert meter(url, f'{counted}"500"') == 0
        assert meter(url, "deepenough_upload_bytes") == 0
        assert httpx2.post(f"{url}{path}", content=content, headers=RAW).status_code == 200


def test_predictions_do_not_wait_for_explanations(finished: Path) -> None:
    async def ask(app: Any) -> tuple[int, int]:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://here", timeout=60) as client:
            path = "/explain?method=occlusion&view=heat"
            heavy = [asyncio.create_task(client.post(path, content=picture(), headers=RAW)) for _ in range(6)]
            while app.state.models.get().batcher.heavy_room.taken < 6:
                await asyncio.sleep(0.001)
            for _ in range(3):
                answer = await client.post("/predict", content=picture(), headers=RAW)
                assert answer.status_code == 200
            left = sum(not each.done() for each in heavy)
            return left, sum(answer.status_code == 200 for answer in await asyncio.gather(*heavy))

    with TestClient(make_app(finished)) as client:
        assert client.portal is not None
        left, answered = client.portal.call(ask, client.app)
        assert (left > 0, answered) == (True, 6)


def test_heavier_work_goes_one_by_one_and_lets_questions_in() -> None:
    async def ask() -> None:
        batcher: Batcher[int, int] = Batcher(lambda numbers: [2 * number for number in numbers], 9)
        running = asyncio.create_task(batcher.run())
        until = time.monotonic() + 30
        told: list[str] = []
        answered = threading.Event()

        def long(name: str) -> Callable[..., str]:
            def work(pause: Callable[[], None]) -> str:
                told.append(f"{name} begins")
                while not answered.is_set():
                    assert time.monotonic() < until
                    pause()
                told.append(f"{name} ends")
                return name

            return work

        jobs = [asyncio.create_task(batcher.alone(long(name))) for name in "abcd"]
        while not told:
            await asyncio.sleep(0.001)
        assert await asyncio.gather(batcher.ask(1), batcher.ask(2)) == [2, 4]  # while a is worked on
        jobs[1].cancel()
        with pytest.raises(FullError, match="other explanations took all"):
            await batcher.alone(long("e"), patience=0.05)
        with pytest.raises(RefusedError, match="503"):
            await Batcher[int, int](lambda numbers: numbers, 9).alone(lambda pause: time.sleep(0.2), computing=0.05)
        jobs[0].cancel()  # it ends at its next pause
        while len(told) < 2:
            await asyncio.sleep(0.001)
        answered.set()
        found = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(each) for each in found[:2]] == [asyncio.CancelledError] * 2
        assert found[2:] == ["c", "d"]
        assert told == ["a begins", "c begins", "c ends", "d begins", "d ends"]
        assert batcher.stalled() == 0
        running.cancel()
        batcher.close()

    asyncio.run(ask())


def test_questions_of_clients_that_have_gone_are_not_worked_on() -> None:
    async def ask() -> list[int]:
        worked: list[int] = []

        def double(numbers: Sequence[int]) -> list[int]:
            worked.extend(numbers)
            return [2 * number for number in numbers]

        batcher: Batcher[int, int] = Batcher(double, 9)
        asked = [asyncio.create_task(batcher.ask(number)) for number in range(20)]
        await asyncio.sleep(0)
        for each in asked[:-1]:
            each.cancel()
        await asyncio.gather(*asked[:-1], return_exceptions=True)
        running = asyncio.create_task(batcher.run())
        assert await asked[-1] == 38
        running.cancel()
        batcher.close()
        return worked

    assert asyncio.run(ask()) == [19]
