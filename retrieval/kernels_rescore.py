"""Exact scores of the scan's candidates, compiled. Imported through ``fast.py`` only."""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.retrieval.kernels import A, byte_of, contribution, find, first_at, inlined, key_of, sift

#: Candidates are sorted by bound if there are at most so many.
SORTED: Final = 48


@inlined
def from_row(weight: A, bonus: A, value: A, code: A, image: A) -> A:
    """The exact contribution behind a byte of a row; negative if the byte alone does not tell the frequency."""
    if image.impact:
        return weight * np.float32(value)
    tf = image.inverse[code, value]
    if tf == 0:
        return np.float32(-1)
    return (weight - weight / (image.first + np.float32(tf) * image.table[code])) + bonus


@inlined
def score(query: A, d: A, share: A, starts: A, slots: A, image: A, row_of: A, bytes_of: A) -> A:
    """The exact float32 score of one document, added in term order.

    ``share``: how far into its window the document is, 0 to 1. ``starts``: first posting of each list in the window
    and in the next one. ``slots``: each term's list. ``bytes_of``: room for a byte a term.
    """
    total = np.float32(0)
    code = image.codes[d] if image.codes.size else 0
    for a in range(query.ids.size):  # by themselves, so that the processor waits for all of them at once
        row = row_of[query.ids[a]]
        bytes_of[a] = byte_of(image, row, d) if row >= 0 else 0
    for a in range(query.ids.size):
        t = query.ids[a]
        weight, bonus = query.weights[a], query.bonuses[a]
        if row_of[t] >= 0:
            if bytes_of[a] == 0:
                continue
            one = from_row(weight, bonus, bytes_of[a], code, image)
            if one >= 0:
                total += one
                continue
            p, end = image.ptr[t], image.ptr[t + 1]
            p = first_at(image.docs, p, end, d)
        elif slots[a] >= 0:
            p, end = starts[0, slots[a]], starts[1, slots[a]]
            p = find(image.docs, p, end, d, p + np.int64((end - p) * share))
        else:
            continue
        if p < end and image.docs[p] == d:
            total += contribution(weight, bonus, p, d, image)
    return total


@inlined
def _best_first(count: A, threshold: A, found: A, bounds: A) -> A:
    """Sort the candidates that reach the threshold by falling bound; returns how many there are."""
    n = 0
    for z in range(count):
        d, bound = found[z], bounds[z]
        if bound < threshold:
            continue
        i = n
        n += 1
        if n <= SORTED:
            while i > 0 and bounds[i - 1] < bound:
                found[i], bounds[i] = found[i - 1], bounds[i - 1]
                i -= 1
        found[i], bounds[i] = d, bound
    return n


@inlined
def rescore(
    query: A, unit: A, count: A, threshold: A, found: A, bounds: A, image: A, row_of: A, keys: A, room: A
) -> None:  # fmt: skip
    """Exact scores of the candidates that can still be hits, into a heap of keys."""
    keys[:] = 0
    block = room.sums.size
    n = _best_first(count, threshold, found, bounds)
    for z in range(n):
        if np.float64(bounds[z]) * unit < np.float64(np.int32(keys[0] >> 32).view(np.float32)):
            if n <= SORTED:
                return
            continue
        d = np.int64(found[z])
        at = d // block
        share = np.float64(d - at * block) / min(block, image.size - at * block)
        exact = score(query, d, share, room.starts[at : at + 2], room.slots, image, row_of, room.bytes_of)
        key = key_of(np.float32(exact).view(np.int32), d, image.original)
        if exact > 0 and key > keys[0]:
            sift(keys, keys.size, key)
