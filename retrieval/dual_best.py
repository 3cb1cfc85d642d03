"""The collector of Dual-Index Fusion: the best passages so far, and which generated queries may be their nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from twindex.indexing.types import BoolArray, Float32Array, Int64Array
from twindex.retrieval.vector_search import UNIT, Best


class FusedPart(Protocol):
    """What the collector asks of a segment."""

    base: int
    size: int

    def fused(self, query: Float32Array, locals_: Int64Array, alpha: float, near: Int64Array) -> Float32Array:
        """Exact scores of passages: float32[n]."""


def fused_score(text: Float32Array | np.float32, queries: Float32Array | np.float32, alpha: float) -> Float32Array:
    """``(1 - alpha) text + alpha queries`` in float64, rounded once to float32."""
    wide = (1.0 - alpha) * np.asarray(text, np.float64) + alpha * np.asarray(queries, np.float64)
    return wide.astype(np.float32)


class DualBest(Best):
    """The k best passages for one query under both indexes.

    Args:
        query: The query's vector, float32[dim].
        k: How many are wanted, at least 1.
        alpha: Share of the generated queries.
    """

    def __init__(self, query: Float32Array, k: int, alpha: float) -> None:
        super().__init__(query, k)
        self.alpha = alpha
        self._parts: list[tuple[FusedPart, list[Int64Array]]] = []

    def error_of(self, largest: float) -> float:
        """Both products are off by so much at most; joining them in float32 adds a little."""
        return super().error_of(largest) + 8 * UNIT * self.norm * largest

    def enter_part(self, part: FusedPart) -> None:
        """Says that the next rows are those of the part."""
        self._parts.append((part, []))

    def near(self, rows: Int64Array) -> None:
        """Names the generated queries, by number in the last part, that may be the nearest of passages offered."""
        self._parts[-1][1].append(rows)

    def _exact(self, ords: Int64Array) -> Float32Array:
        out = np.empty(len(ords), np.float32)
        for part, near in self._parts:
            start, end = np.searchsorted(ords, [part.base, part.base + part.size])
            if start < end:
                rows = np.concatenate([np.empty(0, np.int64), *near])
                out[start:end] = part.fused(self.query, ords[start:end] - part.base, self.alpha, rows)
        return out


@dataclass(frozen=True, slots=True)
class Shares:
    """What the generated queries of a block's passages give, query by query.

    Shapes: ``there`` int64[m], places in the block of passages that have some; ``nearest`` float32[queries, m]. For the
    maximum: ``products`` float32[queries, rows], ``numbers`` int64[rows] of all their queries, ``counts`` int64[m].
    """

    there: Int64Array
    nearest: Float32Array
    largest: float
    products: Float32Array | None = None
    numbers: Int64Array | None = None
    counts: Int64Array | None = None

    def rows_of(self, i: int, may: BoolArray, error: float) -> Int64Array:
        """Numbers of the generated queries that may be the nearest to query i of those passages: ascending."""
        if self.products is None or self.numbers is None or self.counts is None:
            return np.empty(0, np.int64)
        least = np.where(may, self.nearest[i] - np.float32(2 * error), np.float32(np.inf))
        rows: Int64Array = self.numbers[self.products[i] >= np.repeat(least, self.counts)]
        return rows
