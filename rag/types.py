"""What goes into an answer and what comes out: passages in a budget, drafts, citations, answers.

All character positions of passages and citations count code points of the *document's* text, as in
:class:`twindex.indexing.types.Passage`; without chunking that is the passage's own text. Law: a citation's
span lies within its passage, and ``quote == passage.slice(start, end)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Finish = Literal["stop", "length", "abstained"]


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One hit within a passage: its place in the document, and its id."""

    start: int
    end: int
    id: str


@dataclass(frozen=True, slots=True)
class ContextPassage:
    """One numbered piece of evidence: a span of one document, perhaps merged from several hits.

    ``number`` starts at 1 and is what a citation ``[number]`` refers to; ``rank`` (from 1) and ``score``
    are those of its best hit; ``parts`` are all hits within it, in document order, ``id`` the best of them.
    ``tokens`` counts what the passage costs in the prompt, its frame included.
    """

    number: int
    id: str
    doc_id: str
    title: str
    text: str
    start: int
    end: int
    rank: int
    score: float
    tokens: int
    parts: tuple[Part, ...]

    def part(self, start: int, end: int) -> Part:
        """The hit that has most of the span, the first of equals."""
        return max(self.parts, key=lambda part: min(end, part.end) - max(start, part.start))

    def slice(self, start: int, end: int) -> str:
        """The text between two positions of the document that lie within the passage."""
        return self.text[start - self.start : end - self.start]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "number": self.number,
            "id": self.id,
            "doc_id": self.doc_id,
            "title": self.title,
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "score": self.score,
            "ids": [part.id for part in self.parts],
        }


@dataclass(frozen=True, slots=True)
class Context:
    """The passages that a generator may use, within a budget of tokens.

    Invariants: numbers are 1..n in order; ``tokens`` is the sum over the passages and at most ``budget``.
    ``notes`` say what was left out, cut or merged.
    """

    passages: tuple[ContextPassage, ...] = ()
    tokens: int = 0
    budget: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.passages)

    def passage(self, number: int) -> ContextPassage | None:
        """The passage of that number, None if there is none."""
        return self.passages[number - 1] if 1 <= number <= len(self.passages) else None


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost. ``estimated`` is true where tokens were counted by us, not by the runtime."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "estimated": self.estimated,
        }


@dataclass(frozen=True, slots=True)
class Binding:
    """A claim that its generator bound to a span when it wrote it, so that nothing need be parsed.

    ``claim_start:claim_end`` is the sentence in the draft's text, ``start:end`` the span in the document.
    """

    claim_start: int
    claim_end: int
    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What a generator wrote, not yet validated.

    ``bindings`` None means that citations are written into the text as ``[1]`` and have to be parsed;
    a tuple means that they are bound already and that brackets in the text are just text. ``support`` is
    the generator's own estimate, in [0, 1], of how well the passages answer the question, None if it has
    none.
    """

    text: str
    usage: Usage | None = None
    finish: Finish = "stop"
    bindings: tuple[Binding, ...] | None = None
    support: float | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A sentence of the answer, and the sentence of a passage that supports it.

    ``marker`` is the passage's number; ``support`` in [0, 1] is the share of the claim's weighted words
    that the quote has (:meth:`twindex.rag.evidence.Evidence.support`); ``answer[claim_start:claim_end]``
    is the claim.
    """

    marker: int
    id: str
    doc_id: str
    title: str
    start: int
    end: int
    quote: str
    support: float
    claim_start: int
    claim_end: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "marker": self.marker,
            "id": self.id,
            "doc_id": self.doc_id,
            "title": self.title,
            "start": self.start,
            "end": self.end,
            "quote": self.quote,
            "support": round(self.support, 6),
            "claim_start": self.claim_start,
            "claim_end": self.claim_end,
        }


@dataclass(frozen=True, slots=True)
class RankedId:
    """One line of the ranking that an answer was drawn from."""

    id: str
    doc_id: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"id": self.id, "doc_id": self.doc_id, "score": self.score}


@dataclass(frozen=True, slots=True)
class Answer:
    """A validated answer, or an abstention that says so; the ranking is there in both cases.

    ``support`` in [0, 1] is what the abstention threshold was compared with. ``raw`` is the draft as the
    generator wrote it, for those who debug. ``took_ms`` is wall time in milliseconds.
    """

    question: str
    text: str
    citations: tuple[Citation, ...] = ()
    abstained: bool = False
    support: float = 0.0
    context: Context = Context()
    ranking: tuple[RankedId, ...] = ()
    usage: Usage = Usage()
    generator: str = ""
    took_ms: float = 0.0
    notes: tuple[str, ...] = ()
    raw: str = ""

    def cited_ids(self) -> list[str]:
        """Ids of the cited passages, each once, in order of first citation."""
        return list(dict.fromkeys(citation.id for citation in self.citations))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: the public form in the command line and the REST API."""
        return {
            "question": self.question,
            "answer": self.text,
            "citations": _dicts(self.citations),
            "abstained": self.abstained,
            "support": round(self.support, 6),
            "passages": _dicts(self.context.passages),
            "ranking": _dicts(self.ranking),
            "generator": self.generator,
            "usage": self.usage.to_dict(),
            "took_ms": round(self.took_ms, 3),
            "notes": list(self.notes),
        }


def _dicts(items: Sequence[Citation] | Sequence[ContextPassage] | Sequence[RankedId]) -> list[dict[str, Any]]:
    return [item.to_dict() for item in items]
