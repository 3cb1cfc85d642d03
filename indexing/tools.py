"""What turns texts into terms and vectors while an index is built."""

from __future__ import annotations

from dataclasses import dataclass

from twindex.indexing.analysis.pool import AnalysisPool
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoding import Encoder, SparseEncoder, SparseRows
from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.info import QuerySource
from twindex.indexing.report import PhaseSeconds
from twindex.indexing.sparse_cache import SparseCache
from twindex.indexing.types import Float32Array
from twindex.indexing.vector_cache import VectorCache


@dataclass(frozen=True, slots=True)
class BuildTools:
    """Shared by the segments of a transaction.

    ``encoder`` and ``sparse_encoder`` are None where the index has no such leg, or the writer was not given them;
    the caches are there where the encoders are. ``expansions`` gives the generated queries of passages; None where
    the index has none, or new passages shall have none.
    """

    config: IndexConfig
    analysis: AnalysisPool
    phases: PhaseSeconds
    encoder: Encoder | None = None
    cache: VectorCache | None = None
    sparse_encoder: SparseEncoder | None = None
    sparse_cache: SparseCache | None = None
    expansions: QuerySource | None = None

    def encode(self, texts: list[str]) -> Float32Array:
        """Dense vectors of the texts: float32[len(texts), dim], durable on return.

        Raises:
            ConfigError: If there is no encoder.
        """
        if self.encoder is None or self.cache is None:
            raise missing_encoder(self.config.encoder.name if self.config.encoder else "", "encoder")
        with self.phases.timed("encoding"):
            return self.cache.encode(texts, self.encoder)

    def encode_sparse(self, texts: list[str]) -> SparseRows:
        """Sparse vectors of the texts, durable on return.

        Raises:
            ConfigError: If there is no sparse encoder.
        """
        if self.sparse_encoder is None or self.sparse_cache is None:
            info = self.config.sparse_encoder
            raise missing_encoder(info.name if info else "", "sparse_encoder")
        with self.phases.timed("encoding"):
            return self.sparse_cache.encode(texts, self.sparse_encoder)


def missing_encoder(name: str, argument: str) -> ConfigError:
    """The error for documents that cannot be encoded."""
    return ConfigError(
        "documents added to an index with vectors, without an encoder",
        expected=f"the encoder {name!r}",
        remedy=f"give {argument}=... when the writer is made",
    )
