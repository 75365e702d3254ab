"""The middleware of every request."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepenough.serve.logs import log_request, request_id, take_request_id
from deepenough.serve.metrics import ServiceMetrics
from deepenough.serve.refusal_pace import RefusalPace
from deepenough.serve.refusals import RefusedError, error_response

_HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_WATCHED = ("/health", "/metrics", "/v2/health")  # what asks there comes for ever: it is logged where it is refused
_LONGEST_PATH = 200


class RequestMiddleware:
    """Counts, times and logs requests, gives each an id, adds the security headers, answers HEAD as GET without a body,
    and unexpected errors like the others."""

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics, pace: RefusalPace) -> None:
        self.app, self.metrics, self.pace = app, metrics, pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        head = scope["method"] == "HEAD"
        request = {**scope, "method": "GET"} if head else scope
        own_id = take_request_id(Headers(scope=scope).get("x-request-id"))
        request_id.set(own_id)  # of this request's own task

        async def send_measured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS, (b"x-request-id", own_id.encode())]
            elif head:
                message["body"] = b""
            await send(message)

        try:
            await self.app(request, receive, send_measured)
        except Exception:
            if not status:  # Starlette's own answer would be sent outside of this, and so without the headers
                failed = RefusedError(500, "failed", "something went wrong; the log of the service has the details")
                await error_response(failed, scope["path"])(scope, receive, send_measured)
            raise
        finally:
            seconds = time.perf_counter() - began
            self.metrics.request(getattr(request.get("route"), "path", "none"), status or 500, seconds)
            if status < 400:
                self.pace.answered(asyncio.get_running_loop().time())
            if status >= 400 or not scope["path"].startswith(_WATCHED):
                log_request(request_fields(scope, status or 500, seconds))


def request_fields(scope: Scope, status: int, seconds: float) -> dict[str, Any]:
    """The fields of a request in the log; the path with its query, in ASCII, as it came."""
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    query = b"?" + scope["query_string"] if scope.get("query_string") else b""
    return {
        "client": (scope.get("client") or ("-",))[0],
        "method": scope["method"],
        "path": (path + query).decode("ascii", "backslashreplace")[:_LONGEST_PATH],
        "status": status,
        "seconds": round(seconds, 6),
    }
