"""A bound on the size of request bodies, counted as they arrive."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twindex.api.errors import problem


class BodyTooLarge(Exception):  # noqa: N818, RUF100 - control flow inside this module
    """More bytes have arrived than are allowed."""


class BodyLimit:
    """ASGI middleware that answers 413 once a body passes ``limit`` bytes."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.limit:
            await self._refuse(scope, receive, send)
            return
        started = seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit:
                raise BodyTooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = 1
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except BodyTooLarge:
            if not started:
                await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem(
            413,
            "The request body is too large",
            f"a body of more than {self.limit:,} bytes",
            kind="BodyTooLarge",
            expected=f"at most {self.limit:,} bytes",
            remedy="send a shorter request",
        )
        await response(scope, receive, send)
