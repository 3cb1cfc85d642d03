"""How threads share a batch of queries."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Final

#: The last parts of a batch are one of so many a thread, so that none waits long for another that is still at work.
PARTS: Final = 32
#: Nanoseconds of work that a part has at least: to take one costs a tenth of it.
GRAIN: Final = 1e6


def shares_of(queries: int, threads: int, least: int = 1) -> list[tuple[int, int]]:
    """First and last + 1 of the parts in which threads take a batch: large ones first, since to take one takes time.

    Args:
        queries: Of the batch.
        threads: That take them.
        least: Queries of a part, but for the last.

    Source: guided self-scheduling, Polychronopoulos and Kuck, 1987.
    """
    shares, at, least = [], 0, max(1, least, queries // (threads * PARTS))
    while at < queries:
        end = min(queries, at + max(least, (queries - at) // (2 * threads)))
        shares.append((at, end))
        at = end
    return shares


def share_out(
    part: Callable[[int, int], object], shares: Iterable[tuple[int, int]], pool: Executor, threads: int
) -> None:
    """Has so many threads take all shares, this one among them, and returns when all are done.

    To be woken for every share would take longer than many a share, so the caller works too.

    Args:
        part: Does the work of a share.
        shares: In the order in which they are taken.
        pool: The other threads.
        threads: With this one.
    """
    left = deque(shares)

    def work() -> None:
        while True:
            try:
                share = left.popleft()
            except IndexError:
                return
            try:
                part(*share)
            except BaseException:
                left.clear()  # nobody need go on
                raise

    helpers = [pool.submit(work) for _ in range(min(threads, len(left)) - 1)]
    try:
        work()
    finally:
        for helper in helpers:
            helper.result()
