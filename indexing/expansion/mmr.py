"""Maximal marginal relevance: items that are relevant and unlike each other.

Source: J. Carbonell, J. Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing
summaries", SIGIR 1998.
"""

from __future__ import annotations

import numpy as np

from twindex.indexing.types import Float32Array, Int64Array


def diverse(relevance: Float32Array, similarity: Float32Array, count: int, diversity: float) -> Int64Array:
    """Numbers of the chosen items, in the order of choice.

    Each step takes the item with the largest (1 - diversity) * relevance - diversity * (largest similarity to a chosen
    item); of equals, the first.

    Shapes: ``relevance`` float32[n]; ``similarity`` float32[n, n]; result int64[min(count, n)].
    """
    left = np.ones(len(relevance), bool)
    closest = np.zeros(len(relevance), np.float32)
    gain = np.float32(1.0 - diversity) * relevance
    price = np.float32(diversity)
    chosen: list[int] = []
    while len(chosen) < min(count, len(relevance)):
        value = np.where(left, gain - price * closest, -np.inf)
        best = int(value.argmax())
        left[best] = False
        closest = similarity[best].copy() if not chosen else np.maximum(closest, similarity[best])
        chosen.append(best)
    return np.array(chosen, np.int64)
