"""Compiled passes over the postings that make an image. Imported through ``fast.py`` only."""

from __future__ import annotations

import numpy as np

from twindex.retrieval.kernels import A, contribution, jit, term_frequency


@jit
def _saturation(tf: A, code: A, table: A, first: A, bonus: A) -> A:
    return 1.0 - 1.0 / np.float64(first + tf * table[code]) + bonus


@jit
def _byte(g: A, norm: A) -> A:
    return np.uint8(max(1.0, min(255.0, np.ceil(g / norm * 255.0))))


@jit
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


@jit
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


@jit
def bake(lists: A, weights: A, bonuses: A, out: A) -> None:
    """Contributions of all postings for queries that name the term once."""
    for t in range(lists.ptr.size - 1):
        for p in range(lists.ptr[t], lists.ptr[t + 1]):
            out[p] = contribution(weights[t], bonuses[t], p, lists.docs[p], lists)


@jit
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
