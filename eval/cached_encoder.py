"""An encoder that remembers: vectors by content, shared by all collections and all runs of one cache folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from twindex.eval.sparse_shards import SparseShards
from twindex.indexing.encoding import Encoder, EncoderInfo, SparseEncoder, SparseEncoderInfo, SparseRows
from twindex.indexing.types import Float32Array, Int32Array
from twindex.indexing.vector_cache import VectorCache
from twindex.retrieval.impact_reasons import names_of
from twindex.retrieval.query_terms import analyzer_of

#: Texts whose vectors are made durable together: what a crash can cost.
SHARD = 256


class CachedEncoder:
    """The same vectors as those of ``encoder``, kept in a folder. Documents and queries apart.

    An encoder whose rows depend on their neighbours is passed through: its vectors have no content of their own.

    Args:
        encoder: What encodes a text that is new.
        folder: Where vectors are kept; many encoders may share it.
    """

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self.encoder = encoder
        self._documents = VectorCache(folder / "documents", encoder.info)
        self._queries_encoder = _Queries(encoder)
        self._queries = VectorCache(folder / "queries", self._queries_encoder.info)

    @property
    def info(self) -> EncoderInfo:
        """Identity of the vectors: that of the encoder behind."""
        return self.encoder.info

    @property
    def batch_invariant(self) -> bool:
        """As the encoder behind."""
        return self.encoder.batch_invariant

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of documents.

        Shapes: result float32[len(texts), info.dim].
        """
        return _encode(self._documents, self.encoder, texts)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of queries.

        Shapes: result float32[len(texts), info.dim].
        """
        return _encode(self._queries, self._queries_encoder, texts)


class CachedSparse:
    """The same sparse vectors as those of ``encoder``, kept in a folder. Queries are encoded anew: they cost nothing.

    Args:
        encoder: What encodes a text that is new.
        folder: Where vectors are kept; many encoders may share it.
    """

    def __init__(self, encoder: SparseEncoder, folder: Path) -> None:
        self.encoder = encoder
        self._shards = SparseShards(folder / "sparse", encoder.info.fingerprint)

    @property
    def info(self) -> SparseEncoderInfo:
        """Identity of the vectors: that of the encoder behind."""
        return self.encoder.info

    def encode_documents(self, texts: Sequence[str]) -> SparseRows:
        """Vectors of documents, in the order of ``texts``."""
        return self._shards.encode(texts, self.encoder)

    @property
    def analyzer_fingerprint(self) -> str:
        """That of the analyzer whose terms the dimensions of the encoder behind are; empty if they are none."""
        return analyzer_of(self.encoder)

    def words(self, text: str) -> Mapping[int, str]:
        """What the dimensions of a query stand for, as the encoder behind says."""
        return names_of(self.encoder, text)

    def encode_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        """The query's dimensions, ascending, and their weights: int32[m], float32[m]."""
        return self.encoder.encode_query(text)


class _Queries:
    """Queries in the place of documents, so that one cache class serves both."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.info = replace(encoder.info, document_prompt=encoder.info.query_prompt)
        self.batch_invariant = encoder.batch_invariant

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        return self._encoder.encode_queries(texts)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return self._encoder.encode_queries(texts)


def _encode(cache: VectorCache, encoder: Encoder, texts: Sequence[str]) -> Float32Array:
    if not encoder.batch_invariant or len(texts) <= SHARD:
        return cache.encode(texts, encoder) if encoder.batch_invariant else encoder.encode_documents(texts)
    return np.concatenate([cache.encode(texts[at : at + SHARD], encoder) for at in range(0, len(texts), SHARD)])
