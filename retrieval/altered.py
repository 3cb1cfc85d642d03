"""A sparse encoder of which only the queries are others: what alters queries is put around the one of the leg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twindex.indexing.encoding import SparseEncoder, SparseEncoderInfo, SparseRows
from twindex.retrieval.impact_reasons import names_of


class Altered:
    """Documents and identity as the encoder inside has them.

    Args:
        inner: That encoder.
    """

    def __init__(self, inner: SparseEncoder) -> None:
        self.inner = inner

    @property
    def info(self) -> SparseEncoderInfo:
        """That of the encoder inside."""
        return self.inner.info

    @property
    def analyzer_fingerprint(self) -> str:
        """That of the analyzer whose terms the dimensions are; empty if they are those of none."""
        return str(getattr(self.inner, "analyzer_fingerprint", ""))

    def encode_documents(self, texts: Sequence[str]) -> SparseRows:
        """Vectors of documents, unaltered."""
        return self.inner.encode_documents(texts)

    def words(self, text: str) -> Mapping[int, str]:
        """What the query's dimensions stand for."""
        return names_of(self.inner, text)
