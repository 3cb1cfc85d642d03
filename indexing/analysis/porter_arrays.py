"""Porter's stemmer for thousands of short words at once: what :mod:`twindex.indexing.analysis.porter` does to each.

Beside the numbers of the words goes their pattern, a bit a letter, the lowest for the last letter, set for a vowel. It
shifts along with the word. The measure, how often a vowel is followed by a consonant, is a count of bits.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.indexing.analysis.packed import PACKED, PackedWords
from twindex.indexing.analysis.porter import STEP_2, STEP_3, STEP_4
from twindex.indexing.types import BoolArray, Int64Array, UInt8Array, UInt64Array

_VOWEL: Final = np.isin(np.arange(256), list(b"aeiou"))
_Y: Final = ord("y")
#: Bits that are set in a number of 16 bits.
_COUNT: Final = np.unpackbits(np.arange(1 << PACKED, dtype=">u2").view(np.uint8)).reshape(-1, 16).sum(1, dtype=np.uint8)
_LAST: Final = np.uint64(0xFF)


def stems(words: PackedWords) -> PackedWords:
    """The stems of words in lower case."""
    out = PackedWords(words.head.copy(), words.tail.copy())
    rows = np.flatnonzero(words.tail >> np.uint64(16))  # words of one or two letters stay as they are
    state = _Words(words[rows])
    state.plural()
    state.past()
    state.last_y()
    state.rules([rule for rules in STEP_2.values() for rule in rules])
    state.rules([rule for rules in STEP_3.values() for rule in rules])
    state.removed([suffix for suffixes in STEP_4.values() for suffix in suffixes])
    state.final()
    out.head[rows], out.tail[rows] = state.head, state.tail
    return out


def vowels(words: PackedWords) -> Int64Array:
    """The patterns: int64[n], a bit a letter; y is a vowel after a consonant."""
    letters = words.letters()
    found = _VOWEL[letters]
    rows = np.flatnonzero((letters == _Y).any(axis=1))
    if len(rows):
        found[rows] = _with_y(letters[rows], found[rows])
    bits = np.packbits(found, axis=1).astype(np.int64)
    return bits[:, 0] << 8 | bits[:, 1]


def _with_y(letters: UInt8Array, found: BoolArray) -> BoolArray:
    for column in range(1, PACKED):
        consonant = (letters[:, column - 1] != 0) & ~found[:, column - 1]
        found[:, column] |= (letters[:, column] == _Y) & consonant
    return found


class _Words:
    """Words on their way through the steps."""

    def __init__(self, words: PackedWords) -> None:
        self.head: UInt64Array = words.head.copy()
        self.tail: UInt64Array = words.tail.copy()
        self._vowels = vowels(words)

    def plural(self) -> None:
        two = self._ends("sses") | self._ends("ies")
        one = self._ends("s") & ~two & ~self._ends("ss")
        self._replace(np.flatnonzero(two), 2)
        self._replace(np.flatnonzero(one), 1)

    def past(self) -> None:
        agreed = self._ends("eed")
        ed = self._ends("ed") & ~agreed & (self._vowels >> 2 != 0)
        ing = self._ends("ing") & (self._vowels >> 3 != 0)
        self._replace(np.flatnonzero(agreed & (self._measure(3) > 0)), 1)
        self._replace(np.flatnonzero(ed), 2)
        self._replace(np.flatnonzero(ing), 3)
        cut = ed | ing
        silent = cut & (self._ends("at") | self._ends("bl") | self._ends("iz"))
        last = self.tail & _LAST
        doubled = cut & ~silent & (last == self.tail >> np.uint64(8) & _LAST) & (self._vowels & 1 == 0)
        short = cut & ~silent & ~doubled & (self._measure(0) == 1) & self._short(0)
        self._replace(np.flatnonzero(doubled & ~np.isin(last, list(b"lsz"))), 1)
        self._replace(np.flatnonzero(silent | short), 0, "e")

    def last_y(self) -> None:
        self._replace(np.flatnonzero(self._ends("y") & (self._vowels >> 1 != 0)), 1, "i")

    def rules(self, rules: list[tuple[str, str]]) -> None:
        """The first rule whose suffix fits decides, whether or not its condition holds."""
        open_ = np.ones(len(self.tail), np.bool_)
        for suffix, replacement in rules:
            rows = np.flatnonzero(self._ends(suffix) & open_)
            if len(rows):
                open_[rows] = False
                self._replace(rows[self._measure(len(suffix), rows) > 0], len(suffix), replacement)

    def removed(self, suffixes: list[str]) -> None:
        open_ = np.ones(len(self.tail), np.bool_)
        for suffix in suffixes:
            fits = self._ends(suffix) if suffix != "ion" else self._ends("sion") | self._ends("tion")
            rows = np.flatnonzero(fits & open_)
            if len(rows):
                open_[rows] = False
                self._replace(rows[self._measure(len(suffix), rows) > 1], len(suffix))

    def final(self) -> None:
        measure = self._measure(1)
        silent = self._ends("e") & ((measure > 1) | ((measure == 1) & ~self._short(1)))
        self._replace(np.flatnonzero(silent), 1)
        self._replace(np.flatnonzero(self._ends("ll") & (self._measure(1) > 1)), 1)

    def _ends(self, suffix: str) -> BoolArray:
        found: BoolArray = self.tail & np.uint64((1 << 8 * len(suffix)) - 1) == np.uint64(_number(suffix))
        return found

    def _measure(self, cut: int, rows: Int64Array | slice = slice(None)) -> UInt8Array:
        """The measure of what precedes the last ``cut`` letters."""
        kinds = self._vowels[rows] >> cut
        count: UInt8Array = _COUNT[kinds >> 1 & ~kinds]
        return count

    def _short(self, cut: int) -> BoolArray:
        """Consonant, vowel, consonant before the last ``cut`` letters, the last not w, x or y."""
        tail = self.tail >> np.uint64(8 * cut)
        found: BoolArray = (self._vowels >> cut & 7 == 2) & (tail >> np.uint64(16) != 0)
        return found & ~np.isin(tail & _LAST, list(b"wxy"))

    def _replace(self, rows: Int64Array, cut: int, ending: str = "") -> None:
        """Drops the last ``cut`` letters, and adds an ending that is no longer than what was there."""
        if not len(rows):
            return
        head, tail = self.head[rows], self.tail[rows]
        if cut:
            down, up = np.uint64(8 * cut), np.uint64(64 - 8 * cut)
            head, tail = head >> down, tail >> down | head << up
        if ending:
            up, down = np.uint64(8 * len(ending)), np.uint64(64 - 8 * len(ending))
            head, tail = head << up | tail >> down, tail << up | np.uint64(_number(ending))
        self.head[rows], self.tail[rows] = head, tail
        self._vowels[rows] = self._vowels[rows] >> cut << len(ending) | _pattern(ending)


def _number(letters: str) -> int:
    return int.from_bytes(letters.encode("ascii"), "big")


def _pattern(ending: str) -> int:
    return sum(1 << place for place, letter in enumerate(reversed(ending)) if letter in "aeiou")
