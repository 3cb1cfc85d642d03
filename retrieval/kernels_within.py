"""Searching within a budget, compiled: the postings that promise most, then the documents that they promise.

Imported through ``fast.py`` only.

Every list has a head: its postings by falling value. Of a query's heads those postings are read whose contributions
reach a level, the lowest that the budget allows, and added up as upper bounds in a sum of 16 bits a document. The
documents with the greatest sums are scored exactly, from their own terms. What was not read is bounded, list by list,
by the first posting that was left: where no document outside of those scored can reach the k-th score, the answer is
exact for sure.

Source: reading the impacts of all lists in falling order until a budget of postings is spent is score-at-a-time
evaluation (V. N. Anh, A. Moffat, "Pruned query evaluation using pre-computed impacts", SIGIR 2006; J. Lin,
A. Trotman, "Anytime ranking for impact-ordered indexes", ICTIR 2015); scoring few documents from their own terms is the
second half of Seismic (S. Bruch et al., SIGIR 2024). The level common to all lists, found without a queue, the split of
the budget and the proof are ours.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.retrieval.kernels import LAST, MARGIN, A, contribution, entry, first_at, inlined, jit, key_of, shrink, sift
from twindex.retrieval.kernels_batch import BAD_ENDS, bound, estimate_of, fall, write_hits
from twindex.retrieval.kernels_bind import ROOM
from twindex.retrieval.kernels_heads import CLASS, CLASSES
from twindex.retrieval.kernels_memory import fetch
from twindex.retrieval.kernels_rescore import from_row
from twindex.retrieval.kernels_table import LONGEST, SPARE, heads_of, idf_of, lists_of, plan_of, room_of, space_of

#: Documents whose terms are fetched while one is scored, and postings whose sums are fetched while one is added.
AHEAD: Final = 6
FAR: Final = 24
#: What no sum reaches.
TOP: Final = 1 << 16
#: Slots of ``costs``, behind those of ``kernels_batch``: of a posting of a head, of a term of a document.
READ, ENTRY = 8, 9
#: What a query is counted as that is left to the exact strategies.
LEFT: Final = -1


@inlined
def _cut(level: A, factor: A) -> A:
    """The least class of which a posting may contribute ``level``; none reaches TOP, however few its values are."""
    least = (level << 8) // factor >> CLASS
    return CLASSES if level >= TOP else min(least, CLASSES)


@inlined
def _reaching(level: A, query: A, factors: A, above: A) -> A:
    """How many postings of the heads are in classes that may contribute ``level``."""
    n = np.int64(0)
    for a in range(query.ids.size):
        cut = _cut(level, factors[a])
        if cut < CLASSES:
            n += above[query.ids[a], cut]
    return n


@inlined
def _factors(query: A, plan: A, factors: A) -> A:
    """What a step of a list's values adds to the sums, times 256; returns the score of one step of the sums."""
    total = 0.0
    for a in range(query.ids.size):
        total += np.float64(query.weights[a]) * plan.norm * plan.greatest[query.ids[a]] / 255.0
    unit = total / ROOM * (1 + 2 * MARGIN)
    for a in range(query.ids.size):
        step = np.float64(query.weights[a]) * plan.norm / (255.0 * max(unit, 1e-30)) * (1 + MARGIN)
        factors[a] = max(np.int64(np.ceil(min(step, 2 * ROOM) * 256)), 1)
    return unit


@jit
def _share_out(postings: A, query: A, above: A, ends: A) -> None:
    """How many postings of each head are read: all whose class may contribute a level, and of the next as fit."""
    low, high = np.int64(0), np.int64(TOP)
    while low < high:
        level = (low + high) >> 1
        if _reaching(level, query, ends[1], above) <= postings:
            high = level
        else:
            low = level + 1
    left = postings - _reaching(low, query, ends[1], above)
    for a in range(query.ids.size):
        t = query.ids[a]
        cut, more = _cut(low, ends[1, a]), _cut(max(low - 1, 0), ends[1, a])
        whole = np.int64(above[t, cut]) if cut < CLASSES else 0
        extra = min(np.int64(above[t, more]) - whole, left) if more < CLASSES else 0
        left -= extra
        ends[0, a] = whole + extra


