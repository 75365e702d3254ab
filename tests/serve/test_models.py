"""Several models in one process, and models that are read anew."""

from __future__ import annotations

import asyncio
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from forkserver import PIPE, ForkServer
from renamed_classes import rename_classes

from deepenough import DeepenoughError
from deepenough.engines import TORCH
from deepenough.files import write_sums
from deepenough.model import FILES
from deepenough.serve.access import Access
from deepenough.serve.app import make_app
from deepenough.serve.limits import Limits
from deepenough.serve.models import Models, named_runs
from deepenough.serve.service import Service

pytestmark = pytest.mark.seconds(20)

RAW = {"Content-Type": "application/octet-stream"}
LOCAL = {"Host": "localhost"}


@pytest.fixture
def photo(shapes: Path) -> bytes:
    return sorted(shapes.rglob("*.png"))[1].read_bytes()


@pytest.fixture
def other(finished: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(finished / "model", tmp_path / "other")
    for kind in ("circle", "cross", "square"):
        rename_classes(folder, kind, f"other {kind}")
    return folder


@pytest.fixture
def client(finished: Path, other: Path) -> Iterator[TestClient]:
    app = make_app({"shapes": finished, "other": other}, access=Access(()))
    with TestClient(app, client=("127.0.0.1", 5000), headers=LOCAL) as client:
        yield client


def label(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    (one,) = answer.json()["predictions"]
    return str(one["label"])


def test_each_model_answers_under_its_name(client: TestClient, photo: bytes) -> None:
    assert client.get("/models").json() == {"default": "shapes", "models": ["shapes", "other"]}
    first = label(client.post("/predict", content=photo, headers=RAW))
    assert label(client.post("/predict?model=shapes", content=photo, headers=RAW)) == first
    assert label(client.post("/predict?model=other", content=photo, headers=RAW)) == f"other {first}"
    assert client.get("/model?model=other").json()["classes"] == ["other circle", "other cross", "other square"]
    assert client.get("/v2/models/other").json()["name"] == "other"
    assert client.post("/depths?model=other", content=photo, headers=RAW).json() == {"depths": []}
    assert client.post("/explain?model=other&class=circle", content=photo, headers=RAW).status_code == 404
    assert client.post("/explain?model=other&class=other circle", content=photo, headers=RAW).status_code == 200
    for path in ("/predict", "/depths", "/explain"):
        answer = client.post(f"{path}?model=othr", content=photo, headers=RAW)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-model")
        assert answer.json()["detail"] == "there is no model 'othr'; did you mean 'other'?"


def test_names_of_models(tmp_path: Path) -> None:
    run = tmp_path / "a=b"
    run.mkdir()
    assert named_runs([run, f"x={run}", "runs/photos-1/"]) == {"a=b": run, "x": run, "photos-1": Path("runs/photos-1")}
    with pytest.raises(DeepenoughError, match="two models are called 'c': give NAME=RUN"):
        named_runs(["a/c", "b/c"])
    for bad in ("=run", "a/b=run", "a\n=run"):
        with pytest.raises(DeepenoughError, match="give NAME=RUN"):
            named_runs([bad])


def test_a_changed_model_is_read_anew_while_requests_go_on(client: TestClient, other: Path, photo: bytes) -> None:
    first = label(client.post("/predict?model=other", content=photo, headers=RAW))
    services = [client.app.state.models.get("other")]  # type: ignore[attr-defined]
    told: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            told.append(label(client.post("/predict?model=other", content=photo, headers=RAW)))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for name in ("newer", "newest"):
        for kind in ("circle", "cross", "square"):
            rename_classes(other, ("other " if name == "newer" else "newer ") + kind, f"{name} {kind}")
        answer = client.post("/reload")
        assert (answer.status_code, answer.json()) == (200, {"reloaded": ["shapes", "other"]})
        services.append(client.app.state.models.get("other"))  # type: ignore[attr-defined]
        assert label(client.post("/predict?model=other", content=photo, headers=RAW)).startswith(f"{name} ")
    over.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert {each.split()[0] for each in told} <= {"other", "newer", "newest"}
    assert {each.split()[1] for each in told} == {first.split()[1]}
    until = time.monotonic() + 30
    while not all(each.answering.done() for each in services[:2]):  # the old ones end once nobody asks them
        assert time.monotonic() < until
        time.sleep(0.02)
    with pytest.raises(RuntimeError):
        services[0].batcher.thread.submit(int)


@pytest.mark.parametrize("broken", ["flipped", "cut", "gone", "not a model"])
def test_a_broken_model_leaves_the_old_one(client: TestClient, other: Path, photo: bytes, broken: str) -> None:
    first = label(client.post("/predict?model=other", content=photo, headers=RAW))
    weights = other / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    if broken == "flipped":
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
    elif broken == "cut":
        weights.write_bytes(content[:100])
    elif broken == "gone":
        shutil.rmtree(other)
    else:
        (other / "network.json").write_text("[]")
        write_sums(other, FILES)
    before = client.app.state.models.get("other")  # type: ignore[attr-defined]
    answer = client.post("/reload")
    assert (answer.status_code, answer.json()["code"]) == (409, "broken-model")
    assert answer.json()["detail"].startswith("model 'other' goes on as it was: ")
    assert client.app.state.models.get("other") is before  # type: ignore[attr-defined]
    assert label(client.post("/predict?model=other", content=photo, headers=RAW)) == first
    assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("client_host", "headers", "status"),
    [
        ("127.0.0.1", LOCAL, 200),
        ("::1", {"Host": "[::1]:8000"}, 200),
        ("192.168.1.7", LOCAL, 403),
        ("127.0.0.1", {"Host": "photos.example"}, 403),
        ("127.0.0.1", {**LOCAL, "X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {**LOCAL, "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_without_a_token_only_this_machine_reloads(
    finished: Path, client_host: str, headers: dict[str, str], status: int
) -> None:
    app = make_app(finished, access=Access(("photos.example",)))
    with TestClient(app, client=(client_host, 5000)) as client:
        assert client.post("/reload", headers=headers).status_code == status


def test_with_a_token_whoever_has_it_reloads(finished: Path) -> None:
    app = make_app(finished, access=Access((), "secret"))
    with TestClient(app, client=("192.168.1.7", 5000), headers=LOCAL) as client:
        assert client.post("/reload").status_code == 401
        assert client.post("/reload", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_it_is_not_ready_while_it_ends(finished: Path) -> None:
    with TestClient(make_app(finished)) as client:
        client.app.state.models.draining = True  # type: ignore[attr-defined]
        for path in ("/health", "/health/ready", "/v2/health/ready"):
            assert client.get(path).status_code == 503
        assert client.get("/health/live").status_code == client.get("/v2/health/live").status_code == 200


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP there")
def test_sighup_reads_models_anew(forks: ForkServer, other: Path, photo: bytes) -> None:
    process = forks.popen(
        ["-m", "deepenough", "serve", f"x={other}", "--port", "0", "--log-format", "json"],
        stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    url = process.stdout.readline().rpartition(" at ")[2].split(" ")[0]

    def asked() -> str:
        return label(httpx2.post(f"{url}/predict", content=photo, headers=RAW, timeout=60))

    assert asked().startswith("other ")
    for kind in ("circle", "cross", "square"):
        rename_classes(other, f"other {kind}", f"newer {kind}")
    process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 60
    while not asked().startswith("newer "):
        assert time.monotonic() < until
        time.sleep(0.05)
    (other / "weights.safetensors").write_bytes(b"")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    for _ in range(10):
        assert asked().startswith("newer ")
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, complaint = process.communicate(timeout=60)
    assert "the one that was read before goes on" in complaint


def test_a_model_that_is_read_when_the_service_is_over_is_let_go(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, stopped = threading.Event(), []
    models = Models({"x": finished}, Limits(), "cpu", TORCH)
    make, stop = models._make, Service.stop

    def made_late(run: Path) -> Service:
        over.wait(60)
        return make(run)

    async def stop_and_tell(self: Service) -> None:
        await stop(self)
        stopped.append(self)

    async def reload_to_the_end() -> None:
        async with models.running():
            reloading = asyncio.create_task(models.reload())
            await asyncio.sleep(0)
        over.set()
        assert await reloading == {}

    monkeypatch.setattr(models, "_make", made_late)
    monkeypatch.setattr(Service, "stop", stop_and_tell)
    asyncio.run(reload_to_the_end())
    assert len({id(each) for each in stopped}) == 2
