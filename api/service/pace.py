"""How long plain searches of an index take, so that the event loop may do those that take no time worth speaking of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Seconds of the processor: below it, handing a search to a thread and back costs more than it frees the loop for.
QUICK: Final = 0.002
#: Share of a new time in the mean: some twenty searches decide.
WEIGHT: Final = 0.1


class Pace:
    """A running mean of the processor time of searches. Safe for threads: a lost update does not matter.

    Processor time, since on a busy server the clock would count the waiting for others, and whoever is sent to a
    thread because of it would never come back.
    """

    def __init__(self) -> None:
        self.seconds = 2 * QUICK

    @property
    def quick(self) -> bool:
        """Whether the next is likely to take less than QUICK."""
        return self.seconds < QUICK

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Counts what happens in the block, if it ends well."""
        started = time.thread_time()
        yield
        self.seconds += WEIGHT * (time.thread_time() - started - self.seconds)
