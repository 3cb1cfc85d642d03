"""The part that all analyzers share: what has been seen before is not analysed again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from threading import Lock
from typing import Final, Generic, TypeVar

import numpy as np

from twindex.indexing.analysis import ascii_words
from twindex.indexing.analysis.ascii_words import Block, Tokens
from twindex.indexing.analysis.base import TermBatch, Vocabulary
from twindex.indexing.analysis.packed import PackedWords
from twindex.indexing.analysis.word_table import MOST, WordTable
from twindex.indexing.optional import available
from twindex.indexing.types import BoolArray, Int32Array

T = TypeVar("T")

#: Entries of one generation; a memory holds two. An entry takes some 200 bytes.
GENERATION: Final = 1 << 17
#: Longer keys, in characters, are not remembered: they hardly ever come back.
LONGEST: Final = 40
#: Texts that are taken from the caller's iterable at a time, and characters after which a block is closed early.
_BLOCK: Final = 1024
_BLOCK_CHARS: Final = 1 << 22
#: Texts that are cut into words at once, so that the arrays for it stay in a processor's cache.
_AT_ONCE: Final = 256
#: Characters that an analyzer sees before it has them cut by compiled code, if numba is installed: to load that takes
#: as long as it saves on so many.
COMPILED_CHARS: Final = 1 << 24
#: Blocks of fewer characters are cut piece by piece: the array operations take longer to set up.
_SMALL: Final = 4096


class Memory(dict[str, T], Generic[T]):
    """A dictionary that computes what it lacks, of bounded size: what nobody asks for in a generation is forgotten.

    Args:
        compute: Key to value; a pure function.
    """

    def __init__(self, compute: Callable[[str], T]) -> None:
        super().__init__()
        self._compute = compute
        self._older: dict[str, T] = {}

    def __missing__(self, key: str) -> T:
        older = self._older
        value = older[key] if key in older else self._compute(key)
        if len(key) <= LONGEST:
            if len(self) >= GENERATION:
                self._older = dict(self)
                self.clear()
            self[key] = value
        return value


class CachedAnalyzer(ABC):
    """Remembers the numbers of the terms of each word, or of each piece: what stands between white space.

    The same ones come back all the time. May be shared between threads. An analyzer whose terms in ASCII text are
    those of its words in lower case says so with ``by_word``: then words are found many texts at once, see
    :mod:`twindex.indexing.analysis.ascii_words`.
    """

    by_word = False

    def __init__(self) -> None:
        self._lock = Lock()
        self._vocabulary: Vocabulary | None = None
        self._numbers: Memory[tuple[int, ...]] = Memory(lambda _: ())
        self._table = WordTable()
        self._chars = 0

    @property
    @abstractmethod
    def name(self) -> str:
        """What the registry knows it by."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Name, version and settings."""

    @abstractmethod
    def terms(self, text: str) -> list[str]:
        """The terms of one text, in order, with repetitions."""

    def pieces(self, text: str) -> list[str]:
        """The text cut where no term crosses: the terms of the pieces are those of the text."""
        return text.split()

    def short_terms(self, words: PackedWords) -> tuple[PackedWords, BoolArray]:
        """The terms of short words of ASCII characters in lower case, and which have one. Only with ``by_word``."""
        raise NotImplementedError(f"{type(self).__name__} has no terms by word")

    def prepare(self) -> None:
        """Loads compiled code now, where there is some: much is to come."""
        self._chars = max(self._chars, COMPILED_CHARS)
        if self.by_word:
            self._tokens(Block.of([""]), WordTable())

    def analyze(self, texts: Iterable[str], vocabulary: Vocabulary) -> TermBatch:
        """The terms of many texts as numbers, new terms added to the vocabulary.

        New terms are numbered as they occur; within a block of many texts, those of ASCII words come first.
        Shapes: see TermBatch.
        """
        parts: list[TermBatch] = []
        for block in _blocks(iter(texts)):
            with self._lock:
                self._use(vocabulary)
                chars = sum(map(len, block))
                self._chars += chars
                many = self.by_word and chars >= _SMALL
                parts += self._by_word(block, vocabulary) if many else [self._by_piece(block)]
        ids = np.concatenate([np.empty(0, np.int32), *(part.ids for part in parts)])
        sizes = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.offsets) for part in parts)])
        return TermBatch(ids, np.cumsum(sizes))

    def _by_piece(self, texts: list[str]) -> TermBatch:
        ids, offsets = array("i"), array("q", [0])
        number = self._numbers.__getitem__
        for text in texts:
            ids.extend(chain.from_iterable(map(number, self.pieces(text))))
            offsets.append(len(ids))
        return TermBatch(np.array(ids, np.int32), np.array(offsets, np.int64))

    def _by_word(self, texts: list[str], vocabulary: Vocabulary) -> list[TermBatch]:
        """Looks up each distinct word, and each special, once."""
        table = self._table
        if len(table) > MOST:
            table.clear()
        known = len(table)
        blocks = [Block.of(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
        found = [self._tokens(block, table) for block in blocks]
        table.numbers[known : len(table)] = self._new_numbers(table.words(known), vocabulary)
        return [self._batch(block, tokens, table) for block, tokens in zip(blocks, found)]

    def _batch(self, block: Block, found: Tokens, table: WordTable) -> TermBatch:
        numbers = table.numbers[found.rows]
        sizes = (numbers >= 0).astype(np.int64)
        special = [self._numbers[block.text(start, end)] for _, start, end in found.specials.tolist()]
        at = found.specials[:, 0]
        sizes[at] = [len(each) for each in special]
        ends = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=ends[1:])
        ids = np.repeat(numbers, sizes) if special else numbers[numbers >= 0]
        for place, terms in zip(ends[at].tolist(), special):
            ids[place : place + len(terms)] = terms
        return TermBatch(ids, ends[found.offsets])

    def _tokens(self, block: Block, table: WordTable) -> Tokens:
        if self._chars < COMPILED_CHARS or not available("numba"):
            return ascii_words.tokens(block, table)
        from twindex.indexing.analysis import kernels_words

        return kernels_words.tokens(block, table)

    def _new_numbers(self, words: PackedWords, vocabulary: Vocabulary) -> Int32Array:
        terms, has = self.short_terms(words)
        numbers = np.full(len(words), _NO_TERM, np.int32)
        numbers[has] = vocabulary.add_all(terms[has].texts())
        return numbers

    def _use(self, vocabulary: Vocabulary) -> None:
        """Numbers are those of the vocabulary in use; another one starts anew."""
        if self._vocabulary is not vocabulary:
            self._vocabulary = vocabulary
            self._numbers = Memory(lambda piece: tuple(vocabulary.add_all(self.terms(piece))))
            self._table.clear()


_NO_TERM: Final = -1


def _blocks(texts: Iterator[str]) -> Iterator[list[str]]:
    block: list[str] = []
    chars = 0
    for text in texts:
        block.append(text)
        chars += len(text)
        if len(block) >= _BLOCK or chars >= _BLOCK_CHARS:
            yield block
            block, chars = [], 0
    if block:
        yield block
