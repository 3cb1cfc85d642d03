"""Arrays handed to compiled code as a table of addresses. Imported through ``fast.py`` only.

Every array that is an argument costs a third of a microsecond at each call, and a query takes ten: so what does not
change between calls goes in as one array of addresses and lengths, in the order of the fields of ``image.Lists``,
``image.Plan`` and :class:`Room`. Whoever makes a table keeps its arrays alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.optional import load
from twindex.indexing.types import Float32Array, Int64Array
from twindex.retrieval.heads import Heads
from twindex.retrieval.image import Lists, Plan
from twindex.retrieval.kernels import LANES, A, jit
from twindex.retrieval.kernels_strips import GROUP, STRIPS

_numba = load("numba", purpose="compiled sparse search")
_extending = load("numba.extending", purpose="compiled sparse search")
_types = _numba.core.types
#: Terms of the longest query within a budget: slots are bytes, 0 = not of the query.
LONGEST: Final = 255
#: Keys beyond twice the candidates: how many are noted before the worst are dropped.
SPARE: Final = 64


class Room(NamedTuple):
    """Memory that a query works in; one thread at a time. T: terms of the longest query, B: blocks of the scan.

    Of the query: ``ids``, ``weights``, ``bonuses``, ``scales`` as in ``image.Terms``, ``boosts`` int64[T]. Of both
    strategies: ``keys`` int64[2k + 4 LANES]. Of the scan: ``sums`` uint16[block], zeros between queries; ``tops``
    uint16[block / STRIPS + 16]; ``hits`` int32[block / GROUP]; ``heap`` int32[k]; ``state`` int64[7]; ``lists``
    int64[4, T]; ``rows`` int64[3, T]; ``row_bounds`` float64[T]; ``tables`` uint8[T, 32]; ``places``, ``factors``
    int64[T]; ``rest`` int64[T + 1]; ``starts`` int64[B + 1, T]; ``slots`` int64[T]; ``bytes_of`` uint8[T]; ``waiting``
    int32[block + GROUP]; ``found`` and ``bounds`` int32[2 block]. Of the exhaustive strategy: ``exact`` float32[span],
    zeros between queries; ``bits``, the same memory as int32; ``peak_bits`` int32[span / LANES]; ``cursors`` int64[T].
    """

    ids: Any
    weights: Any
    bonuses: Any
    scales: Any
    boosts: Any
    keys: Any
    sums: Any
    tops: Any
    hits: Any
    heap: Any
    state: Any
    lists: Any
    rows: Any
    row_bounds: Any
    tables: Any
    places: Any
    factors: Any
    rest: Any
    starts: Any
    slots: Any
    bytes_of: Any
    waiting: Any
    found: Any
    bounds: Any
    exact: Any
    bits: Any
    peak_bits: Any
    cursors: Any


def make_room(terms: int, k: int, size: int, block: int, span: int) -> Room:
    """Memory for queries of so many terms.

    Args:
        terms: Of the longest query.
        k: Hits.
        size: Documents.
        block: Documents of a block of the scan, a multiple of GROUP.
        span: Documents of a window of the exhaustive strategy, a multiple of LANES.
    """
    longest = max(terms, 1)
    exact = np.zeros(span, np.float32)
    return Room(
        ids=np.zeros(longest, np.int64),
        weights=np.zeros(longest, np.float32),
        bonuses=np.zeros(longest, np.float32),
        scales=np.zeros(longest, np.float32),
        boosts=np.zeros(longest, np.int64),
        keys=np.zeros(2 * k + 4 * LANES, np.int64),
        sums=np.zeros(block, np.uint16),
        tops=np.zeros(block // STRIPS + 16, np.uint16),
        hits=np.zeros(block // GROUP, np.int32),
        heap=np.zeros(k, np.int32),
        state=np.zeros(7, np.int64),
        lists=np.zeros((4, longest), np.int64),
        rows=np.zeros((3, longest), np.int64),
        row_bounds=np.zeros(longest, np.float64),
        tables=np.zeros((longest, 32), np.uint8),
        places=np.zeros(longest, np.int64),
        factors=np.zeros(longest, np.int64),
        rest=np.zeros(longest + 1, np.int64),
        starts=np.zeros((size // block + 2, longest), np.int64),
        slots=np.zeros(longest, np.int64),
        bytes_of=np.zeros(longest, np.uint8),
        waiting=np.empty(block + GROUP, np.int32),
        found=np.empty(2 * block, np.int32),
        bounds=np.empty(2 * block, np.int32),
        exact=exact,
        bits=exact.view(np.int32),
        peak_bits=np.zeros(span // LANES, np.int32),
        cursors=np.zeros(longest, np.int64),
    )


class Space(NamedTuple):
    """Memory that a query works in; one thread at a time.

    ``sums`` uint16[size] and ``slots`` uint8[terms of the index], both zeros between queries; ``touched`` uint32[size +
    1]; ``chosen`` int64[2 candidates + SPARE], their keys; ``matched`` uint32[terms of the longest document + 1];
    ``ends`` int64[2, LONGEST]: how many postings of each head are read, and its factor.
    """

    sums: Any
    slots: Any
    touched: Any
    chosen: Any
    matched: Any
    ends: Any


def make_space(size: int, terms: int, longest: int, candidates: int) -> Space:
    """Memory for queries.

    Args:
        size: Documents.
        terms: Of the index.
        longest: Terms of the longest document.
        candidates: Documents that are scored at most.
    """
    return Space(
        sums=np.zeros(size, np.uint16),
        slots=np.zeros(terms, np.uint8),
        touched=np.empty(size + 1, np.uint32),
        chosen=np.empty(2 * candidates + SPARE, np.int64),
        matched=np.empty(longest + 1, np.uint32),
        ends=np.zeros((2, LONGEST), np.int64),
    )


def table_of(arrays: Sequence[NDArray[Any]], kinds: Sequence[type[np.generic]]) -> Int64Array:
    """Address, number of elements and length of the last axis of each array: int64[3 * arrays].

    Args:
        arrays: Contiguous; they must outlive the table.
        kinds: What the unpacking function takes each for.

    Raises:
        TypeError: If an array is of another kind, or not contiguous: compiled code would read it wrongly.
    """
    out = np.empty(3 * len(arrays), np.int64)
    for i, (one, kind) in enumerate(zip(arrays, kinds, strict=True)):
        if one.dtype != kind or not one.flags.c_contiguous:
            raise TypeError(f"array {i} of {one.dtype}; expected {kind.__name__}, contiguous")
        out[3 * i : 3 * i + 3] = one.ctypes.data, one.size, one.shape[-1]
    return out


def lists_table(lists: Lists) -> Int64Array:
    """The table for :func:`lists_of`."""
    arrays = [one for one in lists if isinstance(one, np.ndarray)]
    i8, u1, u4, u8, f4 = np.int64, np.uint8, np.uint32, np.uint64, np.float32
    return table_of(arrays, (i8, u4, u1, u1, u1, u1, u1, u8, u8, u4, f4, u1, f4, i8, f4, i8, u4, u4))


def plan_table(plan: Plan, idf: Float32Array) -> Int64Array:
    """The table for :func:`plan_of` and :func:`idf_of`."""
    return table_of((plan.row_of, plan.greatest, plan.kth, idf), (np.int64, np.uint8, np.uint8, np.float32))


def room_table(room: Room) -> Int64Array:
    """The table for :func:`room_of`."""
    return table_of(room, [one.dtype.type for one in room])


@_extending.intrinsic  # type: ignore[untyped-decorator]
def _pointer(context: A, address: A) -> A:
    """An integer as a pointer."""

    def emit(codegen: A, builder: A, signature: A, arguments: A) -> A:
        return builder.inttoptr(arguments[0], codegen.get_value_type(signature.return_type))

    return _types.voidptr(_types.intp), emit


@jit
def _flat(table: A, i: A, kind: A) -> A:
    """Array i of a table, with one axis."""
    return _numba.carray(_pointer(table[3 * i]), (table[3 * i + 1],), kind)


@jit
def _square(table: A, i: A, kind: A) -> A:
    """Array i of a table, with two axes."""
    columns = table[3 * i + 2]
    return _numba.carray(_pointer(table[3 * i]), (table[3 * i + 1] // max(columns, 1), columns), kind)


@jit
def plan_of(table: A, sizes: A, factors: A) -> A:
    """``image.Plan`` from its table; ``factors[1]``: ``norm``."""
    return Plan(_flat(table, 0, np.int64), _flat(table, 1, np.uint8), _flat(table, 2, np.uint8), factors[1], sizes[1])


@jit
def idf_of(table: A) -> A:
    """The idf of each term, behind the plan's arrays."""
    return _flat(table, 3, np.float32)


