"""What exact scores are: exhaustive scoring in plain numpy, one function a formula.

Two uses. ``Oracle(corpus)`` gives float64 scores by a peer's own formula, to check that an engine is exact in its own
terms; and the float32 scores by ours, added in ascending term order, that our engine must return bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sparse_store import Array, Corpus

K1 = 0.9
B = 0.4


@dataclass(frozen=True)
class Formula:
    """A BM25 formula. ``idf``: "lucene" ln(1 + x), "robertson" max(1e-6, ln x) with x = (N - df + .5) / (df + .5).

    ``scale``: constant factor, as k1 + 1 where an engine keeps it. ``quantised``: lengths as Lucene's one byte.
    """

    idf: str = "lucene"
    k1: float = K1
    b: float = B
    scale: float = 1.0
    quantised: bool = False


class Oracle:
    """Exhaustive scores over one corpus. Impacts ignore the formula."""

    def __init__(self, corpus: Corpus, formula: Formula = Formula()) -> None:
        self.corpus, self.formula = corpus, formula
        self._ptr = np.array(corpus.array("post_ptr"))
        self._docs, self._values = corpus.array("post_docs"), corpus.array("post_values")
        if corpus.kind == "bm25":
            lengths = np.array(corpus.array("lengths"))
            shown = quantise(lengths) if formula.quantised else lengths
            self._norm = formula.k1 * (1 - formula.b + formula.b * shown / corpus.average_length)

    def weight(self, term: int) -> float:
        """What a term's saturation is multiplied with."""
        n, df = self.corpus.size, int(self._ptr[term + 1] - self._ptr[term])
        odds = (n - df + 0.5) / (df + 0.5)
        idf = np.log1p(odds) if self.formula.idf == "lucene" else max(1e-6, float(np.log(odds)))
        return float(idf * self.formula.scale)

    def parts(self, number: int) -> list[tuple[Array, Array]]:
        """Documents and float64 contributions of each distinct term of a query."""
        ids, weights = self.corpus.query(number)
        out = []
        for term in np.unique(ids).tolist():
            part = slice(int(self._ptr[term]), int(self._ptr[term + 1]))
            docs, values = np.array(self._docs[part]), np.array(self._values[part], np.float64)
            boost = float(weights[ids == term].sum())
            if self.corpus.kind == "bm25":
                values = self.weight(term) * values / (values + self._norm[docs])
            out.append((docs, values * boost))
        return out

    def scores(self, number: int) -> Array:
        """float64[N] scores of a query."""
        total = np.zeros(self.corpus.size)
        for docs, values in self.parts(number):
            total[docs] += values
        return total

    def ceiling(self, number: int) -> float:
        """Sum of the greatest contribution of each term: what no score can pass."""
        return float(sum(values.max() for _, values in self.parts(number) if len(values)))


def quantise(lengths: Array) -> Array:
    """Lengths as Lucene keeps them: four significant bits (SmallFloat.intToByte4 and back), exact below 24 + 16."""
    n = lengths.astype(np.int64)
    free = 24
    shifted = np.maximum(n - free, 0)
    bits = np.zeros_like(n)
    np.floor(np.log2(np.maximum(shifted, 1)), out=(exponent := np.zeros(len(n))))
    bits = np.maximum(exponent.astype(np.int64) - 3, 0)
    kept = (shifted >> bits) << bits
    return np.where(n < free, n, free + kept)


def best(scores: Array, k: int) -> tuple[Array, Array]:
    """The k best of a score vector, score descending then ordinal ascending; zeros never."""
    k = min(k, len(scores))
    limit = np.partition(scores, len(scores) - k)[len(scores) - k]
    docs = np.flatnonzero((scores >= limit) & (scores > 0))
    order = np.lexsort((docs, -scores[docs]))[:k]
    return docs[order].astype(np.int32), scores[docs[order]]
