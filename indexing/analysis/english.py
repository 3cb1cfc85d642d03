"""English as Lucene's EnglishAnalyzer has it in Anserini: the reference that published BM25 figures are made with.

Chain: StandardTokenizer (UAX 29), possessives off, lower case, 33 stop words, Porter's stemmer.
Source: Lucene 9.9 and 10.5, EnglishAnalyzer; M. F. Porter, "An algorithm for suffix stripping", 1980.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.indexing.analysis import classes_12_1 as classes
from twindex.indexing.analysis.cached import CachedAnalyzer, Memory
from twindex.indexing.analysis.packed import PackedWords
from twindex.indexing.analysis.porter import stem
from twindex.indexing.analysis.porter_arrays import stems
from twindex.indexing.analysis.words import WordBreaker, pieces
from twindex.indexing.types import BoolArray

#: Lucene's ENGLISH_STOP_WORDS_SET.
STOP_WORDS: Final = frozenset(
    """
    a an and are as at be but by for if in into is it no not of on or such that the their then there
    these they this to was will with
    """.split()  # noqa: SIM905
)
#: None of them is longer than eight letters, so that the tail tells it.
_STOP_WORDS: Final = PackedWords.of(sorted(STOP_WORDS))
_APOSTROPHES: Final = "'\u2019\uff07"


class EnglishAnalyzer(CachedAnalyzer):
    """Token-compatible with Lucene's English analysis."""

    by_word = True

    def __init__(self) -> None:
        super().__init__()
        self._breaker = WordBreaker(classes.RUNS)
        self._terms = Memory(normalise)

    @property
    def name(self) -> str:
        """What the registry knows it by."""
        return "english"

    @property
    def fingerprint(self) -> str:
        """Name, version and settings."""
        return f"english/1 (uax29-{classes.VERSION}, possessive, lower, stop-{len(STOP_WORDS)}, porter)"

    def pieces(self, text: str) -> list[str]:
        """The text cut at white space."""
        return pieces(text)

    def short_terms(self, words: PackedWords) -> tuple[PackedWords, BoolArray]:
        """The stems of words without possessive ending; a stop word has none."""
        words = without_possessive(words)
        return stems(words), (words.head != 0) | ~np.isin(words.tail, _STOP_WORDS.tail)

    def terms(self, text: str) -> list[str]:
        """The terms of one text, in order, with repetitions. Each distinct word is normalised once."""
        return [term for term in map(self._terms.__getitem__, self._breaker.words(text)) if term is not None]


def normalise(token: str) -> str | None:
    """A word without its possessive ending, in lower case, stemmed; None for a stop word."""
    if token[-1] in "sS" and len(token) > 1 and token[-2] in _APOSTROPHES:
        token = token[:-2]
    token = lower(token)
    if token in STOP_WORDS:
        return None
    return stem(token)


def without_possessive(words: PackedWords) -> PackedWords:
    """ASCII words in lower case without their possessive ending."""
    sixteen = np.uint64(16)
    owns = words.tail & np.uint64(0xFFFF) == np.uint64(int.from_bytes(b"'s", "big"))
    tail = np.where(owns, words.tail >> sixteen | words.head << np.uint64(48), words.tail)
    return PackedWords(np.where(owns, words.head >> sixteen, words.head), tail)


def lower(token: str) -> str:
    """Lower case code point by code point, as Java does it: no context, no growth."""
    if token.isascii():
        return token.lower()
    return "".join(character.lower()[0] for character in token)
