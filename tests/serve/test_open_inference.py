"""The Open Inference Protocol, asked as its specification and its clients ask."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepenough import load
from deepenough.serve.access import Access
from deepenough.serve.app import make_app
from deepenough.serve.limits import Limits
from deepenough.serve.open_inference.routes import MOST_JSON
from deepenough.serve.server import listen

pytestmark = pytest.mark.seconds(20)

INFER = "/v2/models/shapes/infer"


@pytest.fixture(scope="module")
def client(finished: Path) -> Iterator[TestClient]:
    with TestClient(make_app({"shapes": finished}, Limits(files=5, upload=8 * 2**20))) as client:
        yield client


@pytest.fixture(scope="module")
def photos(shapes: Path) -> list[Path]:
    return sorted(shapes.rglob("*.png"))[::50]


@pytest.fixture(scope="module")
def pixels(photos: list[Path]) -> np.ndarray[Any, Any]:
    """The photos have the model's size, so that these are the pixels that it sees."""
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in photos])


def binary_body(head: dict[str, Any], *binaries: bytes) -> tuple[bytes, dict[str, str]]:
    told = json.dumps(head).encode()
    return b"".join([told, *binaries]), {"Inference-Header-Content-Length": str(len(told))}


def elements(*contents: bytes) -> bytes:
    return b"".join(len(each).to_bytes(4, "little") + each for each in contents)


def refused(answer: Any) -> tuple[int, str]:
    assert set(answer.json()) == {"error"}, answer.text
    return answer.status_code, answer.json()["error"]


