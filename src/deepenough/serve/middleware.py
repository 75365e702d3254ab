"""The middleware of every request."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepenough.serve.metrics import ServiceMetrics
from deepenough.serve.refusals import RefusedError, error_response

_HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class RequestMiddleware:
    """Counts and times requests, adds the security headers, answers HEAD as GET without a body, and unexpected errors
    like the others."""

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        head = scope["method"] == "HEAD"
        request = {**scope, "method": "GET"} if head else scope

        async def send_measured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS]
            elif head:
                message["body"] = b""
            await send(message)

        try:
            await self.app(request, receive, send_measured)
        except Exception:
            if not status:  # Starlette's own answer would be sent outside of this, and so without the headers
                failed = RefusedError(500, "failed", "something went wrong; the log of the service has the details")
                await error_response(failed)(scope, receive, send_measured)
            raise
        finally:
            route = getattr(request.get("route"), "path", "none")
            self.metrics.request(route, status or 500, time.perf_counter() - began)
