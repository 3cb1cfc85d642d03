"""A context taken apart into weighted sentences: the one place where support is computed.

Weight of a term t over the n sentences of the context, df(t) of which have it, and 100 imagined ones that do
not::

    w(t) = ln(1 + (n + 100 - df + 0.5) / (df + 0.5))      (Robertson-Sparck Jones, never negative)

Without the imagined ones, weights of a context of one paragraph are mostly chance.

Support of a claim by a text: the weight of the claim's distinct content terms that the text has, divided by
the weight of all of them. 1 means that every content word of the claim is there, 0 that none is. A number of
the claim that the text lacks counts double, since a changed figure changes a fact. The check is lexical: it
sees invented words and figures, and neither negation nor changed roles.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from twindex.rag.sentences import split_sentences
from twindex.rag.terms import Terms, is_number
from twindex.rag.types import Context, ContextPassage

#: How much more a missing number costs than a missing word of the same rarity.
NUMBER_PENALTY: Final = 2.0
#: Imagined sentences; of 0, 20 and 100 the last told answerable from off-topic questions best.
BACKGROUND: Final = 100


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of one passage; ``start`` and ``end`` are positions in the document.

    ``place`` counts sentences within the passage from 0; ``counts`` are the frequencies of its content terms.
    """

    passage: ContextPassage
    place: int
    start: int
    end: int
    text: str
    counts: Mapping[str, int]
    length: int


class Evidence:
    """The sentences of a context, in order of passages, with term weights."""

    def __init__(self, context: Context, terms: Terms) -> None:
        self.context = context
        self.terms = terms
        self.sentences = tuple(s for passage in context.passages for s in _sentences(passage, terms))
        self._df = Counter(term for sentence in self.sentences for term in sentence.counts)
        self._of: dict[int, list[Sentence]] = {passage.number: [] for passage in context.passages}
        for sentence in self.sentences:
            self._of[sentence.passage.number].append(sentence)

    def of(self, number: int) -> list[Sentence]:
        """The sentences of one passage, in order."""
        return self._of[number]

    def weight(self, term: str) -> float:
        """w(t) as above; the largest for a term that no sentence has."""
        df = self._df[term]
        return math.log1p((len(self.sentences) + BACKGROUND - df + 0.5) / (df + 0.5))

    def support(self, claim: Iterable[str], found: Mapping[str, int]) -> float:
        """Support, in [0, 1], of claim terms by the terms of a text; 0 for a claim without terms."""
        have = total = 0.0
        for term in dict.fromkeys(claim):
            weight = self.weight(term)
            if term in found:
                have += weight
            elif is_number(term):
                weight *= NUMBER_PENALTY
            total += weight
        return have / total if total else 0.0

    def best(self, claim: str, number: int) -> tuple[Sentence, float] | None:
        """The sentence of a passage that supports the claim best, the first of equals."""
        terms = self.terms.content(claim)
        best: tuple[Sentence, float] | None = None
        for sentence in self._of.get(number, ()):
            support = self.support(terms, sentence.counts)
            if best is None or support > best[1]:
                best = (sentence, support)
        return best


def _sentences(passage: ContextPassage, terms: Terms) -> Iterable[Sentence]:
    for place, span in enumerate(split_sentences(passage.text)):
        text = span.of(passage.text)
        counts = Counter(terms.content(text))
        yield Sentence(
            passage=passage,
            place=place,
            start=passage.start + span.start,
            end=passage.start + span.end,
            text=text,
            counts=counts,
            length=sum(counts.values()),
        )
