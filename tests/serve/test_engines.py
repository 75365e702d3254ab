"""The service computes by the engine that it says, and answers as `deepenough predict` does with torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from deepenough import load
from deepenough.engines import GRAPH_ENGINES
from deepenough.engines.choose import PACKAGES
from deepenough.frameworks.target import absent
from deepenough.serve.app import make_app
from deepenough.serve.server import BoundedServer, ServerOptions, serve

pytestmark = pytest.mark.seconds(10)

THERE = [name for name in GRAPH_ENGINES if not absent(PACKAGES[name])]
LIBRARIES = {"onnx": "ONNX Runtime", "openvino": "OpenVINO", "torch": "PyTorch"}
RAW = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module", params=[*THERE, "auto"])
def served(request: pytest.FixtureRequest, finished: Path) -> Iterator[tuple[str, TestClient]]:
    with TestClient(make_app(finished, engine=request.param)) as client:
        yield request.param, client


def test_it_says_what_computes(served: tuple[str, TestClient]) -> None:
    engine, client = served
    said = client.get("/model").json()["engine"]
    assert said.startswith(tuple(LIBRARIES.values()) if engine == "auto" else LIBRARIES[engine])
    assert any(character.isdigit() for character in said)  # with its version
    assert client.get("/health/ready").status_code == 200


def test_it_answers_as_torch_does(served: tuple[str, TestClient], finished: Path, shapes: Path) -> None:
    photos = sorted(shapes.rglob("*.png"))[::9]
    expected = load(finished).predict(photos)
    files: Any = [("file", (path.name, path.read_bytes())) for path in photos]
    together = served[1].post("/predict", files=files).json()["predictions"]
    alone = [served[1].post("/predict", content=path.read_bytes(), headers=RAW).json() for path in photos]
    for found in (together, [answer["predictions"][0] for answer in alone]):
        for answer, one in zip(found, expected, strict=True):
            assert answer["classes"] == list(one.classes)
            np.testing.assert_allclose(answer["probabilities"], one.probabilities, atol=1e-5)


def test_explanations_stay_torchs(served: tuple[str, TestClient], finished: Path, shapes: Path) -> None:
    content = next(shapes.rglob("*.png")).read_bytes()
    with TestClient(make_app(finished)) as plain:
        for query in ("", "?method=occlusion&class=square&view=heat"):
            answers = [client.post(f"/explain{query}", content=content, headers=RAW) for client in (served[1], plain)]
            assert answers[0].status_code == 200
            assert len(answers[0].content) == pytest.approx(len(answers[1].content), rel=0.01)  # percents in the text


def test_the_first_line_names_the_engine_and_further_ones_the_reasons(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedServer, "run", lambda self, sockets: [each.close() for each in sockets])
    options: dict[str, Any] = {
        "host": "127.0.0.1", "port": 0, "device": "cpu", "max_upload": 20, "max_files": 32, "allowed_hosts": (),
        "token": None, "certfile": None, "keyfile": None, "log_format": "text", "access_log": True,
    }  # fmt: skip
    for engine in (*THERE, "torch"):
        lines: list[str] = []
        serve({"shapes": finished}, ServerOptions(**options, engine=engine), lines.append)
        assert f" with {LIBRARIES[engine]} " in lines[0]
        assert len(lines) == 1
    if THERE:
        lines = []
        serve({"shapes": finished}, ServerOptions(**options), lines.append)
        assert f"measured milliseconds an image: {THERE[0]} " in lines[1]
        assert "torch" in lines[1]
