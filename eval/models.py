"""The models of an evaluation: what encodes, what reranks, and what is shown beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twindex.eval.cached_encoder import CachedEncoder, CachedSparse
from twindex.indexing.encoding import Encoder, PairScorer, SparseEncoder
from twindex.indexing.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Models:
    """``encoder``: of the dense leg. ``sparse_encoder``: of the learned-sparse leg, None = there is none.

    ``reranker`` orders the ``rerank`` best hits of the default fusion anew. ``others``: dense encoders whose single
    legs are shown beside, by the name that the table gives them. ``timed``: whether searches are timed; those with
    vectors that were made elsewhere would time a look-up. ``model_queries``: whether the learned leg is shown once more
    with queries that its model reads.

    Raises:
        ConfigError: If a reranker is to see no hit, or hits are to be reranked by nothing, or a model that is not there
            is to read queries.
    """

    encoder: Encoder
    sparse_encoder: SparseEncoder | None = None
    reranker: PairScorer | None = None
    rerank: int = 0
    others: Mapping[str, Encoder] = field(default_factory=dict)
    timed: bool = True
    model_queries: bool = False

    def __post_init__(self) -> None:
        if (self.reranker is None) != (self.rerank == 0):
            raise ConfigError(
                f"rerank = {self.rerank} {'without' if self.reranker is None else 'with'} a reranker",
                expected="a reranker and how many hits it sees, or neither",
            )
        if self.model_queries and self.sparse_encoder is None:
            raise ConfigError("queries read by the model of no learned leg", expected="a sparse encoder as well")

    @classmethod
    def of(cls, models: Models | Encoder) -> Models:
        """The models themselves, or an encoder as the only one."""
        return models if isinstance(models, Models) else cls(models)

    def cached(self, folder: Path) -> Models:
        """The same, but vectors that any run has made are not made again."""
        sparse = self.sparse_encoder
        return Models(
            CachedEncoder(self.encoder, folder),
            None if sparse is None else CachedSparse(sparse, folder),
            self.reranker,
            self.rerank,
            {name: CachedEncoder(encoder, folder) for name, encoder in self.others.items()},
            self.timed,
            self.model_queries,
        )

    def identity(self) -> dict[str, Any]:
        """What shapes the values besides the dense encoder; empty if there is nothing else."""
        plain: dict[str, Any] = {}
        if self.reranker is not None:
            fingerprint = getattr(self.reranker, "fingerprint", self.reranker.name)
            plain["rerank"] = {"depth": self.rerank, "fingerprint": str(fingerprint)}
        if self.model_queries:
            plain["model_queries"] = True
        if self.others:
            plain["others"] = {name: encoder.info.fingerprint for name, encoder in self.others.items()}
        return plain
