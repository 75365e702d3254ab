"""Access control: hosts by which the service may be called, no page of other sites, and a token where there is one."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from deepenough.serve.refusals import RefusedError, error_response

OPEN_PATHS = frozenset({"/health", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
"""Paths that need no token: whatever watches over services asks there."""
ANY = "*"
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")  # headers that proxies add


@dataclass(frozen=True)
class Access:
    """The names by which the service may be called beside addresses and `localhost`, and the token that clients send.

    A page of another site can have a name of its own resolve to this machine (DNS rebinding), but no address.
    """

    hosts: Collection[str] = ()
    token: str | None = None

    def __post_init__(self) -> None:
        if self.token is not None and not self.token.strip():
            raise ValueError("an empty token would let everybody in; give None where there is none")

    def check(self, path: str, method: str, headers: Headers) -> None:
        """Raise RefusedError for a request that may not be made."""
        host = headers.get("host", "")
        if not self.knows(host):
            raise RefusedError(
                421, "unknown-host", f"this service is not known as {host!r}; start it with --allowed-host {name(host)}"
            )
        if method not in ("GET", "HEAD", "OPTIONS"):
            check_site(headers, host)
        if self.token is not None and path not in OPEN_PATHS:
            sent = headers.get("authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(sent.encode(), self.token.strip().encode()):
                asks = {"WWW-Authenticate": "Bearer"}
                raise RefusedError(401, "no-token", "send the token of this service: Authorization: Bearer TOKEN", asks)

    def knows(self, host: str) -> bool:
        """Tell if the service may be called by a `Host` header."""
        called = name(host)
        if ANY in self.hosts or called == "localhost" or called in {each.lower() for each in self.hosts}:
            return True
        try:
            ipaddress.ip_address(called)
        except ValueError:
            return False
        return True


def name(host: str) -> str:
    """The name in a `Host` header, without its port, in lower case; empty where there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def check_site(headers: Headers, host: str) -> None:
    """Raise RefusedError for what a browser sends for a page of another site.

    Only browsers set `Sec-Fetch-Site`, which holds behind a proxy that changes `Host`, too.
    """
    site = headers.get("sec-fetch-site")
    if site != "same-origin" and (site == "cross-site" or not is_at(headers.get("origin"), host)):
        raise RefusedError(403, "cross-site", "pages of other sites may not ask this service")


def check_local(request: Request) -> None:
    """Raise RefusedError unless a request comes from this machine itself, by no proxy."""
    names = [request.client.host if request.client else "", name(request.headers.get("host", ""))]
    if any(header in request.headers for header in _FORWARDED) or not all(map(is_loopback, names)):
        raise RefusedError(
            403, "not-local", "only this machine may ask for that; start the service with --token to ask from elsewhere"
        )


def is_loopback(host: str) -> bool:
    """Tell if an address or name is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_at(origin: str | None, host: str) -> bool:
    """Tell if an `Origin` is the host's own; programs that are no browser send none."""
    try:
        return origin is None or urlsplit(origin).netloc == host
    except ValueError:
        return False


class AccessMiddleware:
    """Refuses what `access` does not allow, before anything of the body is read."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self.access.check(scope["path"], scope["method"], Headers(scope=scope))
            except RefusedError as error:
                error.headers = {"Connection": "close", **(error.headers or {})}
                await error_response(error, scope["path"])(scope, receive, send)
                return
        await self.app(scope, receive, send)
