"""An order of documents in which those with the same terms stand together: recursive graph bisection.

The documents are cut in two halves, and documents change sides in pairs as long as that lowers the cost of coding the
distances between neighbours in the posting lists; then each half is cut, and so on. All parts of one depth are worked
on at once, as arrays over (part, term), so that no compiled code is needed.
Source: L. Dhulipala, I. Kabiljo, B. Karrer, G. Ottaviano, S. Pupyrev and A. Shalita, "Compressing Graphs and Indexes
with Recursive Graph Bisection", KDD 2016, algorithms 1 and 2. Ours: terms of one document or of most documents, which
say nothing about the order, are left out; gains are whole numbers, so that every machine finds the same order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from twindex.indexing.types import BoolArray, Int32Array, Int64Array, UInt32Array, UInt64Array

#: Parts of at most twice so many documents are not cut any more.
LEAF: Final = 16
#: Rounds of exchange a depth, at most; it ends earlier when next to nothing moves.
ROUNDS: Final = 12
#: A depth is done when fewer than one in so many documents moved.
STILL: Final = 200
#: Lists longer than this share of the documents are left out, and so are the shortest.
COMMON: Final = 0.25
RARE: Final = 2
#: Postings taken into account, at most; beyond it the longest lists are left out. Units: 25 bytes of memory each.
MOST: Final = 1 << 27
#: Logarithms are taken in units of 2**-10: rounding differs between mathematical libraries, whole numbers do not.
UNIT: Final = 1024
_TABLE: Final = 1 << 16


@dataclass(slots=True)
class Lists:
    """Who holds what, posting by posting: ``terms`` int32[P], ``docs`` int32[P]."""

    terms: Int32Array
    docs: Int32Array


def bisected(pointers: UInt64Array, docs: UInt32Array, size: int) -> UInt32Array:
    """The documents of an inverted file in the order found: uint32[size], a permutation.

    Equal input gives the equal order. Documents that the lists do not tell apart stay in their order.
    Cost: P log N for P postings; memory 25 bytes a posting.

    Shapes: ``pointers`` uint64[T + 1], ``docs`` uint32[P], below ``size``.
    """
    order = np.arange(size, dtype=np.int64)
    lists = _chosen(pointers.astype(np.int64), docs, size)
    bounds = np.array([0, size], np.int64)
    while int(np.diff(bounds).max(initial=0)) > 2 * LEAF and len(lists.docs):
        order, bounds = _cut(order, bounds, lists)
    return order.astype(np.uint32)


def _chosen(pointers: Int64Array, docs: UInt32Array, size: int) -> Lists:
    """The postings of the lists that say something about the order."""
    sizes = np.diff(pointers)
    useful = (sizes >= RARE) & (sizes <= max(RARE, COMMON * size))
    ascending = np.argsort(np.where(useful, sizes, 0), kind="stable")
    useful[ascending[np.cumsum(np.where(useful, sizes, 0)[ascending]) > MOST]] = False
    kept = np.repeat(useful, sizes)
    terms = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[kept]
    return Lists(terms, np.asarray(docs)[kept].astype(np.int32))


def _cut(order: Int64Array, bounds: Int64Array, lists: Lists) -> tuple[Int64Array, Int64Array]:
    """Every part in two halves, after the exchanges; the new order and the new bounds."""
    size = len(order)
    middles = (bounds[:-1] + bounds[1:]) // 2
    new_bounds = np.unique(np.concatenate([bounds, middles]))
    part = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))  # by position
    part_of = np.empty(size, np.int64)
    part_of[order] = part
    groups, count = _grouped(lists, part_of, len(bounds) - 1)
    left_size, right_size = middles - bounds[:-1], bounds[1:] - middles
    right = np.empty(size, np.bool_)
    right[order] = np.arange(size) >= np.repeat(middles, np.diff(bounds))
    halves = (left_size[groups.part], right_size[groups.part])
    for _ in range(ROUNDS):
        gains = _gains(groups, count, right, halves, size)
        if _exchange(order, bounds, part_of, right, gains) * STILL < size:
            break
    # Stable within a half: what no term tells apart stays in its order.
    order = order[np.lexsort((np.arange(size), right[order], part))]
    return order, new_bounds


@dataclass(slots=True)
class Groups:
    """Postings of one depth by (part, term): ``of`` int32[P], ``docs`` int32[P], ``part`` int64[groups]."""

    of: Int32Array
    docs: Int32Array
    part: Int64Array


def _grouped(lists: Lists, part_of: Int64Array, parts: int) -> tuple[Groups, Int64Array]:
    """The postings by part and term, and the size of each group; what is alone in its part is dropped for good."""
    keys = lists.terms.astype(np.int64) * parts + part_of[lists.docs]
    arrangement = np.argsort(keys, kind="stable")
    keys = keys[arrangement]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    sizes = np.diff(starts, append=len(keys))
    kept = np.repeat(sizes >= RARE, sizes)
    arrangement = arrangement[kept]
    lists.terms, lists.docs = lists.terms[arrangement], lists.docs[arrangement]
    sizes, part = sizes[sizes >= RARE], keys[starts][sizes >= RARE] % parts
    of = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return Groups(of, lists.docs, part), sizes


def _gains(
    groups: Groups, count: Int64Array, right: BoolArray, halves: tuple[Int64Array, Int64Array], size: int
) -> Int64Array:
    """What each document's move to the other side would save: int64[size], in units of log2."""
    there = np.bincount(groups.of, right[groups.docs], len(count)).astype(np.int64)
    here = count - there
    before = _cost(here, halves[0]) + _cost(there, halves[1])
    to_right = before - _cost(here - 1, halves[0]) - _cost(there + 1, halves[1])
    to_left = before - _cost(here + 1, halves[0]) - _cost(there - 1, halves[1])
    each = np.where(right[groups.docs], to_left[groups.of], to_right[groups.of])
    # Whole numbers below 2**53 add up exactly in float64, in whatever order.
    return np.bincount(groups.docs, each, size).astype(np.int64)


