"""Numbers of short words that were met before, found for thousands of them in one array operation.

A hash table with open addressing in plain arrays, which compiled code shares: ``slots`` holds the row of a word or -1,
a word is looked for from its own slot on, and no more than a quarter of the slots are taken.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.indexing.analysis.packed import PackedWords
from twindex.indexing.types import Int32Array, Int64Array, UInt64Array

#: Words that are kept; beyond it the table starts anew. Units: 36 to 72 bytes each.
MOST: Final = 1 << 19
#: Words that an empty table has room for, and slots a word: with fewer, more words are found at their second place.
_LEAST: Final = 1 << 15
_SLOTS: Final = 4
#: Words that an empty table takes first.
_PART: Final = 1 << 14
_EMPTY: Final = -1
#: Odd numbers with bits all over: the first 64 bits of the golden ratio and of the square root of 3, less their
#: integer parts. The upper bits of a word times these depend on all of its letters.
TAIL_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
HEAD_FACTOR: Final = np.uint64(0xBB67AE8584CAA73B)


class WordTable:
    """A table of words, in rows by the order in which they came, and a number for each."""

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        """Words in the table."""
        return self.size

    def clear(self) -> None:
        """Forgets all words."""
        self.size = 0
        self.head: UInt64Array = np.empty(_LEAST, np.uint64)
        self.tail: UInt64Array = np.empty(_LEAST, np.uint64)
        self.numbers: Int32Array = np.empty(_LEAST, np.int32)
        self.slots: Int32Array = np.full(_SLOTS * _LEAST, _EMPTY, np.int32)

    @property
    def room(self) -> int:
        """Words that can be added before it has to grow."""
        return len(self.tail) - self.size

    @property
    def shift(self) -> np.uint64:
        """Bits of a word's product that its slot does not show."""
        return np.uint64(64 - (len(self.slots).bit_length() - 1))

    def words(self, first: int) -> PackedWords:
        """The words from a row on."""
        return PackedWords(self.head[first : self.size], self.tail[first : self.size])

    def rows(self, words: PackedWords) -> Int32Array:
        """The row of each word, in which those that were unknown are by now: int32[n]. New rows have no number yet."""
        if not len(self) and len(words) > _PART:  # what is frequent is known after the first part, and not sorted
            return np.concatenate([self.rows(words[:_PART]), self.rows(words[_PART:])])
        rows = self._find(words)
        unknown = np.flatnonzero(rows == _EMPTY)
        if len(unknown):
            firsts, which = distinct(words[unknown])
            rows[unknown] = self._add(words[unknown[firsts]])[which]
        return rows

    def grow(self, count: int) -> None:
        """Makes room for so many words."""
        if count <= self.room:
            return
        size = len(self.tail)
        while size < self.size + count:
            size *= 2
        self.head, self.tail = np.resize(self.head, size), np.resize(self.tail, size)
        self.numbers = np.resize(self.numbers, size)
        self.slots = np.full(_SLOTS * size, _EMPTY, np.int32)
        self._enter(np.arange(self.size, dtype=np.int32))

    def _add(self, words: PackedWords) -> Int32Array:
        """The rows of different words that are not there."""
        self.grow(len(words))
        first, self.size = self.size, self.size + len(words)
        self.head[first : self.size], self.tail[first : self.size] = words.head, words.tail
        rows = np.arange(first, self.size, dtype=np.int32)
        self._enter(rows)
        return rows

    def _find(self, words: PackedWords) -> Int32Array:
        places = self._places(words)
        rows = self.slots.take(places)
        other = (self.tail.take(rows) != words.tail) | (self.head.take(rows) != words.head)
        unsure = np.flatnonzero((rows >= 0) & other)
        places = places[unsure]
        while len(unsure):  # another word has the place: the next one is looked at
            places = places + 1 & len(self.slots) - 1
            found = rows[unsure] = self.slots[places]
            tail, head = words.tail[unsure], words.head[unsure]
            again = (found >= 0) & ((self.tail[found] != tail) | (self.head[found] != head))
            unsure, places = unsure[again], places[again]
        return rows

    def _enter(self, rows: Int32Array) -> None:
        """Puts rows into the first free slots from their own on."""
        places = self._places(PackedWords(self.head[rows], self.tail[rows]))
        while len(rows):
            free = self.slots[places] == _EMPTY
            self.slots[places[free]] = rows[free]  # of several for one slot the last one gets it
            left = self.slots[places] != rows
            rows, places = rows[left], places[left] + 1 & len(self.slots) - 1

    def _places(self, words: PackedWords) -> Int64Array:
        return (words.tail * TAIL_FACTOR + words.head * HEAD_FACTOR >> self.shift).astype(np.int64)


def distinct(words: PackedWords) -> tuple[Int64Array, Int64Array]:
    """Each different word once, and which one each word is.

    Shapes: places int64[distinct], by first occurrence; int64[n] into those.
    """
    order = np.lexsort((words.tail, words.head)) if words.head.any() else np.argsort(words.tail, kind="stable")
    head, tail = words.head[order], words.tail[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (head[1:] != head[:-1]) | (tail[1:] != tail[:-1])
    firsts = order[new]  # both ways of sorting keep the order of equal words
    rank = np.argsort(firsts)
    place = np.empty(len(rank), np.int64)
    place[rank] = np.arange(len(rank))
    which = np.empty(len(order), np.int64)
    which[order] = place[np.cumsum(new) - 1]
    return firsts[rank], which
