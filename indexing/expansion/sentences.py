"""Sentences as topics see them: pieces of a text that are long enough to be about something."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from twindex.indexing.chunking import sentence_spans
from twindex.indexing.errors import ConfigError

_WORD: Final = re.compile(r"\S+")
#: A word with letters; tables of numbers have few.
_LETTERS: Final = re.compile(r"[^\W\d_]{2,}")
#: Ends that are no ends of sentences: abbreviations and initials.
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:e\.g|i\.e|et al|figs?|refs?|eqs?|vs|cf|dr|mrs?|ms|prof|no|nos|st|inc|ltd|co|corp|u\.s|approx|resp|sec)|"
    r"(?:^|\s)[A-Za-z])\.$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class SentenceConfig:
    """How a text is cut.

    A piece of fewer than ``min_words`` words is joined to the next one; longer ones than ``max_words`` are cut.
    With ``limit`` above 0 a text with more sentences gives that many, evenly spaced over it.

    Raises:
        ConfigError: If the numbers do not fit each other.
    """

    min_words: int = 5
    max_words: int = 64
    limit: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.min_words <= self.max_words and self.limit >= 0):
            raise ConfigError(
                f"sentences of {self.min_words} to {self.max_words} words, at most {self.limit} a text",
                expected="1 <= min_words <= max_words and limit >= 0 (0 = all)",
            )


def split(text: str, config: SentenceConfig) -> list[str]:
    """The sentences of a text, in order; none is without two words of letters.

    Cost: linear in the text.
    """
    pieces = [text[start:end] for start, end in sentence_spans(text)]
    whole = [part for piece in _joined(pieces, config.min_words) for part in _cut(piece, config.max_words)]
    return _spread([sentence for sentence in whole if _says_something(sentence)], config.limit)


def _joined(pieces: list[str], least: int) -> list[str]:
    """The pieces, each that is too short or ends in an abbreviation together with what follows it."""
    found: list[str] = []
    open_piece = ""
    for piece in pieces:
        open_piece = f"{open_piece} {piece}" if open_piece else piece
        if len(_WORD.findall(open_piece)) >= least and not _ABBREVIATION.search(open_piece[-12:]):
            found.append(open_piece)
            open_piece = ""
    if open_piece:
        if found and len(_WORD.findall(open_piece)) < least:
            found[-1] = f"{found[-1]} {open_piece}"
        else:
            found.append(open_piece)
    return found


def _cut(sentence: str, most: int) -> list[str]:
    spans = [match.span() for match in _WORD.finditer(sentence)]
    if len(spans) <= most:
        return [sentence]
    parts = -(-len(spans) // most)
    borders = [len(spans) * part // parts for part in range(parts + 1)]
    return [sentence[spans[low][0] : spans[high - 1][1]] for low, high in pairwise(borders)]


def _says_something(sentence: str) -> bool:
    words = _LETTERS.finditer(sentence)
    return next(words, None) is not None and next(words, None) is not None


def _spread(sentences: list[str], limit: int) -> list[str]:
    if not limit or len(sentences) <= limit:
        return sentences
    return [sentences[len(sentences) * place // limit] for place in range(limit)]
