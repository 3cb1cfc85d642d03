"""From term numbers to hits in one compiled call: queries bound, the strategy chosen, the list sorted.

Imported through ``fast.py`` only. One query and a batch take the same path.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.retrieval.image import Terms
from twindex.retrieval.kernels import LAST, A, entry, exhaustive, inlined, jit
from twindex.retrieval.kernels_scan import scan
from twindex.retrieval.kernels_table import idf_of, lists_of, plan_of, room_of

#: What :func:`answer` returns instead of 0 if a query is refused.
UNKNOWN_TERM, BAD_WEIGHT, TERM_TWICE, BAD_ENDS = 1, 2, 3, 4
#: Documents of sets with rows of contributions that are never scanned: to find that out costs a part of the answer.
SMALL: Final = 1 << 13
#: Slots of ``factors``: ``bm25.factors_of``. Those before are of ``kernels_table``.
FACTOR, BONUS = 2, 3


@jit
def _sorted(ids: A, weights: A, limit: A, room: A) -> A:
    """A query's terms into the room, ascending, negative numbers dropped; returns how many, or less than 0.

    Without weights terms are counted; with weights those of weight 0 are dropped, and a term twice is an error.
    """
    n = 0
    weighted = weights.size > 0
    for z in range(ids.size):
        t = ids[z]
        if t >= limit:
            return -UNKNOWN_TERM
        if weighted and not 0 <= weights[z] < np.inf:
            return -BAD_WEIGHT
        if t < 0 or (weighted and weights[z] == 0):
            continue
        i = n
        while i > 0 and room.ids[i - 1] > t:
            i -= 1
        if i > 0 and room.ids[i - 1] == t:
            if weighted:
                return -TERM_TWICE
            room.boosts[i - 1] += 1
            continue
        for j in range(n, i, -1):
            room.ids[j], room.boosts[j], room.weights[j] = room.ids[j - 1], room.boosts[j - 1], room.weights[j - 1]
        room.ids[i], room.boosts[i] = t, 1
        room.weights[i] = weights[z] if weighted else np.float32(1)
        n += 1
    return n


@jit
def bound(ids: A, weights: A, idf: A, impact: A, factors: A, room: A) -> A:
    """The terms of a query with the weights of ``bm25.weights_of``, or its own; and 0 or why it is refused.

    Contributions scale exactly by powers of two, so those need no new computation.
    """
    n = _sorted(ids, weights, idf.size, room)
    for a in range(max(n, 0)):
        room.bonuses[a], room.scales[a] = 0, 0
        if not impact:
            boost = room.boosts[a]
            weight = np.float32(boost) * idf[room.ids[a]]
            room.bonuses[a] = weight * np.float32(factors[BONUS])
            room.weights[a] = weight * np.float32(factors[FACTOR])
            room.scales[a] = np.float32(0 if boost & (boost - 1) else boost)
    n, refused = max(n, 0), max(-n, 0)
    return Terms(room.ids[:n], room.weights[:n], room.bonuses[:n], room.scales[:n]), refused


@jit
def estimate_of(ids: A, ptr: A, row_of: A, size: A, k: A, passing: A, costs: A) -> A:
    """Postings, rows, and nanoseconds of the exhaustive strategy and the scan; ``costs`` is ``fast_plan.COSTS``.

    ``passing``: share of the documents that pass the filter.
    """
    posting, sum_exact, sum_bound, row_byte = costs[0], costs[1], costs[2], costs[3]
    per_term, candidate, excess, longest = costs[4], costs[5], costs[6], costs[7]
    postings, rows, in_lists = 0, 0, 0
    for t in ids:
        df = ptr[t + 1] - ptr[t]
        postings += df
        if row_of[t] >= 0:
            rows += 1
        else:
            in_lists += df
    wanted = min(k / max(passing, 1e-9), np.float64(size))
    candidates = excess * wanted * (1 + np.log(size / max(wanted, 1.0)))
    scanning = posting * in_lists + row_byte * size * rows + sum_bound * size
    scanning += candidate * min(candidates, np.float64(postings))
    scanning += per_term * min(1.2 * k, np.float64(postings)) * ids.size
    if ids.size > longest:
        scanning = np.inf
    return postings, rows, posting * postings + sum_exact * size, scanning


@jit
def _scanning_wins(ids: A, ptr: A, row_of: A, size: A, k: A, passing: A, costs: A) -> A:
    """Whether :func:`estimate_of` says so; without it where the hits alone cost the scan more than all else would.

    Arrays one by one: to hand over a tuple of them would take longer than to count.
    """
    postings = 0
    for t in ids:
        postings += ptr[t + 1] - ptr[t]
    hits = costs[5] * min(costs[6] * min(k, size), postings) + costs[4] * min(1.2 * k, postings) * ids.size
    if costs[0] * postings + costs[1] * size <= hits + costs[2] * size:
        return False
    _, _, all_ns, scan_ns = estimate_of(ids, ptr, row_of, size, k, passing, costs)
    return scan_ns < all_ns


@inlined
def _never_scanned(lists: A) -> A:
    """Whether the set is so small that no query is."""
    return lists.wide.size > 0 and lists.size <= SMALL


@entry
def estimate(ids: A, weights: A, k: A, table: A, plan_table: A, room_table: A, sizes: A, factors: A, costs: A) -> A:
    """:func:`estimate_of` of one query without a filter, and 0 or why it is refused."""
    lists, plan = lists_of(table, sizes, factors), plan_of(plan_table, sizes, factors)
    query, refused = bound(ids, weights, idf_of(plan_table), lists.impact, factors, room_of(room_table))
    postings, rows, all_ns, scan_ns = estimate_of(query.ids, lists.ptr, plan.row_of, lists.size, k, 1.0, costs)
    if _never_scanned(lists):
        scan_ns = np.inf
    return (postings, rows, all_ns, scan_ns), refused


@entry
def answer(
    ids: A, ends: A, weights: A, first: A, last: A, given: A, masks: A, mask_of: A, passing: A, table: A,
    plan_table: A, room_table: A, sizes: A, factors: A, costs: A, ords: A, scores: A, counts: A, flags: A
) -> A:  # fmt: skip
    """The hits of queries ``first`` to ``last``; 0, or why one is refused.

    ``given``: -1 = the cheaper strategy, 0 = exhaustive, 1 = scan. ``masks`` bool[filters, documents]; ``mask_of``
    int64[queries], -1 = no filter; ``passing`` float64[filters]: share of the documents that each lets through.
    Written: ``ords`` int32[queries, k], ``scores`` float32[queries, k], ``counts`` int64[queries], ``flags``
    bool[2, queries]: proven exact, scanned.
    """
    lists, plan, room = lists_of(table, sizes, factors), plan_of(plan_table, sizes, factors), room_of(room_table)
    idf, k = idf_of(plan_table), ords.shape[1]
    if given < 0 and _never_scanned(lists):
        given = 0  # before the loop, so that it is the very code of the exhaustive strategy
    for q in range(first, last):
        if not 0 <= ends[q] <= ends[q + 1] <= ids.size:
            return BAD_ENDS
        own = weights[ends[q] : ends[q + 1]] if lists.impact else weights[:0]
        query, refused = bound(ids[ends[q] : ends[q + 1]], own, idf, lists.impact, factors, room)
        if refused:
            return refused
        filtered = mask_of[q] >= 0
        mask = masks[max(mask_of[q], 0)][: lists.size * filtered]
        scanned = given > 0
        if given < 0:
            share = passing[mask_of[q]] if filtered else 1.0
            scanned = _scanning_wins(query.ids, lists.ptr, plan.row_of, lists.size, k, share, costs)
        n = scan(query, lists, plan, mask, k, room) if scanned else exhaustive(query, lists, plan, mask, k, room)
        write_hits(room.keys[:n], ords[q], scores[q])
        counts[q], flags[0, q], flags[1, q] = n, True, scanned
    return 0


@jit
def write_hits(keys: A, ords: A, scores: A) -> None:
    """Ordinals and scores of keys, the best first; sorts the keys."""
    fall(keys)
    for i in range(keys.size):
        ords[i] = np.int32(LAST - (keys[i] & 0xFFFFFFFF))
        scores[i] = np.int32(keys[i] >> 32).view(np.float32)


@jit
def fall(keys: A) -> None:
    """Sort keys, the greatest first."""
    if keys.size > 64:
        keys.sort()
        keys[:] = keys[::-1].copy()
        return
    for z in range(1, keys.size):
        key, i = keys[z], z
        while i > 0 and keys[i - 1] < key:
            keys[i] = keys[i - 1]
            i -= 1
        keys[i] = key
