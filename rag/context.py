"""From a ranking to a context: deduplicated, merged, focused, within a budget of tokens, ordered, numbered.

Steps: drop blank hits and (near) copies of better ones; join overlapping or adjacent spans of one document;
take by rank; cut what is too long, at sentence borders, to the run of sentences that says most
about the question; stop when the budget is spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from twindex.indexing.errors import ConfigError
from twindex.rag.fences import SAMPLE_KEY, fenced
from twindex.rag.focus import focus
from twindex.rag.merge import Piece, merge_pieces
from twindex.rag.source import PassageHit
from twindex.rag.terms import Terms
from twindex.rag.tokens import EstimatedTokens, TokenCounter
from twindex.rag.types import Context, ContextPassage, Part

Order = Literal["rank", "edges", "document"]
_SHINGLE: Final = 3
#: The widest number that a fence will hold in practice, for counting.
_WIDE_NUMBER: Final = 99


@dataclass(frozen=True, slots=True)
class ContextConfig:
    """How a ranking becomes a context.

    Units: ``budget``, ``max_passage`` and ``min_passage`` in tokens, the frame of a passage included.

    ``max_passage``: a longer passage is cut to its best run of sentences. ``min_passage``: if less than this
    is left of the budget, nothing is squeezed in. ``duplicate``: a hit with at least this share of words in
    common (Jaccard, shingles of three words) with a better one is dropped, 1.0 = only exact copies.
    ``order``: "rank" = best first; "edges" = the best at both ends, the weakest in the middle, where models
    read least (Liu et al., "Lost in the Middle", TACL 2024); "document" = passages of one document together,
    in their order.
    """

    budget: int = 3000
    max_passage: int = 1000
    min_passage: int = 60
    max_passages: int = 20
    duplicate: float = 0.9
    order: Order = "rank"

    def __post_init__(self) -> None:
        sizes = {"budget": self.budget, "max_passage": self.max_passage, "max_passages": self.max_passages}
        for name, value in sizes.items():
            if value < 1:
                raise ConfigError(f"{name} = {value}", expected="1 or more")
        if self.min_passage < 0:
            raise ConfigError(f"min_passage = {self.min_passage}", expected="0 or more")
        if not 0.0 < self.duplicate <= 1.0:
            raise ConfigError(f"duplicate = {self.duplicate}", expected="a share in (0, 1]")
        if self.order not in get_args(Order):
            raise ConfigError(f"order = {self.order!r}", expected=" or ".join(map(repr, get_args(Order))))


class ContextBuilder:
    """Builds contexts by one configuration.

    Args:
        config: Sizes and order.
        terms: What the question and the sentences are compared by, when something has to be cut.
        counter: Counts tokens; an estimate on the safe side if None.
    """

    def __init__(self, config: ContextConfig, *, terms: Terms, counter: TokenCounter | None = None) -> None:
        self.config = config
        self._terms = terms
        self._counter: TokenCounter = counter if counter is not None else EstimatedTokens()

    def build(self, question: str, hits: Sequence[PassageHit]) -> Context:
        """The context for the question.

        Law: ``tokens <= budget``, and every passage's text is a part of the text of its document.
        """
        notes: list[str] = []
        pieces = _without_copies(_pieces(hits), self.config.duplicate, notes)
        merged = merge_pieces(pieces)
        if len(merged) < len(pieces):
            notes.append(f"{len(pieces) - len(merged)} hits merged with neighbours of the same document")
        chosen = self._choose(question, merged, notes)
        ordered = _ORDERS[self.config.order](chosen)
        numbered = tuple(replace(passage, number=i) for i, passage in enumerate(ordered, 1))
        return Context(
            passages=numbered,
            tokens=sum(passage.tokens for passage in numbered),
            budget=self.config.budget,
            notes=tuple(notes),
        )

    def _choose(self, question: str, pieces: Sequence[Piece], notes: list[str]) -> list[ContextPassage]:
        chosen: list[ContextPassage] = []
        left = self.config.budget
        cut = dropped = 0
        for piece in pieces:
            room = min(left, self.config.max_passage)
            whole = self._cost(piece.title, piece.text)
            full = len(chosen) >= self.config.max_passages
            if full or (whole > room and room < self.config.min_passage):
                dropped += 1
                continue
            fitting = piece if whole <= room else self._cut(question, piece, room)
            if fitting is None:
                dropped += 1
                continue
            cut += whole > room
            tokens = self._cost(fitting.title, fitting.text)
            left -= tokens
            chosen.append(_passage(fitting, tokens))
        if cut:
            notes.append(f"{cut} passages cut at sentence borders to fit")
        if dropped:
            notes.append(f"{dropped} passages left out, the context of {self.config.budget} tokens is full")
        return chosen

    def _cost(self, title: str, text: str) -> int:
        """Tokens of the passage as the prompt will hold it, and of the line end after it."""
        frame = fenced(_WIDE_NUMBER, title=title, text=text, key=SAMPLE_KEY)
        return self._counter.count(frame) + 1

    def _cut(self, question: str, piece: Piece, room: int) -> Piece | None:
        """The piece cut to the run of whole sentences that fits and says most about the question."""
        span = focus(
            piece.text,
            self._terms.content(question),
            terms=self._terms,
            cost=lambda text: self._cost(piece.title, text),
            room=room,
        )
        return None if span is None else piece.cut(span.start, span.end)


def _pieces(hits: Iterable[PassageHit]) -> list[Piece]:
    return [
        Piece(
            parts=(Part(hit.start, hit.start + len(hit.text), hit.id),),
            best=hit.id,
            doc_id=hit.doc_id,
            title=hit.title,
            text=hit.text,
            start=hit.start,
            rank=rank,
            score=float(hit.score),
            spanned=hit.end - hit.start == len(hit.text),
        )
        for rank, hit in enumerate(hits, 1)
        if hit.text.strip()
    ]


def _without_copies(pieces: Sequence[Piece], share: float, notes: list[str]) -> list[Piece]:
    kept: list[Piece] = []
    seen: list[frozenset[tuple[str, ...]]] = []
    for piece in pieces:
        shingles = _shingles(piece.text)
        if any(_jaccard(shingles, other) >= share for other in seen):
            continue
        kept.append(piece)
        seen.append(shingles)
    if len(kept) < len(pieces):
        left_out = len(pieces) - len(kept)
        notes.append(f"{left_out} {'copy' if left_out == 1 else 'copies'} of better hits left out")
    return kept


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = text.casefold().split()
    if len(words) < _SHINGLE:
        return frozenset([tuple(words)])
    return frozenset(tuple(words[i : i + _SHINGLE]) for i in range(len(words) - _SHINGLE + 1))


def _jaccard(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    small, large = sorted((len(a), len(b)))
    if small == 0:
        return 0.0
    common = len(a & b)
    return common / (small + large - common)


def _passage(piece: Piece, tokens: int) -> ContextPassage:
    return ContextPassage(
        number=0,
        id=piece.best,
        doc_id=piece.doc_id,
        title=piece.title,
        text=piece.text,
        start=piece.start,
        end=piece.end,
        rank=piece.rank,
        score=piece.score,
        tokens=tokens,
        parts=piece.parts,
    )


def _by_rank(passages: list[ContextPassage]) -> list[ContextPassage]:
    return sorted(passages, key=lambda passage: passage.rank)


def _edges(passages: list[ContextPassage]) -> list[ContextPassage]:
    ranked = _by_rank(passages)
    return ranked[::2] + ranked[1::2][::-1]


def _by_document(passages: list[ContextPassage]) -> list[ContextPassage]:
    first: dict[str, int] = {}
    for passage in _by_rank(passages):
        first.setdefault(passage.doc_id, passage.rank)
    return sorted(passages, key=lambda passage: (first[passage.doc_id], passage.start, passage.rank))


_ORDERS: Final = {"rank": _by_rank, "edges": _edges, "document": _by_document}
