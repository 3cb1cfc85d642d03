"""The compiled scan over windows of documents. Imported through ``fast.py`` only.

It works through windows of consecutive documents with 16-bit sums of upper bounds: lists of rare terms
are scattered into the window, frequent terms are rows of one byte a document that are added by vector
instructions, in descending order of their greatest contribution, until what is left could not by itself
lift a document over the threshold; the few documents that still can get there are completed from the other
rows, and at the end scored exactly, best bound first. The threshold is the k-th best bound so far less all
that quantisation may have added, so nothing that belongs to the answer is ever dropped.

Source: the partition into lists that are scanned and lists that are only consulted is MaxScore (Turtle and
Flood, 1995); working by windows of documents with accumulators follows Lucene's bulk scorers. Rows of bytes,
the choice of rows by cost and the proof by exact rescoring are ours.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.retrieval.kernels import BLOCK, A, emit, greatest_of, jit, score, sift

#: Safety of the bounds against float32 rounding: relative, far above what a sum of 1,000 terms can lose.
MARGIN: Final = 1e-4


@jit
def _add_row(sums: A, row: A, factor: A) -> None:
    """``sums += ceil(row * factor / 256)``; kept in 16 bits so that it becomes vector instructions."""
    f = np.uint16(factor)
    for j in range(sums.size):
        sums[j] = np.uint16(sums[j] + np.uint16(np.uint16(np.uint16(row[j]) * f + np.uint16(255)) >> np.uint16(8)))


@jit
def _unit(ids: A, weights: A, norm: A, row_of: A) -> A:
    """Score that one step of the 16-bit sums stands for: rows need factors below 256, sums below 60,000."""
    dense, total = 0.0, 0.0
    for a in range(ids.size):
        w = np.float64(weights[a]) * norm
        total += w
        if row_of[ids[a]] >= 0:
            dense = max(dense, w)
    return max(dense * 256.0 / (255.0 * 255.0), total / 60000.0) * (1 + 2 * MARGIN)


@jit
def _grow(found: A, bounds: A, n: A, threshold: A) -> A:
    """Drop candidates that fell below the threshold; double the room if that did not help."""
    kept = 0
    for z in range(n):
        if bounds[z] >= threshold:
            found[kept] = found[z]
            bounds[kept] = bounds[z]
            kept += 1
    if kept > found.size // 2:
        wide_found = np.empty(2 * found.size, np.int32)
        wide_bounds = np.empty(2 * found.size, np.int32)
        wide_found[:kept] = found[:kept]
        wide_bounds[:kept] = bounds[:kept]
        return wide_found, wide_bounds, kept
    return found, bounds, kept


@jit
def _rescore(found: A, bounds: A, n: A, query: A, unit: A, k: A, image: A, ords: A, scores: A) -> A:
    """Exact scores of the candidates, best bound first, until no bound reaches the k-th: (hits, documents scored)."""
    order = np.empty(n, np.int64)
    for z in range(n):
        order[z] = (np.int64(bounds[z]) << 32) | np.int64(z)
    order = np.sort(order)
    heap = np.zeros(k, np.float32)
    exact = np.empty(n, np.float32)
    keys = np.empty(n, np.int64)
    done = 0
    for z in range(n - 1, -1, -1):
        at = order[z] & np.int64(0xFFFFFFFF)
        if np.float64(bounds[at]) * unit < np.float64(heap[0]):
            break
        exact[done] = score(query, found[at], image)
        keys[done] = np.int64(0x7FFFFFFF) - np.int64(found[at])
        if exact[done] > heap[0]:
            sift(heap, k, exact[done])
        done += 1
    bits = exact.view(np.int32)
    n = 0
    for z in range(done):
        if exact[z] > 0:
            keys[n] = (np.int64(bits[z]) << 32) | keys[z]
            n += 1
    return emit(keys, n, k, ords, scores), done


# Slots of ``state``.
N_LISTS, N_ROWS, SLACK, THRESHOLD, BAR, LOST, FOUND, TRIED = range(8)


@jit
def workspace(longest: A, window: A, k: A) -> A:
    """Everything that a query needs to write to, made once a batch."""
    return (
        np.zeros(window, np.uint16),  # sums: upper bounds of the window's documents
        np.zeros(k, np.int32),  # heap: the k best bounds so far
        np.zeros(8, np.int64),  # state
        np.zeros((longest, 256), np.uint16),  # steps: bound of each value, a list
        np.zeros((2, longest), np.int64),  # cursors: first posting of the window, of the next one
        np.zeros((2, longest), np.int64),  # terms: position in the query of each list, of each row
        np.zeros((2, longest), np.int64),  # factors and greatest bounds of rows
        np.zeros(longest + 1, np.int64),  # rest: sum of the greatest bounds from a row on
    )


@jit
def _bind(query: A, ptr: A, plan: A, filtered: A, unit: A, ws: A) -> None:
    """Put a query's terms into lists and rows, rows by falling bound, and start the threshold."""
    ids, weights = query[0], query[1]
    row_of, greatest, kth, norm, exactly = plan
    _, heap, state, steps, cursors, terms, rowinfo, rest = ws
    heap[:] = 0
    state[:] = 0
    state[SLACK], state[THRESHOLD] = 1, 1
    for a in range(ids.size):
        t = ids[a]
        step = np.float64(weights[a]) * norm / (255.0 * unit) * (1 + MARGIN) if unit > 0 else 0.0
        state[SLACK] += 2 + (0 if exactly else np.int64(np.ceil(step)))
        if kth[t] > 0 and not filtered:
            sure = np.int64(step * (kth[t] - 1 + exactly) * (1 - 3 * MARGIN)) - 1
            state[THRESHOLD] = max(state[THRESHOLD], sure)
        if row_of[t] < 0:
            i = state[N_LISTS]
            for x in range(np.int64(greatest[t]) + 1):
                steps[i, x] = np.uint16(np.ceil(step * x))
            cursors[1, i] = ptr[t]
            terms[0, i] = a
            state[N_LISTS] += 1
        else:
            _insert_row(a, np.int64(np.ceil(step * 256)), np.int64(greatest[t]), state, terms, rowinfo)
    rest[state[N_ROWS]] = 0
    for i in range(state[N_ROWS] - 1, -1, -1):
        rest[i] = rest[i + 1] + rowinfo[1, i]


