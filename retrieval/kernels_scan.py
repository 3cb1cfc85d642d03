"""The compiled scan over windows of documents. Imported through ``fast.py`` only.

It works through windows of consecutive documents with 16-bit sums of upper bounds: lists of rare terms
are scattered into the window, frequent terms are rows of one byte a document that are added by vector
instructions, in descending order of their greatest contribution, until what is left could not by itself
lift many documents over the threshold; the few documents that still can get there are completed from the
other rows, and at the end scored exactly. The threshold is the k-th best bound so far less all that
quantisation may have added, so nothing that belongs to the answer is ever dropped.

Source: the partition into lists that are scanned and lists that are only consulted is MaxScore (Turtle and
Flood, 1995); working by windows of documents with accumulators follows Lucene's bulk scorers. Rows of bytes,
the choice of rows by cost and the proof by exact rescoring are ours.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.retrieval.kernels import FLUSH, MARGIN, A, first_at, fold, jit, kth_of, sift
from twindex.retrieval.kernels_rescore import rescore

#: Sums of bounds stay below it, so that 16 bits suffice.
ROOM: Final = 60000.0


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
def _add_rows(part: A, bytes_: A, chosen: A, factors: A, count: A, base: A) -> None:
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
def _scatter(docs: A, values: A, factor: A, base: A, sums: A) -> None:
    """Add the bounds of a list's postings in the window."""
    f, b = np.uint32(factor), np.uint32(base)
    for i in range(docs.size):
        sums[docs[i] - b] += np.uint16((np.uint32(values[i]) * f + np.uint32(255)) >> np.uint32(8))


@jit
def _scatter_all(
    docs: A, values: A, lists: A, here: A, after: A, base: A, limit: A, count: A, sums: A
) -> A:  # fmt: skip
    """Add all lists' postings of the window, note where the next window starts; returns how many there were."""
    touched = 0
    for s in range(count):
        p = here[s]
        end = first_at(docs, p, lists[1, s], limit)
        after[s] = end
        if end > p:
            _scatter(docs[p:end], values[p:end], lists[0, s], base, sums)
            touched += end - p
    return touched


@jit
def unit_of(query: A, plan: A) -> A:
    """Score that one step of the sums stands for: a row's greatest bound stays in a byte, sums below ROOM."""
    dense, total = 0.0, 0.0
    for a in range(query.ids.size):
        t = query.ids[a]
        w = np.float64(query.weights[a]) * plan.norm * plan.greatest[t] / 255.0
        total += w
        if plan.row_of[t] >= 0:
            dense = max(dense, w)
    return max(dense / 254.0, total / ROOM) * (1 + 2 * MARGIN)


# Slots of ``state``.
N_LISTS, N_ROWS, SLACK, THRESHOLD, BAR, LOST, FOUND, TRIED = range(8)


@jit
def _bind(
    query: A, plan: A, ptr: A, unit: A, filtered: A, state: A, lists: A, rows: A, rest: A, starts: A, slots: A
) -> None:
    """Put a query's terms into lists and rows, rows by falling bound, and start the threshold.

    ``lists``: int64[2, terms]: factor, posting behind the last. ``slots``: each term's list. ``starts``: int64[windows
    + 1, lists]: first posting of each list in each window; only the first line is written.
    ``rows``: int64[3, terms]: number of the row, factor, greatest bound. ``rest``: sum of the bounds from a row on.
    """
    state[:] = 0
    state[SLACK], state[THRESHOLD] = 1, 1
    for a in range(query.ids.size):
        t = query.ids[a]
        slots[a] = -1
        if plan.greatest[t] == 0:
            continue
        step = np.float64(query.weights[a]) * plan.norm / (255.0 * unit) * (1 + MARGIN)
        factor = np.int64(np.ceil(step * 256))
        state[SLACK] += 2 + (0 if plan.exactly else np.int64(np.ceil(step)))
        if plan.kth[t] > 0 and not filtered:
            sure = np.int64(step * (np.int64(plan.kth[t]) - 1 + plan.exactly) * (1 - 3 * MARGIN)) - 1
            state[THRESHOLD] = max(state[THRESHOLD], sure)
        if plan.row_of[t] < 0:
            i = state[N_LISTS]
            lists[0, i], lists[1, i], slots[a] = factor, ptr[t + 1], i
            starts[0, i] = ptr[t]
            state[N_LISTS] += 1
        else:
            bound = (np.int64(plan.greatest[t]) * factor + 255) >> 8
            i = state[N_ROWS]
            while i > 0 and rows[2, i - 1] < bound:
                rows[0, i], rows[1, i], rows[2, i] = rows[0, i - 1], rows[1, i - 1], rows[2, i - 1]
                i -= 1
            rows[0, i], rows[1, i], rows[2, i] = plan.row_of[t], factor, bound
            state[N_ROWS] += 1
    rest[state[N_ROWS]] = 0
    for i in range(state[N_ROWS] - 1, -1, -1):
        rest[i] = rest[i + 1] + rows[2, i]


