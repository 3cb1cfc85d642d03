"""How much a request may ask for; and a bound on the size of bodies, counted as they arrive."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twindex.api.errors import problem
from twindex.indexing.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, one caller and the server as a whole may take.

    ``body_bytes`` of a request body, ``bulk_bytes`` where documents or judgements are uploaded; ``items`` of a bulk
    write; ``queries`` of a batch; ``texts`` to encode at once; ``seconds`` that a request may take, and an answer
    ``answer_seconds``; ``queue`` of jobs that wait for a thread, ``answers`` of answers under way; ``rate`` requests
    a second of one caller, on the mean (0 = any number), ``burst`` of them at once; ``rerank`` of hits that a reranker
    reads for one request, all its queries together; ``lag`` in seconds that requests may wait for the event loop.

    Raises:
        ConfigError: If a number is not positive (``rate`` may be 0).
    """

    body_bytes: int = 4 << 20
    bulk_bytes: int = 64 << 20
    items: int = 10_000
    queries: int = 1_000
    texts: int = 256
    seconds: float = 30.0
    answer_seconds: float = 300.0
    queue: int = 256
    answers: int = 32
    rate: float = 0.0
    burst: int = 100
    rerank: int = 200
    lag: float = 3.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0 or (value == 0 and field.name != "rate"):
                raise ConfigError(f"limit {field.name} = {value}", expected="a positive number")


class BodyTooLarge(Exception):  # noqa: N818, RUF100 - control flow inside this module
    """More bytes have arrived than are allowed."""


class _Body:
    """A body as it arrives, counted and timed."""

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self.whole = False
        self._receive = receive
        self._left = limit
        self._seconds = seconds

    async def receive(self) -> Message:
        """The next part."""
        if self.whole:  # what comes now is the end of the connection, however late
            return await self._receive()
        async with asyncio.timeout(self._seconds):
            message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise BodyTooLarge
        self.whole = not message.get("more_body", False)
        return message


class BodyLimit:
    """ASGI middleware that answers 413 once a body passes its limit, and 408 if it does not come.

    Args:
        app: What is inside.
        limit: Bytes.
        bulk: Bytes where documents or judgements are uploaded.
        seconds: Silence within a body, at most.
    """

    def __init__(self, app: ASGIApp, limit: int, bulk: int, seconds: float) -> None:
        self.app = app
        self.seconds = seconds
        self.limit = limit
        self.bulk = bulk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        limit = self.bulk if scope["path"].endswith(("/documents", "/eval")) else self.limit
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > limit:
            await self._refuse(limit, scope, receive, send)
            return
        body = _Body(receive, limit, self.seconds)
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, body.receive, noted)
        except BodyTooLarge:
            if not started:
                await self._refuse(limit, scope, receive, send)
        except TimeoutError:
            if started or body.whole:
                raise
            slow = problem(408, "The request did not arrive", f"silence of {self.seconds:g} s in a body", kind="Slow")
            await slow(scope, receive, send)

    async def _refuse(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem(
            413,
            "The request body is too large",
            f"a body of more than {limit:,} bytes",
            kind="BodyTooLarge",
            expected=f"at most {limit:,} bytes",
            remedy="send a shorter request",
        )
        await response(scope, receive, send)