@jit
def _add(docs: A, values: A, factor: A, sums: A, touched: A, n: A) -> A:
    """Add the bounds of postings to the sums, note the documents met for the first time; returns how many so far."""
    f, up = np.uint32(factor), np.uint32(255)
    start, last = sums.ctypes.data, docs.size - 1
    for i in range(docs.size):
        fetch(start + 2 * np.int64(docs[min(i + FAR, last)]))
        d = docs[i]
        before = sums[d]
        touched[n] = d
        n += before == 0
        sums[d] = before + np.uint16((np.uint32(values[i]) * f + up) >> np.uint32(8))
    return n


@jit
def _choose(touched: A, sums: A, mask: A, most: A, chosen: A) -> A:
    """The keys of the ``most`` documents of greatest sum, sums cleared; how many, and the greatest sum left out."""
    n, least, met = 0, np.int64(0), 0
    bar = np.uint16(1)
    start, last = sums.ctypes.data, touched.size - 1
    for i in range(touched.size):
        fetch(start + 2 * np.int64(touched[min(i + FAR, last)]))
        d = touched[i]
        value = sums[d]
        sums[d] = 0
        if value >= bar and (mask.size == 0 or mask[d]):
            key = (np.int64(value) << 32) | np.int64(LAST - np.int64(d))
            if key > least:
                chosen[n] = key
                n += 1
                met += 1
                if n == chosen.size:
                    n, least = shrink(chosen, n, most, least)
                    bar = np.uint16(least >> 32)
    n, least = shrink(chosen, n, most, least)
    return n, (least >> 32 if met > n else 0)


@inlined
def _score(d: A, query: A, lists: A, starts: A, entries: A, space: A) -> A:
    """The exact float32 score of a document, added in term order, from its own terms."""
    n = 0
    for i in range(starts[d], starts[d + 1]):
        entry = entries[i]
        space.matched[n] = entry
        n += space.slots[entry >> np.uint32(8)] != 0
    total = np.float32(0)
    code = lists.codes[d] if lists.codes.size else 0
    for i in range(n):
        entry = space.matched[i]
        a = np.int64(space.slots[entry >> np.uint32(8)]) - 1
        one = from_row(query.weights[a], query.bonuses[a], np.int64(entry & np.uint32(255)), code, lists)
        if one < 0:  # the byte alone does not tell the frequency
            t = query.ids[a]
            p = first_at(lists.docs, lists.ptr[t], lists.ptr[t + 1], d)
            one = contribution(query.weights[a], query.bonuses[a], p, d, lists)
        total += one
    return total


@inlined
def _fetch_terms(key: A, starts: A, entries: A) -> None:
    """Have the processor read a document's entries, which are anywhere in memory, while others are scored."""
    d = LAST - (key & 0xFFFFFFFF)
    first, last = starts[d], starts[d + 1]
    for line in range(((last - first) >> 4) + 1):  # of 64 bytes
        fetch(entries.ctypes.data + 4 * first + 64 * line)


@jit
def _best(n: A, rest: A, unit: A, query: A, lists: A, starts: A, entries: A, keys: A, space: A) -> None:
    """Exact scores of the chosen into a heap of keys, the most promising first, until none can enter it."""
    chosen = space.chosen[:n]
    fall(chosen)
    keys[:] = 0
    for z in range(min(AHEAD, n)):
        _fetch_terms(chosen[z], starts, entries)
    for z in range(n):
        worst = np.float64(np.int32(keys[0] >> 32).view(np.float32))
        if np.float64((chosen[z] >> 32) + rest) * unit < worst:
            return
        if z + 2 * AHEAD < n:
            fetch(starts.ctypes.data + 8 * (LAST - (chosen[z + 2 * AHEAD] & 0xFFFFFFFF)))
        if z + AHEAD < n:
            _fetch_terms(chosen[z + AHEAD], starts, entries)
        d = LAST - (chosen[z] & 0xFFFFFFFF)
        exact = _score(d, query, lists, starts, entries, space)
        key = key_of(np.float32(exact).view(np.int32), d, lists.original)
        if exact > 0 and key > keys[0]:
            sift(keys, keys.size, key)


