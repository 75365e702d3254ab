"""The service, asked as clients ask."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from forkserver import PIPE, Forked, ForkServer
from PIL import Image

from deepenough import DeepenoughError, load
from deepenough.files import read_checked_json, write_checked_json
from deepenough.serve.app import make_app
from deepenough.serve.batcher import Batcher, FullError
from deepenough.serve.limits import Limits
from deepenough.serve.server import listen

pytestmark = pytest.mark.seconds(20)

RAW = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def photos(shapes: Path) -> list[Path]:
    return sorted(shapes.rglob("*.png"))[::9]


@pytest.fixture(scope="module")
def client(finished: Path) -> Iterator[TestClient]:
    with TestClient(make_app(finished)) as client:
        yield client


@pytest.fixture(scope="module")
def strict(finished: Path) -> Iterator[TestClient]:
    """With limits that tests can reach."""
    limits = Limits(upload=20_000, files=3, pixels=10_000, seconds=0.5, waiting=4, heavy=1)
    with TestClient(make_app(finished, limits)) as client:
        yield client


def test_it_predicts_what_predict_does(client: TestClient, finished: Path, photos: list[Path]) -> None:
    expected = load(finished).predict(photos)
    files = [("file", (path.name, path.read_bytes())) for path in photos]
    answer = client.post("/predict", files=files)
    assert answer.status_code == 200
    for path, one, found in zip(photos, expected, answer.json()["predictions"], strict=True):
        assert found["name"] == path.name
        assert found["classes"] == list(one.classes)
        np.testing.assert_allclose(found["probabilities"], one.probabilities, atol=1e-6)
    raw = client.post("/predict?top=1", content=photos[0].read_bytes(), headers=RAW).json()["predictions"]
    assert [(one["label"], len(one["classes"])) for one in raw] == [(expected[0].label, 1)]


def test_clients_at_once_get_their_own_answers(client: TestClient, finished: Path, photos: list[Path]) -> None:
    expected = {path: load(finished).predict(path)[0] for path in photos}

    async def ask() -> Any:
        transport = httpx2.ASGITransport(app=client.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as many:
            return await asyncio.gather(
                *(many.post("/predict", content=path.read_bytes(), headers=RAW) for path in photos * 3)
            )

    batches_before = batches(client)
    assert client.portal is not None
    found = client.portal.call(ask)  # in the loop that runs the service
    for path, answer in zip(photos * 3, found, strict=True):
        (one,) = answer.json()["predictions"]
        assert one["label"] == expected[path].label
        assert one["probabilities"][0] == pytest.approx(expected[path].confidence, abs=1e-5)
    assert batches(client) - batches_before < len(found)


def batches(client: TestClient) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("deepenough_batch_images_count")))


def test_heat_is_a_picture(client: TestClient, photos: list[Path]) -> None:
    content = photos[0].read_bytes()
    for query, mode in (("", "RGB"), ("?view=heat", "RGBA"), ("?view=heat&method=occlusion&class=square", "RGBA")):
        answer = client.post(f"/explain{query}", content=content, headers=RAW)
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).mode == mode


def test_a_picture_of_the_heat_for_a_class_does_not_say_that_it_is_one(client: TestClient, photos: list[Path]) -> None:
    content, classes = photos[0].read_bytes(), client.get("/model").json()["classes"]
    asked = [client.post(f"/explain?class={name}", content=content, headers=RAW).content for name in classes]
    (_,) = {Image.open(io.BytesIO(each)).width for each in asked}  # no panel more for a class that it is not
    assert len(set(asked)) == len(classes)


def test_what_was_given_up_early_answers_too(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    record = read_checked_json(run / "record.json")
    other = next(each for each in record["candidates"] if each["name"] != record["decision"]["chosen"])
    other["state"] = "pruned"
    write_checked_json(run / "record.json", record)
    trained = run / "candidates" / other["name"] / "fold0"
    (trained / "paused").mkdir()
    for path in trained.iterdir():
        if path.is_file():
            path.rename(trained / "paused" / path.name)
    with TestClient(make_app(run)) as client:
        architectures = {
            architecture["name"]: architecture for architecture in client.get("/model").json()["architectures"]
        }
        said = {each["name"]: each for each in client.post("/depths", content=png(16), headers=RAW).json()["depths"]}
    for found in (architectures, said):
        assert {name for name, each in found.items() if not each["finished"]} == {other["name"]}
        assert len(found) == len(record["candidates"])


def test_head_is_get_without_a_body(client: TestClient) -> None:
    for path in ("/", "/health", "/model", "/page.js"):
        own = {"X-Request-Id": "one"}
        answer, whole = client.head(path, headers=own), client.get(path, headers=own)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers == whole.headers
    assert client.head("/predict").status_code == 405


def test_what_nobody_expected_is_answered_like_the_rest(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TestClient(make_app(finished), raise_server_exceptions=False) as client:
        monkeypatch.setattr(client.app.state.models.get(), "about", lambda: 1 / 0)  # type: ignore[attr-defined]
        answer = client.get("/model")
        assert refused(answer)[:2] == (500, "failed")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert 'deepenough_requests_total{route="/model",status="500"} 1.0' in client.get("/metrics").text


def test_health_is_about_the_model(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TestClient(make_app(finished)) as client:
        service: Any = client.app.state.models.get()  # type: ignore[attr-defined]
        assert client.get("/health").json() == {"status": "ok"}
        held = threading.Event()
        assert client.portal is not None
        waiting = client.portal.start_task_soon(service.batcher.alone, lambda pause: held.wait(30))
        monkeypatch.setattr("deepenough.serve.service.STUCK", 0.05)
        until = time.monotonic() + 20
        while (answer := client.get("/health")).status_code == 200:
            assert time.monotonic() < until
        assert refused(answer)[:2] == (503, "stuck")
        held.set()
        waiting.result(20)
        monkeypatch.undo()
        assert client.get("/health").status_code == 200
        client.portal.call(service.answering.cancel)
        assert refused(client.get("/health"))[:2] == (503, "stuck")


def test_other_depths_are_asked(client: TestClient, finished: Path, photos: list[Path]) -> None:
    about = client.get("/model").json()
    record = json.loads((finished / "record.json").read_text())
    assert about["depth"] == record["decision"]["depth"]
    assert about["classes"] == record["data"]["classes"]
    assert [architecture["depth"] for architecture in about["architectures"]] == sorted(
        c["depth"] for c in record["candidates"]
    )
    said = client.post("/depths", content=photos[0].read_bytes(), headers=RAW).json()["depths"]
    assert [each["name"] for each in said] == [architecture["name"] for architecture in about["architectures"]]
    (own,) = [each for each in said if each["chosen"]]
    (same,) = client.post("/predict", content=photos[0].read_bytes(), headers=RAW).json()["predictions"]
    assert own["label"] == same["label"]
    assert own["probability"] == pytest.approx(same["probabilities"][0], abs=1e-6)


def test_a_model_folder_has_no_siblings(finished: Path) -> None:
    with TestClient(make_app(finished / "model")) as client:
        assert client.get("/model").json()["architectures"] == []


def png(side: int, noise: bool = False) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8) if noise else None
    picture = Image.fromarray(pixels) if pixels is not None else Image.new("RGB", (side, side))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "code", "told"),
    [
        (b"", 400, "no-image", "no image was sent"),
        (b"just words", 415, "not-an-image", "not an image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "not-an-image", "not an image that can be read"),
        (png(16)[:-30], 422, "damaged", "cannot be decoded"),
        (png(4), 422, "tiny", "under 8 pixels"),
        (png(120), 413, "too-many-pixels", "more than 10,000 pixels"),
        (png(90, noise=True), 413, "too-large", "larger than 20,000 bytes"),
    ],
)
def test_what_it_does_not_take(content: bytes, status: int, code: str, told: str, strict: TestClient) -> None:
    for path in ("/predict", "/explain", "/depths", "/explain?view=heat"):
        answer = strict.post(path, content=content, headers=RAW)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert told in answer.json()["detail"]


def test_files_are_counted_and_named(strict: TestClient) -> None:
    fine = ("file", ("a.png", png(16)))
    answer = strict.post("/predict", files=[fine] * 4)
    assert answer.status_code == 413
    assert answer.json()["code"] == "too-many-files"
    assert "at most 3 files" in answer.json()["detail"]
    answer = strict.post("/predict", files=[fine, ("file", ("../../b.txt", b"words"))])
    assert answer.status_code == 415
    assert answer.json()["detail"].startswith("../../b.txt: ")
    assert refused(strict.post("/explain", files=[fine] * 2)) == (400, "too-many-files", "2 files were sent; send one")
    answer = strict.post("/predict", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert refused(answer) == (400, "bad-request", "Missing boundary in multipart")
    assert refused(strict.post("/explain?class=dragon", content=png(16), headers=RAW))[:2] == (404, "unknown-class")
    for path, told in (("/explain?method=magic", "method: input should be 'gradcam'"), ("/predict?top=no", "top: ")):
        status, code, detail = refused(strict.post(path, content=png(16), headers=RAW))
        assert (status, code, detail.startswith(told)) == (422, "bad-request", True), detail
    assert refused(strict.get("/../pyproject.toml"))[:2] == (404, "not-found")
    assert refused(strict.get("/predict"))[:2] == (405, "bad-request")


def refused(answer: Any) -> tuple[int, str, str]:
    told = answer.json()
    assert set(told) == {"detail", "code"}
    return answer.status_code, told["code"], told["detail"]


def test_a_full_queue_says_when_to_come_again(strict: TestClient) -> None:
    service: Any = strict.app.state.models.get()  # type: ignore[attr-defined]

    def statuses() -> list[int]:
        answers = [strict.post(path, content=png(16), headers=RAW) for path in ("/predict", "/explain", "/depths")]
        for answer in answers:
            if answer.status_code == 503:
                assert answer.headers["retry-after"] == "1"
                assert answer.json()["code"] == "busy"
        return [answer.status_code for answer in answers]

    service.batcher.room.take(4)
    assert statuses() == [503, 200, 200]
    service.batcher.room.leave(4)
    service.batcher.heavy_room.take()  # explanations do not take the room of predictions
    assert statuses() == [200, 503, 503]
    service.batcher.heavy_room.leave()
    assert statuses() == [200, 200, 200]


def test_an_upload_that_never_ends_is_given_up(strict: TestClient) -> None:
    async def slowly() -> Any:
        async def chunks() -> Any:
            yield b"x"
            await asyncio.sleep(5)

        transport = httpx2.ASGITransport(app=strict.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/predict", content=chunks(), headers=RAW)

    assert asyncio.run(slowly()).status_code == 408


def test_a_batch_that_fails_does_not_end_the_service() -> None:
    def halves(numbers: Any) -> Any:
        if 13 in numbers:
            raise ValueError("one bad batch")
        return [KeyError("odd") if number % 2 else number // 2 for number in numbers]

    async def ask() -> None:
        batcher: Batcher[int, int] = Batcher(halves, 2)
        running = asyncio.create_task(batcher.run())
        with pytest.raises(ValueError, match="one bad batch"):
            await batcher.ask(13)
        async with batcher.room.entered(2):
            found = await asyncio.gather(batcher.ask(8), batcher.ask(7), return_exceptions=True)
        assert found[0] == 4
        assert isinstance(found[1], KeyError)
        async with batcher.room.entered(2):
            with pytest.raises(FullError):
                batcher.room.take()
        assert batcher.room.taken == 0
        running.cancel()

    asyncio.run(ask())


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/page.js", "/page.css", "/docs"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "https://" not in answer.text
        assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "").replace("http://HOST:PORT", "")
    assert {"/predict", "/explain", "/depths", "/model"} <= set(client.get("/openapi.json").json()["paths"])
    counted = client.get("/metrics").text
    assert 'deepenough_requests_total{route="/docs",status="200"}' in counted


def serving(forks: ForkServer, folder: Path, *more: str) -> tuple[Forked, str]:
    process = forks.popen(["-m", "deepenough", "serve", folder, "--port", "0", *more], stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, line.rpartition(" at ")[2].split(" ")[0]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")
def test_what_was_accepted_is_answered_before_the_end(forks: ForkServer, finished: Path, photos: list[Path]) -> None:
    process, url = serving(forks, finished)
    answers: list[int] = []
    content = photos[0].read_bytes()

    def ask() -> None:
        answers.append(
            httpx2.post(f"{url}/explain?method=occlusion", content=content, headers=RAW, timeout=60).status_code
        )

    threads = [threading.Thread(target=ask) for _ in range(4)]
    httpx2.post(f"{url}/predict", content=content, headers=RAW, timeout=60)
    for thread in threads:
        thread.start()
    until = time.monotonic() + 20
    while "deepenough_pending_explanations 4.0" not in httpx2.get(f"{url}/metrics").text and not answers:
        assert time.monotonic() < until
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    _, complaint = process.communicate(timeout=60)
    assert answers == [200] * 4
    assert complaint == ""


def test_an_address_that_is_taken(finished: Path) -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(DeepenoughError, match="give another --port"):
        listen("127.0.0.1", taken.getsockname()[1])