@jit
def _insert_row(a: A, factor: A, greatest: A, state: A, terms: A, rowinfo: A) -> None:
    bound = (greatest * factor + 255) >> 8
    i = state[N_ROWS]
    while i > 0 and rowinfo[1, i - 1] < bound:
        terms[1, i] = terms[1, i - 1]
        rowinfo[:, i] = rowinfo[:, i - 1]
        i -= 1
    terms[1, i], rowinfo[0, i], rowinfo[1, i] = a, factor, bound
    state[N_ROWS] += 1


@jit
def _scatter(query: A, image: A, base: A, limit: A, ws: A) -> A:
    """Add the lists' postings of one window; returns how many there were."""
    ptr, docs, values = image[0], image[1], image[2]
    sums, _, state, steps, cursors, terms, _, _ = ws
    touched = 0
    for s in range(state[N_LISTS]):
        p, end = cursors[1, s], ptr[query[0][terms[0, s]] + 1]
        cursors[0, s] = p
        while p < end and docs[p] < limit:
            sums[docs[p] - base] += steps[s, values[p]]
            p += 1
        cursors[1, s] = p
        touched += p - cursors[0, s]
    return touched


@jit
def _complete(value: A, d: A, used: A, query: A, rows: A, row_of: A, found: A, bounds: A, relax: A, ws: A) -> None:
    """Add the rows not yet added to a document's bound; keep it if it still reaches the bar."""
    _, heap, state, _, _, terms, rowinfo, rest = ws
    state[TRIED] += 1
    for i in range(used, state[N_ROWS]):
        if value + rest[i] < state[BAR]:
            break
        value += (np.int64(rows[row_of[query[0][terms[1, i]]], d]) * rowinfo[0, i] + 255) >> 8
        used = i + 1
    value += rest[used]
    if value < state[BAR]:
        if value >= state[THRESHOLD]:
            state[LOST] = max(state[LOST], value)
        return
    if value == 0:
        return
    found[state[FOUND]], bounds[state[FOUND]] = d, value
    state[FOUND] += 1
    if value > heap[0]:
        sift(heap, heap.size, value)
        sure = heap[0] - state[SLACK] - (heap[0] >> 11)
        if sure > state[THRESHOLD]:
            state[THRESHOLD] = sure
            state[BAR] = np.int64(sure * relax)


@jit
def _by_blocks(
    base: A, limit: A, used: A, query: A, rows: A, row_of: A, mask: A, found: A, bounds: A, relax: A, ws: A
) -> None:
    """Candidates of a window whose rows up to ``used`` have been added."""
    sums, _, state, _, _, _, _, rest = ws
    left = rest[used]
    for block in range(0, limit - base, BLOCK):
        part = sums[block : min(block + BLOCK, limit - base)]
        top = np.int64(greatest_of(part)) + left
        if top < state[BAR]:
            if top >= state[THRESHOLD]:
                state[LOST] = max(state[LOST], top)
            continue
        for j in range(part.size):
            value = np.int64(part[j])
            if value + left >= state[BAR]:
                d = base + block + j
                if mask.size == 0 or mask[d]:
                    _complete(value, d, used, query, rows, row_of, found, bounds, relax, ws)
            elif value + left >= state[THRESHOLD]:
                state[LOST] = max(state[LOST], value + left)


