"""The compiled scan over blocks of documents. Imported through ``fast.py`` only.

It works through blocks of consecutive documents, small enough for the first-level cache, with 16-bit sums of upper
bounds: lists of rare terms are scattered into the block, frequent terms are rows of a few bits a document that are
added by vector instructions, in descending order of their greatest contribution, until what is left could not by itself
lift many documents over the threshold; the few documents that still can get there are completed from rows of a byte a
document, and at the end scored exactly. The threshold is the k-th best bound so far less all that quantisation may have
added, so nothing that belongs to the answer is ever dropped.

Source: the partition into lists that are scanned and lists that are only consulted is MaxScore (Turtle and
Flood, 1995); working by windows of documents with accumulators follows Lucene's bulk scorers. Rows of bytes and bits,
the choice of rows by cost and the proof by exact rescoring are ours.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.retrieval.kernels import A, byte_of, first_at, inlined, jit, kth_of, sift
from twindex.retrieval.kernels_bind import (
    FOUND,
    N_LISTS,
    N_ROWS,
    SHIFT,
    SLACK,
    THRESHOLD,
    TRIED,
    bind,
)
from twindex.retrieval.kernels_bytes import add_rows as _add_rows
from twindex.retrieval.kernels_bytes import fold_groups as fold
from twindex.retrieval.kernels_memory import fetch
from twindex.retrieval.kernels_rescore import rescore
from twindex.retrieval.kernels_strips import GROUP, STRIP, TOGETHER, add_strips

#: Candidates whose bytes are asked for ahead.
AHEAD: Final = 16
#: Bytes of a line of the cache.
LINE: Final = 64


@inlined
def _scatter(docs: A, values: A, factor: A, base: A, sums: A) -> None:
    """Add the bounds of a list's postings in the block."""
    f, b, up = np.uint32(factor), np.uint32(base), np.uint32(255)
    for i in range(docs.size):
        sums[docs[i] - b] += np.uint16((np.uint32(values[i]) * f + up) >> np.uint32(8))


@inlined
def _fetch_next(docs: A, values: A, end: A, count: A) -> None:
    """Ask for as many postings as this block had: the next block has about as many, and rows are added meanwhile."""
    start = docs.ctypes.data + 4 * end
    for line in range(0, 4 * count, LINE):
        fetch(start + line)
    start = values.ctypes.data + end
    for line in range(0, count, LINE):
        fetch(start + line)


@jit
def _scatter_all(image: A, lists: A, number: A, count: A, starts: A, sums: A) -> A:
    """Add all lists' postings of a block, note where the next block starts; returns how many there were."""
    touched, base = 0, number * sums.size
    for s in range(count):
        p = starts[number, s]
        if lists[3, s] >= 0:
            end = lists[1, s] + image.skips[lists[3, s], number + 1]
        else:
            end = first_at(image.docs, p, lists[2, s], min(base + sums.size, image.size))
        starts[number + 1, s] = end
        if end > p:
            _scatter(image.docs[p:end], image.values[p:end], lists[0, s], base, sums)
            touched += end - p
            _fetch_next(image.docs, image.values, end, end - p)
    return touched


@inlined
def _raise_threshold(reached: A, state: A) -> A:
    """Raise the threshold to what follows from k documents whose bounds reach a value; returns it."""
    sure = reached - state[SLACK] - (reached >> 11)
    if sure > state[THRESHOLD]:
        state[THRESHOLD] = sure
    return state[THRESHOLD]


@inlined
def _refined(value: A, d: A, used: A, image: A, rows: A, tables: A, shift_of: A) -> A:
    """A document's bound with the bytes of the added rows instead of their levels."""
    at, shift = ((d >> 6) << 5) + (d & 31), np.uint8((d & 32) >> 3)
    for i in range(used):
        row = rows[0, i]
        level = (image.nibbles[row, at] >> shift) & np.uint8(15)
        if level:
            exact = (np.int64(byte_of(image, row, d)) * rows[1, i] + 255) >> 8
            value += exact - (np.int64(tables[i, level]) << shift_of)
    return value


@inlined
def _fetch_rows(d: A, count: A, image: A, rows: A) -> None:
    """Ask for a document's bytes of the query's rows."""
    start, width = image.rows.ctypes.data, image.rows.shape[1]
    for i in range(count):
        fetch(start + (d * width + rows[0, i] if image.nibbles.size else rows[0, i] * width + d))


