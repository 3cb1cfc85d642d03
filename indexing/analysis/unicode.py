"""Any language without a dictionary: compatible forms folded, words of UAX 29, unspaced writing as bigrams."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

import numpy as np

from twindex.indexing.analysis import assigned_14_0 as assigned
from twindex.indexing.analysis import classes_17_0 as classes
from twindex.indexing.analysis.cached import CachedAnalyzer
from twindex.indexing.analysis.packed import PackedWords
from twindex.indexing.analysis.words import WordBreaker, class_table
from twindex.indexing.types import BoolArray

#: Runs of Han, Hiragana, Katakana and Hangul, and of the South-East Asian scripts that put no spaces between words.
_UNSPACED: Final = re.compile("(?:[iIjkg][xyzuvctTMS]*+)++|[wS][wxyzuvctTMS]*+")
#: One character of such a run with its marks.
_CHARACTER: Final = re.compile("[iIjkgw][xyzuvctTMS]*+|^S[xyzuvctTMS]*+")


class UnicodeAnalyzer(CachedAnalyzer):
    """NFKC, casefold, marks kept; no stop words, no stemming.

    A run of characters that are written without spaces becomes its overlapping bigrams, a run of one that character:
    without a dictionary these are the units that both a text and a query about it share.
    """

    by_word = True

    def __init__(self) -> None:
        super().__init__()
        self._breaker = WordBreaker(classes.RUNS)

    @property
    def name(self) -> str:
        """What the registry knows it by."""
        return "unicode"

    @property
    def fingerprint(self) -> str:
        """Name, version and settings; the same on every interpreter."""
        return f"unicode/1 (nfkc-casefold-{assigned.VERSION}, uax29-{classes.VERSION}, bigrams)"

    def short_terms(self, words: PackedWords) -> tuple[PackedWords, BoolArray]:
        """The words themselves: ASCII in lower case is folded already."""
        return words, np.ones(len(words), np.bool_)

    def terms(self, text: str) -> list[str]:
        """The terms of one text, in order, with repetitions: folded words, and bigrams of unspaced runs."""
        if text.isascii():
            return self._breaker.words(text.lower())
        return [term for piece in fold(text).split() for term in self._folded(piece)]

    def _folded(self, text: str) -> Iterator[str]:
        start = 0
        kinds = self._breaker.classes(text)
        for run in _UNSPACED.finditer(kinds):
            yield from self._breaker.words(text[start : run.start()])
            yield from _bigrams(run[0], text[run.start() : run.end()])
            start = run.end()
        yield from self._breaker.words(text[start:])


def fold(text: str) -> str:
    """NFKC, casefold, NFKC: equal for texts that differ in case or in compatible forms only.

    Characters that Unicode 14 (the database of Python 3.11) does not have stay as they are, so that every later
    interpreter gives the same. Source: UAX 15 for normal forms; the Unicode Standard, section 3.13, for caseless match.
    """
    flags = text.translate(class_table(assigned.RUNS))
    if "?" not in flags:
        return _fold(text)
    out: list[str] = []
    start = 0
    for later in re.finditer(r"\?+", flags):
        out += _fold(text[start : later.start()]), text[later.start() : later.end()]
        start = later.end()
    return "".join([*out, _fold(text[start:])])


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _bigrams(kinds: str, run: str) -> Iterator[str]:
    """Pairs of neighbours, each with its marks."""
    starts = [match.start() for match in _CHARACTER.finditer(kinds)]
    bounds = [*starts[2:], len(run)] if len(starts) > 1 else [len(run)]
    return (run[start:end] for start, end in zip(starts, bounds))
