"""Building one segment from a stream of passages, in bounded memory.

Passages go through in shards: each is stored, analysed and, with encoders, encoded. Analysis runs ahead in other
processes once there is much of it (see :mod:`twindex.indexing.analysis.pool`); encoding runs in a second thread
(the encoder's runtime lets go of the interpreter), and its result is awaited before the next shard. Everything is
taken up in the order of the shards, so that bytes never depend on timing.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np

from twindex.indexing.analysis.base import TermBatch
from twindex.indexing.directory import FileDirectory
from twindex.indexing.encoding import SparseRows
from twindex.indexing.expansion.building import ExpansionBuilder
from twindex.indexing.files import segment_name
from twindex.indexing.manifest import SEGMENT_FOLDER
from twindex.indexing.postings import ImpactsBuilder, PostingsBuilder
from twindex.indexing.store import StoreWriter
from twindex.indexing.tools import BuildTools
from twindex.indexing.types import BoolArray, Float32Array, Passage
from twindex.indexing.vectors import VectorWriter, build_hnsw
from twindex.indexing.working import WorkingSegment

#: Passages in one shard: what a crash can cost in encoding.
SHARD: Final = 1024
#: Characters after which a shard is closed early, so that long texts do not pile up.
SHARD_CHARS: Final = 1 << 24


class SegmentBuilder:
    """Writes the files of one new segment; :meth:`finish` gives it to the transaction.

    Args:
        directory: The index directory.
        number: The segment's number.
        tools: Settings of the index, analyzer, encoders and expansions.
    """

    def __init__(self, directory: FileDirectory, number: int, *, tools: BuildTools) -> None:
        config = tools.config
        self.name = segment_name(number)
        self.size = 0
        self.chars = 0
        self._directory = directory
        self._config = config
        self._tools = tools
        path = directory.path(f"{SEGMENT_FOLDER}/{self.name}")
        path.mkdir(parents=True)
        self._path = path
        self._terms = tools.analysis.stream(tools.phases)
        self._postings = PostingsBuilder(path)
        self._store = StoreWriter(path)
        dense, sparse = config.encoder, config.sparse_encoder
        self._vectors = VectorWriter(path, dense.dim) if dense is not None else None
        self._impacts = (
            ImpactsBuilder(path, vocabulary=sparse.vocabulary, scale=sparse.scale) if sparse is not None else None
        )
        self._pool = ThreadPoolExecutor(1, "twindex-encode") if dense is not None or sparse is not None else None
        expands = config.expansion is not None
        self.expansion = ExpansionBuilder(path, tools=tools, pool=self._pool) if expands else None
        self._buffer: list[Passage] = []
        self._rows: list[SparseRows] = []
        self._waiting = 0
        self._spans: dict[str, tuple[int, int]] = {}
        self._dead: list[tuple[int, int]] = []

    def __contains__(self, doc_id: str) -> bool:
        """Whether the document is here and live."""
        return doc_id in self._spans

    @property
    def full(self) -> bool:
        """Whether the next document belongs into another segment."""
        return self.size >= self._config.segment_docs or self.chars >= self._config.segment_chars

    def add(self, doc_id: str, passages: Iterable[Passage], row: SparseRows | None = None) -> int:
        """Adds a document that is not here; the number of its passages.

        Args:
            doc_id: Its id.
            passages: Its spans.
            row: The sparse vector of its one passage, if it is known and shall not be encoded.
        """
        start = self.size
        for passage in passages:
            if self._buffer and bool(self._rows) != (row is not None):
                self._drain()  # a shard is encoded as a whole, or not at all
            self._buffer.append(passage)
            if row is not None:
                self._rows.append(row)
            self.size += 1
            length = len(passage.title) + len(passage.text)
            self._waiting += length
            self.chars += length
            if len(self._buffer) >= SHARD or self._waiting >= SHARD_CHARS:
                self._drain()
        self._spans[doc_id] = (start, self.size)
        return self.size - start

    def delete(self, doc_id: str) -> bool:
        """Marks a document that was added here as deleted; whether it was live."""
        span = self._spans.pop(doc_id, None)
        if span is None:
            return False
        self._dead.append(span)
        return True

    def finish(self) -> WorkingSegment:
        """Completes the files."""
        self._drain()
        with ThreadPoolExecutor(1, "twindex-store") as beside:
            stored = beside.submit(self._store.finish)
            self._invert(self._terms.drain())
            with self._tools.phases.timed("writing"):
                self._postings.finish(self._terms.vocabulary)
                stored.result()
        with self._tools.phases.timed("writing"):
            if self._impacts is not None:
                self._impacts.finish()
            if self._vectors is not None:
                self._vectors.finish()
                if self._config.vector_kind == "hnsw":
                    build_hnsw(self._path, self._vectors_dim(), self._config.hnsw)
        if self.expansion is not None:
            self.expansion.finish(self._terms.vocabulary)
        self._stop()
        return WorkingSegment(self._directory, self.name, size=self.size, documents=len(self._spans), live=self._live())

    def abandon(self) -> None:
        """Stops without completing the files; the caller removes them."""
        self._stop()
        self._store.close()
        if self.expansion is not None:
            self.expansion.abandon()
        if self._vectors is not None:
            self._vectors.close()

    def _drain(self) -> None:
        if not self._buffer:
            return
        shard, self._buffer, self._waiting = self._buffer, [], 0
        rows, self._rows = self._rows, []
        texts = [passage.contents for passage in shard]
        batches = self._terms.submit(texts if self.expansion is None else [*texts, *self.expansion.look_up(texts)])
        encoded = self._pool.submit(self._tools.encode, texts) if self._vectors is not None and self._pool else None
        sparse = self._pool.submit(self._sparse, texts, rows) if self._impacts and self._pool else None
        with self._tools.phases.timed("storing"):
            self._store.add(shard)
        self._invert(batches)
        self._take_vectors(encoded, sparse)
        if self.expansion is not None:
            self.expansion.take()

    def _invert(self, batches: list[TermBatch]) -> None:
        """Takes analysed shards: terms of passages, and behind them those of their queries, if there are any."""
        with self._tools.phases.timed("inversion"):
            for batch in batches:
                if self.expansion is None:
                    self._postings.add(batch)
                    continue
                texts, queries = _halves(batch)
                self._postings.add(texts)
                self.expansion.invert(queries)

    def _take_vectors(self, encoded: Future[Float32Array] | None, sparse: Future[SparseRows] | None) -> None:
        if encoded is not None and self._vectors is not None:
            self._vectors.add(encoded.result())
        if sparse is not None and self._impacts is not None:
            found = sparse.result()
            with self._tools.phases.timed("inversion"):
                self._impacts.add(found)

    def _sparse(self, texts: list[str], rows: list[SparseRows]) -> SparseRows:
        return SparseRows.concatenate(rows) if rows else self._tools.encode_sparse(texts)

    def _live(self) -> BoolArray | None:
        if not self._dead:
            return None
        live = np.ones(self.size, np.bool_)
        for start, stop in self._dead:
            live[start:stop] = False
        return live

    def _vectors_dim(self) -> int:
        return self._config.encoder.dim if self._config.encoder is not None else 0

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)


def _halves(batch: TermBatch) -> tuple[TermBatch, TermBatch]:
    """The first and the second half of the texts of a batch."""
    middle = (len(batch.offsets) - 1) // 2
    cut = int(batch.offsets[middle])
    first = TermBatch(batch.ids[:cut], batch.offsets[: middle + 1])
    return first, TermBatch(batch.ids[cut:], batch.offsets[middle:] - cut)
