"""Forms with files, as clients of all kinds write them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from deepenough.serve.app import make_app

CHARSETS = ["utf-8", "latin-1", "undefined", "punycode", "idna", "utf-7", "unicode_escape", "raw_unicode_escape"]
CHARSETS += ["utf-16", "utf-32-be", "hex", "rot13", "zlib", "cp037", "no such", "", '"', "é", "..", "x" * 300]
NAMES = (b"a.png", "é照片.png".encode(), b"\xff\xfe", rb"\ud800", b"+2AA-", b"xn--a", b"a-\x80", b"-", b"a..b")


@pytest.fixture(scope="module")
def client(finished: Path) -> Iterator[TestClient]:
    with TestClient(make_app(finished)) as client:
        yield client


def picture() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(content, "PNG")
    return content.getvalue()


def post(client: TestClient, kind: str, name: bytes = b"a.png", content: bytes | None = None) -> httpx2.Response:
    """Send one file in a form whose boundary is xx, with a media type of its own."""
    head = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="' + name + b'"\r\n\r\n'
    body = head + (picture() if content is None else content) + b"\r\n--xx--\r\n"
    return client.post("/predict", content=body, headers={b"Content-Type": kind.encode("latin-1")})


@pytest.mark.parametrize("charset", CHARSETS)
def test_names_are_utf_8_whatever_charset_a_form_names(client: TestClient, charset: str) -> None:
    for name in NAMES:
        answer = post(client, f"multipart/form-data; boundary=xx; charset={charset}", name)
        assert answer.status_code == 200, (charset, name, answer.text)
        assert answer.json()["predictions"][0]["name"] == name.decode("utf-8", "replace")
        refused = post(client, f"multipart/form-data; boundary=xx; charset={charset}", name, b"no picture")
        assert refused.status_code == 415
        assert refused.json()["detail"].startswith(f"{name.decode('utf-8', 'replace')}: this is not an image")


@settings(max_examples=150)
@given(st.binary(max_size=40), st.one_of(st.sampled_from(CHARSETS), st.text(st.characters(codec="latin-1"))))
@example(b"\x00", "undefined")
def test_no_name_and_no_charset_is_an_error_of_ours(client: TestClient, name: bytes, charset: str) -> None:
    """Names may break a form, as a line's end does; they are told so."""
    charset = "".join(c for c in charset if c not in "\x00\r\n")
    answer = post(client, f"multipart/form-data; boundary=xx; charset={charset}", name)
    assert answer.status_code in (200, 400), answer.text


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=xx",
        "Multipart/Form-Data; boundary=xx",
        "MULTIPART/FORM-DATA;BOUNDARY=xx",
        "multipart/form-data ; boundary=xx",
    ],
)
def test_media_types_are_written_in_any_case(client: TestClient, kind: str) -> None:
    assert post(client, kind).status_code == 200


@pytest.mark.parametrize("kind", ["multipart/form-dataX; boundary=xx", "multipart/form-data-x", "multipart/mixed"])
def test_other_media_types_are_no_forms(client: TestClient, kind: str) -> None:
    assert post(client, kind).status_code == 415
    assert client.post("/predict", content=picture(), headers={"Content-Type": kind}).status_code == 200


def test_a_body_that_is_not_encoded_may_say_so_in_any_case(client: TestClient) -> None:
    answer = client.post("/v2/models/run/infer", content=b"{}", headers={"Content-Encoding": "Identity"})
    assert answer.status_code != 415
