"""Sentences as exact spans of a text.

Rules, in order: blank lines, list items, table rows and interpreter prompts always begin a sentence; a full
stop, question or exclamation mark ends one if white space and a plausible beginning follow, unless the word
before is an abbreviation, an initial or a list number; ideographic stops end one without white space.
What is longer than ``MAX_CHARS`` is cut at the best place within. Source: ours.

Laws: spans are disjoint and ascending, none begins or ends with white space, and every character
that is not white space is in exactly one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Longer "sentences" are tables, code or lists; a quote of more than this is no evidence.
MAX_CHARS: Final = 800

_HARD: Final = re.compile(
    r"\n[^\S\n]*\n\s*"  # a blank line
    # a list item, a table row, an interpreter's prompt, a heading
    r"|\n(?=[^\S\n]*(?:[-*+\u2022\u2013|]\s|\(?[0-9]{1,3}[.)]\s|>>>\s|#{1,6}\s|\|))"
)
_STOP: Final = re.compile(
    "[\u3002\uff01\uff1f][\u300d\u300f\u201d\u2019\uff09]*"  # ideographic stops, then closing brackets
    "|[.!?\u2026\u0964\u06d4\u061f]+[\"'\u201d\u2019)\\]\u00bb]*(?=\\s)"
)
_WORD_BEFORE: Final = re.compile(r"[^\s(\[\"'\u201c\u2018]+$")
#: Without their last full stop, in lower case.
_TITLES: Final = _words("adm capt col dr fr gen gov hon lt maj messrs mr mrs ms mt pres prof rep rev sen sgt st")
_INNER: Final = _words(
    "al approx art ca cf ch chap cit def ed eds eq eqs esp e.g ex fig figs i.e incl max min n.b nr op p para "
    "pp prop ref refs resp sec sect tab thm viz vol vs v.s"
)
_NUMBERED: Final = _words("no nos art sec vol pp p fig jan feb mar apr jun jul aug sep sept oct nov dec")
_INITIALS: Final = re.compile(r"^[^\W\d_](?:\.[^\W\d_])*$")
_LIST_NUMBER: Final = re.compile(r"^(?:[0-9]{1,3}|[ivxIVX]{1,4}|[a-zA-Z])$")
_OPENING: Final = "\"'\u201c\u2018\u00ab([{<*_`"
_BREAKS: Final = ("\n", "; ", ": ", ", ", " ")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Half-open: the characters ``start <= i < end``."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """The characters themselves."""
        return text[self.start : self.end]


def split_sentences(text: str) -> list[Span]:
    """The sentences of a text, in order.

    Cost: linear in the text.
    """
    spans: list[Span] = []
    for block in _blocks(text):
        for piece in _cut_at(block, _ends(text, block)):
            trimmed = _trim(text, piece)
            if trimmed is not None:
                spans.extend(_limit(text, trimmed))
    return spans


def _blocks(text: str) -> Iterator[Span]:
    start = 0
    for match in _HARD.finditer(text):
        yield Span(start, match.start())
        start = match.end()
    yield Span(start, len(text))


def _cut_at(block: Span, ends: Iterator[int]) -> Iterator[Span]:
    start = block.start
    for end in ends:
        yield Span(start, end)
        start = end
    yield Span(start, block.end)


def _ends(text: str, block: Span) -> Iterator[int]:
    for match in _STOP.finditer(text, block.start, block.end):
        if _is_end(text, block, match):
            yield match.end()


def _is_end(text: str, block: Span, match: re.Match[str]) -> bool:
    mark = match.group()
    if mark[0] in "\u3002\uff01\uff1f":
        return True
    following = _next_char(text, match.end(), block.end)
    if following == "":
        return False
    if mark[0] != "." or mark.startswith(".."):
        # After "?", "!" or an ellipsis a small letter goes on with the sentence: "Yahoo! is", "well... no".
        return not following.islower()
    if following.islower():
        return False
    return len(mark) > 1 or not _is_abbreviation(text, block, match.start(), following)


def _next_char(text: str, position: int, end: int) -> str:
    """The first character that follows, opening quotes and brackets skipped; "" at the end."""
    for char in text[position : min(end, position + 12)]:
        if not char.isspace() and char not in _OPENING:
            return char
    rest = text[position:end].strip()
    return rest[0] if rest else ""


def _is_abbreviation(text: str, block: Span, stop: int, following: str) -> bool:
    window = text[max(block.start, stop - 24) : stop]
    found = _WORD_BEFORE.search(window)
    if found is None:
        return False
    word = found.group()
    first = stop - len(word) == block.start or not text[block.start : stop - len(word)].strip()
    if first and _LIST_NUMBER.match(word):
        return True
    low = word.lower()
    if low in _TITLES or low in _INNER:
        return True
    if low in _NUMBERED and following.isdigit():
        return True
    # "J. R. Smith" goes on; so does "U.S. Army". A sentence that ends in "U.S." is joined to the next: the
    # cheaper mistake, since a quote that is too long still holds its evidence.
    return bool(_INITIALS.match(word)) and word[0].isupper() and word not in ("I", "A")


def _trim(text: str, span: Span) -> Span | None:
    start, end = span.start, span.end
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end) if start < end else None


def _limit(text: str, span: Span) -> Iterator[Span]:
    """The span, or pieces of it of at most MAX_CHARS that end at a line, a clause or a word."""
    start = span.start
    while span.end - start > MAX_CHARS:
        cut = _best_cut(text, start, start + MAX_CHARS)
        piece = _trim(text, Span(start, cut))
        if piece is not None:
            yield piece
        start = cut
    rest = _trim(text, Span(start, span.end))
    if rest is not None:
        yield rest


def _best_cut(text: str, start: int, limit: int) -> int:
    for mark in _BREAKS:
        found = text.rfind(mark, start + MAX_CHARS // 4, limit)
        if found >= 0:
            return found + len(mark)
    return limit