@jit
def _raise_bar(reached: A, relax: A, state: A) -> A:
    """Raise threshold and bar to what follows from k documents whose bounds reach a value; returns the bar."""
    sure = reached - state[SLACK] - (reached >> 11)
    if sure > state[THRESHOLD]:
        state[THRESHOLD] = sure
        state[BAR] = np.int64(sure * relax)
    return state[BAR]


@jit
def _complete(
    base: A, used: A, sums: A, waiting: A, count: A, bytes_: A, rows: A, rest: A, relax: A, state: A, heap: A, found: A,
    bounds: A
) -> None:  # fmt: skip
    """Add the rows not yet added to the bounds of waiting documents; remember those that still reach the bar.

    Each may raise the bar for the next.
    """
    n_rows, bar, n = state[N_ROWS], state[BAR], state[FOUND]
    for z in range(count):
        at = waiting[z]
        d, value = base + at, np.int64(sums[at])
        sums[at] = 0  # a document may wait twice, once a list
        if value == 0:
            continue
        i = used
        while i < n_rows and value + rest[i] >= bar:
            value += (np.int64(bytes_[rows[0, i], d]) * rows[1, i] + 255) >> 8
            i += 1
        value += rest[i]
        if value < bar:
            state[LOST] = max(state[LOST], value)
            continue
        found[n], bounds[n] = d, value
        n += 1
        if value > heap[0]:
            sift(heap, heap.size, np.int32(value))
            bar = _raise_bar(np.int64(heap[0]), relax, state)
    state[FOUND] = n
    state[TRIED] += count


@jit
def _allowed(waiting: A, n: A, base: A, mask: A) -> A:
    """Drop waiting documents that the filter excludes."""
    if mask.size == 0:
        return n
    kept = 0
    for z in range(n):
        waiting[kept] = waiting[z]
        kept += mask[base + waiting[z]]
    return kept


@jit
def _above(sums: A, i: A, bar: A, waiting: A, n: A, stride: A) -> A:
    """Note the documents of one lane position that reach the bar."""
    for at in range(i, sums.size, stride):
        if sums[at] >= bar:
            waiting[n] = at
            n += 1
    return n


@jit
def _most_below(sums: A, i: A, bar: A, stride: A, lost: A) -> A:
    """The greatest sum below the bar of one lane position, or ``lost`` if that is greater."""
    for at in range(i, sums.size, stride):
        if sums[at] < bar:
            lost = max(lost, sums[at])
    return lost


@jit
def _by_folds(i: A, sums: A, left: A, relax: A, state: A, waiting: A, tops: A) -> A:
    """Note the documents that reach the bar, from lane position i on, until FLUSH wait: the next position, how many.

    ``left``: what rows not yet added could add.
    """
    n: A = 0
    lost: A = np.uint16(0)
    bar = np.uint16(min(max(state[BAR] - left, 1), 65535))
    while i < tops.size and n < FLUSH:
        if tops[i] >= bar:
            if relax > 1:
                lost = _most_below(sums, i, bar, tops.size, lost)
            n = _above(sums, i, bar, waiting, n, tops.size)
        elif relax > 1:
            lost = max(lost, tops[i])
        i += 1
    if relax > 1:
        state[LOST] = max(state[LOST], np.int64(lost) + left)
    return i, n


@jit
def _by_postings(sums: A, base: A, docs: A, starts: A, rest: A, state: A, waiting: A) -> A:
    """Note the documents of the lists that reach the bar, for windows where no row was added."""
    n, lost = 0, np.int64(0)
    bar = max(state[BAR] - rest[0], 1)
    for s in range(state[N_LISTS]):
        for p in range(starts[0, s], starts[1, s]):
            at = np.int64(docs[p]) - base
            value = np.int64(sums[at])
            if value >= bar:
                waiting[n] = at
                n += 1
            else:
                lost = max(lost, value)
    state[LOST] = max(state[LOST], lost + rest[0])
    return n


