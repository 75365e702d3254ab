"""Pictures that are much work are decoded apart, within bounds, and nobody waits for them."""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from starlette.requests import ClientDisconnect

from deepenough import load
from deepenough.preprocessing import Preprocessing
from deepenough.serve.app import make_app
from deepenough.serve.decoding import DecodingProcesses, Heavy, Pixels, decode, decode_light
from deepenough.serve.limits import Limits, check_picture

pytestmark = pytest.mark.seconds(20)

RAW = {"Content-Type": "application/octet-stream"}


def picture(side: int, kind: str = "PNG", **options: bool) -> bytes:
    content = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(content, kind, **options)
    return content.getvalue()


@pytest.fixture(scope="module")
def client(finished: Path) -> Iterator[TestClient]:
    with TestClient(make_app(finished)) as client:
        yield client


@pytest.mark.parametrize(
    ("content", "light"),
    [
        (picture(1000), True),
        (picture(1000, "JPEG", progressive=True), True),
        (picture(1300), False),
        (picture(1200, "JPEG", progressive=True), False),
        (picture(64, "JPEG2000"), False),
        (picture(64, "TIFF"), False),
        (picture(8) + bytes(2**20), False),
    ],
)
def test_light_is_what_bytes_and_header_bound(content: bytes, light: bool) -> None:
    found = decode_light(content, Preprocessing((8, 8)), Limits())
    assert isinstance(found, Heavy) is not light


def test_a_heavy_picture_has_the_answer_of_predict(client: TestClient, finished: Path) -> None:
    content = picture(2000, "JPEG", progressive=True)
    (expected,) = load(finished).predict(content)
    files = [("file", ("small.png", picture(32))), ("file", ("large.jpg", content))]
    _, found = client.post("/predict", files=files).json()["predictions"]
    assert (found["name"], found["classes"]) == ("large.jpg", list(expected.classes))
    np.testing.assert_allclose(found["probabilities"], expected.probabilities, atol=1e-6)
    depths = client.post("/depths", content=content, headers=RAW).json()["depths"]
    assert next(each for each in depths if each["chosen"])["label"] == expected.label
    for view in ("picture", "heat"):
        drawn = client.post(f"/explain?view={view}", content=content, headers=RAW)
        assert drawn.status_code == 200, drawn.text
        assert max(Image.open(io.BytesIO(drawn.content)).size) <= 2000


