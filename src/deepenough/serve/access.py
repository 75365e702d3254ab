"""Access control: hosts by which the service may be called, no page of other sites, and a token where there is one."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from deepenough.serve.refusals import RefusedError, error_response

OPEN_PATHS = frozenset({"/health", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
"""Paths that need no token, and answer by any name: whatever watches over services asks there."""
ANY = "*"
_PORTS = {"http": 80, "https": 443}
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
        if path not in OPEN_PATHS and not self.knows(host):
            raise RefusedError(421, "unknown-host", unknown(host))
        if method not in ("GET", "HEAD", "OPTIONS"):
            check_site(headers, host)
        if self.token is not None and path not in OPEN_PATHS and not is_token(self.token, headers):
            asks = {"WWW-Authenticate": "Bearer"}
            raise RefusedError(401, "no-token", "send the token of this service: Authorization: Bearer TOKEN", asks)

    def knows(self, host: str) -> bool:
        """Tell if the service may be called by a `Host` header."""
        called = name(host)
        if ANY in self.hosts or called == "localhost" or called in map(plain, self.hosts):
            return True
        try:
            ipaddress.ip_address(called)
        except ValueError:
            return False
        return True


def name(host: str) -> str:
    """The name in a `Host` header, without its port, as `plain` has it; empty where there is none."""
    try:
        return plain(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return ""


def plain(host: str) -> str:
    """A name in lower case, without the dot that may end it: `localhost.` is `localhost`."""
    return host.lower().removesuffix(".")


def unknown(host: str) -> str:
    """The sentence for a `Host` header by which the service is not known."""
    if called := name(host):
        return f"this service is not known as {host!r}; start it with --allowed-host {called}"
    given = f"in the Host header {host!r} there is no name" if host else "the request has no Host header"
    return f"{given}; send the name or address by which the service is called, as in Host: localhost"


def is_token(token: str, headers: Headers) -> bool:
    """Tell if a request has a token: `Bearer` in any case, and then the token as UTF-8, or as Latin-1, which are the
    bytes that clients send for letters beyond ASCII."""
    scheme, _, sent = headers.get("authorization", "").strip().partition(" ")
    given = sent.strip().encode("latin-1", "replace")  # the bytes that came, which Starlette reads as Latin-1
    wanted = token.strip()
    forms = [wanted.encode("utf-8", "surrogateescape")]  # a variable's bytes that are no UTF-8 are themselves
    with suppress(UnicodeEncodeError):
        forms.append(wanted.encode("latin-1"))
    same = [hmac.compare_digest(given, form) for form in forms]
    return scheme.lower() == "bearer" and any(same)


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
    """Tell if an `Origin` is the host's own; programs that are no browser send none.

    The port that goes without saying is that of the origin's scheme: behind a proxy with TLS the service sees HTTP.
    """
    if origin is None:
        return True
    try:
        site, here = urlsplit(origin), urlsplit(f"//{host}")
        default = _PORTS.get(site.scheme)
        ports = [default if each.port is None else each.port for each in (site, here)]
    except ValueError:
        return False
    return default is not None and ports[0] == ports[1] and name(site.netloc) == name(host) != ""


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
