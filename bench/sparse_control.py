"""What two threads are worth on this machine at this moment: the same loops once alone and once a thread.

Beside every measurement of several threads, since two virtual processors are seldom twice one: memory is shared, and
so may be the cores.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numba
import numpy as np
from sparse_store import Array

ROUNDS: Final = 3
#: Bytes that a thread works on, and how often: within its own cache, and far beyond all of them.
IN_CACHE: Final = (16 << 10, 50_000)
IN_MEMORY: Final = (64 << 20, 4)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk(data: Array, passes: int) -> Any:
    """Read and write every number so often, in order."""
    for turn in range(passes):
        for i in range(data.size):
            data[i] += np.float32(turn)
    return data[0]


def scaling(threads: int) -> dict[str, float]:
    """How many times one thread's rate so many threads reach (median): computing in cache, and going through memory."""
    walk(np.zeros(8, np.float32), 1)
    with ThreadPoolExecutor(threads) as pool:
        return {
            name: _scaling(pool, threads, size, passes)
            for name, (size, passes) in (("cache", IN_CACHE), ("memory", IN_MEMORY))
        }


def _scaling(pool: ThreadPoolExecutor, threads: int, size: int, passes: int) -> float:
    data = [np.zeros(size // 4, np.float32) for _ in range(threads)]
    ratios = []
    for _ in range(ROUNDS):
        alone, together = (_seconds(pool, data[:count], passes) for count in (1, threads))
        ratios.append(threads * alone / together)
    return statistics.median(ratios)


def _seconds(pool: ThreadPoolExecutor, data: list[Array], passes: int) -> float:
    started = time.perf_counter()
    list(pool.map(walk, data, [passes] * len(data)))
    return time.perf_counter() - started