@jit
def room_of(table: A) -> A:
    """:class:`Room` from its table."""
    return Room(
        _flat(table, 0, np.int64),
        _flat(table, 1, np.float32),
        _flat(table, 2, np.float32),
        _flat(table, 3, np.float32),
        _flat(table, 4, np.int64),
        _flat(table, 5, np.int64),
        _flat(table, 6, np.uint16),
        _flat(table, 7, np.uint16),
        _flat(table, 8, np.int32),
        _flat(table, 9, np.int32),
        _flat(table, 10, np.int64),
        _square(table, 11, np.int64),
        _square(table, 12, np.int64),
        _flat(table, 13, np.float64),
        _square(table, 14, np.uint8),
        _flat(table, 15, np.int64),
        _flat(table, 16, np.int64),
        _flat(table, 17, np.int64),
        _square(table, 18, np.int64),
        _flat(table, 19, np.int64),
        _flat(table, 20, np.uint8),
        _flat(table, 21, np.int32),
        _flat(table, 22, np.int32),
        _flat(table, 23, np.int32),
        _flat(table, 24, np.float32),
        _flat(table, 25, np.int32),
        _flat(table, 26, np.int32),
        _flat(table, 27, np.int64),
    )


@jit
def lists_of(table: A, sizes: A, factors: A) -> A:
    """``image.Lists`` from its table; ``sizes``: documents, and 1 for impacts; ``factors[0]``: ``first``."""
    return Lists(
        _flat(table, 0, np.int64),
        _flat(table, 1, np.uint32),
        _flat(table, 2, np.uint8),
        _square(table, 3, np.uint8),
        _square(table, 4, np.uint8),
        _square(table, 5, np.uint8),
        _flat(table, 6, np.uint8),
        _flat(table, 7, np.uint64),
        _flat(table, 8, np.uint64),
        _flat(table, 9, np.uint32),
        _flat(table, 10, np.float32),
        np.float32(factors[0]),
        _square(table, 11, np.uint8),
        _flat(table, 12, np.float32),
        _flat(table, 13, np.int64),
        _square(table, 14, np.float32),
        _flat(table, 15, np.int64),
        _square(table, 16, np.uint32),
        _flat(table, 17, np.uint32),
        sizes[1] > 0,
        sizes[0],
    )


@jit
def heads_of(table: A) -> A:
    """``heads.Heads`` from its table."""
    return Heads(
        _flat(table, 0, np.int64),
        _flat(table, 1, np.uint32),
        _flat(table, 2, np.uint8),
        _square(table, 3, np.uint32),
        _flat(table, 4, np.int64),
        _flat(table, 5, np.uint32),
    )


@jit
def space_of(table: A) -> A:
    """:class:`Space` from its table."""
    return Space(
        _flat(table, 0, np.uint16),
        _flat(table, 1, np.uint8),
        _flat(table, 2, np.uint32),
        _flat(table, 3, np.int64),
        _flat(table, 4, np.uint32),
        _square(table, 5, np.int64),
    )
