"""How long plain searches of an index take, so that the event loop may do those that take no time worth speaking of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
#: Seconds of the processor: below it, handing a search to a thread and back costs more than it frees the loop for.
QUICK: Final = 0.002
#: Share of a new time in the mean: some twenty searches decide.
WEIGHT: Final = 0.1
#: While searches are quick, one of so many is timed: to read a thread's clock takes the system microseconds.
EVERY: Final = 16


class Pace:
    """A running mean of the processor time of searches. Safe for threads: a lost update does not matter.

    Processor time, since on a busy server the clock would count the waiting for others, and whoever is sent to a
    thread because of it would never come back.
    """

    def __init__(self) -> None:
        self.seconds = 2 * QUICK
        self._untimed = 0

    @property
    def quick(self) -> bool:
        """Whether the next is likely to take less than QUICK."""
        return self.seconds < QUICK

    def timed(self, search: Callable[[], T]) -> T:
        """The search's result; what it took counts, if it ends well and is its turn."""
        if self.quick and self._untimed < EVERY:
            self._untimed += 1
            return search()
        self._untimed = 0
        started = time.thread_time()
        found = search()
        self.seconds += WEIGHT * (time.thread_time() - started - self.seconds)
        return found
