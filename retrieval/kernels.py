"""Compiled kernels that both strategies share, and the exhaustive one. Imported through ``fast.py`` only.

Importing this module imports numba. Code is compiled at the first call and kept on disk.
An *image* is the tuple that ``image.py`` makes: pointers, ordinals, values of one byte, rows, frequencies,
numbers and values of large frequencies, length codes, saturation of each code, offset, 1 for impacts or 0 for
BM25, and contributions computed beforehand (or none). A *query* is four arrays: term numbers, weights, bonuses, and
1 where the term is named once so that the contributions computed beforehand apply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np

from twindex.indexing.optional import load

_numba = load("numba", purpose="compiled sparse search")
F = TypeVar("F", bound=Callable[..., Any])
#: Numba finds the types at the call: arrays, tuples of arrays, numbers.
A: TypeAlias = Any


def jit(function: F) -> F:
    """Compiled at first call, kept on disk, and run without the interpreter's lock."""
    compiled: F = _numba.njit(cache=True, nogil=True, boundscheck=False)(function)
    return compiled


#: Documents per block whose greatest bound is looked at before the documents themselves.
BLOCK: Final = 64


@jit
def saturate(image: A, bonus: A, norm: A, out: A) -> A:
    """Write ``ceil(255 * g / norm)`` of every posting's saturation g = contribution / weight.

    With ``norm`` 0 nothing is written; returns the greatest g.
    """
    docs, tfs, big_at, big_tf, codes, table, offset = (
        image[1],
        image[4],
        image[5],
        image[6],
        image[7],
        image[8],
        image[9],
    )
    top = 0.0
    for p in range(docs.size):
        tf = np.float32(tfs[p])
        if tfs[p] == 255:
            tf = np.float32(big_tf[np.searchsorted(big_at, np.uint64(p))])
        g = 1.0 - 1.0 / np.float64(offset + tf * table[codes[docs[p]]]) + bonus
        top = max(top, g)
        if norm > 0:
            out[p] = np.uint8(min(255.0, np.ceil(g / norm * 255.0)))
    return top


@jit
def summarise(ptr: A, values: A, row_of: A, docs: A, ranks: A, rows: A, greatest: A, kth: A) -> None:
    """Fill the rows of frequent terms, each term's greatest value and its ``ranks``-th greatest values."""
    counts = np.zeros(256, np.int64)
    for t in range(ptr.size - 1):
        counts[:] = 0
        row = row_of[t]
        for p in range(ptr[t], ptr[t + 1]):
            counts[values[p]] += 1
            if row >= 0:
                rows[row, docs[p]] = values[p]
        seen = 0
        for v in range(255, 0, -1):
            if counts[v] and not seen:
                greatest[t] = v
            for i in range(ranks.size):
                if seen < ranks[i] <= seen + counts[v]:
                    kth[i, t] = v
            seen += counts[v]


@jit
def prepare(flat: A, ends: A, out_ids: A, out_boosts: A) -> A:
    """Queries' term numbers sorted and counted: negative ones dropped; returns the new ends."""
    new = np.zeros(ends.size, np.int64)
    n = 0
    for q in range(ends.size - 1):
        first = n
        for z in range(ends[q], ends[q + 1]):
            t = flat[z]
            if t < 0:
                continue
            i = n
            while i > first and out_ids[i - 1] > t:
                i -= 1
            if i > first and out_ids[i - 1] == t:
                out_boosts[i - 1] += 1
                continue
            for j in range(n, i, -1):
                out_ids[j] = out_ids[j - 1]
                out_boosts[j] = out_boosts[j - 1]
            out_ids[i] = t
            out_boosts[i] = 1
            n += 1
        new[q + 1] = n
    return new


