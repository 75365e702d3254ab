"""The log of the service."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from deepenough.serve.app import make_app
from deepenough.serve.logs import REPEAT_SECONDS, REPEATS, RepeatFilter, log_request, logging_to, take_request_id

FIELDS = {"client": "127.0.0.1", "method": "POST", "path": "/predict?top=1", "status": 200, "seconds": 0.0123}


@pytest.fixture(scope="module")
def client(finished: Path) -> Iterator[TestClient]:
    with TestClient(make_app(finished), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        (None, False),
        ("abc-1_2.3", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("a b", False),
        ("é", False),
        ("a\\n", False),
    ],
)
def test_a_well_formed_id_is_taken_and_echoed(client: TestClient, sent: str | None, taken: bool) -> None:
    headers = {} if sent is None else {b"X-Request-Id": sent.encode()}
    for path, status in (("/model", 200), ("/nothing", 404)):
        answer = client.get(path, headers=headers)
        assert answer.status_code == status
        echoed = answer.headers["x-request-id"]
        assert (echoed == sent) is taken
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", echoed)


@given(st.text())
def test_no_id_brings_anything_else_into_log_or_head(sent: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", take_request_id(sent))


def test_requests_are_logged_as_json(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to("json", access=True):
        client.get("/model?model=x%1b%5b2J", headers={"X-Request-Id": "one"})
        for path in ("/health", "/health/live", "/metrics", "/v2/health/ready"):  # asked for ever by whatever watches
            client.get(path)
        client.post("/health")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("GET", "/model?model=x%1b%5b2J", 404),
        ("POST", "/health", 405),
    ]
    first = lines[0]
    assert (first["request_id"], first["level"], first["logger"]) == ("one", "INFO", "deepenough.serve.access")
    assert 0 < first["seconds"] < 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])


def test_requests_are_logged_as_text_or_not_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to("text", access=True):
        log_request(FIELDS)
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\S+Z INFO POST /predict\?top=1 200 127\.0\.0\.1 0\.012 s", line)
    with logging_to("text", access=False):
        log_request(FIELDS)
        logging.getLogger("uvicorn.error").warning("heard")
    told = capsys.readouterr()
    assert (told.out, told.err.split()[-2:]) == ("", ["WARNING", "heard"])


def test_what_failed_is_logged_with_the_id_of_its_request(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        logging.getLogger("deepenough.serve.models").warning("odd", exc_info=ValueError("inside"))
        raise ZeroDivisionError

    monkeypatch.setattr(client.app.state.models.get(), "about", fail)  # type: ignore[attr-defined]
    with logging_to("json", access=True):
        assert client.get("/model", headers={"X-Request-Id": "bad-one"}).status_code == 500
    told = capsys.readouterr()
    (odd,) = [json.loads(line) for line in told.err.splitlines()]
    assert (odd["message"], odd["request_id"]) == ("odd", "bad-one")
    assert "ValueError: inside" in odd["exception"]
    assert json.loads(told.out)["status"] == 500


def line(at: float, **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("deepenough.serve.access", logging.INFO, "", 0, "x", (), None)
    record.created = at
    record.fields = {**FIELDS, **fields}
    return record


def test_no_refusal_is_repeated_without_end() -> None:
    found = RepeatFilter()
    kept = [each for each in range(1000) if found.filter(line(100 + each / 1000, status=503, path=f"/{each}"))]
    assert len(kept) == REPEATS
    assert found.filter(line(100.5, status=404))  # another kind
    later = line(100 + REPEAT_SECONDS, status=503)
    assert found.filter(later)
    assert later.left_out == 1000 - REPEATS
    assert all(found.filter(line(100, status=200)) for _ in range(1000))


def test_warnings_are_not_repeated_without_end_and_nothing_piles_up() -> None:
    found = RepeatFilter()
    kept = 0
    for number in range(5000):
        record = logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, "Invalid HTTP request received.", (), None)
        kept += found.filter(record)
        found.filter(logging.LogRecord("other", logging.WARNING, "", 0, f"warning {number}", (), None))
    assert REPEATS <= kept < 100
    assert len(found._kinds) <= 1000


def test_a_reader_that_stops_reading_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    held, begun = threading.Event(), threading.Event()

    class Stalled:
        def write(self, text: str) -> None:
            begun.set()
            held.wait(60)

        def flush(self) -> None: ...

    monkeypatch.setattr("sys.stdout", Stalled())
    monkeypatch.setattr("deepenough.serve.logs.LAST_SECONDS", 0.1)
    with logging_to("text", access=True):
        for _ in range(30_000):  # more than wait to be written
            log_request(FIELDS)
        assert begun.wait(30)
    assert not held.is_set()  # it ended nevertheless
    held.set()


def test_what_is_told_of_a_service_is_all_kept() -> None:
    found = RepeatFilter()
    told = logging.LogRecord("deepenough.serve.models", logging.INFO, "", 0, "model %s: read anew", ("x",), None)
    assert all(found.filter(told) for _ in range(100))


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), ValueError("I/O operation on closed file.")])
def test_lines_that_nobody_takes_are_lost_without_a_word(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Gone:
        def write(self, text: str) -> None:
            raise error

        def flush(self) -> None: ...

    monkeypatch.setattr("sys.stdout", Gone())
    with logging_to("text", access=True):
        for _ in range(3):
            log_request(FIELDS)
        logging.getLogger("uvicorn.error").warning("heard")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING heard")
