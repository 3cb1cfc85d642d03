"""What an analyzer is: text to terms, by a named and versioned rule.

Indexing takes batches of term ids, searching takes the terms of one text. Each distinct
raw token is normalised once, and the result is remembered for the life of the analyzer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from twindex.indexing.types import Int32Array, Int64Array


class Vocabulary:
    """Terms numbered in the order in which they were first seen (so, by the corpus, not by a hash)."""

    __slots__ = ("ids", "terms")

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.terms: list[str] = []

    def __len__(self) -> int:
        return len(self.terms)

    def add(self, term: str) -> int:
        """The id of the term, new or known."""
        number = self.ids.get(term)
        if number is None:
            number = len(self.terms)
            self.ids[term] = number
            self.terms.append(term)
        return number

    def add_all(self, terms: Iterable[str]) -> list[int]:
        """The ids of the terms, new or known."""
        ids, known = self.ids, self.ids.get
        out = []
        for term in terms:
            number = known(term)
            if number is None:
                number = ids[term] = len(ids)
                self.terms.append(term)
            out.append(number)
        return out


@dataclass(frozen=True, slots=True)
class TermBatch:
    """Analysed texts as one array.

    Shapes: ``ids`` int32[total], numbers of a Vocabulary; ``offsets`` int64[n + 1]; text i is
    ``ids[offsets[i]:offsets[i + 1]]``, in the order of its tokens.
    """

    ids: Int32Array
    offsets: Int64Array


@runtime_checkable
class Analyzer(Protocol):
    """Text to terms."""

    @property
    def name(self) -> str:
        """What the registry knows it by, as in "english"."""

    @property
    def fingerprint(self) -> str:
        """Name, version and settings; two analyzers with one fingerprint give the same terms."""

    def terms(self, text: str) -> list[str]:
        """The terms of one text, in order, with repetitions."""

    def analyze(self, texts: Iterable[str], vocabulary: Vocabulary) -> TermBatch:
        """The terms of many texts as numbers, new terms added to the vocabulary.

        Law: equal to calling :meth:`terms` on each text.
        """
