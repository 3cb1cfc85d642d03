"""Compiled passes over the postings that make an image. Imported through ``fast.py`` only."""

from __future__ import annotations

import numpy as np

from twindex.indexing.types import UInt8Array
from twindex.retrieval.kernels import A, contribution, entry, first_at, jit, term_frequency
from twindex.retrieval.kernels_strips import GROUP, STRIP, able


@jit
def _saturation(tf: A, code: A, table: A, first: A, bonus: A) -> A:
    return 1.0 - 1.0 / np.float64(first + tf * table[code]) + bonus


@jit
def _byte(g: A, norm: A) -> A:
    return np.uint8(max(1.0, min(255.0, np.ceil(g / norm * 255.0))))


@entry
def saturate(docs: A, tfs: A, big_at: A, big_tf: A, codes: A, table: A, first: A, bonus: A, norm: A, out: A) -> A:
    """Write ``ceil(255 * g / norm)``, at least 1, of every posting's saturation g = contribution / weight.

    With ``norm`` 0 nothing is written; returns the greatest g.
    """
    top = 0.0
    for p in range(docs.size):
        g = _saturation(term_frequency(p, (tfs, big_at, big_tf)), codes[docs[p]], table, first, bonus)
        top = max(top, g)
        if norm > 0:
            out[p] = _byte(g, norm)
    return top


@entry
def invert(table: A, first: A, bonus: A, norm: A, out: A) -> None:
    """The frequency below 255 that a code and a byte of :func:`saturate` belong to; 0 = none or several."""
    for code in range(table.size):
        here = _byte(_saturation(np.float32(1), code, table, first, bonus), norm)
        for tf in range(1, 255):
            after = _byte(_saturation(np.float32(tf + 1), code, table, first, bonus), norm)
            if after <= here:
                break  # from here on bytes are shared
            out[code, here] = tf
            here = after


@entry
def bake(lists: A, weights: A, bonuses: A, out: A) -> None:
    """Contributions of all postings for queries that name the term once."""
    for t in range(lists.ptr.size - 1):
        for p in range(lists.ptr[t], lists.ptr[t + 1]):
            out[p] = contribution(weights[t], bonuses[t], p, lists.docs[p], lists)


@entry
def summarise(ptr: A, values: A, row_of: A, docs: A, ranks: A, rows: A, greatest: A, kth: A) -> None:
    """Fill the rows of frequent terms, each term's greatest value and its ``ranks``-th greatest values."""
    counts = np.zeros(256, np.int64)
    for t in range(ptr.size - 1):
        first, last = ptr[t], ptr[t + 1]
        row = row_of[t]
        if row >= 0:
            for p in range(first, last):
                rows[row, docs[p]] = values[p]
        top = np.uint8(0)
        for p in range(first, last):
            top = max(top, values[p])
        greatest[t] = top
        if last - first < ranks[0]:
            continue
        counts[:] = 0
        for p in range(first, last):
            counts[values[p]] += 1
        seen = 0
        for v in range(255, 0, -1):
            for i in range(ranks.size):
                if seen < ranks[i] <= seen + counts[v]:
                    kth[i, t] = v
            seen += counts[v]


@entry
def arrange(ptr: A, docs: A, place_of: A, places: A, sources: A) -> None:
    """Each list in the order of its documents' places: those, and the posting that each was before.

    Shapes: ``place_of`` uint32[size]; written: ``places`` uint32[P], ``sources`` int64[P].
    """
    for t in range(ptr.size - 1):
        first, last = ptr[t], ptr[t + 1]
        keys = np.empty(last - first, np.int64)
        for i in range(keys.size):
            keys[i] = (np.int64(place_of[docs[first + i]]) << 32) | i
        keys.sort()
        for i in range(keys.size):
            places[first + i] = keys[i] >> 32
            sources[first + i] = first + (keys[i] & 0xFFFFFFFF)


@entry
def mark_blocks(ptr: A, docs: A, terms: A, block: A, out: A) -> None:
    """Where each block of documents begins in the lists of these terms, from the first posting of each."""
    for i in range(terms.size):
        first, last = ptr[terms[i]], ptr[terms[i] + 1]
        at = first
        for number in range(1, out.shape[1]):
            at = first_at(docs, at, last, number * block)
            out[i, number] = at - first


def levelled(rows: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """The levels of rows of bytes, and the greatest byte of each level; nothing where they could not be used.

    Shapes: ``rows`` uint8[R, size]; results uint8[R, GROUP / 2 * groups] and uint8[R, 16].
    """
    number, size = rows.shape if able() else (0, 0)
    nibbles = np.zeros((number, -(-size // GROUP) * GROUP // 2), np.uint8)
    levels = np.zeros((number, 16), np.uint8)
    fill_levels(rows, nibbles, levels)
    return nibbles, levels


@jit
def _best_levels(counts: A, cost: A, cut: A, level: A) -> None:
    """Write the greatest values of at most 15 levels for values with these counts; least sum of what they round up.

    ``cost``: room for float64[16, 257]; ``cut``: room for int64[16, 257]. By dynamic programming: ``cost[j, v]`` is the
    least for values below v in j levels.
    """
    cost[:] = np.inf
    cost[0, 0] = 0
    for j in range(1, 16):
        for top in range(1, 257):
            cost[j, top], cut[j, top] = cost[j - 1, top], top
            if counts[top - 1] == 0:
                if cost[j, top - 1] < cost[j, top]:
                    cost[j, top], cut[j, top] = cost[j, top - 1], -1
                continue
            here = 0.0
            for first in range(top - 1, -1, -1):
                here += counts[first] * (top - 1 - first)
                if cost[j - 1, first] + here < cost[j, top]:
                    cost[j, top], cut[j, top] = cost[j - 1, first] + here, first
                if here > cost[j, top]:
                    break
    top = 256
    for j in range(15, 0, -1):
        while cut[j, top] < 0:
            top -= 1
        level[j] = top - 1
        top = cut[j, top]


@entry
def fill_levels(rows: A, nibbles: A, levels: A) -> None:
    """Each row's values in the 15 levels that round them up least; 0 stays level 0."""
    level_of = np.zeros(256, np.uint8)
    cost, cut, counts = np.zeros((16, 257)), np.zeros((16, 257), np.int64), np.zeros(256, np.int64)
    for row in range(nibbles.shape[0]):
        counts[:] = 0
        for value in rows[row]:
            counts[value] += 1
        counts[0] = 0
        _best_levels(counts, cost, cut, levels[row])
        j = 1
        for value in range(1, 256):
            while j < 15 and value > levels[row, j]:
                j += 1
            level_of[value] = j
        for d in range(rows.shape[1]):
            at, shift = (d // STRIP) * (STRIP // 2) + d % (STRIP // 2), np.uint8((d & (STRIP // 2)) >> 3)
            nibbles[row, at] |= level_of[rows[row, d]] << shift
