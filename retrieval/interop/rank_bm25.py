"""The package rank-bm25 over the passages of a snapshot: a second opinion on BM25, in plain double precision.

It keeps every token in memory and looks passages up one by one, so it is for comparison, not for use.
Source: github.com/dorianbrown/rank_bm25, version 0.2.2.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import ConfigError
from twindex.indexing.optional import load
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Int32Array
from twindex.retrieval.interop.source import allowed_rows, contents, live_ords, row_of
from twindex.retrieval.topk import select
from twindex.retrieval.types import Explanation, Query, Ranking, Run, as_queries, check_k

Variant = Literal["okapi", "l", "plus"]
_CLASS: Final[dict[str, str]] = {"okapi": "BM25Okapi", "l": "BM25L", "plus": "BM25Plus"}


class RankBM25Retriever:
    """rank-bm25 behind the Retriever protocol. A hit is a live passage that holds a term of the query.

    Scores are the package's own, rounded to float32; unlike ours they may be negative (Okapi lifts negative weights
    to a share of the mean weight, which itself can be negative in a tiny corpus).

    Args:
        snapshot: What to search; its analyzer makes the tokens. Cost: reads and analyses every passage.
        variant: Which class of the package: "okapi", "l" or "plus".
        k1: Saturation, above 0.
        b: Length normalisation, 0 to 1.

    Raises:
        ConfigError: If there is no such variant, or a constant is outside its range.
        MissingExtraError: If the package is not installed.
    """

    def __init__(self, snapshot: Snapshot, variant: Variant = "okapi", *, k1: float = 0.9, b: float = 0.4) -> None:
        if variant not in get_args(Variant):
            raise ConfigError(f"variant {variant!r}", expected=" or ".join(get_args(Variant)))
        if not (0 < k1 < math.inf and 0 <= b <= 1):
            raise ConfigError(f"k1 = {k1}, b = {b}", expected="k1 above 0, and b from 0 to 1")
        package = load("rank_bm25", purpose="this retriever")
        self.snapshot = snapshot
        self.variant = variant
        self._ords = live_ords(snapshot)
        tokens = [snapshot.analyzer.terms(text) for text in contents(snapshot, self._ords)]
        self._rows = _rows_of_terms(tokens)
        # The package divides by the number of terms and by the mean length.
        self._model: Any = getattr(package, _CLASS[variant])(tokens, k1=k1, b=b) if self._rows else None

    @property
    def name(self) -> str:
        """Short name of the leg."""
        return f"rank-bm25-{self.variant}"

    def retrieve(self, queries: Sequence[Query], k: int) -> Run:
        """The k best passages of each query.

        Raises:
            QueryError: If k is negative.
        """
        check_k(k)
        return Run(tuple(self._one(query, k) for query in as_queries(queries)), self.snapshot)

    def _one(self, query: Query, k: int) -> Ranking:
        terms = self.snapshot.analyzer.terms(query.text) if k else []
        rows = self._matching(terms)
        passing = allowed_rows(self.snapshot, self._ords, query.filter)
        if passing is not None:
            rows = rows[passing[rows]]
        if not len(rows):
            return Ranking.empty()
        scores = np.array(self._model.get_batch_scores(terms, rows.tolist()), np.float32)
        return select(self._ords[rows].astype(np.int64), scores, k)

    def _matching(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Rows that hold at least one of the terms, ascending."""
        found = [self._rows[term] for term in dict.fromkeys(terms) if term in self._rows]
        return np.unique(np.concatenate(found)).astype(np.int64) if found else np.empty(0, np.int64)

    def explain(self, query: Query, ord_: int) -> Explanation:
        """The score as a sum over the query's terms that the package knows.

        Raises:
            QueryError: If there is no such ordinal.
        """
        row = row_of(self.snapshot, self._ords, ord_)
        passing = allowed_rows(self.snapshot, self._ords, query.filter)
        if row is None or (passing is not None and not passing[row]):
            return Explanation(0.0, "the document is deleted or does not pass the filter")
        terms = self.snapshot.analyzer.terms(query.text)
        if row not in self._matching(terms):
            return Explanation(0.0, f"{self.name}: no term of the query occurs")
        # Terms that the document lacks count in "plus" and "l", so all known ones are listed.
        parts = tuple(
            self._term(term, count, row) for term, count in sorted(Counter(terms).items()) if term in self._rows
        )
        value = float(np.float32(self._model.get_batch_scores(terms, [row])[0]))
        return Explanation(value, f"{self.name}, sum over the terms of the query", parts, "sum")

    def _term(self, term: str, count: int, row: int) -> Explanation:
        value = float(self._model.get_batch_scores([term] * count, [row])[0])
        tf = int(self._model.doc_freqs[row].get(term, 0))
        data = {"term": term, "tf": tf, "idf": float(self._model.idf[term]), "boost": count}
        return Explanation(value, f"{term!r}: tf {tf}, {count} times in the query", data=data)


def _rows_of_terms(tokens: Sequence[Sequence[str]]) -> dict[str, Int32Array]:
    """Term -> rows of the documents that hold it, ascending."""
    rows: dict[str, list[int]] = {}
    for row, terms in enumerate(tokens):
        for term in dict.fromkeys(terms):
            rows.setdefault(term, []).append(row)
    return {term: np.array(found, np.int32) for term, found in rows.items()}