@jit
def _by_postings(base: A, query: A, docs: A, rows: A, row_of: A, mask: A, found: A, bounds: A, relax: A, ws: A) -> None:
    """Candidates among the documents of the lists, for windows where no row was added; clears the sums."""
    sums, _, state, _, cursors, _, _, rest = ws
    for s in range(state[N_LISTS]):
        for p in range(cursors[0, s], cursors[1, s]):
            d = np.int64(docs[p])
            value = np.int64(sums[d - base])
            sums[d - base] = 0
            if value == 0:
                continue
            if value + rest[0] >= state[BAR]:
                if mask.size == 0 or mask[d]:
                    _complete(value, d, 0, query, rows, row_of, found, bounds, relax, ws)
            elif value + rest[0] >= state[THRESHOLD]:
                state[LOST] = max(state[LOST], value + rest[0])


@jit
def _windows(query: A, image: A, row_of: A, mask: A, relax: A, found: A, bounds: A, ws: A, work: A) -> A:
    """All windows of one query; returns the arrays of candidates, which may have grown."""
    docs, rows = image[1], image[3]
    sums, _, state, _, _, terms, rowinfo, rest = ws
    share = 0.3
    for base in range(0, rows.shape[1], sums.size):
        limit = min(base + sums.size, rows.shape[1])
        if found.size - state[FOUND] < sums.size:
            found, bounds, state[FOUND] = _grow(found, bounds, state[FOUND], state[THRESHOLD])
        state[BAR] = np.int64(state[THRESHOLD] * relax)
        state[TRIED] = 0
        touched = _scatter(query, image, base, limit, ws)
        work[3] += 1
        if rest[0] < state[BAR] and rest[0] <= share * state[BAR] and touched * 8 < sums.size:
            if rest[0] >= state[THRESHOLD]:
                state[LOST] = max(state[LOST], rest[0])
            _by_postings(base, query, docs, rows, row_of, mask, found, bounds, relax, ws)
        else:
            used = 0
            while used < state[N_ROWS] and rest[used] > share * state[BAR]:
                a = terms[1, used]
                _add_row(sums[: limit - base], rows[row_of[query[0][a]], base:limit], rowinfo[0, used])
                used += 1
            _by_blocks(base, limit, used, query, rows, row_of, mask, found, bounds, relax, ws)
            sums[:] = 0
            work[2] += used
        share = _adapt(share, state[TRIED], sums.size)
        work[0] += state[TRIED]
    return found, bounds


@jit
def _adapt(share: A, tried: A, window: A) -> A:
    """Share of the threshold left to rows that are only consulted: less where candidates abound."""
    if tried * 96 > window:
        return share * 0.8
    return min(share * 1.1, 1.0) if tried * 512 < window else share


@jit
def scan(
    batch: A,
    ends: A,
    image: A,
    plan: A,
    window: A,
    masks: A,
    mask_of: A,
    relax: A,
    ords: A,
    scores: A,
    counts: A,
    proven: A,
    work: A,
) -> None:
    """Windows of upper bounds, then exact scores; see the module. ``scores``: float32 bits as int32.

    ``plan``: row of each term (-1 = a list), greatest values, values that k documents reach (0 = unknown),
    norm, and 1 if single values are exact (impacts) or 0 if they were rounded up. ``relax`` >= 1 raises the
    bar by that factor: approximate; ``proven`` says of each query whether its answer is exact all the same.
    ``work`` counts candidates, documents scored, rows added, windows.
    """
    k = ords.shape[1]
    row_of, norm = plan[0], plan[3]
    size = image[3].shape[1]
    longest = 1
    for q in range(ends.size - 1):
        longest = max(longest, ends[q + 1] - ends[q])
    ws = workspace(longest, window, k)
    state = ws[2]
    found, bounds = np.empty(2 * window, np.int32), np.empty(2 * window, np.int32)
    for q in range(ends.size - 1):
        a, b = ends[q], ends[q + 1]
        query = (batch[0][a:b], batch[1][a:b], batch[2][a:b], batch[3][a:b])
        filtered = mask_of[q] >= 0
        unit = _unit(query[0], query[1], norm, row_of)
        _bind(query, image[0], plan, filtered, unit, ws)
        mask = masks[max(mask_of[q], 0)][: size * filtered]
        found, bounds = _windows(query, image, row_of, mask, relax, found, bounds, ws, work)
        n = state[FOUND]
        counts[q], done = _rescore(found, bounds, n, query, unit, k, image, ords[q], scores[q])
        work[1] += done
        worst = 0.0
        if counts[q] == k:
            worst = np.float64(scores[q, k - 1 : k].view(np.float32)[0])
        proven[q] = state[LOST] == 0 or np.float64(state[LOST]) * unit < worst
