"""What every request passes before any route: its id, the host and origin it names, its key, its share of requests.

Plain ASGI, so that it costs little: one object around the application, one around ``send``.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twindex.api.errors import problem_of, unforeseen
from twindex.api.pulse import Pulse
from twindex.api.rate import RateLimit
from twindex.api.refusals import AuthenticationError, ForbiddenError, MisdirectedError, RefusedError
from twindex.api.service.keys import Key, KeyStore
from twindex.api.service.keys import Scope as KeyScope
from twindex.api.service.metrics import Metrics

log = logging.getLogger(__name__)
access = logging.getLogger("twindex.access")

#: What needs no key: the pages that ask for one, the description of the API, and whether the server lives.
PUBLIC: Final = frozenset({"/", "/docs", "/openapi.json", "/v1/health", "/v1/ready"})
#: What is answered however busy the server is: whoever watches it must see that it lives.
WATCHED: Final = frozenset({"/v1/health", "/v1/ready", "/metrics"})
HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
#: For whatever is no page: nothing in it may be run or shown as one.
STRICT: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Without authentication everyone may do everything (and only this machine is listened to)."""

    key: Key | None
    address: str
    required: bool

    def allows(self, scope: KeyScope, index: str | None) -> bool:
        """Whether the caller may do that to that index; None = to the server as a whole."""
        if not self.required:
            return True
        return self.key is not None and self.key.allows(scope, index)

    @property
    def name(self) -> str:
        """What rates are counted by, and logs call it."""
        return f"key {self.key.id}" if self.key is not None else self.address


@dataclass(frozen=True, slots=True)
class GateConfig:
    """Who may pass.

    ``auth``: whether a key is needed. ``hosts``: names that the server goes by, () = any. ``origins``: web origins
    whose pages may call it, besides its own.
    """

    auth: bool = False
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


class Gate:
    """ASGI middleware.

    Args:
        app: What is inside.
        config: Who may pass.
        keys: The keys that are valid.
        rate: How often.
        metrics: Where requests are counted.
        pulse: How late the event loop is.
    """

    def __init__(
        self, app: ASGIApp, config: GateConfig, keys: KeyStore, rate: RateLimit, metrics: Metrics, pulse: Pulse
    ) -> None:
        self.app = app
        self.config = config
        self.keys = keys
        self.rate = rate
        self.metrics = metrics
        self.pulse = pulse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8).encode()
        scope["twindex.request"] = request_id.decode()
        status = 0
        extra: list[tuple[bytes, bytes]] = []

        async def decorated(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_missing(message["headers"], request_id), *extra]
            await send(message)

        caller = Caller(None, _address(scope), self.config.auth)
        try:
            self._check_host(headers)
            extra += self._check_origin(headers)
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                await _preflight(decorated)
                return
            caller = self._caller(scope, headers, caller)
            scope["twindex.caller"] = caller
            self.rate.take(caller.name)
            if scope["path"] not in WATCHED:
                self.pulse.admit()
        except RefusedError as error:
            self.metrics.count("twindex_refused_total", reason=type(error).__name__.removesuffix("Error"))
            await problem_of(error)(scope, receive, decorated)
        else:
            await self._inside(scope, receive, decorated, lambda: bool(status))
        finally:
            self._account(scope, caller, status, time.perf_counter() - started)

    async def _inside(self, scope: Scope, receive: Receive, send: Send, begun: Callable[[], bool]) -> None:
        """The application; what nobody foresaw is logged with the request's id, and tells the caller nothing."""
        try:
            await self.app(scope, receive, send)
        except Exception:
            log.exception("unforeseen error in request %s", scope["twindex.request"])
            if begun():
                raise  # the connection is closed, so that nobody takes half a response for a whole one
            await unforeseen()(scope, receive, send)

    def _check_host(self, headers: Mapping[bytes, bytes]) -> None:
        """A page of another site that resolves its own name to this address must get nothing (DNS rebinding)."""
        if not self.config.hosts:
            return
        host = urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}").hostname if _plain(headers) else ""
        if host not in self.config.hosts:
            raise MisdirectedError(
                f"a request for host {str(host)[:80]!r}",
                expected=" or ".join(self.config.hosts[:4]),
                remedy="name this server as it is known, or start it with --allow-host NAME",
            )

    def _check_origin(self, headers: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """Pages of other origins may neither read nor write; those that are allowed are told so."""
        origin = headers.get(b"origin")
        if origin is None:
            return []
        text = origin.decode("latin-1")
        if text in self.config.origins:
            return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        if urlsplit(text).netloc.encode("latin-1") == headers.get(b"host", b"") and text != "null":
            return []
        raise ForbiddenError(
            f"a request from a page of {text[:80]!r}",
            expected="a page of this server, or no page",
            remedy="start the server with --cors ORIGIN to allow it",
        )

    def _caller(self, scope: Scope, headers: Mapping[bytes, bytes], nobody: Caller) -> Caller:
        text = _key_of(headers)
        if not self.config.auth:
            return nobody
        key = self.keys.check(text) if text else None
        if key is None and scope["path"] not in PUBLIC:
            raise AuthenticationError("no API key" if not text else "an API key that is not valid")
        return Caller(key, nobody.address, required=True)

    def _account(self, scope: Scope, caller: Caller, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self.metrics.count("twindex_requests_total", route=route, method=_method(scope), status=str(status))
        self.metrics.observe("twindex_request_seconds", seconds, route=route)
        if access.isEnabledFor(logging.INFO):
            fields: dict[str, Any] = {
                "request": scope["twindex.request"],
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(1000 * seconds, 2),
                "caller": caller.name,
            }
            access.info("request", extra={"fields": fields})


def _missing(present: Iterable[tuple[bytes, bytes]], request_id: bytes) -> list[tuple[bytes, bytes]]:
    names = {name for name, _ in present}
    added = [*HEADERS, (b"x-request-id", request_id)]
    if b"content-security-policy" not in names:
        added.append(STRICT)
    if b"cache-control" not in names:
        added.append((b"cache-control", b"no-store"))
    return added


async def _preflight(send: Send) -> None:
    headers = [
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", b"authorization, content-type, idempotency-key, x-api-key, x-request-id"),
        (b"access-control-max-age", b"600"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _key_of(headers: Mapping[bytes, bytes]) -> str:
    bearer = headers.get(b"authorization", b"")
    if bearer[:7].lower() == b"bearer ":
        return bearer[7:].strip().decode("latin-1")
    return headers.get(b"x-api-key", b"").decode("latin-1")


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _method(scope: Scope) -> str:
    """The method as a label: a client must not be able to make up new ones."""
    method = str(scope["method"])
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"


def _plain(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the host can be read at all."""
    return re.fullmatch(rb"[A-Za-z0-9._:\[\]-]{1,255}", headers.get(b"host", b"")) is not None