def outputs(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {each["name"]: each for each in answer.json()["outputs"]}


def test_server_and_model_describe_themselves(client: TestClient, finished: Path) -> None:
    server = client.get("/v2").json()
    assert server["name"] == "deepenough"
    assert server["extensions"] == ["binary_tensor_data"]
    assert isinstance(server["version"], str)
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/shapes/ready"):
        assert client.get(path).status_code == 200
    assert client.get("/v2/models/shapes/ready").json() == {"name": "shapes", "ready": True}
    classes = len(load(finished).classes)
    assert client.get("/v2/models/shapes").json() == {
        "name": "shapes",
        "platform": "deepenough_torch",
        "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 16, 16, 3]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
            {"name": "labels", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def test_all_forms_of_an_image_say_what_predict_says(
    client: TestClient, finished: Path, photos: list[Path], pixels: np.ndarray[Any, Any]
) -> None:
    expected = load(finished).probabilities(pixels)
    labels = [each.label for each in load(finished).predict(photos)]
    shape = list(pixels.shape)
    files = [path.read_bytes() for path in photos]
    described = {"name": "images", "datatype": "UINT8", "shape": shape}
    as_bytes = {"name": "images", "datatype": "BYTES", "shape": [len(files)]}
    size = {"parameters": {"binary_data_size": pixels.size}}
    asked = [
        ({"inputs": [{**described, "data": pixels.ravel().tolist()}]}, b""),
        ({"inputs": [{**described, "data": pixels.tolist()}]}, b""),
        ({"inputs": [{**described, **size}]}, pixels.tobytes()),
        ({"inputs": [{**as_bytes, "data": [base64.b64encode(each).decode() for each in files]}]}, b""),
        ({"inputs": [{**as_bytes, "parameters": {"binary_data_size": len(elements(*files))}}]}, elements(*files)),
    ]
    for head, binary in asked:
        content, headers = binary_body({"id": "42", **head}, binary)
        for more in ({}, headers) if not binary else (headers,):
            answer = client.post(INFER, content=content, headers=more)
            found = outputs(answer)
            assert (answer.json()["model_name"], answer.json()["id"]) == ("shapes", "42")
            assert found["probabilities"]["shape"] == list(expected.shape)
            np.testing.assert_allclose(
                np.reshape(found["probabilities"]["data"], expected.shape), expected, atol=1e-6, rtol=0
            )
            assert found["labels"] == {"name": "labels", "datatype": "BYTES", "shape": [len(labels)], "data": labels}


def test_files_of_any_size_are_framed_as_predict_frames_them(client: TestClient) -> None:
    content = io.BytesIO()
    Image.effect_noise((70, 40), 90).convert("L").save(content, "JPEG")
    (one,) = client.post("/predict", content=content.getvalue(), headers={"Content-Type": "image/jpeg"}).json()[
        "predictions"
    ]
    body, headers = binary_body(
        {
            "inputs": [
                {
                    "name": "images",
                    "datatype": "BYTES",
                    "shape": [1],
                    "parameters": {"binary_data_size": 4 + len(content.getvalue())},
                }
            ]
        },
        elements(content.getvalue()),
    )
    found = outputs(client.post(INFER, content=body, headers=headers))
    assert found["labels"]["data"] == [one["label"]]
    assert max(found["probabilities"]["data"]) == pytest.approx(one["probabilities"][0], abs=1e-6)


def test_outputs_are_chosen_and_come_as_binary_data(client: TestClient, pixels: np.ndarray[Any, Any]) -> None:
    tensor = {"name": "images", "datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.tolist()}
    plain = outputs(client.post(INFER, json={"inputs": [tensor]}))
    only = {"inputs": [tensor], "outputs": [{"name": "labels"}]}
    assert outputs(client.post(INFER, json=only)) == {"labels": plain["labels"]}
    every = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    mixed = {**every, "outputs": [{"name": "labels", "parameters": {"binary_data": False}}, {"name": "probabilities"}]}
    for asked, names in ((every, ["probabilities", "labels"]), (mixed, ["labels", "probabilities"])):
        answer = client.post(INFER, json=asked)
        head = int(answer.headers["inference-header-content-length"])
        told, rest = json.loads(answer.content[:head])["outputs"], answer.content[head:]
        assert [each["name"] for each in told] == names
        for each in told:
            expected = plain[each["name"]]
            if "data" in each:
                assert each == expected
                continue
            assert "data" not in each
            size = each["parameters"]["binary_data_size"]
            block, rest = rest[:size], rest[size:]
            if each["datatype"] == "FP32":
                np.testing.assert_allclose(np.frombuffer(block, "<f4"), expected["data"], atol=1e-6)
            else:
                assert block == elements(*(label.encode() for label in expected["data"]))
        assert rest == b""


def uint8(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, 16, 16, 3], "data": [0] * 768, **changes}]}


HUGE = 2**63


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ({}, 400, "inputs"),
        ({"inputs": []}, 400, "one input, 'images'"),
        ({"inputs": [uint8()["inputs"][0]] * 2}, 400, "one input, 'images'"),
        (uint8(name="x"), 400, "one input, 'images'"),
        (uint8(datatype="FP32"), 400, "UINT8 or BYTES, not 'FP32'"),
        (uint8(shape=[]), 400, "counts the images: 1 to 5, not 0"),
        (uint8(shape=[0, 16, 16, 3], data=[]), 400, "1 to 5, not 0"),
        (uint8(shape=[6, 16, 16, 3]), 413, "1 to 5, not 6"),
        (uint8(shape=[HUGE, HUGE, HUGE, HUGE]), 413, "1 to 5"),
        (uint8(shape=[1, HUGE, HUGE, 3]), 400, "shape [-1, 16, 16, 3]"),
        (uint8(shape=[1, 3, 16, 16]), 400, "shape [-1, 16, 16, 3]"),
        (uint8(shape=[-1, 16, 16, 3]), 400, "inputs.0.shape.0"),
        (uint8(shape=[1.5, 16, 16, 3]), 400, "inputs.0.shape.0"),
        (uint8(shape=[True, 16, 16, 3]), 400, "inputs.0.shape.0"),
        (uint8(data=[0] * 767), 400, "has 768 values, not 767"),
        (uint8(data=[256] * 768), 400, "whole numbers from 0 to 255"),
        (uint8(data=[-1] * 768), 400, "whole numbers from 0 to 255"),
        (uint8(data=[0.5] * 768), 400, "whole numbers from 0 to 255"),
        (uint8(data=["0"] * 768), 400, "whole numbers from 0 to 255"),
        (uint8(data=[10**400] * 768), 400, "whole numbers"),
        (uint8(data=[[0] * 768]), 400, "lists of 'images' are not of the shape"),
        (uint8(data=[[[[0] * 3] * 16] * 15]), 400, "lists of 'images' are not of the shape"),
        (uint8(data="abc"), 400, "inputs.0.data"),
        (uint8(data=None), 400, "either data or the parameter binary_data_size"),
        (uint8(parameters={"binary_data_size": 768}), 400, "either data or the parameter binary_data_size"),
        (uint8(parameters={"binary_data_size": True}), 400, "binary_data_size"),
        (uint8(parameters={"binary_data_size": -1}), 400, "binary_data_size"),
        (uint8(datatype="BYTES"), 400, "have the shape [N]"),
        (uint8(datatype="BYTES", shape=[1], data=["no base64!"]), 400, "files in base64"),
        (uint8(datatype="BYTES", shape=[1], data=["ä"]), 400, "files in base64"),
        (uint8(datatype="BYTES", shape=[1], data=[7]), 400, "1 strings"),
        (uint8(datatype="BYTES", shape=[2], data=["", ""]), 415, "element 0: this is not an image"),
        ({**uint8(), "outputs": [{"name": "logits"}]}, 400, "not 'logits'"),
        ({**uint8(), "id": 7}, 400, "id: "),
        ([], 400, "the body"),
    ],
)
def test_what_is_not_as_the_protocol_has_it(client: TestClient, asked: Any, status: int, told: str) -> None:
    found = refused(client.post(INFER, json=asked))
    assert found[0] == status, found
    assert told in found[1]


