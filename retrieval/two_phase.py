"""Two-phase search of impacts: heavy query terms find candidates, light ones are looked up for those alone.

A document outside the window of candidates scores at most what the last of them has, plus all that light terms can
add. Where that is below the k-th score, the answer is the exact one; where it is not, the whole lists are read. So the
ranking and its scores are always those of the one-phase search, bit for bit.

Source: the order of work is that of OpenSearch's neural sparse two-phase processor; the bound is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final

import numpy as np

from twindex.indexing.postings import ImpactReader
from twindex.indexing.types import Float32Array, Int64Array
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.query_terms import HeavyTerms, asked_by
from twindex.retrieval.topk import select
from twindex.retrieval.types import Explanation, Query, Ranking, Run, as_queries, check_k

#: Candidates a hit, and at least so many.
EXPANSION: Final = 5
WINDOW: Final = 100
#: Sums are float32; the bound leaves them this relative room.
MARGIN: Final = 1e-5


class TwoPhaseRetriever:
    """The answers of an :class:`ImpactRetriever`, found in two phases where a bound allows it.

    Args:
        inner: The leg.
        share: Terms below this share of a query's heaviest weight are light.
    """

    def __init__(self, inner: ImpactRetriever, share: float) -> None:
        self.inner = inner
        self.share = share
        self._heavy = asked_by(inner, HeavyTerms(inner.encoder, share))

    @property
    def name(self) -> str:
        """That of the leg."""
        return self.inner.name

    def retrieve(self, queries: Sequence[Query], k: int) -> Run:
        """The k best documents of each query.

        Raises:
            QueryError: If k is negative.
        """
        check_k(k)
        asked = as_queries(queries)
        if not k:
            return self.inner.retrieve(asked, k)
        first = self._heavy.retrieve(asked, _window(k))
        found = [self._second(query, ranking, k) for query, ranking in zip(asked, first, strict=True)]
        left = [i for i, ranking in enumerate(found) if ranking is None]
        whole: Iterator[Ranking] = iter(self.inner.retrieve([asked[i] for i in left], k)) if left else iter(())
        return Run(tuple(next(whole) if ranking is None else ranking for ranking in found), self.inner.snapshot)

    def proven(self, query: Query, k: int) -> bool:
        """Whether the first phase is enough for the exact answer."""
        return self._second(query, self._heavy.retrieve([query], _window(k))[0], k) is not None

    def explain(self, query: Query, ord_: int) -> Explanation:
        """As the leg explains it: the score is the same."""
        return self.inner.explain(query, ord_)

    def _second(self, query: Query, found: Ranking, k: int) -> Ranking | None:
        """The answer from the candidates; None if a document outside of them might belong into it."""
        ids, weights = self.inner.terms(query.text)
        light = ~np.isin(ids, self._heavy.terms(query.text)[0])
        spare = sum(float(w) * self._greatest(t) for t, w in zip(ids[light].tolist(), weights[light], strict=True))
        last = float(found.scores[-1]) if len(found) == _window(k) else 0.0  # else no other holds a heavy term
        ords = np.sort(found.ords).astype(np.int64)
        ranking = select(ords, self._scores(ids, weights, ords), k)
        if last + spare == 0.0:
            return ranking
        if len(ranking) < k or (last + spare) * (1 + MARGIN) >= float(ranking.scores[-1]):
            return None
        return ranking

    def _scores(self, ids: Int64Array, weights: Float32Array, ords: Int64Array) -> Float32Array:
        """Scores of documents, added as the leg adds them: float32[len(ords)]."""
        scores = np.zeros(len(ords), np.float32)
        edges = np.searchsorted(ords, [*(base for base, _ in self._parts), self.inner.snapshot.size])
        for (base, reader), start, stop in zip(self._parts, edges[:-1], edges[1:], strict=True):
            local, part = ords[start:stop] - base, scores[start:stop]
            for t, weight in zip(ids.tolist(), weights, strict=True):
                docs, impacts = reader.postings(t)
                at = np.searchsorted(docs, local.astype(docs.dtype))
                inside = at < len(docs)
                inside[inside] = docs[at[inside]] == local[inside]
                part[inside] += weight * impacts[at[inside]].astype(np.float32)
        return scores

    def _greatest(self, term: int) -> float:
        """The greatest impact of a list; 0 if it is empty."""
        return float(max((int(reader.postings(term)[1].max(initial=0)) for _, reader in self._parts), default=0))

    @cached_property
    def _parts(self) -> list[tuple[int, ImpactReader]]:
        snapshot = self.inner.snapshot
        pairs = zip(snapshot.bases, snapshot.segments, strict=True)
        return [(int(base), segment.impacts) for base, segment in pairs if segment.impacts is not None]


def _window(k: int) -> int:
    return max(EXPANSION * k, WINDOW)
