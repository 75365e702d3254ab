"""Who may ask the service."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

from deepenough.serve.access import Access
from deepenough.serve.app import make_app


@pytest.fixture(scope="module")
def client(finished: Path) -> TestClient:
    return TestClient(make_app(finished, access=Access(("photos.example",), token="secret")))


@pytest.fixture(scope="module")
def open_to_all(finished: Path) -> TestClient:
    return TestClient(make_app(finished, access=Access(("photos.example",))))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:8000", 200),
        ("192.168.1.7:8000", 200),
        ("[::1]:8000", 200),
        ("photos.example", 200),
        ("Photos.Example:80", 200),
        ("evil.example", 421),
        ("photos.example.evil.example", 421),
        ("evil.example:8000@localhost", 200),  # what stands before an @ is no host
        ("localhost@evil.example", 421),
        ("", 421),
        ("[::1", 421),
    ],
)
def test_only_names_that_it_has_reach_it(open_to_all: TestClient, host: str, status: int) -> None:
    answer = open_to_all.get("/model", headers={"Host": host})
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["code"] == "unknown-host"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_any_name_may_be_allowed(finished: Path) -> None:
    anybody = TestClient(make_app(finished, access=Access(("*",))))
    assert anybody.get("/health/live", headers={"Host": "whatever.example"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),  # no image was sent
        ({"Origin": "http://photos.example"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://proxy.example", "Sec-Fetch-Site": "same-origin"}, 400),  # a proxy changed the host
        ({"Origin": "http://proxy.example", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 400),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_pages_of_other_sites_may_not_post(open_to_all: TestClient, headers: dict[str, str], status: int) -> None:
    answer = open_to_all.post("/predict", headers={"Host": "photos.example", **headers})
    assert answer.status_code == status


def test_a_token_from_a_file_may_end_with_a_line() -> None:
    Access((), "abc\n").check("/predict", "GET", Headers({"host": "localhost", "authorization": "Bearer abc"}))


@pytest.mark.parametrize("token", ["", " "])
def test_an_empty_token_is_no_token(token: str) -> None:
    with pytest.raises(ValueError, match="an empty token would let everybody in"):
        Access((), token)


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/model", None, 401),
        ("/model", "Bearer wrong", 401),
        ("/model", "Bearer sécret", 401),
        ("/model", "Bearer secret", 200),
        ("/", None, 401),
        ("/health/live", None, 200),
        ("/metrics", None, 401),
    ],
)
def test_a_token_opens_all_but_health(client: TestClient, path: str, sent: str | None, status: int) -> None:
    headers = {b"Host": b"localhost"} | ({} if sent is None else {b"Authorization": sent.encode()})
    answer = client.get(path, headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert (answer.json()["code"], answer.headers["www-authenticate"]) == ("no-token", "Bearer")
