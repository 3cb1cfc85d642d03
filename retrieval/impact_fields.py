"""The learned-sparse leg over texts and generated queries: score = score of the text + weight * score of the queries.

Impacts are weights already, with no length or rarity to join, so that a sum is all there is to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from twindex.indexing.errors import QueryError
from twindex.indexing.expansion.reader import ExpansionReader
from twindex.indexing.postings import ImpactReader
from twindex.retrieval.fields import NAMED, expansion_of
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.topk import top_k
from twindex.retrieval.types import Explanation, Query, Ranking, Run, as_queries, check_k


class ImpactFieldsRetriever:
    """Exact search of the impacts of texts and of generated queries together.

    Args:
        text: The leg over the texts; its encoder and snapshot are used.
        weight: How much the generated queries count, above 0.

    Raises:
        QueryError: If the weight is out of range, or the index has no impacts of generated queries.
    """

    def __init__(self, text: ImpactRetriever, weight: float = 1.0) -> None:
        if not (math.isfinite(weight) and weight > 0):
            raise QueryError(f"field weight {weight} of generated queries", expected="a finite number above 0")
        self.text = text
        self.weight = float(weight)
        self.snapshot = text.snapshot
        segments: Sequence[Any] = text.snapshot.segments
        fields: list[ExpansionReader] = list(map(expansion_of, segments))
        self._fields = fields
        self._parts: list[tuple[int, ImpactReader, ImpactReader]] = []
        for base, segment, field in zip(text.snapshot.bases, segments, fields):
            if field.impacts is None:
                raise QueryError("learned-sparse search of generated queries without impacts")
            self._parts.append((int(base), segment.impacts, field.impacts))

    @property
    def name(self) -> str:
        """Short name of the leg."""
        return "learned+queries"

    def retrieve(self, queries: Sequence[Query | str], k: int) -> Run:
        """The k best documents of each query.

        Raises:
            QueryError: If k is negative.
        """
        check_k(k)
        return Run(tuple(self._one(query, k) for query in as_queries(queries)), self.snapshot)

    def explain(self, query: Query, ord_: int) -> Explanation:
        """The score of the text as its leg explains it, and the share of the generated queries term by term.

        Raises:
            QueryError: If there is no such ordinal.
        """
        text = self.text.explain(query, ord_)
        mask = self.snapshot.allowed(query.filter)
        if mask is not None and not mask[ord_]:
            return text
        at = max(i for i, (base, _, _) in enumerate(self._parts) if base <= ord_)
        base, _, impacts = self._parts[at]
        details = [self._term(impacts, t, weight, ord_ - base) for t, weight in self._asked(query)]
        found = tuple(detail for detail in details if detail is not None)
        total = np.float32(0)
        for detail in found:
            total += np.float32(detail.value)
        named = list(self._fields[at].queries(ord_ - base)[:NAMED])
        share = Explanation(
            self.weight * float(total),
            "generated queries",
            (
                Explanation(self.weight, "weight of the field"),
                Explanation(float(total), "sum over matching terms", found, "sum" if found else "leaf"),
            ),
            "product",
            {"queries": named},
        )
        value = float(np.float32(text.value) + np.float32(self.weight) * total)
        return Explanation(value, f"{self.name}, sum of both fields", (text, share), "sum", {"weight": self.weight})

    def _asked(self, query: Query) -> Iterator[tuple[int, np.float32]]:
        ids, weights = self.text.terms(query.text)
        return zip(ids.tolist(), weights)

    def _one(self, query: Query, k: int) -> Ranking:
        asked = list(self._asked(query)) if k else []
        if not asked:
            return Ranking.empty()
        text, queries = (np.zeros(self.snapshot.size, np.float32) for _ in range(2))
        for base, text_impacts, query_impacts in self._parts:
            for reader, scores in ((text_impacts, text), (query_impacts, queries)):
                part = scores[base:]
                for t, weight in asked:
                    docs, impacts = reader.postings(t)
                    part[docs] += weight * impacts.astype(np.float32)  # a document occurs once in a list
        return top_k(text + np.float32(self.weight) * queries, k, mask=self.snapshot.allowed(query.filter))

    @staticmethod
    def _term(reader: ImpactReader, term: int, weight: np.float32, local: int) -> Explanation | None:
        docs, impacts = reader.postings(term)
        at = int(np.searchsorted(docs, local))
        if at >= len(docs) or docs[at] != local:
            return None
        parts = (
            Explanation(float(weight), "weight in the query, times the unit of impacts"),
            Explanation(float(impacts[at]), "impact in the generated queries"),
        )
        data = {"term": term, "impact": int(impacts[at])}
        return Explanation(float(weight * np.float32(impacts[at])), f"dimension {term}", parts, "product", data)
