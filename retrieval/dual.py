"""Dual-Index Fusion: a passage is near a query if its text is, and if a query that was generated for it is.

``s(q, d) = (1 - alpha) cos(q, d) + alpha g``, where g is the greatest cosine of q with a generated query of d ("max"),
or its cosine with their mean vector ("mean"). A passage without generated queries has g = cos(q, d), so that it
neither gains nor loses. Texts and queries stay in two sets of vectors, so alpha is a choice at search time.

Float32 products only say which passages may be among the best; the scores that rank are inner products in float64
rounded to float32, combined in float64 and rounded once. Searching several queries at once, small segments and
``DenseConfig(kind="exact")`` look at every vector; a single query looks at what codes propose, see
:mod:`twindex.retrieval.dual_search`.

Source: T.-L. Kuo et al., "Doc2Query++", arXiv 2510.09557, 2025 (two indices, weighted; the maximum and the mean).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import QueryError
from twindex.indexing.types import BoolArray, Float32Array
from twindex.retrieval.dense import DenseConfig, DenseRetriever, DenseSource, search_vectors
from twindex.retrieval.dual_best import DualBest, fused_score
from twindex.retrieval.dual_search import DualPart
from twindex.retrieval.expanded import AGGREGATES, ALPHA, Aggregate
from twindex.retrieval.fields import expansion_of
from twindex.retrieval.types import Explanation, Query, Ranking, Run
from twindex.retrieval.vector_search import exact_scores


class DualRetriever:
    """Search by texts and generated queries together. Safe for threads.

    Args:
        snapshot: What to search.
        encoder: The encoder that its vectors were made with.
        dense: How vectors are searched; "auto" lets codes and graphs propose, "exact" scans.
        alpha: Share of the generated queries in the score, 0 to 1.
        aggregate: The nearest generated query, or their mean.

    Raises:
        QueryError: If a value is out of range, or the index has no vectors or no generated queries.
        FingerprintError: If the vectors were made with another encoder.
    """

    def __init__(
        self,
        snapshot: DenseSource,
        encoder: Encoder,
        dense: DenseConfig = DenseConfig(),  # noqa: B008 - frozen
        *,
        alpha: float = ALPHA,
        aggregate: Aggregate = "max",
    ) -> None:
        if aggregate not in AGGREGATES:
            raise QueryError(f"aggregate = {aggregate!r}", expected=f"one of {', '.join(AGGREGATES)}")
        self.snapshot = snapshot
        self.encoder = encoder
        self.alpha = _checked(alpha)
        self.aggregate = aggregate
        self._text = DenseRetriever(snapshot, encoder, dense)
        segments: Sequence[Any] = snapshot.segments
        graphs = {base: graph for base, _, _, graph in self._text.parts}
        self._parts = [
            DualPart(
                segment.vectors,
                expansion_of(segment),
                int(base),
                aggregate=aggregate,
                proposes=dense.kind == "auto",
                graph=graphs.get(int(base)),
                unit=encoder.info.similarity == "cosine",
            )
            for base, segment in zip(snapshot.bases, segments)
            if segment.vectors is not None and segment.vectors.size
        ]

    @property
    def name(self) -> str:
        """Short name of the leg."""
        return "dual"

    def at(self, alpha: float) -> DualRetriever:
        """The same with another share of the generated queries; everything in memory is shared.

        Raises:
            QueryError: If alpha is out of range.
        """
        other = copy(self)
        other.alpha = _checked(alpha)
        return other

    def retrieve(self, queries: Sequence[Query | str], k: int) -> Run:
        """The k best passages of each query; none for k = 0 and for a blank query.

        Raises:
            QueryError: If k is negative.
            CorruptIndexError: If damaged vectors give scores that are no finite numbers.
        """
        return search_vectors(self.snapshot, queries, k, self._text.encode if self._parts else None, self.nearest)

    def nearest(self, vectors: Float32Array, k: int, allowed: BoolArray | None) -> list[Ranking]:
        """The k best passages of each query vector.

        Shapes: ``vectors`` float32[n, dim]; ``allowed`` bool[ordinals], None = all.
        """
        best = [DualBest(vector, k, self.alpha) for vector in vectors]
        for part in self._parts:
            mask = None if allowed is None else allowed[part.base : part.base + part.size]
            if mask is None or mask.any():
                part.collect(vectors, best, mask)
        return [one.ranking() for one in best]

    def explain(self, query: Query, ord_: int) -> Explanation:
        """The score as sum of both shares; the one of the generated queries names the nearest of them.

        Raises:
            QueryError: If there is no such ordinal.
        """
        plain = self._text.explain(query, ord_)
        part = next((part for part in self._parts if part.base <= ord_ < part.base + part.size), None)
        allowed = self.snapshot.allowed(query.filter)
        if part is None or not query.text.strip() or (allowed is not None and not allowed[ord_]):
            return plain
        vector = self._text.encode([query.text])[0]
        local = ord_ - part.base
        rows = part.rows(local)
        if not len(rows):
            return Explanation(plain.value, "text only: no queries were generated for it", (plain,), "sum")
        cosines = exact_scores(rows, vector)
        near = int(np.argmax(cosines))
        named = part.expansion.query(int(part.expansion.ptr[local]) + near)
        g = part.exact(vector, np.array([local]))[0]
        value = float(fused_score(np.float32(plain.value), g, self.alpha))
        data = {"query": named, "cosine": float(cosines[near]), "queries": len(rows), "aggregate": self.aggregate}
        if self.aggregate == "max":
            reason = Explanation(
                float(g), f"inner product with the nearest of {len(rows)} generated queries: {named!r}"
            )
        else:
            reason = Explanation(
                float(g),
                f"inner product with the mean of {len(rows)} generated queries; the nearest is {named!r} "
                f"({float(cosines[near]):.4f})",
            )
        text_share = Explanation(
            (1 - self.alpha) * plain.value,
            f"text, weight {1 - self.alpha:g}",
            (Explanation(1 - self.alpha, "1 - alpha"), plain),
            "product",
        )
        query_share = Explanation(
            self.alpha * float(g),
            f"generated queries, weight {self.alpha:g}",
            (Explanation(self.alpha, "alpha"), reason),
            "product",
            data,
        )
        text = f"{self.name} ({self.aggregate}), sum of both indexes"
        return Explanation(value, text, (text_share, query_share), "sum", {"alpha": self.alpha})


def _checked(alpha: float) -> float:
    if not (math.isfinite(alpha) and 0 <= alpha <= 1):
        raise QueryError(f"alpha = {alpha}", expected="a share from 0 (text only) to 1 (generated queries only)")
    return float(alpha)
