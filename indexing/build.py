"""Building one segment from a stream of passages, in bounded memory.

Passages go through in shards: each is stored, analysed and, with an encoder, encoded. Encoding runs in a
second thread beside the rest of the same shard (the encoder's runtime lets go of the interpreter), and
its result is awaited before the next shard, so that bytes never depend on timing.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np

from twindex.indexing.analysis.base import Analyzer, Vocabulary
from twindex.indexing.config import IndexConfig
from twindex.indexing.directory import FileDirectory
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.files import segment_name
from twindex.indexing.manifest import SEGMENT_FOLDER
from twindex.indexing.postings import PostingsBuilder
from twindex.indexing.store import StoreWriter
from twindex.indexing.types import BoolArray, Float32Array, Passage
from twindex.indexing.vector_cache import VectorCache
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
        config: Settings of the index.
        analyzer: Analyzer of the sparse leg.
        encoder: Encoder of the dense leg, None for an index without one.
        cache: Where vectors are kept until the commit; given with an encoder.
    """

    def __init__(
        self,
        directory: FileDirectory,
        number: int,
        *,
        config: IndexConfig,
        analyzer: Analyzer,
        encoder: Encoder | None = None,
        cache: VectorCache | None = None,
    ) -> None:
        self.name = segment_name(number)
        self.size = 0
        self.chars = 0
        self._directory = directory
        self._config = config
        self._analyzer = analyzer
        self._encoder = encoder
        self._cache = cache
        path = directory.path(f"{SEGMENT_FOLDER}/{self.name}")
        path.mkdir(parents=True)
        self._path = path
        self._vocabulary = Vocabulary()
        self._postings = PostingsBuilder(path)
        self._store = StoreWriter(path)
        self._vectors = VectorWriter(path, config.encoder.dim) if config.encoder is not None else None
        self._pool = ThreadPoolExecutor(1, "twindex-encode") if self._vectors is not None else None
        self._buffer: list[Passage] = []
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

    def add(self, doc_id: str, passages: Iterable[Passage]) -> int:
        """Adds a document that is not here; the number of its passages."""
        start = self.size
        for passage in passages:
            self._buffer.append(passage)
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
        self._postings.finish(self._vocabulary)
        self._store.finish()
        if self._vectors is not None:
            self._vectors.finish()
            if self._config.vector_kind == "hnsw":
                build_hnsw(self._path, self._vectors_dim(), self._config.hnsw)
        self._stop()
        return WorkingSegment(self._directory, self.name, size=self.size, documents=len(self._spans), live=self._live())

    def abandon(self) -> None:
        """Stops without completing the files; the caller removes them."""
        self._stop()
        self._store.close()
        if self._vectors is not None:
            self._vectors.close()

    def _drain(self) -> None:
        if not self._buffer:
            return
        shard, self._buffer, self._waiting = self._buffer, [], 0
        texts = [passage.contents for passage in shard]
        encoded = self._encode(texts)
        self._store.add(shard)
        self._postings.add(self._analyzer.analyze(texts, self._vocabulary))
        if encoded is not None and self._vectors is not None:
            self._vectors.add(encoded.result())

    def _encode(self, texts: list[str]) -> Future[Float32Array] | None:
        if self._pool is None:
            return None
        if self._encoder is None or self._cache is None:
            raise ConfigError(
                "documents added to a twin index without its encoder",
                expected=f"the encoder {self._config.encoder.name!r}" if self._config.encoder else "",
                remedy="give encoder=... when the writer is opened",
            )
        return self._pool.submit(self._cache.encode, texts, self._encoder)

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
