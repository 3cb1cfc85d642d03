"""Nearest vectors of one query after another: exact block scans, HNSW proposals, and the collector of both.

Scans multiply in float32, in whatever order the BLAS of the machine likes; so those products only say
which rows may be among the best. The score of a row is its inner product in float64 rounded to float32,
and the collector keeps every row whose float32 product lies within the rounding error of the k-th best.
The result is the exact ranking by score, then ordinal, whatever the batch, the threads or the segments.

faiss' own flat search was measured at half to an eighth of the speed of these blocks (200,000 x 384,
k = 100, two cores; 1 to 100 queries), and cannot say which rows tie at the k-th place; faiss does the graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.optional import load
from twindex.indexing.types import BoolArray, Float32Array, Int64Array
from twindex.indexing.vectors import VectorReader
from twindex.retrieval.topk import select
from twindex.retrieval.types import Ranking

Float64Array = NDArray[np.float64]

#: Rows multiplied at once: with 256 queries the products take 8 MiB.
BLOCK_ROWS: Final = 8192
#: Rows whose exact scores are computed at once: 12 MiB of float64 at 384 dimensions.
EXACT_ROWS: Final = 4096
#: With a smaller share of allowed rows, a block's allowed rows are copied out before they are multiplied.
GATHER_SHARE: Final = 0.25
#: So few queries wait for memory, not for arithmetic: a plain loop on one thread is as quick as the BLAS, whose
#: threads also spin while other processes use the cores (3 to 5 times slower, measured among busy neighbours).
FEW_QUERIES: Final = 4
#: Candidates beyond k that are kept until the collector makes order.
SLACK: Final = 1024
#: Half a unit in the last place of a float32 near 1.
UNIT: Final = 2.0**-24
#: What products below the range of normal float32 numbers can lose, with room for 65,536 of them.
UNDERFLOW: Final = 1e-32


class VectorSearch(Protocol):
    """Finds candidates among the vectors of one segment: the door for other kinds of index and devices."""

    def collect(self, queries: Float32Array, best: Sequence[Best], allowed: BoolArray | None) -> None:
        """Offers to ``best[i]`` at least those rows that belong to its k best for query i.

        Shapes: queries float32[n, dim]; allowed bool[rows of the segment], None = all.
        """


def exact_scores(rows: Float32Array, query: Float32Array) -> Float32Array:
    """Inner products in float64, rounded to float32. A row's score depends on nothing but the row.

    Shapes: rows float32[n, dim], query float32[dim], result float32[n].
    """
    out = np.empty(len(rows), np.float32)
    wide = query.astype(np.float64)
    for start in range(0, len(rows), EXACT_ROWS):
        # Not a matrix product: its order of additions would depend on the number of rows.
        out[start : start + EXACT_ROWS] = (rows[start : start + EXACT_ROWS] * wide).sum(axis=1)
    return out


class Best:
    """The k best rows seen so far for one query.

    Rows are offered with approximate scores, segment after segment in ascending order of ordinals.

    Args:
        query: The query's vector, float32[dim].
        k: How many are wanted, at least 1.
    """

    def __init__(self, query: Float32Array, k: int) -> None:
        self.query = query
        self.k = k
        self.norm = float(np.sqrt((query.astype(np.float64) ** 2).sum()))
        #: Rows with a lower approximate score are not among the k best.
        self.floor = -np.inf
        self._error = 0.0
        self._sources: list[tuple[int, Float32Array]] = []
        self._ords: list[Int64Array] = []
        self._scores: list[Float64Array] = []
        self._count = 0

    def error_of(self, largest: float) -> float:
        """How far a float32 product with a row of at most that norm may be from the score.

        Source: Higham 2002, "Accuracy and Stability of Numerical Algorithms", eq. 3.5: gamma_n |q| |d|.
        """
        return (len(self.query) + 8) * UNIT * self.norm * largest + UNDERFLOW

    def enter(self, base: int, matrix: Float32Array) -> None:
        """Says that the next rows are those of ``matrix``, whose first ordinal is ``base``."""
        self._sources.append((base, matrix))

    def offer(self, ords: Int64Array, approximate: Float32Array, error: float) -> None:
        """Takes rows by ordinal; their scores are within ``error`` of the approximate ones."""
        if not len(ords):
            return
        self._error = max(self._error, error)
        self._ords.append(ords)
        self._scores.append(approximate.astype(np.float64))
        self._count += len(ords)
        if self._count > 2 * self.k + SLACK:
            self._prune()
            if self._count > self.k + SLACK:  # many rows that differ by less than the error
                self._settle()

    def ranking(self) -> Ranking:
        """The k best, with exact scores."""
        self._prune()
        ords = self._joined()[0]
        return select(ords, self._exact(ords), self.k)

    def _joined(self) -> tuple[Int64Array, Float64Array]:
        if not self._ords:
            return np.empty(0, np.int64), np.empty(0, np.float64)
        return np.concatenate(self._ords), np.concatenate(self._scores)

    def _replace(self, ords: Int64Array, scores: Float64Array) -> None:
        self._ords, self._scores, self._count = [ords], [scores], len(ords)

    def _prune(self) -> None:
        """Drops what is below the k-th best by more than twice the error."""
        if self._count <= self.k:
            return
        ords, scores = self._joined()
        kth = np.partition(scores, len(scores) - self.k)[len(scores) - self.k]
        self.floor = max(self.floor, float(kth) - 2 * self._error)
        keep = scores >= self.floor
        self._replace(ords[keep], scores[keep])

    def _settle(self) -> None:
        """Keeps the k best by their exact scores: bounds memory when everything is alike."""
        ords = self._joined()[0]
        ranking = select(ords, self._exact(ords), self.k)
        order = np.argsort(ranking.ords)
        self._replace(ranking.ords[order].astype(np.int64), ranking.scores[order].astype(np.float64))
        # The score is itself rounded to float32, by less than the error.
        self.floor = max(self.floor, float(ranking.scores[-1]) - 2 * self._error)

    def _exact(self, ords: Int64Array) -> Float32Array:
        out = np.empty(len(ords), np.float32)
        for base, matrix in self._sources:
            start, end = np.searchsorted(ords, [base, base + len(matrix)])
            for at in range(start, end, EXACT_ROWS):
                stop = min(at + EXACT_ROWS, end)
                out[at:stop] = exact_scores(np.asarray(matrix[ords[at:stop] - base]), self.query)
        return out


class FlatSearch:
    """Every row of a segment, block by block. Safe for threads.

    Args:
        reader: The vectors.
        base: First ordinal of the segment.
    """

    def __init__(self, reader: VectorReader, base: int) -> None:
        self._matrix = reader.matrix
        self._base = base
        self._largest: dict[int, float] = {}

    def collect(self, queries: Float32Array, best: Sequence[Best], allowed: BoolArray | None) -> None:
        """Offers all rows that may be among the best."""
        for one in best:
            one.enter(self._base, self._matrix)
        for start in range(0, len(self._matrix), BLOCK_ROWS):
            block = np.asarray(self._matrix[start : start + BLOCK_ROWS])
            mask = None if allowed is None else allowed[start : start + BLOCK_ROWS]
            if mask is not None and not mask.any():
                continue
            rows, local, mask = _chosen(block, mask)
            rough = products(queries, rows)
            largest = self._norm(start, block)
            for i, one in enumerate(best):
                error = one.error_of(largest)
                found = np.flatnonzero(rough[i] >= one.floor - error)
                if mask is not None:
                    found = found[mask[found]]
                one.offer(self._base + start + local[found], rough[i][found], error)

    def _norm(self, start: int, block: Float32Array) -> float:
        known = self._largest.get(start)
        if known is None:
            known = self._largest[start] = largest_norm(block)
        return known


class GraphSearch:
    """Candidates from a segment's HNSW graph; approximate, but with exact scores. Safe for threads.

    Args:
        reader: The vectors, with a graph beside them.
        base: First ordinal of the segment.
        ef_search: Length of the candidate list; None = what the graph was stored with.
    """

    def __init__(self, reader: VectorReader, base: int, ef_search: int | None = None) -> None:
        self._reader = reader
        self._base = base
        self._ef = ef_search
        self._flat = FlatSearch(reader, base)

    def collect(self, queries: Float32Array, best: Sequence[Best], allowed: BoolArray | None) -> None:
        """Offers what the graph finds; a query for which it finds too few is scanned."""
        found = self._found(queries, max(one.k for one in best), allowed)
        there = self._reader.size if allowed is None else int(np.count_nonzero(allowed))
        for i, one in enumerate(best):
            local = np.sort(found[i][found[i] >= 0])  # -1 stands for "no more"
            if len(local) < min(one.k, there):
                self._flat.collect(queries[i : i + 1], [one], allowed)
                continue
            one.enter(self._base, self._reader.matrix)
            rows = np.asarray(self._reader.matrix[local])
            one.offer(self._base + local, exact_scores(rows, one.query), one.error_of(largest_norm(rows)))

    def propose(self, query: Float32Array, k: int, allowed: BoolArray | None) -> Int64Array:
        """What the graph finds for one query, at least k rows if it can: local numbers, ascending."""
        found = self._found(query[None], k, allowed)[0]
        return np.sort(found[found >= 0])

    def _found(self, queries: Float32Array, k: int, allowed: BoolArray | None) -> Int64Array:
        faiss = load("faiss", purpose="searching the HNSW graph of dense vectors")
        index = self._reader.graph()
        depth = max(self._ef or int(index.hnsw.efSearch), k)
        parameters = faiss.SearchParametersHNSW(efSearch=depth)
        bitmap = None
        if allowed is not None:
            bitmap = np.packbits(allowed, bitorder="little")  # faiss points to it: it must outlive the search
            parameters = faiss.SearchParametersHNSW(efSearch=depth, sel=faiss.IDSelectorBitmap(bitmap))
        found: Int64Array = index.search(np.ascontiguousarray(queries), depth, params=parameters)[1]
        del bitmap
        return found


def products(queries: Float32Array, rows: Float32Array) -> Float32Array:
    """float32 inner products of each query with each row, float32[queries, rows], however rounded."""
    if len(queries) > FEW_QUERIES:
        return np.asarray(queries @ rows.T)
    return np.stack([np.einsum("ij,j->i", rows, query) for query in queries])


def _chosen(block: Float32Array, mask: BoolArray | None) -> tuple[Float32Array, Int64Array, BoolArray | None]:
    """The rows to multiply, their numbers in the block, and what is still to be masked out of them."""
    if mask is not None and np.count_nonzero(mask) < GATHER_SHARE * len(mask):
        local = np.flatnonzero(mask)
        return block[local], local, None
    return block, np.arange(len(block), dtype=np.int64), mask


def largest_norm(rows: Float32Array) -> float:
    """Largest length of a row, or a little more."""
    squares = np.einsum("ij,ij->i", rows, rows)
    return float(np.sqrt(squares.max(initial=0.0).astype(np.float64) * 1.001))
