"""Plain arrays taken in by the compiled engine: checked, sorted, and given the kind that its kernels know."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import ConfigError, QueryError
from twindex.indexing.types import Int64Array, UInt32Array
from twindex.retrieval.image import Terms


def weighted_terms(ids: NDArray[Any], ends: Int64Array, weights: NDArray[Any] | None) -> tuple[Terms, Int64Array]:
    """Terms of impact queries, ascending within each query; those of weight 0 and negative numbers dropped.

    Raises:
        QueryError: If weights are missing, negative or not finite, or a query names a term twice.
    """
    if weights is None or len(weights) != len(ids):
        raise QueryError("no weight for each term", expected="as many weights as term numbers")
    real = np.asarray(weights, np.float32)
    if not bool(np.all(real >= 0) & np.all(np.isfinite(real))):
        raise QueryError("a weight that is negative or not finite", expected="finite numbers of 0 or more")
    owner = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    keep = np.flatnonzero((ids >= 0) & (real > 0))
    order = keep[np.lexsort((ids[keep], owner[keep]))]
    own, numbers = owner[order], ids[order].astype(np.int64)
    if bool(np.any((own[1:] == own[:-1]) & (numbers[1:] == numbers[:-1]))):
        raise QueryError("a term twice in a query", expected="distinct terms")
    edges = np.searchsorted(own, np.arange(len(ends))).astype(np.int64)
    zeros = np.zeros(len(order), np.float32)
    return Terms(numbers, real[order], zeros, zeros), edges


def unsigned(docs: NDArray[Any]) -> UInt32Array:
    """The same numbers as uint32; of int32 numbers the same memory, since none is negative."""
    if docs.dtype == np.int32:
        return docs.view(np.uint32)
    return np.ascontiguousarray(docs, np.uint32)


def check_sizes(ptr: NDArray[Any], docs: NDArray[Any], values: NDArray[Any]) -> None:
    """Nothing, if there is one document and one value a posting.

    Raises:
        ConfigError: If not.
    """
    if not (len(ptr) and len(docs) == len(values) == int(ptr[-1])):
        raise ConfigError(
            f"{len(docs)} documents and {len(values)} values for pointers up to {int(ptr[-1]) if len(ptr) else 'none'}",
            expected="one of each a posting",
        )
