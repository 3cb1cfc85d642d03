"""What a streamed answer consists of, in this order: retrieved, tokens, citations, final."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from twindex.rag.types import Answer, Citation, Context, RankedId


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The search is done: passages are numbered before a word is written. ``took_ms`` in milliseconds."""

    kind: ClassVar[str] = "retrieved"
    context: Context
    ranking: tuple[RankedId, ...]
    took_ms: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "passages": [passage.to_dict() for passage in self.context.passages],
            "ranking": [line.to_dict() for line in self.ranking],
            "took_ms": round(self.took_ms, 3),
        }


@dataclass(frozen=True, slots=True)
class Token:
    """A bit of the draft, as written: not yet validated. The final event has the text that counts."""

    kind: ClassVar[str] = "token"
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation that has been validated."""

    kind: ClassVar[str] = "citation"
    citation: Citation

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return self.citation.to_dict()


@dataclass(frozen=True, slots=True)
class Final:
    """The whole validated answer."""

    kind: ClassVar[str] = "final"
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return self.answer.to_dict()


Event: TypeAlias = Retrieved | Token | Cited | Final
