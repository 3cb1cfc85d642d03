"""One answer against what was wanted: words, numbers, citations, support, silence."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from twindex.eval.answers import contains_answer, exact_match, token_f1
from twindex.eval.beir import TestQuery
from twindex.eval.grounding import Abstention, abstention, citation_scores, support_share
from twindex.eval.numbers import SCALES, find_number, number_match, strict_number_match
from twindex.rag.sentences import split_sentences
from twindex.rag.types import Answer


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """What a query's metadata says of its answer.

    ``number`` is the gold number, None if the answer is not one; ``unit`` its unit ("million", "percent", ...).
    ``answerable`` is false where the set says that nothing in it answers the question.
    """

    answers: tuple[str, ...] = ()
    number: float | None = None
    unit: str = ""
    answerable: bool = True

    @classmethod
    def of(cls, query: TestQuery) -> GoldAnswer:
        """The gold answer of a query, from the fields ``answers``, ``final_answer``, ``scale``, ``answerable``."""
        data = query.metadata
        answers = tuple(str(a) for a in _list(data.get("answers")))
        unit = str(data.get("scale") or "").lower()
        stated = data.get("final_answer", data.get("program_answer"))
        number = _gold_number(str(stated) if stated is not None else answers[0] if len(answers) == 1 else "")
        return cls(answers, number, unit if unit in SCALES else "", data.get("answerable") is not False)


@dataclass(frozen=True, slots=True)
class AnswerScores:
    """The values of one answer; None where a measure does not apply to the question."""

    exact_match: float | None
    f1: float | None
    contains: float | None
    number_match: float | None
    number_match_strict: float | None
    citation_precision: float | None
    citation_recall: float | None
    support: float | None
    abstained: float
    answerable: float
    took_ms: float

    def to_dict(self) -> dict[str, float | None]:
        """Plain values."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def score_answer(answer: Answer, gold: GoldAnswer, relevant: Collection[str]) -> AnswerScores:
    """Score an answer.

    Words are scored on every question with gold answers, and on unanswerable ones, where silence is right.
    Numbers are scored where the gold is a number: the answer's last number is what it predicts. Citations and
    support are scored where something was said and is known.
    """
    said = "" if answer.abstained else answer_text(answer)
    worded = bool(gold.answers) or not gold.answerable
    golds = gold.answers if gold.answerable else ()
    number = gold.number if gold.answerable else None
    cited = citation_scores([c.doc_id for c in answer.citations], relevant)
    spoke = not answer.abstained
    return AnswerScores(
        exact_match=exact_match(said, golds) if worded else None,
        f1=token_f1(said, golds) if worded else None,
        contains=contains_answer(said, golds) if golds else None,
        number_match=None if number is None else float(number_match(_number_text(said), number)),
        number_match_strict=None if number is None else float(strict_number_match(said, number, gold.unit)),
        citation_precision=cited.precision if spoke and relevant else None,
        citation_recall=cited.recall if relevant else None,
        support=support_share(cited_sentences(answer)) if spoke else None,
        abstained=float(answer.abstained),
        answerable=float(gold.answerable),
        took_ms=answer.took_ms,
    )


def answer_text(answer: Answer) -> str:
    """The answer without its citation marks."""
    text = answer.text
    for number in sorted({c.marker for c in answer.citations}, reverse=True):
        text = text.replace(f"[{number}]", "")
    return " ".join(text.split())


def cited_sentences(answer: Answer) -> list[tuple[str, list[str]]]:
    """Each sentence of the answer, without citation marks, with the texts of the passages that it cites."""
    marks = [f"[{number}]" for number in sorted({c.marker for c in answer.citations}, reverse=True)]
    out = []
    for span in split_sentences(answer.text):
        bare = span.of(answer.text)
        for mark in marks:
            bare = bare.replace(mark, " ")
        if not bare.strip():  # a mark after the full stop is no sentence
            continue
        markers = {c.marker for c in answer.citations if c.claim_start < span.end and span.start < c.claim_end}
        texts = [f"{p.title} {p.text}" for p in answer.context.passages if p.number in markers]
        out.append((bare, texts))
    return out


def average(rows: Sequence[AnswerScores]) -> dict[str, float]:
    """Mean of each measure over the questions that it applies to, and how many those are (``n_`` + name)."""
    out: dict[str, float] = {}
    for field in fields(AnswerScores):
        values = [v for row in rows if (v := getattr(row, field.name)) is not None]
        if values:
            out[field.name] = sum(values) / len(values)
            out[f"n_{field.name}"] = len(values)
    return out


def silence(rows: Sequence[AnswerScores]) -> Abstention:
    """Abstention scored as a detector of unanswerable questions."""
    return abstention([bool(r.abstained) for r in rows], [bool(r.answerable) for r in rows])


def _number_text(said: str) -> str:
    """The predicted number as the official definition wants it: a plain float, its unit left out."""
    found = find_number(said)
    return "" if found is None else repr(found.number)


def _gold_number(text: str) -> float | None:
    """A gold that is a number and nothing else, but for currency, separators and percent signs."""
    bare = text.strip().strip("$€£¥% ").replace(",", "")
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1]}"
    try:
        value = float(bare)
    except ValueError:
        return None
    return value / 100 if text.strip().endswith("%") else value


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else () if value is None else (value,)


def as_mapping(rows: Mapping[str, AnswerScores]) -> dict[str, dict[str, float | None]]:
    """Plain values by query id."""
    return {query: row.to_dict() for query, row in rows.items()}
