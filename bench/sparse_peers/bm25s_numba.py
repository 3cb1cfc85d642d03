"""bm25s with its numba backend: eager scores in a sparse matrix, added up and selected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sparse_oracle import K1, B
from sparse_store import Corpus

from sparse_peers.base import Engine, Hits, token_lists


class Bm25s(Engine):
    """bm25s, method "lucene", exact (its lengths are not quantised)."""

    packages = ("bm25s", "numba")
    most_documents = 2_000_000
    reason = "takes token lists as Python objects: too large for this machine's memory"
    note = "numba backend; lists of token ids"

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Index lists of token ids."""
        import bm25s

        retriever = bm25s.BM25(method="lucene", k1=K1, b=B, backend="numba")
        vocabulary = {str(term): term for term in range(corpus.vocabulary)}
        retriever.index((token_lists(corpus), vocabulary), show_progress=False)
        retriever.save(str(folder), show_progress=False)

    def open(self, corpus: Corpus, folder: Path) -> None:
        """Load the matrix."""
        import bm25s

        self._bm25: Any = bm25s.BM25.load(str(folder), load_vocab=True)
        self._bm25.backend = "numba"
        self._queries = [ids.tolist() for ids, _ in corpus.first_queries(corpus.queries)]

    def batch(self, count: int, k: int, threads: int) -> Any:
        """One call for all."""
        return self._bm25.retrieve(self._queries[:count], k=k, n_threads=threads, show_progress=False)

    def one(self, number: int, k: int) -> Any:
        """A call for one."""
        return self._bm25.retrieve(self._queries[number : number + 1], k=k, n_threads=1, show_progress=False)

    def hits(self, raw: Any, count: int, k: int) -> Hits:
        """As they are; documents of score 0 are no hits."""
        docs, scores = raw.documents.astype(np.int32), raw.scores.astype(np.float64)
        return np.where(scores > 0, docs, -1), scores
