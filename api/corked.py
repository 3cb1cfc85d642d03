"""A connection whose small writes leave together.

A server writes the head of a response and then its body. Two writes wake the client twice, the first time for nothing,
which on loopback costs as much as a search. So writes are kept until the event loop has nothing else to do for this
turn, and leave in one call of the system.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

#: Bytes that are kept, at most.
MOST: Final = 1 << 18


class CorkedTransport:
    """A transport around another; what it does not know, the other does.

    Args:
        inner: The other.
        loop: The loop that it belongs to.
    """

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop
        self._kept: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Keeps the bytes until this turn of the loop is over."""
        if not self._kept:
            self._loop.call_soon(self._flush)
        self._kept.append(data)
        self._bytes += len(data)
        if self._bytes > MOST:
            self._flush()

    def close(self) -> None:
        """Sends what is kept, and closes."""
        self._flush()
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _flush(self) -> None:
        kept, self._kept, self._bytes = self._kept, [], 0
        if not kept or self._inner.is_closing():
            return
        if len(kept) == 1:
            self._inner.write(kept[0])
        else:
            self._inner.writelines(kept)


class CorkedProtocol(AutoHTTPProtocol):  # type: ignore[valid-type, misc]
    """The quickest protocol that uvicorn finds, on such a transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        super().connection_made(CorkedTransport(cast(asyncio.Transport, transport), asyncio.get_running_loop()))
