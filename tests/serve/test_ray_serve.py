"""The service on a local Ray, by Ray Serve."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from deepenough import DeepenoughError, load
from deepenough.serve import ray, ray_app
from deepenough.serve.access import Access
from deepenough.serve.server import listen


def test_what_is_missing_is_named(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "find_spec", lambda name: None)
    with pytest.raises(DeepenoughError, match=r"pip install 'ray\[serve\]'"):
        ray_app(finished)


@pytest.mark.timeout(300)
def test_replicas_answer_as_predict_does(finished: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc_reflection", reason="needs ray[serve]")
    import ray as cluster
    from ray import serve

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    photos = sorted(shapes.rglob("*.png"))[::30]
    expected = [each.label for each in load(finished).predict(photos)]
    cluster.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        access = Access((), "secret")
        app = ray_app(finished, access=access, num_replicas=2, ray_actor_options={"num_cpus": 0.5})
        serve.run(app, name="photos", route_prefix="/")
        url, headers = f"http://127.0.0.1:{port}", {"Authorization": "Bearer secret"}
        files = [("file", (path.name, path.read_bytes())) for path in photos]
        for _ in range(8):
            answer = httpx2.post(f"{url}/predict", files=files, headers=headers, timeout=60)
            assert [each["label"] for each in answer.json()["predictions"]] == expected
        name = finished.name
        assert httpx2.get(f"{url}/v2/models/{name}/ready", headers=headers).json() == {"name": name, "ready": True}
        assert httpx2.get(f"{url}/model").status_code == 401
        assert httpx2.post(f"{url}/predict", content=b"x", headers=headers).status_code == 415
    finally:
        serve.shutdown()
        cluster.shutdown()
