"""The settings of an index: chosen when it is made, recorded in its manifest, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from twindex.indexing.chunking import ChunkConfig
from twindex.indexing.encoding import EncoderInfo, SparseEncoderInfo
from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.info import ExpansionInfo
from twindex.indexing.vectors import HnswConfig

VectorKind = Literal["flat", "hnsw"]
VECTOR_KINDS: Final = ("flat", "hnsw")
#: Ordinals are int32 in rankings.
MAX_PASSAGES: Final = 2**31 - 1
#: Passages a segment, unless told otherwise.
SEGMENT_DOCS: Final = 250_000
#: Settings that a manifest names only where they are there.
OPTIONAL: Final = frozenset({"sparse_encoder", "expansion"})


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """What shapes an index.

    ``analyzer``: its registered name. ``encoder``: identity of the dense encoder, None for an index
    without vectors. ``segment_docs`` and ``segment_chars``: a segment is closed when it holds that many
    passages or that many characters of text, whichever comes first (never inside a document).
    ``vector_kind``: "flat" is exact; "hnsw" adds a graph with the parameters ``hnsw``. ``sparse_encoder``: identity
    of the learned-sparse encoder, None for an index without impacts. ``expansion``: which generated queries stand
    beside the passages, None for an index without them.

    Raises:
        ConfigError: If a value is out of range.
    """

    analyzer: str = "english"
    encoder: EncoderInfo | None = None
    chunking: ChunkConfig = field(default_factory=ChunkConfig)
    segment_docs: int = SEGMENT_DOCS
    segment_chars: int = 1 << 30
    vector_kind: VectorKind = "flat"
    hnsw: HnswConfig = field(default_factory=HnswConfig)
    sparse_encoder: SparseEncoderInfo | None = None
    expansion: ExpansionInfo | None = None

    def __post_init__(self) -> None:
        if not self.analyzer:
            raise ConfigError("an empty analyzer name", expected="a registered name, as in 'english'")
        if not 1 <= self.segment_docs <= MAX_PASSAGES:
            raise ConfigError(f"segment_docs = {self.segment_docs}", expected=f"a number from 1 to {MAX_PASSAGES}")
        if self.segment_chars < 1:
            raise ConfigError(f"segment_chars = {self.segment_chars}", expected="at least 1")
        if self.vector_kind not in VECTOR_KINDS:
            raise ConfigError(f"vector kind {self.vector_kind!r}", expected="flat or hnsw")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the manifest; of the optional parts (:data:`OPTIONAL`) those that are there."""
        parts = {name: getattr(self, name) for name in OPTIONAL}
        return {
            "analyzer": self.analyzer,
            "encoder": None if self.encoder is None else self.encoder.to_dict(),
            "chunking": self.chunking.to_dict(),
            "segment_docs": self.segment_docs,
            "segment_chars": self.segment_chars,
            "vector_kind": self.vector_kind,
            "hnsw": self.hnsw.to_dict(),
            **{name: part.to_dict() for name, part in parts.items() if part is not None},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IndexConfig:
        """The settings whose :meth:`to_dict` gave these values.

        Raises:
            ConfigError: If a key is missing, unknown, or has an impossible value.
        """
        names = {f.name for f in fields(cls)}
        if set(values) | OPTIONAL != names:
            odd = sorted(names ^ (set(values) | OPTIONAL))
            raise ConfigError(f"index settings with {', '.join(odd)} missing or unknown")
        encoder, sparse, expansion = values["encoder"], values.get("sparse_encoder"), values.get("expansion")
        try:
            return cls(
                analyzer=str(values["analyzer"]),
                encoder=None if encoder is None else EncoderInfo(**encoder),
                chunking=ChunkConfig(**values["chunking"]),
                segment_docs=int(values["segment_docs"]),
                segment_chars=int(values["segment_chars"]),
                vector_kind=values["vector_kind"],
                hnsw=HnswConfig(**values["hnsw"]),
                sparse_encoder=None if sparse is None else SparseEncoderInfo(**sparse),
                expansion=None if expansion is None else ExpansionInfo.from_dict(expansion),
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(f"index settings that cannot be read: {error}") from error