@inlined
def _fetch_ahead(z: A, count: A, base: A, image: A, room: A) -> None:
    """Ask for the bytes of waiting documents before they are looked at: of the first at place 0, then of one more."""
    for ahead in range(z + AHEAD if z else 0, min(z + AHEAD + 1, count)):
        _fetch_rows(base + room.waiting[ahead], room.state[N_ROWS], image, room.rows)


@inlined
def _complete(base: A, used: A, count: A, image: A, heap: A, found: A, bounds: A, room: A) -> None:
    """Tighten the bounds of waiting documents and add the rows not yet added; remember those that still reach the bar.

    Each may raise the bar for the next.
    """
    state, rows, rest = room.state, room.rows, room.rest
    n_rows, bar, n = state[N_ROWS], state[THRESHOLD], state[FOUND]
    for z in range(count):
        _fetch_ahead(z, count, base, image, room)
        at = room.waiting[z]
        d, value = base + at, np.int64(room.sums[at])
        room.sums[at] = 0  # a document may wait twice, once a list
        if value == 0:
            continue
        if value + rest[used] >= bar and image.nibbles.size:
            value = _refined(value, d, used, image, rows, room.tables, state[SHIFT])
        i = used
        while i < n_rows and value + rest[i] >= bar:
            value += (np.int64(byte_of(image, rows[0, i], d)) * rows[1, i] + 255) >> 8
            i += 1
        value += rest[i]
        if value < bar:
            continue
        found[n], bounds[n] = d, value
        n += 1
        if value > heap[0]:
            sift(heap, heap.size, np.int32(value))
            bar = _raise_threshold(np.int64(heap[0]), state)
    state[FOUND] = n
    state[TRIED] += count


@inlined
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
def _in_groups(hits: A, bar: A, sums: A, tops: A, waiting: A) -> A:
    """Note the documents of the groups that reach the bar; returns how many."""
    n = 0
    for group in hits:
        for part in range(group * STRIP, (group + 1) * STRIP, 16):
            most = np.uint16(0)
            for i in range(part, part + 16):
                most = max(most, tops[i])
            if most < bar:
                continue
            for i in range(part, part + 16):
                if tops[i] < bar:
                    continue
                first = group * GROUP + i - group * STRIP
                for at in range(first, first + GROUP, STRIP):
                    if sums[at] >= bar:
                        waiting[n] = at
                        n += 1
    return n


@inlined
def _by_postings(sums: A, base: A, docs: A, starts: A, rest: A, state: A, waiting: A) -> A:
    """Note the documents of the lists that reach the bar, for windows where no row was added."""
    n = 0
    bar = max(state[THRESHOLD] - rest[0], 1)
    for s in range(state[N_LISTS]):
        for p in range(starts[0, s], starts[1, s]):
            at = np.int64(docs[p]) - base
            value = np.int64(sums[at])
            if value >= bar:
                waiting[n] = at
                n += 1
    return n


@inlined
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
def _adapt(share: A, tried: A, block: A) -> A:
    """Share of the threshold left to rows that are only consulted: less where candidates abound."""
    if tried * 4096 > block:
        return share * 0.7
    return min(share * 1.1, 1.0) if tried * 8192 < block else share


@inlined
def _bar_of(left: A, state: A) -> A:
    """What a sum must reach where rows not added could add so much."""
    return np.uint16(min(max(state[THRESHOLD] - left, 1), 65535))


@inlined
def _add_rows_to(block: A, used: A, groups: A, bar: A, again: A, image: A, room: A) -> A:
    """Add the first ``used`` rows to the block's sums, and fold every group to one strip.

    Returns how many groups reach the bar; sums of the others are zeros. ``again`` as in ``kernels_strips.add_strips``.
    """
    if image.nibbles.size == 0:
        _add_rows(room.sums[: image.size - block], image.rows, room.rows[0], room.rows[1], used, block)
        return fold(room.sums, groups, room.tops, room.hits, bar)
    start = image.nibbles.ctypes.data + (block >> 1)
    for i in range(used):
        room.places[i] = start + room.rows[0, i] * image.nibbles.shape[1]
    shift, first = room.state[SHIFT], 0
    while used - first > TOGETHER:
        rows = (room.places[first:], room.tables[first:], TOGETHER)
        add_strips(room.sums, *rows, groups, room.tops, room.hits, shift, 0, 0)
        first += TOGETHER
    rows = (room.places[first:], room.tables[first:], used - first)
    return add_strips(room.sums, *rows, groups, room.tops, room.hits, shift, bar, again)


