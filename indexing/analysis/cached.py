"""The part that all analyzers share: what has been seen before is not analysed again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from threading import Lock
from typing import Final, Generic, TypeVar

import numpy as np

from twindex.indexing.analysis.base import TermBatch, Vocabulary

T = TypeVar("T")

#: Entries of one generation; a memory holds two. An entry takes some 200 bytes.
GENERATION: Final = 1 << 17
#: Longer keys, in characters, are not remembered: they hardly ever come back.
LONGEST: Final = 40
#: Texts that are taken from the caller's iterable at a time.
_BLOCK: Final = 256


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
    """Cuts texts into pieces, and remembers the numbers of the terms of each piece.

    Pieces are what stands between white space; the same ones come back all the time. May be shared between threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._vocabulary: Vocabulary | None = None
        self._numbers: Memory[tuple[int, ...]] = Memory(lambda _: ())

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

    def analyze(self, texts: Iterable[str], vocabulary: Vocabulary) -> TermBatch:
        """The terms of many texts as numbers, new terms added to the vocabulary.

        Shapes: see TermBatch.
        """
        ids, offsets = array("i"), array("q", [0])
        for block in _blocks(iter(texts)):
            with self._lock:
                number = self._numbers_for(vocabulary).__getitem__
                for text in block:
                    ids.extend(chain.from_iterable(map(number, self.pieces(text))))
                    offsets.append(len(ids))
        return TermBatch(np.array(ids, np.int32), np.array(offsets, np.int64))

    def _numbers_for(self, vocabulary: Vocabulary) -> Memory[tuple[int, ...]]:
        """Piece -> numbers, for the vocabulary in use; another vocabulary starts anew."""
        if self._vocabulary is not vocabulary:
            self._vocabulary = vocabulary
            self._numbers = Memory(lambda piece: tuple(map(vocabulary.add, self.terms(piece))))
        return self._numbers


def _blocks(texts: Iterator[str]) -> Iterator[list[str]]:
    while block := list(islice(texts, _BLOCK)):
        yield block
