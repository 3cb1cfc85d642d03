"""Joining overlapping and adjacent spans of one document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from twindex.rag.types import Part

#: Chunkers trim the white space between chunks: a gap of up to this many characters counts as adjacent.
MAX_GAP: Final = 2
#: What stands in for the trimmed white space: a blank between sentences, a blank line between paragraphs.
_FILL: Final = {0: "", 1: " ", 2: "\n\n"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A span of a document on its way into a context. ``spanned``: start and end fit the text's length."""

    parts: tuple[Part, ...]
    best: str
    doc_id: str
    title: str
    text: str
    start: int
    rank: int
    score: float
    spanned: bool = True

    @property
    def end(self) -> int:
        """One past the last character in the document."""
        return self.start + len(self.text)

    def cut(self, start: int, end: int) -> Piece:
        """What is between two positions of the text, with the hits that still have a share in it."""
        low, high = self.start + start, self.start + end
        parts = tuple(part for part in self.parts if part.start < high and part.end > low)
        best = self.best if any(part.id == self.best for part in parts) else parts[0].id
        return replace(self, text=self.text[start:end], start=low, parts=parts, best=best)


def merge_pieces(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces, those that overlap or touch within a document joined, by best rank.

    Pieces whose overlapping texts differ (two versions of a document) stay apart.
    """
    groups: dict[str, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.doc_id, []).append(piece)
    merged = [joined for group in groups.values() for joined in _merge_group(group)]
    return sorted(merged, key=lambda piece: piece.rank)


def _merge_group(group: Sequence[Piece]) -> list[Piece]:
    out: list[Piece] = []
    for piece in sorted(group, key=lambda p: (p.start, -len(p.text), p.rank)):
        joined = _join(out[-1], piece) if out else None
        if joined is None:
            out.append(piece)
        else:
            out[-1] = joined
    return out


def _join(left: Piece, right: Piece) -> Piece | None:
    if not (left.spanned and right.spanned) or left.title != right.title:
        return None
    gap = right.start - left.end
    if gap > MAX_GAP:
        return None
    if gap >= 0:
        text = left.text + _FILL[gap] + right.text
    else:
        common = min(-gap, len(right.text))
        at = right.start - left.start
        if left.text[at : at + common] != right.text[:common]:
            return None
        text = left.text + right.text[common:]
    best = left if left.rank < right.rank else right
    return replace(best, text=text, start=left.start, parts=left.parts + right.parts)
