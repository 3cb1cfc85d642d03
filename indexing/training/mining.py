"""Hard negatives: documents that a search ranks high for a query and that do not answer it.

What searches is handed in, since this room must not know what a query is: the lexical retriever over an index of
the training texts, or an exact search over vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Int32Array, Progress, no_progress

#: Queries a call.
BATCH = 512


class Search(Protocol):
    """Many query texts in, ordinals of the best documents out."""

    def __call__(self, texts: Sequence[str], k: int) -> list[Int32Array]:
        """int32[n <= k] for each text, best first."""


def mine(
    texts: Sequence[str],
    positives: Sequence[frozenset[int]],
    search: Search,
    *,
    count: int,
    skip: int = 0,
    progress: Progress = no_progress,
) -> Int32Array:
    """The ``count`` best documents of each query that are not among its positives.

    Args:
        texts: The queries.
        positives: Ordinals that answer each.
        search: What ranks.
        count: Negatives a query.
        skip: Best ranks to leave out, where unjudged answers are likeliest.
        progress: Called after each batch.

    Shapes: result int32[len(texts), count], -1 where fewer were found.

    Raises:
        ConfigError: If counts are negative or lengths differ.
    """
    if count < 0 or skip < 0 or len(texts) != len(positives):
        raise ConfigError(f"count {count}, skip {skip}, {len(texts)} queries", expected="0 or more, positives for each")
    found = np.full((len(texts), count), -1, np.int32)
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        depth = count + skip + max(map(len, positives[start : start + BATCH]), default=0)
        for row, ranked in enumerate(search(batch, depth), start):
            wrong = [ordinal for ordinal in ranked.tolist()[skip:] if ordinal not in positives[row]][:count]
            found[row, : len(wrong)] = wrong
        progress("mining", min(start + BATCH, len(texts)), len(texts))
    return found