@jit
def sift(heap: A, size: A, value: A) -> None:
    """Replace the least element of a min-heap."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = value


@jit
def greatest_of(part: A) -> A:
    """The maximum of a part of an array, by vector instructions."""
    top = part[0]
    for j in range(part.size):
        top = max(top, part[j])
    return top


@jit
def _seek(docs: A, low: A, high: A, wanted: A) -> A:
    """First posting in [low, high) whose document is not below ``wanted``."""
    while low < high:
        middle = (low + high) >> 1
        if docs[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def _contribution(weight: A, bonus: A, p: A, d: A, image: A) -> A:
    """The exact float32 contribution of posting p: the formula of bm25.py, or an impact times its weight."""
    if image[10]:
        return weight * np.float32(image[2][p])
    tf = np.float32(image[4][p])
    if image[4][p] == 255 and image[5].size:
        tf = np.float32(image[6][np.searchsorted(image[5], np.uint64(p))])
    return (weight - weight / (image[9] + tf * image[8][image[7][d]])) + bonus


@jit
def bake(ptr: A, weights: A, bonuses: A, image: A, out: A) -> None:
    """Contributions of all postings for queries that name the term once."""
    for t in range(ptr.size - 1):
        for p in range(ptr[t], ptr[t + 1]):
            out[p] = _contribution(weights[t], bonuses[t], p, image[1][p], image)


@jit
def score(query: A, d: A, image: A) -> A:
    """The exact float32 score of one document, added in term order."""
    ids, weights, bonuses, plain = query
    ptr, docs, baked = image[0], image[1], image[11]
    total = np.float32(0)
    for a in range(ids.size):
        end = ptr[ids[a] + 1]
        p = _seek(docs, ptr[ids[a]], end, d)
        if p < end and docs[p] == d:
            if plain[a] and baked.size:
                total += baked[p]
            else:
                total += _contribution(weights[a], bonuses[a], p, d, image)
    return total


@jit
def emit(keys: A, count: A, k: A, ords: A, scores: A) -> A:
    """Sort (score bits, inverted ordinal) keys, write the best k; returns how many."""
    ordered = np.sort(keys[:count])
    n = min(k, count)
    for i in range(n):
        key = ordered[count - 1 - i]
        ords[i] = np.int32(np.int64(0x7FFFFFFF) - (key & np.int64(0xFFFFFFFF)))
        scores[i] = np.int32(key >> 32)
    return n


@jit
def _pick(bits: A, k: A, mask: A, heap: A, keys: A) -> A:
    """Keys of the documents that could be among the k best, by blocks; ``bits`` are non-negative floats."""
    heap[:] = 0
    n = 0
    for left in range(0, bits.size, BLOCK):
        right = min(left + BLOCK, bits.size)
        if greatest_of(bits[left:right]) <= heap[0]:
            continue  # a later document with the k-th score loses the tie
        for d in range(left, right):
            if bits[d] > heap[0] and (mask.size == 0 or mask[d]):
                sift(heap, k, bits[d])
                keys[n] = (np.int64(bits[d]) << 32) | np.int64(0x7FFFFFFF - d)
                n += 1
    return n


@jit
def _accumulate(query: A, image: A, sums: A) -> None:
    ids, weights, bonuses, plain = query
    ptr, docs, baked = image[0], image[1], image[11]
    for a in range(ids.size):
        weight, bonus = weights[a], bonuses[a]
        if plain[a] and baked.size:
            for p in range(ptr[ids[a]], ptr[ids[a] + 1]):
                sums[docs[p]] += baked[p]
        else:
            for p in range(ptr[ids[a]], ptr[ids[a] + 1]):
                sums[docs[p]] += _contribution(weight, bonus, p, docs[p], image)


@jit
def exhaustive(batch: A, ends: A, image: A, masks: A, mask_of: A, ords: A, scores: A, counts: A) -> None:
    """Every posting of every term, the whole collection at once. ``scores``: float32 bits as int32."""
    size, k = image[3].shape[1], ords.shape[1]
    sums = np.zeros(size, np.float32)
    keys = np.empty(size, np.int64)
    heap = np.zeros(k, np.int32)
    for q in range(ends.size - 1):
        a, b = ends[q], ends[q + 1]
        sums[:] = 0
        _accumulate((batch[0][a:b], batch[1][a:b], batch[2][a:b], batch[3][a:b]), image, sums)
        mask = masks[max(mask_of[q], 0)][: size * (mask_of[q] >= 0)]
        n = _pick(sums.view(np.int32), k, mask, heap, keys)
        counts[q] = emit(keys, n, k, ords[q], scores[q])
