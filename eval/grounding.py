"""Whether an answer stands on its citations, and whether silence was right."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Final

#: Share of a sentence's content words that its citations must contain.
SUPPORT: Final = 0.6
#: Words that carry little, beside those of one or two letters.
_LIGHT: Final = frozenset(
    re.split(
        r"\s+",
        "the and that this with from have has had was were are been being for not but its his her their "
        "they them which who whom what when where will would can could should may might must into onto "
        "than then there these those such also more most some any each other over under about after "
        "before between during because while according",
    )
)
_WORD: Final = re.compile(r"\d[\d.,]*\d|\w+")


@dataclass(frozen=True, slots=True)
class CitationScores:
    """``precision``: gold among the cited; ``recall``: cited among the gold; 0 where there is nothing."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def citation_scores(cited: Collection[str], gold: Collection[str]) -> CitationScores:
    """Cited passages or documents against the gold ones, each counted once."""
    said, wanted = set(cited), set(gold)
    shared = len(said & wanted)
    return CitationScores(
        shared / len(said) if said else 0.0,
        shared / len(wanted) if wanted else 0.0,
    )


def supported(sentence: str, cited: Sequence[str]) -> bool:
    """Whether the cited texts contain what the sentence says, by its words.

    All numbers of the sentence must be there, and at least 60 % of its other content words (compared on
    their first five letters, which forgives inflection). A lexical check: it sees invented figures and names,
    not a twisted relation between words that are there.
    """
    words = _content(sentence)
    if not words:
        return True
    if not cited:
        return False
    known = {_stem(w) for text in cited for w in _WORD.findall(text.lower())}
    numbers = [w for w in words if w[0].isdigit()]
    others = [w for w in words if not w[0].isdigit()]
    if any(_stem(n) not in known for n in numbers):
        return False
    hits = sum(_stem(w) in known for w in others)
    return hits >= SUPPORT * len(others)


def support_share(sentences: Sequence[tuple[str, Sequence[str]]]) -> float:
    """Share of (sentence, cited texts) that are supported; 0 for an answer without a sentence."""
    if not sentences:
        return 0.0
    return sum(supported(sentence, cited) for sentence, cited in sentences) / len(sentences)


@dataclass(frozen=True, slots=True)
class Abstention:
    """Silence as a detector of unanswerable questions.

    ``precision``: unanswerable among those abstained from. ``recall``: abstained from among the unanswerable.
    ``answer_rate``: answered among the answerable.
    """

    questions: int
    unanswerable: int
    abstained: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    answer_rate: float

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def abstention(abstained: Sequence[bool], answerable: Sequence[bool]) -> Abstention:
    """Score silence, question by question."""
    pairs = list(zip(abstained, answerable, strict=True))
    silent, hopeless = sum(abstained), sum(not a for a in answerable)
    right = sum(s and not a for s, a in pairs)
    answered = sum(a and not s for s, a in pairs)
    precision, recall = _share(right, silent), _share(right, hopeless)
    return Abstention(
        questions=len(pairs),
        unanswerable=hopeless,
        abstained=silent,
        accuracy=_share(right + answered, len(pairs)),
        precision=precision,
        recall=recall,
        f1=_share(2 * precision * recall, precision + recall),
        answer_rate=_share(answered, len(pairs) - hopeless),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _content(sentence: str) -> list[str]:
    return [w for w in _WORD.findall(sentence.lower()) if w[0].isdigit() or (len(w) > 2 and w not in _LIGHT)]


def _stem(word: str) -> str:
    return word.replace(",", "").rstrip(".") if word[0].isdigit() else word[:5]