@pytest.mark.parametrize(
    ("content", "headers", "status", "told"),
    [
        (b"", {}, 400, "the body"),
        (b"{", {}, 400, "the body"),
        (b"\xff\xfe", {}, 400, "the body"),
        (b"[" * 100_000, {}, 400, "the body"),
        (b'{"inputs": ' + b"[" * 100_000, {}, 400, "the body"),
        (b"{}", {"Inference-Header-Content-Length": "3"}, 400, "the body has 2 bytes"),
        (b"{}", {"Inference-Header-Content-Length": "-1"}, 400, "is a number of bytes"),
        (b"{}", {"Inference-Header-Content-Length": "9" * 5000}, 400, "is a number of bytes"),
        (b"{}", {"Inference-Header-Content-Length": "0"}, 400, "the body"),
        (b" " * (MOST_JSON + 1), {}, 413, "send large tensors as binary data"),
        (b"{}", {"Content-Encoding": "gzip"}, 415, "not read"),
        (b"x" * (8 * 2**20 + 1), {}, 413, "larger than 8 MiB"),
    ],
)
def test_bodies_that_are_no_request(
    client: TestClient, content: bytes, headers: dict[str, str], status: int, told: str
) -> None:
    found = refused(client.post(INFER, content=content, headers=headers))
    assert found[0] == status, found
    assert told in found[1]


def test_errors_of_other_parts_have_the_protocols_form(client: TestClient, finished: Path) -> None:
    assert refused(client.get("/v2/models/shape")) == (404, "there is no model 'shape'; did you mean 'shapes'?")
    assert refused(client.get("/v2/nothing"))[0] == 404
    assert refused(client.get(INFER))[0] == 405
    guarded = TestClient(make_app({"shapes": finished}, access=Access((), "secret")))
    headers = {"Host": "localhost"}
    assert refused(guarded.get("/v2", headers=headers))[0] == 401
    assert refused(guarded.post(INFER, headers=headers))[0] == 401
    assert refused(guarded.get("/v2", headers={"Host": "evil.example"}))[0] == 421
    assert refused(guarded.post(INFER, headers={**headers, "Sec-Fetch-Site": "cross-site"}))[0] == 403
    assert guarded.get("/v2/health/live", headers=headers).status_code == 200


numbers = st.one_of(st.integers(-3, 900), st.sampled_from([2**31, 2**32 - 1, 2**63, 2**64, 10**30]))
values = st.one_of(st.none(), numbers, st.floats(), st.text(max_size=5), st.booleans())
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["images", "images", "images", "other"]),
        "datatype": st.sampled_from(["UINT8", "BYTES", "FP32", ""]),
        "shape": st.one_of(
            st.lists(numbers, max_size=9), st.sampled_from([[1], [2], [5], [1, 16, 16, 3], [2, 16, 16, 3]])
        ),
    },
    optional={
        "parameters": st.one_of(st.none(), st.fixed_dictionaries({"binary_data_size": st.one_of(numbers, st.text())})),
        "data": st.one_of(
            st.none(), st.lists(values, max_size=4), st.lists(st.lists(values, max_size=3), max_size=3), st.text()
        ),
    },
)