def _cost(degree: Int64Array, room: Int64Array) -> Int64Array:
    """Units of coding ``degree`` distances among ``room`` documents: degree * log2(room / (degree + 1))."""
    degree = np.maximum(degree, 0)
    return degree * (_log2(room) - _log2(degree + 1))


def _log2(values: Int64Array) -> Int64Array:
    """log2 of positive whole numbers, in units; exact to one unit above the table."""
    shift = np.maximum(np.frexp(values.astype(np.float64))[1] - 16, 0)
    units: Int64Array = _logarithms()[values >> shift] + shift * UNIT
    return units


@cache
def _logarithms() -> Int64Array:
    """Logarithms of the numbers below the table's end, in units; made at the first use, since it takes 0.03 s."""
    return np.array([0, *(round(UNIT * math.log2(n)) for n in range(1, _TABLE + 1))], np.int64)


def _exchange(order: Int64Array, bounds: Int64Array, part_of: Int64Array, right: BoolArray, gains: Int64Array) -> int:
    """Swaps the best pairs of each part while the pair as a whole gains; the documents that moved."""
    size = len(order)
    ordinals = np.arange(size)
    ranked = np.lexsort((ordinals, -gains, right, part_of))  # each part: its left side by gain, then its right side
    middles = (bounds[:-1] + bounds[1:]) // 2
    pairs = np.minimum(middles - bounds[:-1], bounds[1:] - middles)
    number = np.arange(int(pairs.sum())) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    lefts = ranked[np.repeat(bounds[:-1], pairs) + number]
    rights = ranked[np.repeat(middles, pairs) + number]
    good = gains[lefts] + gains[rights] > 0
    right[lefts[good]] = True
    right[rights[good]] = False
    return 2 * int(np.count_nonzero(good))
