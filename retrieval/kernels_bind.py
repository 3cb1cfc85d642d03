"""A query laid out for the scan: lists and rows, what a step of the sums is worth, the first threshold.

Imported through ``fast.py`` only.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.retrieval.kernels import MARGIN, A, inlined
from twindex.retrieval.kernels_strips import TOGETHER

#: Sums of bounds stay below it, so that 16 bits suffice.
ROOM: Final = 60000.0
#: What the rows that are added together may reach in their bytes, rounding included.
BYTE: Final = 255.0 - 3 * TOGETHER
#: Bytes of rows are worth at most this power of two in the sums.
FINEST: Final = 7
# Slots of ``state``.
N_LISTS, N_ROWS, SLACK, THRESHOLD, FOUND, TRIED, SHIFT = range(7)


@inlined
def _order(query: A, plan: A, rows: A, weights: A) -> A:
    """The query's rows by falling bound: their number; ``rows[0]`` = term of the query, ``weights`` the bounds."""
    n = 0
    for a in range(query.ids.size):
        t = query.ids[a]
        bound = np.float64(query.weights[a]) * plan.norm * plan.greatest[t] / 255.0
        if plan.row_of[t] < 0 or plan.greatest[t] == 0:
            continue
        i = n
        while i > 0 and weights[i - 1] < bound:
            rows[0, i], weights[i] = rows[0, i - 1], weights[i - 1]
            i -= 1
        rows[0, i], weights[i] = a, bound
        n += 1
    return n


@inlined
def _unit_of(query: A, plan: A, weights: A, n: A, levels: A, state: A) -> A:
    """Score that one step of the sums stands for: sums stay below ROOM, values of rows in the bytes they are added in.

    With levels those are the bytes of TOGETHER rows, shifted in the sums by ``state[SHIFT]``; without, of one row.
    """
    together, total = 0.0, 0.0
    for i in range(min(n, TOGETHER if levels.shape[0] else 1)):
        together += weights[i]
    for a in range(query.ids.size):
        total += np.float64(query.weights[a]) * plan.norm * plan.greatest[query.ids[a]] / 255.0
    unit = max(together / (BYTE if levels.shape[0] else 254.0), total / ROOM)
    state[SHIFT] = 0
    while levels.shape[0] and state[SHIFT] < FINEST and total / unit * 2 < ROOM:
        unit *= 0.5
        state[SHIFT] += 1
    return unit * (1 + 2 * MARGIN)


@inlined
def _bind_row(i: A, row: A, greatest: A, factor: A, levels: A, state: A, rows: A, tables: A) -> None:
    """Note row i of a query: number, factor, greatest bound, and what its levels are worth."""
    rows[0, i], rows[1, i], rows[2, i] = row, factor, (np.int64(greatest) * factor + 255) >> 8
    if levels.shape[0] == 0:
        return
    for j in range(16):
        value = (((np.int64(levels[row, j]) * factor + 255) >> 8) + (1 << state[SHIFT]) - 1) >> state[SHIFT]
        tables[i, j], tables[i, j + 16] = value, value


@inlined
def bind(query: A, plan: A, image: A, filtered: A, room: A) -> A:
    """Put a query's terms into lists and rows, rows by falling bound, start the threshold; returns the unit.

    ``lists``: int64[4, terms]: factor, first posting, the one behind the last, line of ``image.skips``. ``slots``: each
    term's list. ``starts``: int64[blocks + 1, lists]: first posting of each list in each block; only the first line is
    written. ``rows``: int64[3, terms]: number of the row, factor, greatest bound. ``rest``: sum of the bounds from a
    row on.
    """
    state, lists, rows, rest = room.state, room.lists, room.rows, room.rest
    n = _order(query, plan, rows, room.row_bounds)
    state[:] = 0
    unit = _unit_of(query, plan, room.row_bounds, n, image.levels, state)
    state[N_ROWS], state[SLACK], state[THRESHOLD] = n, 1, 1
    for a in range(query.ids.size):
        t = query.ids[a]
        room.slots[a] = -1
        if plan.greatest[t] == 0:
            continue
        step = np.float64(query.weights[a]) * plan.norm / (255.0 * unit) * (1 + MARGIN)
        room.factors[a] = np.int64(np.ceil(step * 256))
        state[SLACK] += 2 + (0 if plan.exactly else np.int64(np.ceil(step)))
        if plan.kth[t] > 0 and not filtered:
            sure = np.int64(step * (np.int64(plan.kth[t]) - 1 + plan.exactly) * (1 - 3 * MARGIN)) - 1
            state[THRESHOLD] = max(state[THRESHOLD], sure)
        if plan.row_of[t] < 0:
            i = state[N_LISTS]
            lists[0, i], lists[1, i], lists[2, i] = room.factors[a], image.ptr[t], image.ptr[t + 1]
            lists[3, i], room.slots[a] = image.skip_of[t], i
            room.starts[0, i] = image.ptr[t]
            state[N_LISTS] += 1
    for i in range(n):
        a = rows[0, i]
        t = query.ids[a]
        _bind_row(i, plan.row_of[t], plan.greatest[t], room.factors[a], image.levels, state, rows, room.tables)
    rest[n] = 0
    for i in range(n - 1, -1, -1):
        rest[i] = rest[i + 1] + rows[2, i]
    return unit
