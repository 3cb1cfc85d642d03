"""A token bucket a caller: so many requests a second on the mean, so many at once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from twindex.api.refusals import TooManyError

#: Callers that are remembered; the one that was quiet longest is forgotten, and has a full bucket if it comes back.
CALLERS: Final = 10_000


class RateLimit:
    """Buckets by caller. For the event loop's thread.

    Args:
        rate: Requests a second, on the mean; 0 = no limit.
        burst: Requests at once.
        clock: Seconds.
    """

    def __init__(self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """One request of that caller.

        Raises:
            TooManyError: If its bucket is empty; the header Retry-After says for how long.
        """
        if not self.rate:
            return
        now = self._clock()
        tokens, then = self._buckets.get(caller, (float(self.burst), now))
        tokens = min(float(self.burst), tokens + (now - then) * self.rate)
        enough = tokens >= 1
        self._buckets[caller] = (tokens - 1 if enough else tokens, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > CALLERS:
            self._buckets.popitem(last=False)
        if not enough:
            seconds = max(1, -int(-(1 - tokens) // self.rate))
            raise TooManyError(
                f"more than {self.rate:g} requests a second, with bursts of {self.burst}",
                expected="fewer",
                remedy=f"try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
