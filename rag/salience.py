"""How well a sentence answers a question, as a weighted sum of features without a model.

Every feature is in [0, 1]. The weights were fitted as a listwise softmax regression on half of the articles of
SQuAD 1.1's development set, each question once with the gold paragraph alone and once with the five best of BM25;
``bench/answers.py`` reports on the other half. Two are set by hand, because SQuAD has no headings and
no lists of frequent questions: ``asks`` and ``fragment``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final

from twindex.rag.evidence import Evidence, Sentence
from twindex.rag.hints import asked_kind, shows

#: BM25's saturation of repeated terms and its length normalisation, for single sentences.
_K1: Final = 0.9
_B: Final = 0.4
#: A shorter "sentence" is a heading or a fragment.
_FRAGMENT: Final = 4


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of one sentence with respect to a question.

    - ``overlap``: weight of the question's terms in it, with BM25's saturation and length norm, over the
      weight of all of them;
    - ``before``: further share of the question that the sentence before it adds;
    - ``title``: further share that the title adds;
    - ``phrase``: share of the question's pairs of adjacent content terms that are adjacent in it too;
    - ``kind``: it holds the kind of thing that is asked for;
    - ``passage``: support of the question by the whole passage;
    - ``rank``: reciprocal rank of the passage;
    - ``lead``: reciprocal place in the passage;
    - ``asks``: it is a question itself;
    - ``fragment``: it has fewer than four content terms.
    """

    overlap: float = 0.0
    before: float = 0.0
    title: float = 0.0
    phrase: float = 0.0
    kind: float = 0.0
    passage: float = 0.0
    rank: float = 0.0
    lead: float = 0.0
    asks: float = 0.0
    fragment: float = 0.0


#: The fitted weights.
WEIGHTS: Final = Features(
    overlap=1.00, before=0.28, title=0.45, phrase=0.20, kind=0.17, passage=0.26, rank=0.22, lead=0.03,
    asks=-0.50, fragment=-0.30,
)  # fmt: skip


def total(features: Features, weights: Features = WEIGHTS) -> float:
    """The weighted sum."""
    return sum(float(getattr(features, f.name) * getattr(weights, f.name)) for f in fields(Features))


class Salience:
    """Features of the sentences of one context for one question."""

    def __init__(self, question: str, evidence: Evidence) -> None:
        self._question = question
        self._evidence = evidence
        self.terms = tuple(dict.fromkeys(evidence.terms.content(question)))
        sequence = evidence.terms.content(question)
        self._pairs = set(pairwise(sequence))
        self._kind = asked_kind(question)
        lengths = [sentence.length for sentence in evidence.sentences]
        self._mean = max(1.0, sum(lengths) / len(lengths)) if lengths else 1.0
        self._passages = {p.number: self._passage_support(p.number) for p in evidence.context.passages}
        self._titles = {p.number: dict.fromkeys(evidence.terms.content(p.title), 1) for p in evidence.context.passages}

    def features(self, sentence: Sentence) -> Features:
        """The features of one sentence of the context."""
        own = self._support(sentence.counts)
        siblings = self._evidence.of(sentence.passage.number)
        place = sentence.place
        return Features(
            overlap=self._overlap(sentence),
            before=self._gain(own, sentence, siblings[place - 1].counts) if place else 0.0,
            title=self._gain(own, sentence, self._titles[sentence.passage.number]),
            phrase=self._phrase(sentence),
            kind=float(self._kind is not None and shows(self._kind, sentence.text, self._question)),
            passage=self._passages[sentence.passage.number],
            rank=1.0 / sentence.passage.rank,
            lead=1.0 / (1 + place),
            asks=float(sentence.text.rstrip("\"')\u201d").endswith("?")),
            fragment=float(sentence.length < _FRAGMENT),
        )

    def _support(self, counts: Mapping[str, int]) -> float:
        return self._evidence.support(self.terms, counts)

    def _passage_support(self, number: int) -> float:
        merged: dict[str, int] = {}
        for sentence in self._evidence.of(number):
            merged.update(sentence.counts)
        merged.update(dict.fromkeys(self._evidence.terms.content(self._evidence.context.passages[number - 1].title), 1))
        return self._support(merged)

    def _gain(self, own: float, sentence: Sentence, more: Mapping[str, int]) -> float:
        return self._support({**sentence.counts, **more}) - own

    def _overlap(self, sentence: Sentence) -> float:
        norm = _K1 * (1 - _B + _B * sentence.length / self._mean)
        have = whole = 0.0
        for term in self.terms:
            weight = self._evidence.weight(term)
            frequency = sentence.counts.get(term, 0)
            have += weight * min(1.0, (_K1 + 1) * frequency / (frequency + norm))
            whole += weight
        return have / whole if whole else 0.0

    def _phrase(self, sentence: Sentence) -> float:
        if not self._pairs:
            return 0.0
        sequence: Sequence[str] = self._evidence.terms.content(sentence.text)
        return len(self._pairs & set(pairwise(sequence))) / len(self._pairs)
