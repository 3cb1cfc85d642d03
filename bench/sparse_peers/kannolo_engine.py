"""kANNolo: an HNSW graph over sparse vectors, approximate; ef_search tuned for a recall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sparse_store import Corpus

from sparse_peers.base import Engine, Hits


class Kannolo(Engine):
    """SparsePlainHNSW with a smaller graph than its defaults, to be built in minutes on 2 cores."""

    packages = ("kannolo",)
    kinds = ("impact",)
    exact = False
    formula = None
    variants = tuple(f"ef={ef}" for ef in (20, 40, 80, 160, 320, 640, 1280))
    most_documents = 150_000
    reason = "its graph takes over 37 s of processor time for each 10,000 vectors: more than an hour for this corpus"
    note = "SparsePlainHNSW, m 16, ef_construction 100"

    def build(self, corpus: Corpus, folder: Path) -> None:
        """From the arrays, in memory; all cores."""
        import kannolo

        index = kannolo.SparsePlainHNSW.build_from_arrays(
            np.array(corpus.array("doc_ids"), np.int32),
            np.array(corpus.array("doc_values"), np.float32),
            np.array(corpus.array("doc_ptr"), np.int64),
            m=16,
            ef_construction=100,
        )
        index.save(str(folder / "index.kannolo"))

    def open(self, corpus: Corpus, folder: Path) -> None:
        """Load; queries as flat arrays."""
        import kannolo

        self._index: Any = kannolo.SparsePlainHNSW.load(str(folder / "index.kannolo"))
        self._queries = [
            (ids.astype(np.int32), weights.astype(np.float32)) for ids, weights in corpus.first_queries(corpus.queries)
        ]
        self._flat = [np.concatenate([query[part] for query in self._queries]) for part in (0, 1)]
        sizes = [len(ids) for ids, _ in self._queries]
        self._offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.use(self.variants[0])

    def use(self, variant: str) -> None:
        """Set ef_search."""
        self._ef = int(variant.split("=")[1])

    def batch(self, count: int, k: int, threads: int) -> Any:
        """One call for all."""
        end = int(self._offsets[count])
        return self._index.batch_search(
            self._flat[0][:end],
            self._flat[1][:end],
            self._offsets[: count + 1],
            k,
            ef_search=max(self._ef, k),
            num_threads=threads,
        )

    def one(self, number: int, k: int) -> Any:
        """A call for one."""
        return self._index.search(*self._queries[number], k, ef_search=max(self._ef, k))

    def hits(self, raw: Any, count: int, k: int) -> Hits:
        """Scores and documents, flat, k a query."""
        scores, docs = (np.asarray(part) for part in raw)
        return docs.reshape(count, k).astype(np.int32), np.abs(scores.reshape(count, k)).astype(np.float64)