@inlined
def _start(base: A, used: A, groups: A, image: A, mask: A, heap: A, room: A) -> None:
    """A first threshold, from the exact bytes of the few documents of a block whose levels promise most."""
    state, sums, n = room.state, room.sums, 0
    promised = kth_of(room.tops[: groups * STRIP], heap.size, np.int64(0))
    if promised == 0:
        return
    for i in range(groups * STRIP):
        if room.tops[i] < promised:
            continue
        first = (i // STRIP) * GROUP + i % STRIP
        for at in range(first, first + GROUP, STRIP):
            if sums[at] >= promised:
                room.waiting[n] = at
                n += 1
    n = _allowed(room.waiting, n, base, mask)
    for z in range(n):
        _fetch_ahead(z, n, base, image, room)
        value, d = np.int64(sums[room.waiting[z]]), base + room.waiting[z]
        if image.nibbles.size:
            value = _refined(value, d, used, image, room.rows, room.tables, state[SHIFT])
        for r in range(used, state[N_ROWS]):
            value += (np.int64(byte_of(image, room.rows[0, r], d)) * room.rows[1, r] + 255) >> 8
        if value > heap[0]:
            sift(heap, heap.size, np.int32(value))
    _raise_threshold(np.int64(heap[0]), state)
    heap[:] = 0  # the same documents come again


@jit
def _blocks(image: A, mask: A, heap: A, room: A) -> A:
    """All blocks of one query; returns the arrays of candidates, which may have grown."""
    sums, state, rest, starts = room.sums, room.state, room.rest, room.starts
    found, bounds = room.found, room.bounds
    share, hit = 0.15, sums.size
    block = sums.size
    begun = False
    for number in range((image.size + block - 1) // block):
        base = number * block
        limit = min(base + block, image.size)
        if found.size - state[FOUND] < block:
            found, bounds = _grow(found, bounds, state, block)
        before = state[TRIED]
        touched = _scatter_all(image, room.lists, number, state[N_LISTS], starts, sums)
        used = 0
        while used < state[N_ROWS] and rest[used] > share * state[THRESHOLD]:
            used += 1
        if used == 0 and rest[0] < state[THRESHOLD] and touched * 16 < block:
            n = _by_postings(sums, base, image.docs, starts[number : number + 2], rest, state, room.waiting)
            n = _allowed(room.waiting, n, base, mask)
            _complete(base, used, n, image, heap, found, bounds, room)
            _clear(sums, base, image.docs, starts[number : number + 2], state[N_LISTS])
        else:
            groups = (limit - base + GROUP - 1) // GROUP
            again = np.int64(hit * (1 + used % TOGETHER) < groups)  # what adding again costs, to writing all
            hit = _add_rows_to(base, used, groups, _bar_of(rest[used], state), again, image, room)
            if heap[0] == 0 and not begun:  # later blocks gain less than it costs
                _start(base, used, groups, image, mask, heap, room)
                begun = True
            bar, hits = _bar_of(rest[used], state), room.hits[:hit]
            n = _in_groups(hits, bar, sums, room.tops, room.waiting)
            if n:
                n = _allowed(room.waiting, n, base, mask)
                _complete(base, used, n, image, heap, found, bounds, room)
            for group in hits:
                sums[group * GROUP : (group + 1) * GROUP] = 0
        share = _adapt(share, state[TRIED] - before, block)
    return found, bounds


@jit
def scan(query: A, image: A, plan: A, mask: A, k: A, room: A) -> A:
    """Blocks of upper bounds, then exact scores; see the module. As ``kernels.exhaustive``.

    Returns the number of hits.
    """
    state = room.state
    heap = room.heap[:k]
    heap[:] = 0
    unit = bind(query, plan, image, mask.size > 0, room)
    found, bounds = _blocks(image, mask, heap, room)
    keys = room.keys[:k]
    rescore(query, unit, state[FOUND], state[THRESHOLD], found, bounds, image, plan.row_of, keys, room)
    n = 0
    for i in range(k):
        if keys[i] > 0:
            keys[n] = keys[i]
            n += 1
    return n
