"""A snapshot of vectors alone, for tests of the dense leg: real files, a small encoder, an oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from twindex.indexing.encoding import EncoderInfo
from twindex.indexing.filters import Filter
from twindex.indexing.types import BoolArray, Float32Array, Int32Array
from twindex.indexing.vectors import HnswConfig, VectorReader, VectorWriter, build_hnsw
from twindex.retrieval.types import Ranking


@dataclass(frozen=True)
class Marked(Filter):
    """A filter whose answer the test knows."""

    label: str

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True)
class Part:
    vectors: VectorReader | None


class TableEncoder:
    """Texts are keys of a table of vectors; counts its calls."""

    def __init__(self, table: dict[str, Float32Array], dim: int, *, invariant: bool = True) -> None:
        self.table = table
        self.info = EncoderInfo("table", "table/v1", dim, 0, similarity="dot")
        self.batch_invariant = invariant
        self.calls: list[int] = []

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        return self.encode_queries(texts)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        self.calls.append(len(texts))
        return np.array([self.table[text] for text in texts], np.float32).reshape(len(texts), self.info.dim)


@dataclass
class VectorSnapshot:
    matrix: Float32Array
    segments: list[Part]
    bases: list[int]
    encoder_info: EncoderInfo | None
    live: BoolArray | None = None
    filters: dict[str, BoolArray] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.matrix)

    def allowed(self, condition: Filter | None, /) -> BoolArray | None:
        if condition is None:
            return self.live
        chosen = self.filters[str(condition)]
        return chosen if self.live is None else chosen & self.live

    def ids(self, ords: Int32Array) -> list[str]:
        return [str(ord_) for ord_ in ords]


def snapshot_of(
    folder: Path,
    matrix: Float32Array,
    sizes: Sequence[int],
    info: EncoderInfo | None,
    *,
    graph: HnswConfig | None = None,
) -> VectorSnapshot:
    """The rows as segments of the given sizes."""
    parts, bases, start = [], [], 0
    for number, size in enumerate(sizes):
        path = folder / f"s{number}"
        path.mkdir(parents=True)
        with VectorWriter(path, matrix.shape[1]) as writer:
            writer.add(matrix[start : start + size])
        if graph is not None:
            build_hnsw(path, matrix.shape[1], graph)
        parts.append(Part(VectorReader(path, matrix.shape[1])))
        bases.append(start)
        start += size
    assert start == len(matrix)
    return VectorSnapshot(matrix, parts, bases, info)


def oracle(matrix: Float32Array, query: Float32Array, k: int, allowed: BoolArray | None) -> Ranking:
    """Every score by itself in float64, rounded to float32; a full sort."""
    wide = query.astype(np.float64)
    scores = np.array([np.float32((row.astype(np.float64) * wide).sum()) for row in matrix], np.float32)
    ords = np.arange(len(matrix)) if allowed is None else np.flatnonzero(allowed)
    order = sorted(ords.tolist(), key=lambda ord_: (-float(scores[ord_]), ord_))[:k]
    return Ranking(np.array(order, np.int32), scores[order] if order else np.empty(0, np.float32))


def same(a: Ranking, b: Ranking) -> bool:
    return bool(np.array_equal(a.ords, b.ords) and np.array_equal(a.scores, b.scores))
