"""The short way of a cheap search: no thread, no routing, no dependencies, the same bytes.

A search by words of an index of moderate size takes some hundred microseconds; finding its route and a thread takes
longer. So requests for such searches are answered here, on the event loop, before the routes are asked. Whatever is not
surely cheap, valid and allowed goes on to the route, which does the same and says what is wrong: this module refuses
nothing and describes nothing. What is cheap is measured, not guessed: see :class:`Pace`.
"""

from __future__ import annotations

import re
import time
from typing import Any, Final

from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twindex.api.context import Context
from twindex.api.routes.search import is_light, router, run_search
from twindex.api.schemas import SearchRequest
from twindex.indexing.errors import TwindexError

#: Bytes of a request body that is worth a look.
MAX_BODY: Final = 4096
_PATH: Final = re.compile(r"/v1/(?:indexes/([A-Za-z0-9][A-Za-z0-9_-]{0,63})/)?search")
_ROUTES: Final[dict[str, Any]] = {getattr(route, "path", ""): route for route in router.routes}
_NAMED: Final = _ROUTES["/v1/indexes/{index}/search"]
_UNNAMED: Final = _ROUTES["/v1/search"]


class Express:
    """ASGI middleware; the gate must be outside of it.

    Args:
        app: What is inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on whole."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        place = _PATH.fullmatch(scope["path"])
        if place is None or not _is_json(scope):
            await self.app(scope, receive, send)
            return
        first = await receive()
        data = None if first.get("more_body", False) else _answer(scope, place.group(1), first.get("body", b""))
        if data is None:
            await self.app(scope, _replay(first, receive), send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _headers(data)})
        await send({"type": "http.response.body", "body": data})


def _answer(scope: Scope, name: str | None, body: bytes) -> bytes | None:
    """The response; None = the route must be asked."""
    context: Context = scope["app"].state.context
    served = context.catalog.peek(name if name is not None else context.catalog.place.default)
    if served is None or not served.pace.quick or len(body) > MAX_BODY:
        return None
    try:
        request = SearchRequest.model_validate_json(body)
        if (
            not is_light(request)
            or not served.quick(request.sparse)
            or not scope["twindex.caller"].allows("read", served.name)
        ):
            return None
        if context.traces is None:  # without a block around it, which would cost a tenth of the search
            started = time.perf_counter()
            data = run_search(served, request)
            context.metrics.observe("twindex_stage_seconds", time.perf_counter() - started, stage="search")
        else:
            with context.stage("search"):
                data = run_search(served, request)
    except (ValidationError, TwindexError):
        return None
    scope["route"] = _UNNAMED if name is None else _NAMED  # what measures and traces call it
    return data


def _is_json(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return bool(value == b"application/json" or value.startswith(b"application/json;"))
    return False


def _headers(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", b"%d" % len(data)), (b"content-type", b"application/json")]


def _replay(first: Message, receive: Receive) -> Receive:
    """Gives what was received already, then what comes."""
    waiting = [first]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
