"""What a search gives back: hits with their texts, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twindex.indexing.types import Metadata
from twindex.retrieval.types import Explanation


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit.

    ``id`` is the document's id where hits are documents, the passage's where they are passages. ``start`` and
    ``end`` are the place of ``text`` in the document, in characters. In a search of several legs ``ranks`` holds the
    document's rank in each that found it, and "before" a reranker.
    """

    id: str
    doc_id: str
    passage_id: str
    score: float
    title: str
    text: str
    start: int
    end: int
    metadata: Metadata
    explanation: Explanation | None = None
    ranks: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain: dict[str, Any] = {
            "id": self.id,
            "score": self.score,
            "title": self.title,
            "text": self.text,
            "metadata": dict(self.metadata),
            "passage": {"id": self.passage_id, "doc_id": self.doc_id, "start": self.start, "end": self.end},
        }
        if self.ranks:
            plain["ranks"] = dict(self.ranks)
        if self.explanation is not None:
            plain["explanation"] = self.explanation.to_dict()
        return plain


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of one query, best first.

    ``mode`` is what was searched; ``notes`` say where that differs from what was asked. ``fusion`` echoes the
    settings of a search of several legs, ``reranked`` names the reranker, how many candidates it read, and its share.
    ``took_ms``: milliseconds.
    """

    query: str
    mode: str
    hits: tuple[Hit, ...]
    took_ms: float
    notes: tuple[str, ...] = ()
    fusion: Mapping[str, Any] | None = None
    reranked: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the public form, for JSON."""
        plain: dict[str, Any] = {
            "query": self.query,
            "mode": self.mode,
            "hits": [hit.to_dict() for hit in self.hits],
            "took_ms": round(self.took_ms, 3),
        }
        if self.fusion is not None:
            plain["fusion"] = dict(self.fusion)
        if self.reranked is not None:
            plain["reranked"] = dict(self.reranked)
        if self.notes:
            plain["notes"] = list(self.notes)
        return plain
