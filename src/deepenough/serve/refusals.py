"""Errors of the service: a status, a code for programs, a sentence for people."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from deepenough.serve.refusal_pace import RefusalPace

RETRY = "1"  # seconds after which a client that found no room may try again
GONE = 499  # nginx's word for a client that hung up before its answer; nobody reads it but the metrics
OPEN_INFERENCE = "/v2"  # where the routes of the Open Inference Protocol begin
_CODES = {404: "not-found"}  # of refusals that are not ours


class Refusal(BaseModel):
    """The answer to a request that failed."""

    detail: str = Field(description="a sentence")
    code: str = Field(
        description="stable, for programs: no-image, not-an-image, damaged, animated, tiny, bomb, too-large, "
        "too-many-files, too-many-pixels, too-slow, too-long, busy, stuck, unknown-class, not-found, bad-request, "
        "unknown-host, cross-site, no-token, not-local, unknown-model, broken-model, failed"
    )


class RefusedError(HTTPException):
    """A request that gets no answer, with the status, code and sentence for its client."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.code = code


class FullError(RefusedError):
    """More requests are on their way than there is room for."""

    def __init__(self, what: str) -> None:
        super().__init__(503, "busy", f"{what}; try again in {RETRY} s", {"Retry-After": RETRY})


def error_response(error: HTTPException, path: str) -> JSONResponse:
    """The answer for an error at a path: as `Refusal` has it, or as the Open Inference Protocol has it for its own."""
    if path == OPEN_INFERENCE or path.startswith(f"{OPEN_INFERENCE}/"):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    code = getattr(error, "code", _CODES.get(error.status_code, "bad-request"))
    return JSONResponse({"detail": error.detail, "code": code}, error.status_code, error.headers)


def handle_errors(app: FastAPI, pace: RefusalPace) -> None:
    """Have an app answer its errors as `Refusal` has it, and refusals for want of room at a pace."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if isinstance(error, FullError):
            await pace.wait()
        return error_response(error, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def misread(request: Request, error: RequestValidationError) -> Response:
        refused = RefusedError(422, "bad-request", "; ".join(map(_sentence, error.errors())))
        return error_response(refused, request.url.path)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=GONE)


def _sentence(error: dict[str, Any]) -> str:
    """One of pydantic's errors."""
    where = ".".join(str(word) for word in error["loc"][1:])
    return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}"
