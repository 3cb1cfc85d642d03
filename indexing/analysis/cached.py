"""The part that all analyzers share: what has been seen before is not analysed again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from threading import Lock
from typing import Final, Generic, TypeVar

import numpy as np

from twindex.indexing.analysis.ascii_words import PACKED, Split, split
from twindex.indexing.analysis.base import TermBatch, Vocabulary
from twindex.indexing.analysis.word_table import UNKNOWN, WordTable
from twindex.indexing.types import Int32Array, Int64Array

T = TypeVar("T")

#: Entries of one generation; a memory holds two. An entry takes some 200 bytes.
GENERATION: Final = 1 << 17
#: Longer keys, in characters, are not remembered: they hardly ever come back.
LONGEST: Final = 40
#: Texts that are taken from the caller's iterable at a time, and characters after which a block is closed early.
_BLOCK: Final = 1024
_BLOCK_CHARS: Final = 1 << 22
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
        self._words: Memory[int] = Memory(lambda _: _NO_TERM)
        self._table = WordTable()

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

    def term(self, word: str) -> str | None:
        """The term of a word of ASCII characters in lower case, None for none. Only with ``by_word``."""
        raise NotImplementedError(f"{type(self).__name__} has no terms by word")

    def analyze(self, texts: Iterable[str], vocabulary: Vocabulary) -> TermBatch:
        """The terms of many texts as numbers, new terms added to the vocabulary.

        New terms are numbered as they occur; within a block of many texts, those of ASCII words come first.
        Shapes: see TermBatch.
        """
        parts = []
        for block in _blocks(iter(texts)):
            with self._lock:
                self._use(vocabulary)
                many = self.by_word and sum(map(len, block)) >= _SMALL
                parts.append(self._by_word(split(block)) if many else self._by_piece(block))
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

    def _by_word(self, words: Split) -> TermBatch:
        """Looks up each distinct word, and each piece that is not ASCII, once."""
        packed = words.packed()
        chosen, which = words.distinct(*packed)
        low, high, keys = (values[chosen] for values in packed)
        short = words.sizes[chosen] <= PACKED
        numbers = np.where(short, self._table.find(keys, low, high), UNKNOWN)
        new = np.flatnonzero(numbers == UNKNOWN)
        texts = map(words.word, chosen[new].tolist())
        numbers[new] = np.fromiter(map(self._words.__getitem__, texts), np.int32, len(new))
        learned = new[short[new]]
        self._table.learn(keys[learned], low[learned], high[learned], numbers[learned])
        ids = numbers[which]
        starts, ids = words.starts[ids >= 0], ids[ids >= 0]
        if len(words.pieces):
            starts, ids = self._with_pieces(words, starts, ids)
        return TermBatch(ids, np.searchsorted(starts, words.bounds).astype(np.int64))

    def _with_pieces(self, words: Split, starts: Int64Array, ids: Int32Array) -> tuple[Int64Array, Int32Array]:
        found = [
            self._numbers[words.data[start:end].tobytes().decode("utf-8", "surrogatepass")]
            for start, end in words.pieces.tolist()
        ]
        sizes = [len(numbers) for numbers in found]
        places = np.repeat(words.pieces[:, 0], sizes)
        at = np.searchsorted(starts, places)
        flat = np.fromiter(chain.from_iterable(found), np.int32, len(places))
        return np.insert(starts, at, places), np.insert(ids, at, flat)

    def _use(self, vocabulary: Vocabulary) -> None:
        """Numbers are those of the vocabulary in use; another one starts anew."""
        if self._vocabulary is not vocabulary:
            self._vocabulary = vocabulary
            self._numbers = Memory(lambda piece: tuple(map(vocabulary.add, self.terms(piece))))
            self._table = WordTable()
            self._words = Memory(lambda word: _number(vocabulary, self.term(word)))


_NO_TERM: Final = -1


def _number(vocabulary: Vocabulary, term: str | None) -> int:
    return _NO_TERM if term is None else vocabulary.add(term)


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
