"""Rough products of one query with scattered rows: by numpy, or after some queries by compiled code, if numba is there.

Both are float32 products in whatever order; what they say differs by no more than the error that callers allow for.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np

from twindex.indexing.optional import available
from twindex.indexing.types import BoolArray, Float32Array, Int64Array

#: Queries after which code is compiled: so few are answered sooner without.
WARM: Final = 64


class Rows:
    """Vectors of generated queries, passage by passage, and of texts. Safe for threads.

    Args:
        texts: float32[passages, dim].
        queries: float32[all queries, dim].
        ptr: int64[passages + 1]: where the queries of each passage begin.
    """

    def __init__(self, texts: Float32Array, queries: Float32Array, ptr: Int64Array) -> None:
        self._texts, self._queries, self._ptr = texts, queries, ptr
        self._asked = 0
        self._kernels: Any = None
        self._lock = threading.Lock()

    def count(self) -> None:
        """Says that a query begins; the one that reaches ``WARM`` waits for the compiler, others do not."""
        self._asked += 1
        if self._asked >= WARM and self._kernels is None and available("numba") and self._lock.acquire(blocking=False):
            try:
                self.compile()
            finally:
                self._lock.release()

    def compile(self) -> None:
        """Takes compiled code from now on.

        Raises:
            MissingExtraError: If numba is not installed.
        """
        from twindex.retrieval import kernels_dual

        none, query = np.empty(0, np.int64), np.zeros(self._texts.shape[1], np.float32)
        out, near = np.empty(0, np.float32), np.empty(0, np.bool_)
        for rows in (self._texts, self._queries):
            kernels_dual.dots(rows, rows.ctypes.data, none, query, out)
        kernels_dual.greatest(self._queries, self._ptr, none, query, 0.0, out, near)
        self._kernels = kernels_dual

    def of_texts(self, locals_: Int64Array, query: Float32Array) -> Float32Array:
        """Products with texts: float32[n]."""
        return self._dots(self._texts, locals_, query)

    def of_queries(self, numbers: Int64Array, query: Float32Array) -> Float32Array:
        """Products with generated queries: float32[n]."""
        return self._dots(self._queries, numbers, query)

    def near(
        self, locals_: Int64Array, query: Float32Array, error: float
    ) -> tuple[Float32Array, Int64Array, Int64Array]:
        """The nearest queries of passages that have some.

        Returns:
            The greatest product of each passage, float32[n]; the numbers of all its queries within ``error`` of that,
            ascending; and the place of each such number's passage in ``locals_``.
        """
        numbers, starts, counts = self._gathered(locals_)
        if self._kernels is None:
            rough = product(self._queries[numbers], query)
            greatest = np.maximum.reduceat(rough, starts)
            near: BoolArray = rough >= np.repeat(greatest, counts) - error
        else:
            greatest, near = np.empty(len(locals_), np.float32), np.empty(len(numbers), np.bool_)
            self._kernels.greatest(self._queries, self._ptr, locals_, query, error, greatest, near)
        at = np.flatnonzero(near)
        return greatest, numbers[at], np.searchsorted(starts, at, side="right") - 1

    def _dots(self, rows: Float32Array, numbers: Int64Array, query: Float32Array) -> Float32Array:
        if self._kernels is None:
            return product(rows[numbers], query)
        out = np.empty(len(numbers), np.float32)
        self._kernels.dots(rows, rows.ctypes.data, numbers, query, out)
        return out

    def _gathered(self, locals_: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Numbers of the queries of passages, where each passage's begin among them, and how many each has."""
        counts = self._ptr[locals_ + 1] - self._ptr[locals_]
        starts = np.cumsum(counts) - counts
        numbers = np.repeat(self._ptr[locals_] - starts, counts) + np.arange(int(counts.sum()))
        return numbers, starts, counts


def product(rows: Float32Array, query: Float32Array) -> Float32Array:
    """float32 inner products of one query, by one thread: see ``FEW_QUERIES`` in :mod:`.vector_search`."""
    out: Float32Array = np.einsum("ij,j->i", rows, query)
    return out
