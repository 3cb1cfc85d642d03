"""Twindex: the engine behind LexicalRetriever, on its own files, without analysis and ids as for the peers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sparse_oracle import K1, B, Formula
from sparse_store import Corpus

from sparse_peers.base import Array, Engine, Hits, term_name

#: Documents handed over at once when an index is built.
BATCH = 20_000
#: Weight of one unit of impact; weights of the bench are whole numbers already.
SCALE = 1.0


class Twindex(Engine):
    """Exact search, the strategy chosen by the planner; the others are timed to see that it chose well."""

    packages = ("twindex", "numba")
    kinds = ("bm25", "impact")
    formula = Formula(quantised=True)
    variants = ("auto", "exhaustive", "scan")
    keep = "auto"
    note = "the planner's choice; opening derives the image in memory"

    def build(self, corpus: Corpus, folder: Path) -> None:
        """The files of a segment that this leg reads, by the builders that the writer uses."""
        if corpus.kind == "bm25":
            _build_lexical(corpus, folder)
        else:
            from twindex.indexing.postings import build_impacts

            build_impacts(folder, _rows(corpus), vocabulary=corpus.vocabulary, scale=SCALE)

    def open(self, corpus: Corpus, folder: Path) -> None:
        """Map the files, derive the image, compile; queries as flat arrays of term numbers."""
        self._index, self._numbers = _lexical(folder, corpus) if corpus.kind == "bm25" else _impacts(folder)
        queries = corpus.first_queries(corpus.queries)
        self._ids = np.concatenate([self._numbers[ids] for ids, _ in queries])
        self._ends = np.concatenate([[0], np.cumsum([len(ids) for ids, _ in queries])])
        self._weights: Array | None = None
        if corpus.kind == "impact":
            self._weights = np.concatenate([weights for _, weights in queries]).astype(np.float32)
        self._each = [self._part(number, number + 1) for number in range(corpus.queries)]
        self.use(self.variants[0])

    def _part(self, first: int, last: int) -> tuple[Array, Array, Array | None]:
        """Ids, ends and weights of some queries."""
        a, b = int(self._ends[first]), int(self._ends[last])
        ends = self._ends[first : last + 1] - a
        return self._ids[a:b], ends, None if self._weights is None else self._weights[a:b]

    def use(self, variant: str) -> None:
        """Force a strategy, or let the planner choose."""
        self._options: dict[str, Any] = {"strategy": variant}

    def batch(self, count: int, k: int, threads: int) -> Any:
        """One call for all."""
        ids, ends, weights = self._part(0, count)
        return self._index.search(ids, ends, k, weights=weights, threads=threads, **self._options)

    def one(self, number: int, k: int) -> Any:
        """A call for one."""
        ids, ends, weights = self._each[number]
        return self._index.search(ids, ends, k, weights=weights, **self._options)

    def hits(self, raw: Any, count: int, k: int) -> Hits:
        """As they are."""
        places = np.arange(k)[None, :] < np.asarray(raw.counts)[:, None]
        return np.where(places, raw.ords, -1), np.where(places, raw.scores, 0.0).astype(np.float64)


class TwindexApproximate(Twindex):
    """The same engine within the smallest budget that reaches the recall."""

    kinds = ("impact",)
    exact = False
    keep = ""
    variants = tuple(str(int(4_000 * 2 ** (step / 4))) for step in range(18))
    note = "postings that a query may touch, half of them in lists, half as terms of documents"

    def use(self, variant: str) -> None:
        """Set the budget."""
        from twindex.retrieval.within import Budget

        self._options = {"budget": Budget(postings=int(variant))}


def _build_lexical(corpus: Corpus, folder: Path) -> None:
    from twindex.indexing.analysis import TermBatch, Vocabulary
    from twindex.indexing.postings import PostingsBuilder

    used = np.diff(np.array(corpus.array("post_ptr"))) > 0
    numbers = (np.cumsum(used) - 1).astype(np.int32)
    vocabulary = Vocabulary()
    for term in np.flatnonzero(used).tolist():
        vocabulary.add(term_name(term))
    builder = PostingsBuilder(folder)
    for ptr, ids, values in _documents(corpus):
        cuts = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])[ptr]
        builder.add(TermBatch(np.repeat(numbers[ids], values), cuts))
    builder.finish(vocabulary)


def _documents(corpus: Corpus) -> Iterator[tuple[Array, Array, Array]]:
    """Pointers from 0, terms and values of batches of documents."""
    ptr, ids, values = (corpus.array(name) for name in ("doc_ptr", "doc_ids", "doc_values"))
    for at in range(0, corpus.size, BATCH):
        edges = np.array(ptr[at : at + BATCH + 1])
        part = slice(int(edges[0]), int(edges[-1]))
        yield edges - edges[0], np.array(ids[part]), np.array(values[part])


def _rows(corpus: Corpus) -> Iterator[Any]:
    from twindex.indexing.encoding import SparseRows

    for ptr, ids, values in _documents(corpus):
        yield SparseRows(ptr, ids, values.astype(np.float32))


def _lexical(folder: Path, corpus: Corpus) -> tuple[Any, Array]:
    """The engine, and its number of each term of the corpus (-1 = no document has it)."""
    from twindex.indexing.postings import PostingsReader
    from twindex.retrieval.bm25 import BM25
    from twindex.retrieval.fast import FastIndex
    from twindex.retrieval.fast_join import join_postings

    reader = PostingsReader(folder)
    used = np.diff(np.array(corpus.array("post_ptr"))) > 0
    numbers = np.where(used, np.cumsum(used) - 1, -1).astype(np.int64)
    joined = join_postings([reader], [None], [0])
    index = FastIndex.from_frequencies(
        joined.ptr,
        joined.docs,
        joined.frequencies,
        lengths=reader.lengths,
        config=BM25(k1=K1, b=B),
        average=reader.total_length / reader.num_docs,
        count=reader.num_docs,
    )
    return index, numbers


def _impacts(folder: Path) -> tuple[Any, Array]:
    from twindex.indexing.postings import ImpactReader
    from twindex.retrieval.fast import FastIndex

    reader = ImpactReader(folder)
    index = FastIndex.impacts(reader.ptr, reader.docs, reader.impacts, size=reader.num_docs)
    return index, np.arange(reader.vocabulary, dtype=np.int64)