@jit
def _clear(sums: A, base: A, docs: A, starts: A, count: A) -> None:
    for s in range(count):
        for p in range(starts[0, s], starts[1, s]):
            sums[np.int64(docs[p]) - base] = 0


@jit
def _grow(found: A, bounds: A, state: A, needed: A) -> A:
    """Drop candidates that fell below the threshold; more room if that does not help."""
    n = 0
    for z in range(state[FOUND]):
        if bounds[z] >= state[THRESHOLD]:
            found[n], bounds[n] = found[z], bounds[z]
            n += 1
    state[FOUND] = n
    if found.size - n >= needed:
        return found, bounds
    wide_found = np.empty(2 * n + needed, np.int32)
    wide_bounds = np.empty(2 * n + needed, np.int32)
    wide_found[:n] = found[:n]
    wide_bounds[:n] = bounds[:n]
    return wide_found, wide_bounds


@jit
def _adapt(share: A, tried: A, window: A) -> A:
    """Share of the threshold left to rows that are only consulted: less where candidates abound."""
    if tried * 96 > window:
        return share * 0.8
    return min(share * 1.1, 1.0) if tried * 512 < window else share


@jit
def _windows(terms: A, image: A, mask: A, relax: A, heap: A, room: A) -> A:
    """All windows of one query; returns the arrays of candidates, which may have grown."""
    sums, state, waiting, tops, peaks = room.sums, room.state, room.waiting, room.tops, room.peaks
    found, bounds = room.found, room.bounds
    lists, rows, rest, starts = terms
    share = 0.15
    window = sums.size
    for base in range(0, image.size, window):
        limit = min(base + window, image.size)
        if found.size - state[FOUND] < window:
            found, bounds = _grow(found, bounds, state, window)
        state[BAR] = np.int64(state[THRESHOLD] * relax)
        state[TRIED] = 0
        here, after = starts[base // window], starts[base // window + 1]
        touched = _scatter_all(image.docs, image.values, lists, here, after, base, limit, state[N_LISTS], sums)
        used = 0
        while used < state[N_ROWS] and rest[used] > share * state[BAR]:
            used += 1
        few = used == 0 and rest[0] < state[BAR] and touched * 16 < window
        at = 0 if not few else tops.size
        if not few:
            _add_rows(sums[: limit - base], image.rows, rows[0], rows[1], used, base)
            fold(sums, tops)
            if mask.size == 0 and heap[0] == 0:  # later windows gain less than it costs
                _raise_bar(kth_of(tops, heap.size, peaks, np.int64(heap[0])), relax, state)
        while True:
            if few:
                n = _by_postings(
                    sums, base, image.docs, starts[base // window : base // window + 2], rest, state, waiting
                )
            else:
                at, n = _by_folds(at, sums, rest[used], relax, state, waiting, tops)
            n = _allowed(waiting, n, base, mask)
            _complete(base, used, sums, waiting, n, image.rows, rows, rest, relax, state, heap, found, bounds)
            if at == tops.size:
                break
        if few:
            _clear(sums, base, image.docs, starts[base // window : base // window + 2], state[N_LISTS])
        else:
            sums[:] = 0
        share = _adapt(share, state[TRIED], window)
    return found, bounds


@jit
def scan(query: A, image: A, plan: A, mask: A, relax: A, k: A, room: A) -> A:
    """Windows of upper bounds, then exact scores; see the module. As ``kernels.exhaustive``.

    ``relax`` >= 1 raises the bar by that factor: approximate. Returns the number of hits, and whether they are the
    exact ones.
    """
    unit, state = unit_of(query, plan), room.state
    terms = (room.lists, room.rows, room.rest, room.starts)
    heap = room.heap[:k]
    heap[:] = 0
    _bind(query, plan, image.ptr, unit, mask.size > 0, state, *terms, room.slots)
    found, bounds = _windows(terms, image, mask, relax, heap, room)
    keys = room.keys[:k]
    rescore(
        query,
        unit,
        room.sums.size,
        room.starts,
        room.slots,
        state[FOUND],
        state[THRESHOLD],
        found,
        bounds,
        image,
        plan.row_of,
        keys,
        room.bytes_of,
    )
    worst = np.float64(np.int32(keys[0] >> 32).view(np.float32))
    exact = state[LOST] < state[THRESHOLD] or np.float64(state[LOST]) * unit < worst
    n = 0
    for i in range(k):
        if keys[i] > 0:
            keys[n] = keys[i]
            n += 1
    return n, exact
