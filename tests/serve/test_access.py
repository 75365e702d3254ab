"""Who may ask the service."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

from deepenough.serve.access import OPEN_PATHS, Access, is_at
from deepenough.serve.app import make_app
from deepenough.serve.refusals import RefusedError


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
        ("localhost.", 200),
        ("localhost.:8000", 200),
        ("photos.example.", 200),
        ("localhost..", 421),
        (".", 421),
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


@pytest.mark.parametrize("host", ["", "[::1", "evil.example", "."])
def test_what_watches_over_services_asks_by_any_name(open_to_all: TestClient, host: str) -> None:
    """Probes speak HTTP/1.0 without `Host`, or call by a name of the cluster."""
    for path in OPEN_PATHS:
        assert open_to_all.get(path, headers={"Host": host}).status_code != 421


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("", "the request has no Host header; send the name or address by which the service is called"),
        ("[::1", "in the Host header '[::1' there is no name; send the name or address"),
        ("evil.example:80", "not known as 'evil.example:80'; start it with --allowed-host evil.example"),
    ],
)
def test_a_refused_host_is_told_what_to_do(open_to_all: TestClient, host: str, told: str) -> None:
    assert told in open_to_all.get("/model", headers={"Host": host}).json()["detail"]


def test_the_name_that_is_allowed_may_end_with_a_dot() -> None:
    assert Access(("Photos.example.",)).knows("photos.example")


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


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://a.com", "a.com:80", True),
        ("http://a.com:80", "a.com", True),
        ("https://a.com", "a.com:443", True),
        ("https://a.com", "a.com", True),  # a proxy has the TLS
        ("http://A.com", "a.com.", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("https://a.com", "a.com:80", False),
        ("http://a.com:8000", "a.com", False),
        ("http://a.com:x", "a.com", False),
        ("chrome-extension://a.com", "a.com", False),
        ("null", "null", False),
        ("", "", False),
        ("http://", "", False),
    ],
)
def test_an_origin_is_the_host_s_own_by_its_name_and_port(origin: str, host: str, same: bool) -> None:
    assert is_at(origin, host) is same


@pytest.mark.parametrize("sent", ["Bearer sécret", "bearer sécret", "BEARER  sécret "])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_token_beyond_ascii_comes_as_utf_8_or_latin_1(sent: str, encoding: str) -> None:
    headers = Headers(raw=[(b"host", b"localhost"), (b"authorization", sent.encode(encoding))])
    Access((), "sécret").check("/predict", "GET", headers)
    with pytest.raises(RefusedError, match="401"):
        Access((), "secret").check("/predict", "GET", headers)


def test_a_token_may_be_any_text() -> None:
    for token, sent in (("照片", "照片".encode()), ("\udcff", b"\xff")):
        headers = Headers(raw=[(b"host", b"localhost"), (b"authorization", b"Bearer " + sent)])
        Access((), token).check("/predict", "GET", headers)


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
        ("/model", "bearer secret", 200),
        ("/model", "secret", 401),
        ("/model", "Basic secret", 401),
        ("/model", "Bearersecret", 401),
        ("/model", "Bearer", 401),
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