@settings(max_examples=100)
@given(
    tensors=st.lists(tensors, max_size=3),
    binary=st.one_of(
        st.binary(max_size=64),
        st.integers(760, 780).map(bytes),
        st.lists(st.binary(max_size=9), max_size=3).map(lambda each: elements(*each)),
    ),
    length=st.one_of(st.none(), st.integers(-5, 5)),
)
def test_no_tensor_ends_in_an_error_of_ours(
    client: TestClient, tensors: list[Any], binary: bytes, length: int | None
) -> None:
    content, headers = binary_body({"inputs": tensors}, binary)
    if length is not None:  # the end of the JSON is elsewhere than said
        headers = {"Inference-Header-Content-Length": str(len(content) - len(binary) + length)}
    answer = client.post(INFER, content=content, headers=headers)
    assert answer.status_code in (200, 400, 413, 415, 422), answer.text
    if answer.status_code != 200:
        refused(answer)


@settings(max_examples=100)
@given(content=st.binary(max_size=300), length=st.integers(0, 400))
def test_no_bytes_end_in_an_error_of_ours(client: TestClient, content: bytes, length: int) -> None:
    answer = client.post(INFER, content=content, headers={"Inference-Header-Content-Length": str(length)})
    assert refused(answer)[0] == 400


@settings(max_examples=60)
@given(
    count=st.integers(1, 5),
    sizes=st.lists(st.one_of(st.integers(0, 40), st.sampled_from([2**31, 2**32 - 1])), min_size=1, max_size=6),
    cut=st.integers(0, 12),
)
def test_elements_that_claim_more_than_came(client: TestClient, count: int, sizes: list[int], cut: int) -> None:
    """Each element says its length; whatever is said, no more is made than came."""
    block = b"".join(size.to_bytes(4, "little") + b"x" * min(size, 40) for size in sizes)
    block = block[: len(block) - cut]
    tensor = {"name": "images", "datatype": "BYTES", "shape": [count], "parameters": {"binary_data_size": len(block)}}
    content, headers = binary_body({"inputs": [tensor]}, block)
    status, told = refused(client.post(INFER, content=content, headers=headers))
    whole = len(sizes) == count and max(sizes) <= 40 and not cut
    assert (status == 415) is whole, told  # what came whole is looked at, and is no image
    assert status in (400, 415)


def test_tritons_client(finished: Path, photos: list[Path], pixels: np.ndarray[Any, Any]) -> None:
    triton = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
    listening = listen("127.0.0.1", 0)
    app = make_app({"shapes": finished})
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    expected, labels = load(finished).probabilities(pixels), [each.label for each in load(finished).predict(photos)]
    with triton.InferenceServerClient(f"127.0.0.1:{listening.getsockname()[1]}") as asking:
        assert asking.is_server_live()
        assert asking.is_server_ready()
        assert asking.is_model_ready("shapes")
        assert asking.get_server_metadata()["name"] == "deepenough"
        (described,) = asking.get_model_metadata("shapes")["inputs"]
        files = np.array([path.read_bytes() for path in photos], dtype=object)
        for images, datatype in ((pixels, described["datatype"]), (files, "BYTES")):
            for binary in (True, False) if datatype == "UINT8" else (True,):
                tensor = triton.InferInput(described["name"], list(images.shape), datatype)
                tensor.set_data_from_numpy(images, binary_data=binary)
                wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "labels")]
                found = asking.infer("shapes", [tensor], outputs=wanted, request_id="7")
                np.testing.assert_allclose(found.as_numpy("probabilities"), expected, atol=1e-6)
                told = [each.decode() if isinstance(each, bytes) else each for each in found.as_numpy("labels")]
                assert told == labels
                assert found.get_response()["id"] == "7"
        with pytest.raises(triton.InferenceServerException, match="there is no model 'other'"):
            asking.get_model_metadata("other")
    server.should_exit = True
    thread.join(30)
