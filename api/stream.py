"""Server-sent events, and iterators that run in a thread while the event loop sends what they give."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, Generic, TypeVar

from twindex.api.errors import problem_of
from twindex.api.json_response import to_json
from twindex.api.service.pool import WorkPool
from twindex.indexing.errors import ServiceError, TwindexError

log = logging.getLogger(__name__)

T = TypeVar("T")
#: Seconds of silence after which a comment is sent, so that proxies keep the connection.
HEARTBEAT: Final = 10.0
#: Steps that may wait for a slow reader; then the thread waits.
MAX_WAITING: Final = 64
#: Proxies must neither keep nor gather events.
SSE_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def event(name: str, data: Any) -> bytes:
    """One event; its data is one line of JSON."""
    return b"event: %s\ndata: %s\n\n" % (name.encode("ascii"), to_json(data))


def problem_event(error: TwindexError) -> bytes:
    """An error after the response has begun."""
    return event("error", json.loads(bytes(problem_of(error).body)))


class _Bridge(Generic[T]):
    """Between the thread that makes items and the event loop that sends them."""

    def __init__(self, start: Callable[[], Iterator[T]]) -> None:
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(MAX_WAITING)
        self._left = threading.Event()
        self.queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def run(self) -> None:
        """The thread's part: every item, then the end or an error."""
        try:
            items = self._start()
            for item in items:
                if not self._wait_for_room():
                    close = getattr(items, "close", None)
                    if close is not None:
                        close()
                    return
                self.put("item", item)
            self.put("end", None)
        except TwindexError as error:
            self.put("error", error)
        except Exception:
            log.exception("an answer failed")
            self.put("error", ServiceError("an unforeseen error; the server's log has it"))

    def put(self, kind: str, value: Any) -> None:
        """Hands something over."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.queue.put_nowait, (kind, value))

    def taken(self) -> None:
        """Says that an item was sent."""
        self._room.release()

    def leave(self) -> None:
        """Says that nobody reads any more."""
        self._left.set()

    def _wait_for_room(self) -> bool:
        while not self._room.acquire(timeout=0.5):
            if self._left.is_set():
                return False
        return not self._left.is_set()


async def in_thread(pool: WorkPool, start: Callable[[], Iterator[T]]) -> AsyncIterator[T | None]:
    """The items of an iterator that is made and run in a thread of the pool; None after each silence.

    If the consumer leaves early, the iterator is closed at its next item, and with it what it holds open.

    Raises:
        TwindexError: Whatever the iterator raises; other errors as one that tells nothing.
    """
    bridge = _Bridge(start)
    job = asyncio.ensure_future(pool.run(bridge.run))
    job.add_done_callback(lambda done: _refused(done, bridge))
    try:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    kind, value = await bridge.queue.get()
            except TimeoutError:
                yield None
                continue
            if kind == "end":
                return
            if kind == "error":
                raise value
            bridge.taken()
            yield value
    finally:
        bridge.leave()


def _refused(job: asyncio.Future[None], bridge: _Bridge[T]) -> None:
    """Passes on that the pool did not take the job, or gave up waiting for it."""
    error = None if job.cancelled() else job.exception()
    if isinstance(error, TwindexError):
        bridge.put("error", error)
