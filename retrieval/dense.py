"""The dense leg: inner products of a query's vector with the vectors of every live passage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.encoding import Encoder, EncoderInfo
from twindex.indexing.errors import ConfigError, CorruptIndexError, DeviceError, FingerprintError, QueryError
from twindex.indexing.filters import Filter
from twindex.indexing.types import BoolArray, Float32Array, Int32Array
from twindex.indexing.vectors import VectorReader, check_vectors
from twindex.retrieval.types import Explanation, Query, Ranking, Run, as_queries, check_k
from twindex.retrieval.vector_search import Best, FlatSearch, GraphSearch, VectorSearch, exact_scores

#: Queries whose products with one block of vectors are held at once.
BATCH: Final = 256


class DenseSegment(Protocol):
    """What this leg needs of a segment."""

    @property
    def vectors(self) -> VectorReader | None:
        """Its vectors."""


class DenseSource(Protocol):
    """What this leg needs of a snapshot."""

    @property
    def size(self) -> int:
        """Number of ordinals, deleted ones included."""

    @property
    def bases(self) -> Sequence[int] | NDArray[Any]:
        """First ordinal of each segment."""

    @property
    def segments(self) -> Sequence[DenseSegment]:
        """In the order of ordinals."""

    @property
    def encoder_info(self) -> EncoderInfo | None:
        """The encoder of the vectors; None for an index without them."""

    def allowed(self, condition: Filter | None, /) -> BoolArray | None:
        """bool[size] of live documents that pass the filter; None = every ordinal."""

    def ids(self, ords: Int32Array) -> list[str]:
        """External ids."""


@dataclass(frozen=True, slots=True)
class DenseConfig:
    """How vectors are searched.

    ``kind``: "exact" scans; "auto" uses the graph of a segment that has one, has at least
    ``graph_from`` vectors, and of which the filter leaves at least the share ``graph_share``.
    ``ef_search``: candidates a graph keeps; None = as stored. A k above a quarter of a segment is scanned.
    ``device``: "cpu"; other devices come as further implementations of ``VectorSearch``.

    Raises:
        ConfigError: If a value is out of range.
        DeviceError: If the device is not supported.
    """

    kind: Literal["auto", "exact"] = "auto"
    graph_from: int = 20_000
    graph_share: float = 0.1
    ef_search: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.kind not in ("auto", "exact"):
            raise ConfigError(f"kind of vector search {self.kind!r}", expected="auto or exact")
        if self.graph_from < 0 or not 0.0 <= self.graph_share <= 1.0:
            raise ConfigError(
                f"graph_from = {self.graph_from}, graph_share = {self.graph_share}",
                expected="a number of vectors, and a share from 0 to 1",
            )
        if self.ef_search is not None and self.ef_search < 1:
            raise ConfigError(f"ef_search = {self.ef_search}", expected="at least 1")
        if self.device != "cpu":
            raise DeviceError(f"vector search on {self.device!r}", expected="cpu")


class DenseRetriever:
    """Nearest passages by inner product (the cosine, for normalised vectors). Safe for threads.

    Args:
        snapshot: What to search.
        encoder: The encoder that its vectors were made with.
        config: Exact or through graphs.

    Raises:
        QueryError: If the index has no vectors.
        FingerprintError: If they were made with another encoder.
    """

    def __init__(
        self,
        snapshot: DenseSource,
        encoder: Encoder,
        config: DenseConfig = DenseConfig(),
    ) -> None:
        _check(snapshot.encoder_info, encoder.info)
        self.snapshot = snapshot
        self.encoder = encoder
        self.config = config
        #: First ordinal, vectors, scan and graph (if it is to be used) of each segment that has vectors.
        self.parts: list[tuple[int, VectorReader, VectorSearch, GraphSearch | None]] = []
        for base, segment in zip(snapshot.bases, snapshot.segments):
            reader = segment.vectors
            if reader is not None and reader.size:
                flat, start = FlatSearch(reader, int(base)), int(base)
                graph = GraphSearch(reader, start, config.ef_search) if self._wants_graph(reader) else None
                self.parts.append((start, reader, flat, graph))

    @property
    def name(self) -> str:
        """Short name of the leg."""
        return "dense"

    def retrieve(self, queries: Sequence[Query | str], k: int) -> Run:
        """The k best passages of each query; none for k = 0 and for a blank query.

        Raises:
            QueryError: If k is negative.
            CorruptIndexError: If damaged vectors give scores that are no finite numbers.
        """
        return search_vectors(self.snapshot, queries, k, self.encode if self.parts else None, self._search)

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """Query vectors, each a function of its own text.

        Shapes: result float32[len(texts), dim].

        Raises:
            ConfigError: If the encoder returns something else than finite float32[n, dim].
        """
        if self.encoder.batch_invariant:
            vectors = self.encoder.encode_queries(texts)
        else:  # many queries must give what one by one gives
            vectors = np.concatenate([self.encoder.encode_queries([text]) for text in texts])
        check_vectors(vectors, self.encoder.info.dim)
        return vectors

    def explain(self, query: Query, ord_: int) -> Explanation:
        """The score as product of the cosine and both lengths; value 0 if the passage is not searched.

        Raises:
            QueryError: If there is no such ordinal.
        """
        if not 0 <= ord_ < self.snapshot.size:
            raise QueryError(f"ordinal {ord_}", expected=f"a number below {self.snapshot.size}")
        row = self._vector(ord_)
        allowed = self.snapshot.allowed(query.filter)
        if row is None or not query.text.strip() or (allowed is not None and not allowed[ord_]):
            return Explanation(0.0, "no match: deleted, filtered out, without a vector, or a blank query")
        vector = self.encode([query.text])[0]
        value = float(exact_scores(row.reshape(1, -1), vector)[0])
        return _explanation(value, _norm(vector), _norm(row), self.encoder.info)

    def _wants_graph(self, reader: VectorReader) -> bool:
        return self.config.kind == "auto" and reader.size >= self.config.graph_from and reader.has_graph

    def _search(self, vectors: Float32Array, k: int, allowed: BoolArray | None) -> list[Ranking]:
        best = [Best(vector, k) for vector in vectors]
        for base, reader, flat, graph in self.parts:
            mask = None if allowed is None else allowed[base : base + reader.size]
            share = 1.0 if mask is None else float(mask.mean())
            if share == 0.0:
                continue
            pays = share >= self.config.graph_share and 4 * k <= reader.size
            search = graph if graph is not None and pays else flat
            search.collect(vectors, best, mask)
        return [one.ranking() for one in best]

    def _vector(self, ord_: int) -> Float32Array | None:
        for base, reader, *_ in self.parts:
            if base <= ord_ < base + reader.size:
                return np.asarray(reader.matrix[ord_ - base])
        return None


def _check(found: EncoderInfo | None, wanted: EncoderInfo) -> None:
    if found is None:
        raise QueryError(
            "dense search of an index without vectors",
            expected="an index that was built with an encoder",
            remedy="search it in sparse mode, or build it again with an encoder",
        )
    if found.fingerprint != wanted.fingerprint:
        raise FingerprintError(
            f"encoder {wanted.name!r} ({wanted.fingerprint})",
            expected=f"{found.name!r} ({found.fingerprint}), which made the vectors",
            remedy=f"search with {found.name!r}",
        )


def search_vectors(
    snapshot: DenseSource,
    queries: Sequence[Query | str],
    k: int,
    encode: Callable[[list[str]], Float32Array] | None,
    nearest: Callable[[Float32Array, int, BoolArray | None], list[Ranking]],
) -> Run:
    """The k best of each query by its vector: each filter is evaluated once, and vectors are searched in batches.

    Args:
        snapshot: What is searched.
        queries: A blank one finds nothing.
        k: How many; none for 0.
        encode: Vectors of queries, float32[n, dim]; None = there is nothing to find.
        nearest: The k best for some vectors among the allowed ordinals.

    Raises:
        QueryError: If k is negative.
        CorruptIndexError: If damaged vectors give scores that are no finite numbers.
    """
    check_k(k)
    asked = as_queries(queries)
    rankings = [Ranking.empty()] * len(asked)
    rows = [i for i, query in enumerate(asked) if k and query.text.strip()]
    if rows and encode is not None:
        vectors = encode([asked[i].text for i in rows])
        groups: dict[Filter | None, list[int]] = {}
        for at, row in enumerate(rows):
            groups.setdefault(asked[row].filter, []).append(at)
        for condition, group in groups.items():
            allowed = snapshot.allowed(condition)
            for start in range(0, len(group), BATCH):
                part = group[start : start + BATCH]
                for at, ranking in zip(part, nearest(vectors[part], k, allowed)):
                    rankings[rows[at]] = _finite(ranking)
    return Run(tuple(rankings), snapshot)


def _finite(ranking: Ranking) -> Ranking:
    """The same ranking.

    Raises:
        CorruptIndexError: If a score is beyond float32: no encoder makes such vectors.
    """
    if not bool(np.isfinite(ranking.scores).all()):
        raise CorruptIndexError(
            "vectors of the index give scores that are no finite numbers",
            expected="vectors as an encoder makes them",
            remedy="run: twindex verify; then restore the index from a copy, or build it again",
        )
    return ranking


def _norm(vector: Float32Array) -> float:
    return float(np.sqrt((vector.astype(np.float64) ** 2).sum()))


def _explanation(value: float, query: float, passage: float, info: EncoderInfo) -> Explanation:
    data = {"encoder": info.name, "dim": info.dim, "similarity": info.similarity}
    text = f"inner product of two vectors of {info.dim} numbers ({info.name})"
    if query == 0.0 or passage == 0.0:
        return Explanation(value, text, data=data)
    details = (
        Explanation(value / (query * passage), "cosine of the angle between them"),
        Explanation(query, "length of the query's vector"),
        Explanation(passage, "length of the passage's vector"),
    )
    return Explanation(value, text, details, "product", data)
