"""Where passages come from: what this room needs of a search engine, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from twindex.indexing.filters import Filter

Mode = Literal["hybrid", "sparse", "dense"]


class PassageHit(Protocol):
    """One passage of a ranking. ``start`` and ``end`` are its place in the document, in characters."""

    @property
    def id(self) -> str:
        """The passage's id."""

    @property
    def doc_id(self) -> str:
        """The document's id."""

    @property
    def score(self) -> float:
        """Higher is better; comparable within one ranking only."""

    @property
    def title(self) -> str:
        """The document's title, perhaps empty."""

    @property
    def text(self) -> str:
        """The passage's text."""

    @property
    def start(self) -> int:
        """First character in the document."""

    @property
    def end(self) -> int:
        """One past the last character in the document."""


class PassageRanking(Protocol):
    """The result of one search."""

    @property
    def hits(self) -> Sequence[PassageHit]:
        """Best first."""


class PassageSource(Protocol):
    """A search engine.

    ``twindex.retrieval.engine.Searcher`` is one; query rewriting or a chain of searches is another that
    wraps it.
    """

    def search(
        self,
        text: str,
        /,
        *,
        k: int,
        mode: Mode,
        filter: Filter | str | None,  # noqa: A002, RUF100 - the searcher's word for it
        rollup: bool,
    ) -> PassageRanking:
        """The k best passages; with ``rollup`` only the best one of each document."""