@jit
def within(postings: A, candidates: A, query: A, lists: A, plan: A, heads: A, mask: A, keys: A, space: A) -> A:
    """One query; the hits' keys go to the front of ``keys``. Returns how many, and whether they are the exact ones."""
    begins, docs, values, ends = heads.begins, heads.docs, heads.values, space.ends
    unit = _factors(query, plan, ends[1])
    _share_out(postings, query, heads.above, ends)
    n, rest = 0, np.int64(0)
    for a in range(query.ids.size):
        t = query.ids[a]
        p, end = begins[t], begins[t] + ends[0, a]
        n = _add(docs[p:end], values[p:end], ends[1, a], space.sums, space.touched, n)
        if ends[0, a] < lists.ptr[t + 1] - lists.ptr[t]:
            rest += (np.int64(values[min(end, begins[t + 1] - 1)]) * ends[1, a] + 255) >> 8
    n, lost = _choose(space.touched[:n], space.sums, mask, candidates, space.chosen[: 2 * candidates + SPARE])
    for a in range(query.ids.size):
        space.slots[query.ids[a]] = a + 1
    _best(n, rest, unit, query, lists, heads.starts, heads.entries, keys, space)
    for a in range(query.ids.size):
        space.slots[query.ids[a]] = 0
    worst = np.float64(np.int32(keys[0] >> 32).view(np.float32))
    exact = lost + rest == 0 or np.float64(lost + rest) * unit < worst
    n = 0
    for i in range(keys.size):
        if keys[i] > 0:
            keys[n] = keys[i]
            n += 1
    return n, exact


@entry
def answer_within(
    ids: A, ends: A, weights: A, first: A, last: A, budget: A, masks: A, mask_of: A, passing: A, heads_table: A,
    space_table: A, table: A, plan_table: A, room_table: A, sizes: A, factors: A, costs: A, ords: A, scores: A,
    counts: A, flags: A
) -> A:  # fmt: skip
    """The hits of queries ``first`` to ``last`` within a budget; 0, or why one is refused. As ``kernels_batch.answer``.

    ``budget`` float64[3]: share of a query's postings, postings, and the mean number of terms of a document. Half of
    what it allows is spent on lists, half on documents. A query that an exact strategy answers as quickly is not
    answered: its count is LEFT.
    """
    lists, plan, room = lists_of(table, sizes, factors), plan_of(plan_table, sizes, factors), room_of(room_table)
    heads, space = heads_of(heads_table), space_of(space_table)
    idf, k = idf_of(plan_table), ords.shape[1]
    for q in range(first, last):
        if not 0 <= ends[q] <= ends[q + 1] <= ids.size:
            return BAD_ENDS
        own = weights[ends[q] : ends[q + 1]] if lists.impact else weights[:0]
        query, refused = bound(ids[ends[q] : ends[q + 1]], own, idf, lists.impact, factors, room)
        if refused:
            return refused
        filtered = mask_of[q] >= 0
        mask = masks[max(mask_of[q], 0)][: lists.size * filtered]
        share = passing[mask_of[q]] if filtered else 1.0
        postings, _, all_ns, scan_ns = estimate_of(query.ids, lists.ptr, plan.row_of, lists.size, k, share, costs)
        allowed = min(budget[0] * postings, budget[1])
        half = np.int64(np.ceil(allowed / 2))
        # Of the postings read only so many pass: the filter must not cost recall.
        read = half if share >= 1 else np.int64(min(half / max(share, 1e-9), np.float64(postings)))
        candidates = min(max(np.int64(half / budget[2]), 2 * k), (space.chosen.size - SPARE) // 2)
        spent = costs[READ] * read + costs[ENTRY] * budget[2] * candidates
        if (
            max(allowed, np.float64(read + half)) >= postings
            or query.ids.size > LONGEST
            or spent >= min(all_ns, scan_ns)
        ):
            counts[q] = LEFT
            continue
        n, exact = within(read, candidates, query, lists, plan, heads, mask, room.keys[:k], space)
        write_hits(room.keys[:n], ords[q], scores[q])
        counts[q], flags[0, q], flags[1, q] = n, exact, False
    return 0
