"""Encoders of a server: one of each name, shared by all indexes; concurrent queries are encoded together."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders import find
from twindex.indexing.encoding import Encoder, EncoderInfo, PairScorer, SparseEncoder
from twindex.indexing.errors import ConfigError, MissingError, QueryError, TwindexError
from twindex.indexing.types import Float32Array

#: From the names of a dense and a sparse encoder to both.
FindLegs = Callable[[str | None, str | None], tuple[Encoder | None, SparseEncoder | None]]
#: Vectors of queries that are remembered.
REMEMBERED: Final = 4096
#: Texts that one call of the encoder gets, at most.
MAX_BATCH: Final = 64


@dataclass(eq=False, slots=True)
class _Wanted:
    """A text of one caller, and its vector or error once there is one."""

    text: str
    vector: Float32Array | None = None
    error: Exception | None = None


@dataclass(slots=True)
class EncoderCounts:
    """What a shared encoder has done: calls, texts in them, and texts that were remembered."""

    batches: int = 0
    texts: int = 0
    remembered: int = 0


class BatchedEncoder:
    """An encoder whose queries are encoded together when they come together.

    Whoever finds the encoder free takes all texts that wait and encodes them in one call; those who come meanwhile
    are the next batch. So a lone query never waits, and a crowd shares calls. Rows are unchanged, since an encoder
    gives each text the same vector in any company (:class:`twindex.indexing.encoding.Encoder`); encoders that do
    not promise it are called a text at a time.

    Args:
        inner: The encoder.
        remember: Query vectors to remember.
    """

    def __init__(self, inner: Encoder, *, remember: int = REMEMBERED) -> None:
        self._inner = inner
        self._remember = remember
        self._known: OrderedDict[str, Float32Array] = OrderedDict()
        self._waiting: list[_Wanted] = []
        self._guard = threading.Lock()
        self._busy = threading.Lock()
        self.counts = EncoderCounts()

    @property
    def info(self) -> EncoderInfo:
        """That of the encoder inside."""
        return self._inner.info

    @property
    def batch_invariant(self) -> bool:
        """That of the encoder inside."""
        return self._inner.batch_invariant

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of documents: float32[len(texts), dim]."""
        return self._inner.encode_documents(texts)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of queries: float32[len(texts), dim]."""
        rows: list[Float32Array | _Wanted] = []
        with self._guard:
            for text in texts:
                known = self._known.get(text)
                if known is not None:
                    self._known.move_to_end(text)
                    self.counts.remembered += 1
                    rows.append(known)
                else:
                    wanted = _Wanted(text)
                    self._waiting.append(wanted)
                    rows.append(wanted)
        mine = [row for row in rows if isinstance(row, _Wanted)]
        while any(wanted.vector is None and wanted.error is None for wanted in mine):
            with self._busy:
                self._encode_waiting()
        for wanted in mine:
            if wanted.error is not None:
                raise wanted.error
        vectors = [row.vector if isinstance(row, _Wanted) else row for row in rows]
        if not vectors:
            return np.empty((0, self.info.dim), np.float32)
        return np.ascontiguousarray(np.stack([v for v in vectors if v is not None]), np.float32)

    def _encode_waiting(self) -> None:
        """One batch of what waits, if anything does; the caller holds the encoder."""
        size = MAX_BATCH if self.batch_invariant else 1
        with self._guard:
            batch, self._waiting = self._waiting[:size], self._waiting[size:]
        if not batch:
            return
        try:
            vectors = self._inner.encode_queries([wanted.text for wanted in batch])
        except Exception as error:  # each caller gets it
            for wanted in batch:
                wanted.error = error
            return
        with self._guard:
            self.counts.batches += 1
            self.counts.texts += len(batch)
            for wanted, vector in zip(batch, vectors):
                wanted.vector = self._known[wanted.text] = vector.copy()
            while len(self._known) > self._remember:
                self._known.popitem(last=False)


class EncoderPool:
    """Models by name, each found at its first use and shared by all indexes.

    Args:
        find: From a name to an encoder.
        find_legs: From the names of a dense and a sparse encoder to both.
        find_reranker: From a name to what scores pairs of texts.
        reranker_name: The reranker of this server: a model of the package, or a folder.
    """

    def __init__(
        self,
        find: Callable[[str], Encoder] = find.find_encoder,
        find_legs: FindLegs = find.find_legs,
        find_reranker: Callable[[str], PairScorer] = find.find_reranker,
        reranker_name: str = find.DEFAULT_RERANKER,
    ) -> None:
        self._find = find
        self._find_legs = find_legs
        self._find_reranker = find_reranker
        self.reranker_name = reranker_name
        self._lock = threading.RLock()
        self._made: dict[str, BatchedEncoder] = {}
        self._sparse: dict[str, SparseEncoder] = {}
        self._pairs: dict[tuple[str, str], tuple[Encoder | None, SparseEncoder | None]] = {}
        self._rerankers: dict[str, PairScorer] = {}

    def named(self, name: str) -> BatchedEncoder:
        """The encoder of that name.

        Raises:
            ModelNotFoundError: If it is not here.
            ConfigError: If the name makes no sense.
        """
        with self._lock:
            made = self._made.get(name)
            if made is None:
                made = self._made[name] = BatchedEncoder(self._find(name))
            return made

    def sparse(self, name: str) -> SparseEncoder:
        """The sparse encoder of that name.

        Raises:
            ModelNotFoundError: If it is not here.
            ConfigError: If the name makes no sense.
        """
        with self._lock:
            if name not in self._sparse:
                found = self._find_legs(None, name)[1]
                if found is None:
                    raise ConfigError(f"sparse encoder {name!r}", expected="the name of one")
                self._sparse[name] = found
            return self._sparse[name]

    def reranker(self, name: str) -> PairScorer:
        """The reranker of that name.

        Raises:
            QueryError: If it is not here: whoever asks for it cannot install it.
        """
        with self._lock:
            if name not in self._rerankers:
                try:
                    self._rerankers[name] = self._find_reranker(name)
                except MissingError as error:
                    raise QueryError(
                        "a search with rerank, on a server without a reranker",
                        expected="rerank = 0",
                        remedy="start the server with --reranker FOLDER",
                    ) from error
            return self._rerankers[name]

    def reranker_here(self) -> str | None:
        """The name of the reranker, if it is here; it is not loaded."""
        if self.reranker_name in self._rerankers:
            return self.reranker_name
        try:
            return self.reranker_name if find.reranker_is_here(self.reranker_name) else None
        except (TwindexError, OSError):
            return None

    def of(self, config: IndexConfig) -> tuple[Encoder | None, SparseEncoder | None]:
        """The encoders of documents that an index names; whoever writes compares fingerprints.

        The two sides of a twin encoder come together, so that each text goes through it once.

        Raises:
            ModelNotFoundError: If one is not here.
            ConfigError: If a name makes no sense.
        """
        dense = config.encoder.name if config.encoder is not None else None
        sparse = config.sparse_encoder.name if config.sparse_encoder is not None else None
        if dense is None or sparse is None or dense != sparse:
            return self.named(dense) if dense is not None else None, self.sparse(sparse) if sparse is not None else None
        with self._lock:
            key = (dense, sparse)
            if key not in self._pairs:
                self._pairs[key] = side, _ = self._find_legs(*key)
                if side is not None:
                    self._made.setdefault(dense, BatchedEncoder(side))
            return self._pairs[key]

    def counts(self) -> dict[str, EncoderCounts]:
        """What each has done."""
        with self._lock:
            return {name: encoder.counts for name, encoder in self._made.items()}
