"""The protocols of this room. An implementation is one file that passes the kit in tests/contracts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from twindex.retrieval.types import Explanation, Query, Ranking, Run


@runtime_checkable
class Retriever(Protocol):
    """Many queries in, one ranking a query out."""

    @property
    def name(self) -> str:
        """Short name of the leg, as in "bm25"; used in explanations and reports."""

    def retrieve(self, queries: Sequence[Query], k: int) -> Run:
        """The k best documents of each query; fewer where fewer match; none for k = 0.

        Law: retrieving many queries equals retrieving them one by one.

        Raises:
            QueryError: If k is negative.
        """

    def explain(self, query: Query, ord_: int) -> Explanation:
        """Why document ``ord_`` has its score for the query (value 0 if it does not match)."""


@runtime_checkable
class Reranker(Protocol):
    """A second opinion on a short list."""

    @property
    def name(self) -> str:
        """Short name, used in explanations."""

    def rerank(self, query: Query, ranking: Ranking) -> Ranking:
        """The same ordinals with new scores, in the house order."""


@runtime_checkable
class Fusion(Protocol):
    """Several rankings of one query into one. Pure: it reads nothing but its arguments."""

    @property
    def name(self) -> str:
        """Short name with its constants, as in "rrf(k=60)"."""

    def fuse(self, rankings: Sequence[Ranking], k: int, weights: Sequence[float] | None = None) -> Ranking:
        """The k best of the union.

        ``weights``: one a ranking, None = equal. A weight of 0 means that the ranking is absent.
        Ranks start at 1. An ordinal in several rankings is counted once a ranking.
        """

    def explain(
        self,
        rankings: Sequence[Ranking],
        ord_: int,
        names: Sequence[str],
        weights: Sequence[float] | None = None,
    ) -> Explanation:
        """How each ranking contributed to the fused score of ``ord_``."""
