"""The two sets of vectors of one segment, searched together: the texts, and the queries generated for them.

A scan multiplies every row. For single queries over many generated ones there is a quicker way, the threshold
algorithm: the nearest generated queries are *proposed* (see :mod:`twindex.indexing.expansion.codes`), the text scores
of all passages are scanned, and a passage none of whose queries was proposed can have at most the score that it would
have with the last proposed one. Only passages that could still be among the best are then looked at in full.
So nothing but a generated query that was not proposed although it is nearer can be missed.

Source: R. Fagin, A. Lotem, M. Naor, "Optimal Aggregation Algorithms for Middleware", 2003 (the threshold algorithm).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.expansion.codes import Codes
from twindex.indexing.expansion.reader import ExpansionReader
from twindex.indexing.types import BoolArray, Float32Array, Int64Array
from twindex.indexing.vectors import VectorReader
from twindex.retrieval.dual_best import DualBest, Shares, fused_score
from twindex.retrieval.dual_rows import Rows, product
from twindex.retrieval.vector_search import (
    BLOCK_ROWS,
    FEW_QUERIES,
    Best,
    GraphSearch,
    exact_scores,
    largest_norm,
    products,
)

#: Proposed queries for each passage that is wanted, and in any case.
PROPOSED_EACH: Final = 20
PROPOSED_LEAST: Final = 600
#: Proposed texts for each passage that is wanted, and in any case.
TEXTS_EACH: Final = 4
TEXTS_LEAST: Final = 200
#: Passages that miss the best by so much of a cosine are looked at in full as well: the generated query that was
#: proposed need not be their nearest.
MARGIN: Final = 0.02
#: Length of a vector of an encoder whose similarity is the cosine, or a little more.
UNIT_LENGTH: Final = 1.001
#: With more than this share of all generated queries proposed, a scan is as quick.
PROPOSED_SHARE: Final = 0.2


class DualPart:
    """One segment. Safe for threads.

    Args:
        text: Vectors of its passages.
        expansion: Its generated queries, with vectors.
        base: Its first ordinal.
        aggregate: "max" or "mean": what stands for the queries of a passage.
        proposes: Whether codes may propose the generated queries to look at, where there are codes.
        graph: What proposes texts; None = codes do, or all are scanned.
        unit: Whether all vectors have length 1.
    """

    def __init__(
        self,
        text: VectorReader,
        expansion: ExpansionReader,
        base: int,
        *,
        aggregate: str,
        proposes: bool = True,
        graph: GraphSearch | None = None,
        unit: bool = False,
    ) -> None:
        self.base = base
        self.size = text.size
        self.expansion = expansion
        self._mean = aggregate == "mean"
        self._text = np.asarray(text.matrix)  # a plain view: slices of a memmap object cost microseconds
        vectors = expansion.vectors
        self._queries: Float32Array = (
            np.asarray(vectors.matrix) if vectors is not None else np.empty((0, text.dim), np.float32)
        )
        self._ptr = expansion.ptr
        self._rough = Rows(self._text, self._queries, self._ptr)
        self._counts = expansion.counts
        self._proposes = proposes and not self._mean and expansion.has_codes
        self._graph = graph
        self._unit = unit
        self._largest: dict[int, float] = {}

    @cached_property
    def _longest(self) -> float:
        """Length of the longest vector, or a little more. Cost: one pass over all of them, the first time."""
        if self._unit:
            return UNIT_LENGTH
        found = [
            largest_norm(np.asarray(matrix[start : start + BLOCK_ROWS]))
            for matrix in (self._text, self._queries)
            for start in range(0, len(matrix), BLOCK_ROWS)
        ]
        return max(found, default=0.0)

    def rows(self, local: int) -> Float32Array:
        """Vectors of a passage's generated queries: float32[n, dim]."""
        return self._queries[self._ptr[local] : self._ptr[local + 1]]

    def collect(self, queries: Float32Array, best: Sequence[DualBest], allowed: BoolArray | None) -> None:
        """Offers to ``best[i]`` the passages that belong to its k best for query i.

        Shapes: queries float32[n, dim]; allowed bool[size], None = all.
        """
        for one in best:
            one.enter_part(self)
        depth = max(PROPOSED_LEAST, PROPOSED_EACH * max(one.k for one in best))
        few = len(queries) <= FEW_QUERIES and depth <= PROPOSED_SHARE * len(self._queries)
        if not (few and self._proposes):
            self._scan(queries, best, allowed)
            return
        for query, one in zip(queries, best):
            self._propose(self.expansion.codes(), query, one, depth, allowed)

    # ---------------------------------------------------------------- exact scores of single passages

    def fused(self, query: Float32Array, locals_: Int64Array, alpha: float, near: Int64Array) -> Float32Array:
        """Exact scores: float32[n].

        Args:
            query: The query's vector.
            locals_: The passages.
            alpha: Share of the generated queries.
            near: Numbers of generated queries among which the nearest of a passage is known to be; of passages that
                have none here, all are looked at.

        Shapes: query float32[dim]; locals_ int64[n], ascending; near int64[m], ascending.
        """
        text = exact_scores(self._text[locals_], query)
        there = self._counts[locals_] > 0
        out = text.copy()
        if there.any():
            out[there] = fused_score(text[there], self._nearest_exactly(query, locals_[there], near), alpha)
        return out

    def _nearest_exactly(self, query: Float32Array, locals_: Int64Array, near: Int64Array) -> Float32Array:
        """As :meth:`exact`, with the rows that are known to matter."""
        if self._mean or not len(near):
            return self.exact(query, locals_)
        owners = self.expansion.owners[near]
        at = np.minimum(np.searchsorted(locals_, owners), len(locals_) - 1)
        wanted = locals_[at] == owners
        out = np.full(len(locals_), -np.inf, np.float32)
        np.maximum.at(out, at[wanted], exact_scores(self._queries[near[wanted]], query))
        left = np.flatnonzero(np.isneginf(out))
        if len(left):
            out[left] = self.exact(query, locals_[left])
        return out

    def exact(self, query: Float32Array, locals_: Int64Array) -> Float32Array:
        """The exact share of the generated queries of passages that have some: float32[n]."""
        if self._mean:
            return exact_scores(self._means[locals_], query)
        # The greatest exact product belongs to a row whose rough product is within twice the error of the greatest.
        error = 2 * Best(query, 1).error_of(self._longest)
        _, near, at = self._rough.near(locals_, query, error)
        out = np.full(len(locals_), -np.inf, np.float32)
        np.maximum.at(out, at, exact_scores(self._queries[near], query))
        return out

    @cached_property
    def _means(self) -> Float32Array:
        """The mean of each passage's vectors, of the length that vectors have; zeros where there are none."""
        out = np.zeros((self.size, self._text.shape[1]), np.float32)
        for start, stop in self._blocks():
            rows = np.asarray(self._queries[self._ptr[start] : self._ptr[stop]], np.float64)
            there = np.flatnonzero(self._counts[start:stop])
            if len(there):
                sums = np.add.reduceat(rows, self._ptr[start:stop][there] - self._ptr[start], axis=0)
                norms = np.sqrt((sums**2).sum(axis=1, keepdims=True))
                lengths = np.sqrt((rows**2).sum(axis=1))
                mean = np.add.reduceat(lengths, self._ptr[start:stop][there] - self._ptr[start])
                mean /= self._counts[start:stop][there]
                out[start + there] = sums / np.maximum(norms, 1e-30) * mean[:, None]
        return out

    # ---------------------------------------------------------------- every row

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of passages with so many rows that they are worth a product, and not so many that they fill memory."""
        start = 0
        while start < self.size:
            stop = int(np.searchsorted(self._ptr, self._ptr[start] + BLOCK_ROWS, side="right")) - 1
            stop = min(max(stop, start + 1), start + BLOCK_ROWS, self.size)
            yield start, stop
            start = stop

    def _scan(self, queries: Float32Array, best: Sequence[DualBest], allowed: BoolArray | None) -> None:
        for start, stop in self._blocks():
            mask = None if allowed is None else allowed[start:stop]
            if mask is not None and not mask.any():
                continue
            local = np.arange(start, stop) if mask is None else start + np.flatnonzero(mask)
            text = self._text[start:stop]
            text = text if mask is None else text[mask]
            found = products(queries, text)
            share = self._shares(queries, start, stop, local)
            largest = max(share.largest, self._norm(start, text, whole=mask is None))
            for i, one in enumerate(best):
                scores = found[i]
                a = np.float32(one.alpha)
                scores[share.there] = (np.float32(1) - a) * scores[share.there] + a * share.nearest[i]
                error = one.error_of(largest)
                may = scores >= one.floor - error
                kept = np.flatnonzero(may)
                one.offer(self.base + local[kept], scores[kept], error)
                if share.products is not None:
                    one.near(share.rows_of(i, may[share.there], error))

    def _shares(self, queries: Float32Array, start: int, stop: int, local: Int64Array) -> Shares:
        there = np.flatnonzero(self._counts[local])
        if not len(there):
            return Shares(there, np.empty((len(queries), 0), np.float32), 0.0)
        if self._mean:
            rows = self._means[local[there]]
            return Shares(there, products(queries, rows), largest_norm(rows))
        counts = self._counts[local[there]]
        begins = np.cumsum(counts) - counts
        numbers = np.repeat(self._ptr[local[there]] - begins, counts) + np.arange(int(counts.sum()))
        whole = len(local) == stop - start
        rows = self._queries[self._ptr[start] : self._ptr[stop]] if whole else self._queries[numbers]
        each = products(queries, rows)
        nearest = np.maximum.reduceat(each, begins, axis=1)
        return Shares(there, nearest, largest_norm(rows), each, numbers, counts)

    def _norm(self, start: int, text: Float32Array, *, whole: bool) -> float:
        if not whole:
            return largest_norm(text)
        known = self._largest.get(start)
        if known is None:
            known = self._largest[start] = largest_norm(text)
        return known

    # ---------------------------------------------------------------- proposals first

    def _propose(self, codes: Codes, query: Float32Array, one: DualBest, depth: int, allowed: BoolArray | None) -> None:
        """The threshold algorithm, with what the codes propose as one list and the text scores as the other."""
        numbers = codes.propose(query, depth)
        self._rough.count()
        owners, rough = self.expansion.owners[numbers], self._rough.of_queries(numbers, query)
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        seen = owners[starts]
        there, a = self._counts > 0, np.float32(one.alpha)
        text, certain = self._text_scores(query, one.k, seen, allowed)
        # Of passages that were not proposed: as high as can be. Those without queries are known by their text.
        scores = np.where(there, (1 - a) * text + a * rough.min(), text)
        scores[seen] = (1 - a) * text[seen] + a * np.maximum.reduceat(rough, starts)
        known = certain & ~there
        known[seen] = True
        error = one.error_of(self._longest) + 0.5 * one.alpha * MARGIN
        sure = known if allowed is None else known & allowed
        if np.count_nonzero(sure) < one.k:
            self._scan(query[None], [one], allowed)
            return
        floor = max(one.floor, _kth(scores[sure], one.k) - 2 * error) - error
        may = (scores >= floor) & certain if allowed is None else (scores >= floor) & certain & allowed
        unknown = np.flatnonzero(may & ~known)
        if self._counts[unknown].sum() > PROPOSED_SHARE * len(self._queries):
            self._scan(query[None], [one], allowed)
            return
        if len(unknown):
            greatest, near, _ = self._rough.near(unknown, query, 2 * one.error_of(self._longest))
            scores[unknown] = (1 - a) * text[unknown] + a * greatest
            may[unknown] = scores[unknown] >= floor
            one.near(near)
        local = np.flatnonzero(may)
        one.offer(self.base + local, scores[local], error)

    def _text_scores(
        self, query: Float32Array, k: int, seen: NDArray[np.int32], allowed: BoolArray | None
    ) -> tuple[Float32Array, BoolArray]:
        """Rough products with the passages, and of which they are certain: float32[size], bool[size].

        Without a graph or codes of the texts, all are. Else what those propose and what ``seen`` names; for the others
        stands the lowest of them.
        """
        local = self._proposed_texts(query, k, allowed)
        if local is None:
            out = np.empty(self.size, np.float32)
            for start in range(0, self.size, BLOCK_ROWS):
                block = self._text[start : start + BLOCK_ROWS]
                out[start : start + BLOCK_ROWS] = product(block, query)
            return out, np.ones(self.size, np.bool_)
        local = np.union1d(local, seen)
        scores = self._rough.of_texts(local, query)
        out, certain = np.full(self.size, scores.min(initial=1.0), np.float32), np.zeros(self.size, np.bool_)
        out[local], certain[local] = scores, True
        return out, certain

    def _proposed_texts(self, query: Float32Array, k: int, allowed: BoolArray | None) -> Int64Array | None:
        """Passages whose texts are nearest, by the graph or by codes; None where neither is there."""
        if self._graph is not None:
            return self._graph.propose(query, k, allowed)
        codes = self.expansion.text_codes()
        return codes.propose(query, max(TEXTS_LEAST, TEXTS_EACH * k)) if codes is not None else None


def _kth(scores: NDArray[np.float32], k: int) -> float:
    """The k-th greatest; minus infinity if there are fewer."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if len(scores) >= k else -np.inf
