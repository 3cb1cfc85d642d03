"""Seismic: clustered inverted lists with summaries, approximate; its settings tuned for a recall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sparse_store import Corpus

from sparse_peers.base import Engine, Hits, empty_hits


class Seismic(Engine):
    """SeismicIndex; a mean of 1,000 postings a term for 1M documents keeps twice the share of its default at 8.8M.

    ``variants``: query_cut and heap_factor; the fastest that reaches the wanted recall is used.
    """

    packages = ("pyseismic-lsr",)
    kinds = ("impact",)
    exact = False
    formula = None
    variants = tuple(
        f"cut={cut} heap={heap}"
        for cut in (3, 4, 5, 6, 8, 12, 20, 40)
        for heap in (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
    )
    note = "n_postings 1000 (its default, 3500, is meant for 8.8M documents); the rest as by default"

    def build(self, corpus: Corpus, folder: Path) -> None:
        """From the arrays, in memory; all cores."""
        import seismic

        dataset = seismic.SeismicDataset(corpus.vocabulary)
        offsets, components = np.array(corpus.array("doc_ptr")), np.array(corpus.array("doc_ids"), np.int64)
        names = [str(d) for d in range(corpus.size)]
        values = np.array(corpus.array("doc_values"), np.float32)
        dataset.add_documents_by_id(names, components, values, offsets)
        index = seismic.SeismicIndex.build_from_dataset(dataset, n_postings=1000)
        index.save(str(folder / "index"))

    def open(self, corpus: Corpus, folder: Path) -> None:
        """Load; queries as arrays of strings, which is what it takes."""
        import seismic

        path = next(folder.glob("index*"))
        self._index: Any = seismic.SeismicIndex.load(str(path))
        kind = seismic.get_seismic_string()
        self._ids = np.array([str(q) for q in range(corpus.queries)], dtype=kind)
        queries = corpus.first_queries(corpus.queries)
        self._terms = [np.array([str(t) for t in ids.tolist()], dtype=kind) for ids, _ in queries]
        self._weights = [weights.astype(np.float32) for _, weights in queries]
        self.use(self.variants[-1])

    def use(self, variant: str) -> None:
        """Set query_cut and heap_factor."""
        cut, heap = (part.split("=")[1] for part in variant.split())
        self._cut, self._heap = int(cut), float(heap)

    def batch(self, count: int, k: int, threads: int) -> Any:
        """One call for all."""
        return self._index.batch_search(
            self._ids[:count],
            self._terms[:count],
            self._weights[:count],
            k=k,
            query_cut=self._cut,
            heap_factor=self._heap,
            num_threads=threads,
        )

    def one(self, number: int, k: int) -> Any:
        """A call for one."""
        return self._index.search(
            str(number),
            self._terms[number],
            self._weights[number],
            k=k,
            query_cut=self._cut,
            heap_factor=self._heap,
        )

    def hits(self, raw: Any, count: int, k: int) -> Hits:
        """(query, score, document) triples to arrays."""
        out = empty_hits(count, k)
        for found in raw:
            for rank, (query, score, document) in enumerate(found):
                out[0][int(query), rank], out[1][int(query), rank] = int(document), score
        return out
