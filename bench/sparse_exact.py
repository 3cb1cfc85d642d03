"""Exact lists of every query of a corpus, by an exhaustive loop in numpy that shares nothing with the engine.

BM25: float32 contributions by the public formulas of ``twindex.retrieval.bm25``, added in float32 in ascending term
order. Impacts: whole weight times whole impact, added as whole numbers. Written once a corpus as ``exact.npz``:
``docs`` int32[Q, K] (-1 = none), ``scores`` float64[Q, K].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sparse_oracle import K1, B, best
from sparse_store import Array, Corpus

from twindex.retrieval.bm25 import BM25, contribution, length_codes, length_table, offset, saturation, term_weight

#: Length of the lists.
DEPTH = 1_000


def exact_lists(corpus: Corpus) -> Path:
    """The file, made if it is not there."""
    path = corpus.folder / "exact.npz"
    if not path.exists():
        scorer = _Impacts(corpus) if corpus.kind == "impact" else _Lexical(corpus)
        docs = np.full((corpus.queries, DEPTH), -1, np.int32)
        scores = np.zeros((corpus.queries, DEPTH))
        for number in range(corpus.queries):
            found, values = best(scorer.scores(number), DEPTH)
            docs[number, : len(found)], scores[number, : len(found)] = found, values
        np.savez(path, docs=docs, scores=scores)
    return path


class _Impacts:
    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.ptr = np.array(corpus.array("post_ptr"))
        self.docs, self.values = corpus.array("post_docs"), corpus.array("post_values")

    def scores(self, number: int) -> Array:
        """int64[N]."""
        total = np.zeros(self.corpus.size, np.int64)
        for term, weight in zip(*self.corpus.query(number), strict=True):
            part = slice(int(self.ptr[term]), int(self.ptr[term + 1]))
            total[self.docs[part]] += int(weight) * self.values[part].astype(np.int64)
        return total


class _Lexical:
    def __init__(self, corpus: Corpus) -> None:
        self.corpus, self.config = corpus, BM25(k1=K1, b=B)
        self.ptr = np.array(corpus.array("post_ptr"))
        self.docs, self.values = corpus.array("post_docs"), corpus.array("post_values")
        table = saturation(self.config, length_table(), corpus.average_length)
        self.saturation = table[length_codes(np.array(corpus.array("lengths"), np.uint32))]
        self.first = offset(self.config)

    def scores(self, number: int) -> Array:
        """float32[N]."""
        total = np.zeros(self.corpus.size, np.float32)
        ids, counts = np.unique(self.corpus.query(number)[0], return_counts=True)
        for term, count in zip(ids.tolist(), counts.tolist(), strict=True):
            part = slice(int(self.ptr[term]), int(self.ptr[term + 1]))
            docs, tfs = np.array(self.docs[part]), np.array(self.values[part]).astype(np.uint32)
            weight = term_weight(self.config, self.corpus.size, len(docs), count)
            total[docs] += contribution(weight, tfs, self.saturation[docs], self.first)
        return total
