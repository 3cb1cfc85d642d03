"""Exact top-k under the house's order: score descending, then ordinal ascending.

Threshold-then-fill: find the k-th score, take everything above it, then the lowest ordinals among its
equals, and sort those few. Faster than a full sort and, unlike a bare partition, exact among ties.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twindex.indexing.errors import QueryError
from twindex.indexing.types import BoolArray, Float32Array, Int64Array
from twindex.retrieval.types import Ranking, check_k


def top_k(scores: Float32Array, k: int, *, mask: BoolArray | None = None, drop_zero: bool = True) -> Ranking:
    """The k best documents.

    Args:
        scores: One score a document.
        k: How many; more than there are is fine.
        mask: Documents that may be returned; None = all.
        drop_zero: Leave out documents with score 0, which is what no matching term gives.

    Shapes: scores float32[n]; mask bool[n].

    Raises:
        QueryError: If k is negative, or a score is NaN.
    """
    check_k(k)
    if mask is not None:
        at = np.flatnonzero(mask & (scores != 0) if drop_zero else mask)
    else:
        at = np.flatnonzero(scores) if drop_zero else np.arange(len(scores))
    return select(at, scores[at], k)


def select(ords: Int64Array, scores: Float32Array, k: int) -> Ranking:
    """The k best of documents in ascending order of ordinals.

    Shapes: ords integer[n], ascending; scores float32[n].

    Raises:
        QueryError: If k is negative, or a score is NaN.
    """
    if check_k(k) == 0 or not len(ords):
        return Ranking.empty()
    if bool(np.isnan(scores).any()):
        raise QueryError("a score is NaN", expected="numbers, which have an order")
    if k < len(ords):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        above = np.flatnonzero(scores > threshold)
        equal = np.flatnonzero(scores == threshold)[: k - len(above)]
        keep = np.concatenate([above, equal])
        ords, scores = ords[keep], scores[keep]
    order = np.lexsort((ords, -scores))[:k]
    return Ranking(ords[order].astype(np.int32), scores[order])


def merge_rankings(rankings: Sequence[Ranking], k: int) -> Ranking:
    """The k best of several rankings without a common document.

    Law: merging the top k of parts gives the top k of the whole.

    Raises:
        QueryError: If k is negative, or a document is in two of them.
    """
    check_k(k)
    if not rankings:
        return Ranking.empty()
    ords = np.concatenate([ranking.ords for ranking in rankings])
    scores = np.concatenate([ranking.scores for ranking in rankings])
    order = np.lexsort((ords, -scores))[:k]
    return Ranking(ords[order], scores[order])