def damaged(kind: str) -> bytes:
    content = picture(1300, kind)
    return content[: len(content) // 2]


@pytest.mark.parametrize("content", [damaged("PNG"), damaged("JPEG"), damaged("TIFF")], ids=["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_a_damaged_heavy_picture_is_its_client_s_mistake_alone(client: TestClient, content: bytes, path: str) -> None:
    """It is named, and the processes and the others that wait for them go on."""
    assert client.post("/predict", content=picture(1300), headers=RAW).status_code == 200
    before = workers()
    with ThreadPoolExecutor(4) as clients:
        given = [content, picture(1300), content, picture(1300)]
        answers = list(clients.map(lambda each: client.post(path, content=each, headers=RAW), given))
    assert [answer.status_code for answer in answers] == [422, 200, 422, 200]
    assert answers[0].json()["code"] == "damaged"
    assert before
    assert set(before) <= set(workers())


def test_what_takes_too_long_is_refused_and_named(finished: Path) -> None:
    with TestClient(make_app(finished, Limits(decoding=0.01))) as client:
        answer = client.post("/predict", files=[("file", ("slow.png", picture(6000)))])
        assert (answer.status_code, answer.json()["code"]) == (422, "bomb")
        assert answer.json()["detail"].startswith("slow.png: bomb: decoding it took more than 0.01 s")
        assert client.post("/predict", content=picture(32), headers=RAW).status_code == 200


def test_what_takes_too_much_memory_is_refused_and_named(finished: Path) -> None:
    with TestClient(make_app(finished, Limits(memory=200 * 2**20))) as client:
        answer = client.post("/predict", content=picture(7000), headers=RAW)
        assert (answer.status_code, answer.json()["code"]) == (422, "bomb")
        assert "more memory than a picture gets" in answer.json()["detail"]
        assert client.post("/predict", content=picture(1400), headers=RAW).status_code == 200


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals")
def test_others_are_answered_while_heavy_pictures_wait(finished: Path) -> None:
    """As long as the processes that decode stand still: that no small picture needs them does not hang on the clock."""
    content, before = picture(2000), set(multiprocessing.active_children())
    with TestClient(make_app(finished, Limits(decoding=200))) as client:
        assert client.post("/predict", content=content, headers=RAW).status_code == 200  # the processes run
        processes = [each.pid for each in multiprocessing.active_children() if each not in before and each.pid]
        assert processes
        for each in processes:
            os.kill(each, signal.SIGSTOP)
        with ThreadPoolExecutor(6) as clients:
            try:
                heavy = [clients.submit(client.post, "/predict", content=content, headers=RAW) for _ in range(6)]
                for _ in range(7):
                    assert client.post("/predict", content=picture(32), headers=RAW).status_code == 200
                assert not any(each.done() for each in heavy)
            finally:
                for each in processes:
                    os.kill(each, signal.SIGCONT)
            assert [each.result().status_code for each in heavy] == [200] * 6


def test_there_is_room_for_so_many_and_what_nobody_waits_for_ends(finished: Path) -> None:
    processes = DecodingProcesses(load(finished).preprocess, Limits(decodings=1, decoding=60))
    content = picture(7000)

    async def ask() -> tuple[float, int]:
        await processes.run(decode, content)
        first = asyncio.create_task(processes.run(decode, content))
        await asyncio.sleep(0)
        with pytest.raises(Exception, match="1 large pictures are already waiting"):
            await processes.run(decode, content)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return time.monotonic(), processes.waiting

    assert asyncio.run(ask())[1] == 0
    processes.close()


def test_one_request_leaves_places_to_others(finished: Path) -> None:
    app = make_app(finished, Limits(decodings=8))
    processes, content, seen = app.state.models.get().processes, picture(1400), []
    run = processes.run

    async def watched(*given: Any) -> Any:
        work = asyncio.ensure_future(run(*given))
        await asyncio.sleep(0)
        seen.append(processes.waiting)
        return await work

    processes.run = watched
    with TestClient(app) as client:
        files = [("file", (f"{at}.png", content)) for at in range(10)]
        assert len(client.post("/predict", files=files).json()["predictions"]) == 10
    assert (len(seen), max(seen)) == (10, 2)


def test_remarks_of_decoders_are_not_printed() -> None:
    """Pillow warns of broken EXIF; the log may be lines of JSON, which a warning on standard error is not."""
    content = io.BytesIO()
    broken = b"Exif\0\0MM\0*\0\0\0\x08\0\xff"
    Image.new("RGB", (16, 16)).save(content, "JPEG", exif=broken)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        Image.open(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it would make the picture a damaged one
        assert check_picture(content.getvalue(), Limits()).kind == "JPEG"


def test_hanging_up_frees_the_places(finished: Path) -> None:
    app = make_app(finished)
    service = app.state.models.get()
    body, begun = picture(7000), asyncio.Event()

    async def ask() -> None:
        messages = [{"type": "http.request", "body": body}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await begun.wait()
            return {"type": "http.disconnect"}

        async def slow(*_: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

        async def send(_: Any) -> None: ...

        service.processes._once = slow  # a picture that takes for ever
        headers = [(b"content-type", b"application/octet-stream"), (b"host", b"localhost")]
        scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": headers}
        async with app.state.models.running():
            with suppress(ClientDisconnect):
                await asyncio.wait_for(app(scope, receive, send), 30)
            assert begun.is_set()
            await asyncio.sleep(0)
            assert (service.processes.waiting, service.batcher.room.taken) == (0, 0)

    asyncio.run(ask())


def workers() -> list[int]:
    """Those that have begun: 0, for one that has not, would be a signal to all of these tests."""
    return [each.pid for each in multiprocessing.active_children() if each.name == "pebble_pool_worker" and each.pid]


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_processes_that_end_while_idle_are_replaced(finished: Path) -> None:
    processes = DecodingProcesses(load(finished).preprocess, Limits(decoding=60))
    content, others = picture(1400), set(workers())

    async def ask() -> None:
        expected = await processes.run(decode, content)
        for _ in range(2):
            for each in set(workers()) - others:
                os.kill(each, signal.SIGKILL)
            await asyncio.sleep(0.5)  # until the pool has seen it; without, it is seen during the work
            found = await asyncio.gather(*(processes.run(decode, content) for _ in range(3)))
            for each in found:
                np.testing.assert_array_equal(each, expected)

    asyncio.run(ask())
    processes.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_sigterm_is_left_to_the_service(finished: Path) -> None:
    processes = DecodingProcesses(load(finished).preprocess, Limits(decoding=60))
    content, others = picture(3000), set(workers())

    async def ask() -> None:
        mine, ready = {0}, set[int]()
        while mine - ready:  # one that still starts has no say in signals yet
            found = await asyncio.gather(*(processes.run(tell_process, b"") for _ in range(8)))
            ready |= {int(pixels[0]) for pixels in found}
            mine = set(workers()) - others
        begun = asyncio.create_task(processes.run(decode, content))
        await asyncio.sleep(0.05)
        for each in mine:
            os.kill(each, signal.SIGTERM)
        assert len((await begun).shape) == 3
        assert mine <= set(workers())

    asyncio.run(ask())
    processes.close()
    assert set(workers()) <= others


def test_what_a_process_left_behind_is_done_once_again(finished: Path, tmp_path: Path) -> None:
    processes = DecodingProcesses(load(finished).preprocess, Limits(decoding=60))
    (tmp_path / "first").touch()
    pixels = asyncio.run(processes.run(exit_once, str(tmp_path / "first").encode()))
    assert pixels.shape == (1, 1)
    processes.close()


def tell_process(content: bytes, preprocess: Preprocessing, limits: Limits) -> Any:
    """The id of this process, after a while in which others have their turn."""
    time.sleep(0.05)
    return np.array([os.getpid()])


def exit_once(content: bytes, preprocess: Preprocessing, limits: Limits) -> Pixels:
    """End the process, the first time."""
    first = Path(content.decode())
    if first.exists():
        first.unlink()
        os._exit(15)
    return np.zeros((1, 1), np.uint8)
