"""The routes of the protocol.

https://github.com/kserve/open-inference-protocol; its binary tensors are those of KServe and Triton.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from pydantic import ValidationError

from deepenough.serve.hang_up import unless_gone
from deepenough.serve.models import Models
from deepenough.serve.open_inference.messages import InferenceRequest, ModelMetadata, ServerMetadata, Tensor
from deepenough.serve.open_inference.tensors import INPUT, bad, bytes_tensor, read_input, split_binary
from deepenough.serve.refusals import OPEN_INFERENCE, RefusedError
from deepenough.serve.service import Service

HEADER_LENGTH = "inference-header-content-length"
MOST_JSON = 4 * 2**20
"""Bytes of JSON: it is read at once, while nobody else is answered, and takes many times as much memory."""
PROBABILITIES, LABELS = "probabilities", "labels"


def inference_routes(models: Models) -> APIRouter:
    """All that is below /v2."""
    router = APIRouter(prefix=OPEN_INFERENCE, tags=["Open Inference Protocol"])

    @router.get("")
    async def server() -> ServerMetadata:
        """Describe the server."""
        return ServerMetadata(version=version("deepenough"))

    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        """Tell if the process runs."""
        return {"live": True}

    @router.get("/health/ready")
    async def ready() -> dict[str, bool]:
        """Tell if all models would answer now."""
        if trouble := models.trouble():
            raise RefusedError(503, "stuck", trouble)
        return {"ready": True}

    @router.get("/models/{name}")
    async def model(name: str) -> ModelMetadata:
        """Describe a model."""
        return metadata(name, models.get(name))

    @router.get("/models/{name}/ready")
    async def model_ready(name: str) -> dict[str, str | bool]:
        """Tell if a model would answer now."""
        if trouble := models.get(name).trouble():
            raise RefusedError(503, "stuck", trouble)
        return {"name": name, "ready": True}

    @router.post("/models/{name}/infer")
    async def infer(name: str, request: Request) -> Response:
        """Classify images: UINT8 of the model's size, or BYTES, which are files of any size."""
        with models.using(name) as service:
            room = service.batcher.room
            room.check()
            async with models.reader.body(request) as content:
                asked, images = await service.in_thread(
                    read_request, request.headers.get(HEADER_LENGTH), content, service
                )
                async with room.entered(len(images)):
                    rows = await unless_gone(request, service.rows(images))
        return respond(name, service, asked, rows)

    return router


def metadata(name: str, service: Service) -> ModelMetadata:
    """The description of a model."""
    classes = len(service.model.classes)
    return ModelMetadata(
        name=name,
        platform=f"deepenough_{service.model.engine.name}",
        inputs=[Tensor(name=INPUT, datatype="UINT8", shape=[-1, *service.pixel_shape])],
        outputs=[
            Tensor(name=PROBABILITIES, datatype="FP32", shape=[-1, classes]),
            Tensor(name=LABELS, datatype="BYTES", shape=[-1]),
        ],
    )


def read_request(
    header_length: str | None, content: bytes, service: Service
) -> tuple[InferenceRequest, NDArray[np.uint8] | list[bytes]]:
    """A request and its images. Raises RefusedError."""
    length = len(content)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit() and len(header_length) < 20):
            raise bad(f"Inference-Header-Content-Length is a number of bytes, not {header_length[:20]!r}")
        length = int(header_length)
        if length > len(content):
            raise bad(f"Inference-Header-Content-Length is {length}, and the body has {len(content)} bytes")
    if length > MOST_JSON:
        detail = f"{length:,} bytes of JSON are more than {MOST_JSON:,}; send large tensors as binary data"
        raise RefusedError(413, "too-large", detail)
    try:
        asked = InferenceRequest.model_validate_json(content[:length])
    except ValidationError as error:
        raise bad("; ".join(map(_sentence, error.errors()[:3]))) from None
    if [each.name for each in asked.inputs] != [INPUT]:
        raise bad(f"this model has one input, {INPUT!r}")
    for each in asked.outputs:
        if each.name not in (PROBABILITIES, LABELS):
            raise bad(f"this model has the outputs {PROBABILITIES!r} and {LABELS!r}, not {each.name[:40]!r}")
    (binary,) = split_binary(asked.inputs, memoryview(content)[length:])
    return asked, read_input(asked.inputs[0], binary, service.pixel_shape, service.limits.files)


def _sentence(error: Any) -> str:
    """One of pydantic's errors."""
    return f"{'.'.join(map(str, error['loc'])) or 'the body'}: {error['msg']}"


def respond(name: str, service: Service, asked: InferenceRequest, rows: Sequence[NDArray[np.float32]]) -> Response:
    """The response for probabilities (classes,) of each image."""
    probabilities = np.stack(rows).astype("<f4")
    labels = [service.model.classes[at] for at in probabilities.argmax(1)]
    wanted = {each.name: each.parameters.binary_data for each in asked.outputs} or {PROBABILITIES: None, LABELS: None}
    outputs: list[dict[str, Any]] = []
    binaries: list[bytes] = []
    for output, binary in wanted.items():
        described: dict[str, Any]
        if output == PROBABILITIES:
            described = {"name": output, "datatype": "FP32", "shape": list(probabilities.shape)}
        else:
            described = {"name": output, "datatype": "BYTES", "shape": [len(labels)]}
        if asked.parameters.binary_data_output if binary is None else binary:
            content = probabilities.tobytes() if output == PROBABILITIES else bytes_tensor(labels)
            described["parameters"] = {"binary_data_size": len(content)}
            binaries.append(content)
        else:
            described["data"] = probabilities.ravel().tolist() if output == PROBABILITIES else labels
        outputs.append(described)
    told = {"model_name": name, **({} if asked.id is None else {"id": asked.id}), "outputs": outputs}
    head = json.dumps(told, ensure_ascii=False).encode()
    if not binaries:
        return Response(head, media_type="application/json")
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return Response(b"".join([head, *binaries]), headers=headers, media_type="application/octet-stream")
