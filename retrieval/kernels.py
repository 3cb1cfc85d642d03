"""Compiled kernels that the strategies share, and the exhaustive one. Imported through ``fast.py`` only.

Importing this module imports numba. Code is compiled at the first call and kept on disk. Kernels run without
the interpreter's lock and write nothing but their output arguments, so that several may share one image.

Scores leave a kernel as the bits of non-negative float32 numbers, whose order as integers is the order of
the numbers. A *key* is ``bits << 32 | (2^31 - 1 - ordinal)``: the greater key is the better hit, ties included.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np

from twindex.indexing.compiled import Stamp, compiled, stamp_of
from twindex.retrieval.image import WIDE_SHARE
from twindex.retrieval.kernels_memory import fetch

F = TypeVar("F", bound=Callable[..., Any])
#: Numba finds the types at the call: arrays, tuples of arrays, numbers.
A: TypeAlias = Any


def entry(function: F) -> F:
    """Compiled at first call, kept on disk, and run without the interpreter's lock."""
    return compiled(function, _stamp())


def jit(function: F) -> F:
    """The same, for compiled callers alone: a way in from Python would take the compiler longer than most functions."""
    return compiled(function, _stamp(), no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined(function: F) -> F:
    """The same, always written into its callers: to hand over a tuple of arrays costs more than a small function."""
    return compiled(function, _stamp(), forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def summing(function: F) -> F:
    """The same, where additions may be done in any order and several at a time: for numbers that decide nothing."""
    return compiled(function, _stamp(), fastmath={"reassoc", "contract", "nsz"})


@cache
def _stamp() -> Stamp:
    """What compiled code depends on: kernels call each other across files, and share the layout of ``image.py``."""
    here = Path(__file__).parent
    return stamp_of(sorted([*here.glob("kernels*.py"), here / "image.py"]))


#: Documents of a window that are folded into one greatest sum before they are looked at: 1 + a multiple of 3.
LANES: Final = 16
#: Safety of bounds against float32 rounding: relative, far above what a sum of 1,000 terms can lose.
MARGIN: Final = 1e-4
LAST: Final = (1 << 31) - 1
#: Steps towards the k-th greatest value; a few more would let fewer candidates through than they cost.
HALVINGS: Final = 11


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
def best_to_front(keys: A, n: A, k: A) -> None:
    """Move the k greatest of the first n keys to the front, in any order. Source: Hoare's FIND, 1961."""
    low, high = 0, n - 1
    while low < high:
        middle = (low + high) >> 1
        one, two, three = keys[low], keys[middle], keys[high]
        pivot = max(min(one, two), min(max(one, two), three))
        i, j = low, high
        while i <= j:
            while keys[i] > pivot:
                i += 1
            while keys[j] < pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break


@jit
def shrink(keys: A, n: A, k: A, least: A) -> A:
    """Keep the k best of n keys: the new n, and the least key that is still a hit."""
    if n <= k:
        return n, least
    best_to_front(keys, n, k)
    bottom = keys[0]
    for i in range(1, k):
        bottom = min(bottom, keys[i])
    return k, max(least, bottom)


@jit
def first_at(docs: A, low: A, high: A, wanted: A) -> A:
    """First posting in [low, high) whose document is not below ``wanted``: doubling steps, then halving."""
    step = 1
    while low + step < high and docs[low + step] < wanted:
        low += step
        step *= 2
    high = min(high, low + step + 1)
    while low < high:
        middle = (low + high) >> 1
        if docs[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def find(docs: A, low: A, high: A, wanted: A, guess: A) -> A:
    """The same, with steps that grow from a guess in [low, high]: quick where documents are spread evenly."""
    if guess < high and docs[guess] < wanted:
        return first_at(docs, guess, high, wanted)
    step, top = 1, guess
    while top > low and docs[top - 1] >= wanted:
        top = max(low, top - step)
        step *= 2
    return first_at(docs, top, min(high, top + step + 1), wanted)


@jit
def term_frequency(p: A, frequencies: A) -> A:
    """Tf of posting p as float32; frequencies of 255 and more are looked up by posting number."""
    tfs, big_at, big_tf = frequencies
    if tfs[p] == 255 and big_at.size:
        return np.float32(big_tf[first_at(big_at, 0, big_at.size, np.uint64(p))])
    return np.float32(tfs[p])


@jit
def contribution(weight: A, bonus: A, p: A, d: A, lists: A) -> A:
    """The exact float32 contribution of posting p: the formula of ``bm25.py``, or an impact times its weight."""
    if lists.impact:
        return weight * np.float32(lists.values[p])
    tf = term_frequency(p, (lists.tfs, lists.big_at, lists.big_tf))
    return (weight - weight / (lists.first + tf * lists.table[lists.codes[d]])) + bonus


@inlined
def byte_of(lists: A, row: A, d: A) -> A:
    """A document's byte of a row: by document where rows are added in levels, so that a candidate is one place."""
    return lists.rows[d, row] if lists.nibbles.size else lists.rows[row, d]


@jit
def _add_scaled(docs: A, baked: A, scale: A, base: A, sums: A) -> None:
    b = np.uint32(base)  # unsigned, so that no index can be meant from the end
    for i in range(docs.size):
        sums[docs[i] - b] += scale * baked[i]


@jit
def _add_impacts(docs: A, values: A, weight: A, base: A, sums: A) -> None:
    b = np.uint32(base)
    for i in range(docs.size):
        sums[docs[i] - b] += weight * np.float32(values[i])


@jit
def _add_row(row: A, scale: A, sums: A) -> None:
    for i in range(row.size):
        sums[i] += scale * row[i]


@jit
def accumulate(query: A, cursors: A, base: A, limit: A, lists: A, sums: A) -> None:
    """Add all contributions to documents in [base, limit), term by term; moves the cursors there."""
    docs, baked = lists.docs, lists.baked
    for a in range(query.ids.size):
        p, end = cursors[a], lists.ptr[query.ids[a] + 1]
        if query.scales[a] > 0 and lists.wide.size and (end - p) * WIDE_SHARE > lists.size:
            row = lists.wide_of[query.ids[a]]
            if row >= 0:
                _add_row(lists.wide[row, base:limit], query.scales[a], sums)
                continue
        if limit < lists.size:
            end = first_at(docs, p, end, limit)
        cursors[a] = end
        if lists.impact:
            _add_impacts(docs[p:end], lists.values[p:end], query.weights[a], base, sums)
        elif query.scales[a] > 0 and baked.size:
            _add_scaled(docs[p:end], baked[p:end], query.scales[a], base, sums)
        else:
            for i in range(p, end):
                sums[docs[i] - base] += contribution(query.weights[a], query.bonuses[a], i, docs[i], lists)


@jit
def fold(sums: A, tops: A) -> None:
    """``tops[i]`` = the greatest of the LANES sums i, i + n, i + 2n, ...; lane by lane, by vector instructions.

    Shapes: ``sums`` [LANES * n]; ``tops`` [n].
    """
    n = tops.size
    tops[:] = sums[:n]
    for lane in range(1, LANES - 2, 3):
        one, two, three = (
            sums[lane * n : lane * n + n],
            sums[lane * n + n : lane * n + 2 * n],
            sums[lane * n + 2 * n : lane * n + 3 * n],
        )
        for i in range(n):
            tops[i] = max(max(tops[i], one[i]), max(two[i], three[i]))


@jit
def _reaching(values: A, bar: A) -> A:
    """How many values are at least ``bar``; counted in 32 bits, so that it becomes vector instructions."""
    n, bar = np.int32(0), values.dtype.type(bar)
    for i in range(values.size):
        n = np.int32(n + np.int32(values[i] >= bar))
    return n


@jit
def kth_of(tops: A, k: A, least: A) -> A:
    """A value that k of the tops reach, the k-th greatest or little less; ``least`` if that is not above it.

    Tops belong to different documents, so this is a bound of the k-th best score before any document is looked at.
    By halving the interval: counting is cheap, and no branch depends on a single value.
    """
    if tops.size < k:
        return least
    most = tops[0]
    for i in range(tops.size):
        most = max(most, tops[i])
    low, high = np.int64(least), np.int64(most)
    for _ in range(HALVINGS):
        if low >= high:
            break
        middle = (low + high + 1) >> 1
        if _reaching(tops, middle) >= k:
            low = middle
        else:
            high = middle - 1
    return low


@inlined
def key_of(score: A, d: A, original: A) -> A:
    """The key of a document with so many bits of score; ``original``: its ordinal, or nothing where it is the place."""
    place = np.int64(original[d]) if original.size else np.int64(d)
    return (np.int64(score) << 32) | (LAST - place)


@jit
def collect(bits: A, base: A, mask: A, original: A, k: A, keys: A, n: A, least: A, tops: A) -> A:
    """Note the documents of a span whose key is above ``least``; ``mask`` empty = all allowed.

    Every key is compared whole, so that the order of the visits does not matter. Returns n and ``least``, which
    rises whenever ``keys`` is full.
    """
    fold(bits, tops)
    if mask.size == 0 and n < k:  # later spans gain less than it costs
        least = max(least, kth_of(tops, k, least >> 32) << 32)
    stride = tops.size
    bar = np.int32(max(least >> 32, 1))
    for i in range(stride):
        if tops[i] < bar:
            continue
        for at in range(i, bits.size, stride):
            if bits[at] >= bar and (mask.size == 0 or mask[base + at]):
                key = key_of(bits[at], base + at, original)
                if key > least:
                    keys[n] = key
                    n += 1
        if n > keys.size - LANES:
            n, least = shrink(keys, n, k, least)
            bar = np.int32(max(least >> 32, 1))
    return n, least


@jit
def floor_of(ids: A, weights: A, kth: A, norm: A, exactly: A) -> A:
    """A score that k documents exceed, known from single terms; 0 if none is."""
    floor = 0.0
    for a in range(ids.size):
        value = np.int64(kth[ids[a]])
        if value > 0:
            floor = max(floor, np.float64(weights[a]) * (value - 1 + exactly))
    return np.float32(floor * norm / 255.0 * (1 - 3 * MARGIN))


@jit
def exhaustive(query: A, lists: A, plan: A, mask: A, k: A, room: A) -> A:
    """Every posting of every term; how many hits there are, their keys in front of ``room.keys``, in any order.

    ``mask``: bool[documents], or empty = no filter.
    """
    size, span = lists.size, room.exact.size
    for a in range(query.ids.size):
        p = lists.ptr[query.ids[a]]
        room.cursors[a] = p
        fetch(lists.docs.ctypes.data + 4 * p)
        fetch(lists.baked.ctypes.data + 4 * p)
    n, least = 0, np.int64(0)
    if mask.size == 0:
        floor = floor_of(query.ids, query.weights, plan.kth, plan.norm, plan.exactly)
        least = np.int64(np.float32(floor).view(np.int32)) << 32
    for base in range(0, size, span):
        accumulate(query, room.cursors, base, min(base + span, size), lists, room.exact)
        n, least = collect(room.bits, base, mask, lists.original, k, room.keys, n, least, room.peak_bits)
        room.exact[:] = 0
    n, least = shrink(room.keys, n, k, least)
    return n
