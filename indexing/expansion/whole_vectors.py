"""Vectors of small whole numbers, whose products are exact.

A vector is scaled so that its largest component is ``levels(dim)`` and rounded. Then every partial sum of a dot product
of two of them is a whole number below 2^24, which float32 holds exactly: matrix products come out the same whatever
the library, the processor and the number of threads, and so does everything that is decided by them.
"""

from __future__ import annotations

from math import isqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.types import Float32Array, Int64Array

Int8Array = NDArray[np.int8]
#: Whole numbers up to this are float32 values.
EXACT: Final = 1 << 24
MOST: Final = 127


def levels(dim: int) -> int:
    """The largest component, such that ``dim * levels**2`` stays below 2^24: 127 up to 1,040 dimensions."""
    return max(1, min(MOST, isqrt((EXACT - 1) // max(1, dim))))


def whole(values: NDArray[np.floating] | NDArray[np.integer]) -> Int8Array:
    """Each row scaled and rounded; a row of zeros stays one.

    Shapes: ``values`` [n, dim] of any numbers below 2^53; result int8[n, dim].
    """
    rows = np.asarray(values, np.float64)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    scale = levels(rows.shape[1]) / np.where(largest > 0, largest, 1.0)
    return np.rint(rows * scale).astype(np.int8)


def dots(left: Int8Array, right: Int8Array) -> Float32Array:
    """Exact dot products of all pairs.

    Shapes: int8[n, dim] and int8[m, dim]; result float32[n, m], whole numbers.
    """
    return left.astype(np.float32) @ right.astype(np.float32).T


def norms(rows: Int8Array) -> Float32Array:
    """Euclidean lengths; 1 for a row of zeros, so that one can divide by it.

    Shapes: int8[n, dim]; result float32[n].
    """
    squares: Int64Array = np.einsum("ij,ij->i", rows, rows, dtype=np.int64)
    return np.sqrt(np.maximum(squares, 1)).astype(np.float32)


def cosines(left: Int8Array, right: Int8Array) -> Float32Array:
    """Cosines of all pairs.

    Shapes: int8[n, dim] and int8[m, dim]; result float32[n, m].
    """
    return dots(left, right) / (norms(left)[:, None] * norms(right)[None, :])
