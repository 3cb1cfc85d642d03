from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.rag.fakes import TERMS, FakeHit
from twindex.indexing.errors import ConfigError
from twindex.rag.context import ContextBuilder, ContextConfig
from twindex.rag.tokens import EstimatedTokens, TokenCounter
from twindex.rag.types import Context, Part


def build(
    hits: Sequence[FakeHit], question: str = "rain", counter: TokenCounter | None = None, **config: Any
) -> Context:
    return ContextBuilder(ContextConfig(**config), terms=TERMS, counter=counter).build(question, hits)


def texts(context: Context) -> list[str]:
    return [passage.text for passage in context.passages]


def test_passages_are_numbered_by_rank() -> None:
    context = build([FakeHit("a", "First text.", score=2.5), FakeHit("b", "Second text.", title="T")])
    assert [(p.number, p.id, p.rank, p.score, p.title) for p in context.passages] == [
        (1, "a", 1, 2.5, ""),
        (2, "b", 2, 1.0, "T"),
    ]
    assert context.tokens == sum(p.tokens for p in context.passages) <= context.budget
    assert context.passage(2) is context.passages[1]
    assert context.passage(0) is None
    assert context.passage(3) is None


def test_nothing_makes_an_empty_context() -> None:
    assert build([]).passages == ()
    assert build([FakeHit("a", "  \n "), FakeHit("b", "")]).passages == ()


def test_copies_are_left_out() -> None:
    context = build([FakeHit("a", "One two three four."), FakeHit("b", "one  TWO three\nfour.")])
    assert [p.id for p in context.passages] == ["a"]
    assert context.notes == ("1 copy of better hits left out",)


def test_near_copies_are_a_matter_of_the_threshold() -> None:
    words = [f"w{i}" for i in range(40)]
    hits = [FakeHit("a", " ".join(words)), FakeHit("b", " ".join([*words[:-1], "other"]))]
    assert len(build(hits, duplicate=0.9)) == 1
    assert len(build(hits, duplicate=1.0)) == 2


DOC = "Rain falls. Snow falls too. Hail is rare here. Fog comes in autumn. Dew is common."


def chunk(start: int, end: int, name: str) -> FakeHit:
    return FakeHit(name, DOC[start:end], doc_id="d", start=start)


def test_overlapping_spans_of_a_document_are_joined() -> None:
    context = build([chunk(12, 46, "c2"), FakeHit("x", "Other text."), chunk(0, 27, "c1")])
    first = context.passages[0]
    assert (first.text, first.start, first.end) == (DOC[0:46], 0, 46)
    assert (first.id, first.rank) == ("c2", 1)
    assert first.parts == (Part(0, 27, "c1"), Part(12, 46, "c2"))
    assert first.part(0, 11).id == "c1"
    assert first.part(28, 46).id == "c2"
    assert [p.id for p in context.passages] == ["c2", "x"]


def test_a_span_within_another_adds_nothing() -> None:
    context = build([chunk(0, 46, "big"), chunk(12, 27, "small")])
    assert texts(context) == [DOC[0:46]]


def test_adjacent_spans_are_joined_over_the_blank_between_them() -> None:
    context = build([chunk(0, 11, "c1"), chunk(12, 27, "c2")])
    assert texts(context) == [DOC[0:27]]


def test_distant_spans_stay_apart() -> None:
    assert len(build([chunk(0, 11, "c1"), chunk(47, 67, "c2")])) == 2


def test_spans_whose_texts_contradict_each_other_stay_apart() -> None:
    other = FakeHit("c2", "Sleet falls too. Hail is rare.", doc_id="d", start=12)
    assert len(build([chunk(0, 27, "c1"), other])) == 2


def test_spans_that_do_not_fit_their_text_are_not_joined() -> None:
    hits = [
        FakeHit("a", "Rain falls.", doc_id="d", start=0, end=0),
        FakeHit("b", "Snow.", doc_id="d", start=0, end=0),
    ]
    assert len(build(hits)) == 2


def test_a_long_passage_is_cut_to_the_sentences_about_the_question() -> None:
    text = " ".join(f"Sentence {i} speaks of nothing." for i in range(200))
    text += " The rain in May is warm. " + " ".join(f"Sentence {i} adds words." for i in range(200))
    context = build([FakeHit("a", text, start=100, doc_id="d")], question="warm rain in May", max_passage=100)
    (passage,) = context.passages
    assert "The rain in May is warm." in passage.text
    assert passage.tokens <= 100
    assert text[passage.start - 100 : passage.end - 100] == passage.text
    assert context.notes == ("1 passages cut at sentence borders to fit",)


def test_without_any_match_the_beginning_is_kept() -> None:
    text = " ".join(f"Sentence {i} speaks." for i in range(200))
    (passage,) = build([FakeHit("a", text)], question="unheard", max_passage=100).passages
    assert text.startswith(passage.text)
    assert passage.tokens >= 80


def test_the_budget_leaves_out_what_does_not_fit() -> None:
    hits = [FakeHit(str(i), f"Text {i} " + "lorem ipsum " * 30 + ".") for i in range(10)]
    context = build(hits, budget=300, min_passage=60)
    assert 0 < len(context) < 10
    assert context.tokens <= 300
    assert any("left out" in note for note in context.notes)


def test_a_sentence_larger_than_the_budget_is_left_out() -> None:
    assert build([FakeHit("a", "word " * 500)], budget=60, min_passage=0).passages == ()


def test_the_number_of_passages_is_limited() -> None:
    hits = [FakeHit(str(i), f"Text number {i} alone.") for i in range(9)]
    assert len(build(hits, max_passages=4)) == 4


def test_orders() -> None:
    hits = [
        FakeHit(f"{d}{s}", f"Text {d} {s}.", doc_id=d, start=s) for d, s in [("a", 90), ("b", 0), ("a", 0), ("c", 0)]
    ]
    ids = {order: [p.id for p in build(hits, order=order).passages] for order in ("rank", "edges", "document")}
    assert ids["rank"] == ["a90", "b0", "a0", "c0"]
    assert ids["edges"] == ["a90", "a0", "c0", "b0"]
    assert ids["document"] == ["a0", "a90", "b0", "c0"]
    assert [p.number for p in build(hits, order="edges").passages] == [1, 2, 3, 4]


class Letters:
    def count(self, text: str) -> int:
        return len(text)


def test_a_counter_of_ones_own_is_asked() -> None:
    hits = [FakeHit(str(i), f"Text number {i} alone.") for i in range(9)]
    context = build(hits, counter=Letters(), budget=200, min_passage=0)
    assert 0 < context.tokens <= 200
    assert len(context) < len(build(hits))


def test_the_estimate() -> None:
    counter = EstimatedTokens()
    assert isinstance(counter, TokenCounter)
    assert counter.count("") == 0
    assert counter.count("rain") == 1
    assert counter.count("international rain, 2024!") == 3 + 1 + 1 + 2 + 1
    assert counter.count("雨が降る") == 4


@pytest.mark.parametrize(
    "wrong",
    [{"budget": 0}, {"max_passage": 0}, {"min_passage": -1}, {"max_passages": 0}, {"duplicate": 0.0},
     {"duplicate": 1.5}, {"order": "random"}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ContextConfig(**wrong)
