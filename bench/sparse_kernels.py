"""Compiled loops of the preparation of corpora."""

from __future__ import annotations

import numba
import numpy as np
from sparse_store import Array, Chunk


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def scatter(ptr: Array, ids: Array, values: Array, at: Array, docs_out: Array, values_out: Array) -> None:
    """Counting sort by term; ``at`` holds the next free place of each term."""
    for d in range(ptr.size - 1):
        for p in range(ptr[d], ptr[d + 1]):
            place = at[ids[p]]
            docs_out[place] = d
            values_out[place] = values[p]
            at[ids[p]] = place + 1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def count_tokens(tokens: Array, starts: Array, out_ids: Array, out_values: Array) -> Array:
    """Tokens of each document sorted and counted; returns the pointers of the distinct ones.

    Shapes: ``tokens`` int32[T], ``starts`` int64[n + 1]; outputs of T places.
    """
    ptr = np.zeros(starts.size, np.int64)
    n = 0
    for d in range(starts.size - 1):
        part = np.sort(tokens[starts[d] : starts[d + 1]])
        for i in range(part.size):
            if i and part[i] == part[i - 1]:
                out_values[n - 1] += 1
            else:
                out_ids[n] = part[i]
                out_values[n] = 1
                n += 1
        ptr[d + 1] = n
    return ptr


def counted(tokens: Array, starts: Array) -> Chunk:
    """A chunk of a "bm25" corpus from token streams."""
    ids = np.empty(len(tokens), np.int32)
    values = np.zeros(len(tokens), np.uint16)
    ptr = count_tokens(tokens, starts, ids, values)
    return ptr, ids[: ptr[-1]], values[: ptr[-1]], np.diff(starts)
