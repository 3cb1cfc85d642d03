"""Compiled products of one query with scattered rows of vectors. Imported through ``dual_rows.py`` only.

Nothing is copied: numpy has to gather rows before it can multiply them, which takes longer than the products. The order
of additions is the compiler's: such products say which rows may matter, and decide nothing.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from twindex.indexing.types import BoolArray, Float32Array, Int64Array
from twindex.retrieval.kernels import A, summing
from twindex.retrieval.kernels_memory import fetch

Number: TypeAlias = int
#: Rows that are asked for before they are needed, and bytes that arrive at a time.
AHEAD: Final = 6
LINE: Final = 64


@summing
def dot(rows: Float32Array, row: Number, query: Float32Array) -> A:
    """The inner product of one row."""
    total = query[0] - query[0]
    for i in range(len(query)):
        total += rows[row, i] * query[i]
    return total


@summing
def dots(rows: Float32Array, start: Number, numbers: Int64Array, query: Float32Array, out: Float32Array) -> None:
    """Products of the rows of these numbers.

    Shapes: rows float32[any, dim], whose memory begins at the address ``start``; numbers int64[n], query float32[dim],
    out float32[n].
    """
    size = 4 * rows.shape[1]
    for at in range(-AHEAD, len(numbers)):
        if at + AHEAD < len(numbers):
            address = start + numbers[at + AHEAD] * size
            for line in range(0, size, LINE):
                fetch(address + line)
        if at >= 0:
            out[at] = dot(rows, numbers[at], query)


@summing
def greatest(
    rows: Float32Array,
    ptr: Int64Array,
    groups: Int64Array,
    query: Float32Array,
    error: float,
    out: Float32Array,
    near: BoolArray,
) -> None:
    """The greatest product of each group of neighbouring rows, and which of all rows are within ``error`` of theirs.

    Shapes: rows float32[any, dim]; ptr int64[any], where a group's rows begin and those of the next; groups int64[n],
    none without rows; out float32[n]; near bool[rows of these groups, one after another].
    """
    start = 0
    for at in range(len(groups)):
        first, count = ptr[groups[at]], ptr[groups[at] + 1] - ptr[groups[at]]
        top = dot(rows, first, query)
        for i in range(1, count):
            top = max(top, dot(rows, first + i, query))
        out[at] = top
        for i in range(count):
            near[start + i] = dot(rows, first + i, query) >= top - error
        start += count
