"""A bounded pool of threads for searching and encoding, so that the event loop stays free.

What cannot be done soon is refused at once, with the time after which to try again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from twindex.api.refusals import OverloadedError, TooSlowError

T = TypeVar("T")
#: Threads, unless told otherwise: enough to overlap reading and native code, few enough not to fight for the GIL.
DEFAULT_THREADS: Final = min(4, (os.cpu_count() or 1) + 1)
#: Jobs that may wait for a thread.
DEFAULT_QUEUE: Final = 256


class WorkPool:
    """Threads, and how many jobs may wait for them.

    Args:
        threads: How many.
        queue: Jobs that may be under way or wait, at most.
        seconds: What a caller waits for a job, at most; the job itself cannot be stopped and keeps its place until
            it ends, so that slow requests push new ones away instead of piling up.
    """

    def __init__(self, *, threads: int = DEFAULT_THREADS, queue: int = DEFAULT_QUEUE, seconds: float = 30.0) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self.queue = queue
        self.seconds = seconds
        self.pending = 0
        self.shed = 0
        self._pace = 0.001

    async def run(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> T:
        """The function's result, worked out in a thread.

        Raises:
            OverloadedError: If too many jobs wait.
            TooSlowError: If it takes too long.
        """
        self.admit()
        self.pending += 1
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        future = loop.run_in_executor(self._threads, partial(function, *arguments, **named))
        future.add_done_callback(lambda _: self._done(started))
        try:
            async with asyncio.timeout(self.seconds):
                return await asyncio.shield(future)
        except TimeoutError:
            if future.done():  # its own error
                raise
            raise TooSlowError(
                f"a request of more than {self.seconds:g} seconds",
                expected="an easier one",
                remedy="ask for fewer hits or shorter texts, or try again when the server is less busy",
            ) from None

    def admit(self) -> None:
        """Nothing, if one more job may wait.

        Raises:
            OverloadedError: If not.
        """
        if self.pending < self.queue:
            return
        self.shed += 1
        seconds = max(1, round(self._pace * self.pending))
        raise OverloadedError(
            f"{self.pending} requests wait already",
            expected=f"fewer than {self.queue}",
            remedy=f"try again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )

    def close(self) -> None:
        """Finishes what is under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _done(self, started: float) -> None:
        self.pending -= 1
        self._pace += 0.05 * (time.perf_counter() - started - self._pace)
