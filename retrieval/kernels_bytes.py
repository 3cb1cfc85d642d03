"""Rows of a byte a document added to a block's sums, for processors without the instructions of ``kernels_strips.py``.

Imported through ``fast.py`` only.
"""

from __future__ import annotations

import numpy as np

from twindex.retrieval.kernels import A, jit
from twindex.retrieval.kernels_strips import GROUP, STRIP


@jit
def _add_one(part: A, one: A, f: A) -> None:
    """``part += ceil(one * f / 256)``. All in 16 bits and step by step, so that it becomes vector instructions."""
    f, up = np.uint16(f), np.uint16(255)
    for j in range(part.size):
        part[j] = np.uint16(part[j] + np.uint16(np.uint16(np.uint16(one[j]) * f + up) >> np.uint16(8)))


@jit
def _add_four(part: A, one: A, two: A, three: A, four: A, factors: A) -> None:
    """The same for four rows: the sums are read and written once."""
    f, g, up = np.uint16(factors[0]), np.uint16(factors[1]), np.uint16(255)
    h, i = np.uint16(factors[2]), np.uint16(factors[3])
    for j in range(part.size):
        x = np.uint16(part[j] + np.uint16(np.uint16(np.uint16(one[j]) * f + up) >> np.uint16(8)))
        x = np.uint16(x + np.uint16(np.uint16(np.uint16(two[j]) * g + up) >> np.uint16(8)))
        x = np.uint16(x + np.uint16(np.uint16(np.uint16(three[j]) * h + up) >> np.uint16(8)))
        part[j] = np.uint16(x + np.uint16(np.uint16(np.uint16(four[j]) * i + up) >> np.uint16(8)))


@jit
def add_rows(part: A, bytes_: A, chosen: A, factors: A, count: A, base: A) -> None:
    """Add the first ``count`` of the chosen rows to the window's sums."""
    limit = base + part.size
    i = 0
    while i + 3 < count:
        _add_four(
            part,
            bytes_[chosen[i], base:limit],
            bytes_[chosen[i + 1], base:limit],
            bytes_[chosen[i + 2], base:limit],
            bytes_[chosen[i + 3], base:limit],
            factors[i : i + 4],
        )
        i += 4
    for rest in range(i, count):
        _add_one(part, bytes_[chosen[rest], base:limit], factors[rest])


@jit
def fold_groups(sums: A, groups: A, tops: A, hits: A, bar: A) -> A:
    """Fold every group of sums to one strip, drop those below the bar; see ``kernels_strips.add_strips``."""
    found, below = 0, np.uint16(0)
    for group in range(groups):
        top = tops[group * STRIP : (group + 1) * STRIP]
        top[:] = 0
        for at in range(group * GROUP, (group + 1) * GROUP, STRIP):
            strip = sums[at : at + STRIP]
            for i in range(STRIP):
                top[i] = max(top[i], strip[i])
        most = np.uint16(0)
        for i in range(STRIP):
            most = max(most, top[i])
        if most >= bar:
            hits[found] = group
            found += 1
        else:
            below = max(below, most)
            sums[group * GROUP : (group + 1) * GROUP] = 0
    tops[groups * STRIP : groups * STRIP + 16] = below
    return found
