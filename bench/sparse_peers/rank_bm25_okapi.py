"""rank-bm25: the textbook in numpy, a dictionary a document."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from sparse_oracle import K1, B
from sparse_store import Corpus

from sparse_peers.base import Array, Engine, Hits, empty_hits, token_lists


class RankBM25(Engine):
    """BM25Okapi, k1 and b as everywhere; scores by its own idf, which negative values make special."""

    packages = ("rank-bm25",)
    formula = None
    most_documents = 150_000
    reason = "one pass over every document's dictionary for each query term: minutes a query"
    threaded = False
    note = "no inverted file; not checked (its idf replaces negative values by a share of the mean)"

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Build and pickle the object (the package has no format of its own)."""
        from rank_bm25 import BM25Okapi

        with (folder / "bm25.pickle").open("wb") as file:
            pickle.dump(BM25Okapi(token_lists(corpus), k1=K1, b=B), file)

    def open(self, corpus: Corpus, folder: Path) -> None:
        """Unpickle what this bench wrote itself."""
        with (folder / "bm25.pickle").open("rb") as file:
            self._bm25: Any = pickle.load(file)  # noqa: S301 - our own cache
        self._queries = [ids.tolist() for ids, _ in corpus.first_queries(corpus.queries)]

    def batch(self, count: int, k: int, threads: int) -> list[tuple[Array, Array]]:
        """One after the other."""
        return [self.one(number, k) for number in range(count)]

    def one(self, number: int, k: int) -> tuple[Array, Array]:
        """Scores of all documents, the best by partition."""
        scores = self._bm25.get_scores(self._queries[number])
        k = min(k, len(scores))
        top = np.argpartition(scores, len(scores) - k)[len(scores) - k :]
        order = np.lexsort((top, -scores[top]))
        return top[order], scores[top[order]]

    def hits(self, raw: list[tuple[Array, Array]], count: int, k: int) -> Hits:
        """As arrays."""
        out = empty_hits(count, k)
        for number, (docs, scores) in enumerate(raw):
            out[0][number, : len(docs)], out[1][number, : len(docs)] = docs, scores
        return out
