from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.rag.fakes import FakeHit, FakeSource, PlainAnalyzer, Scripted
from twindex.indexing.errors import ConfigError, GenerationError, QueryError
from twindex.rag.engine import ABSTENTION, AnswerEngine, EngineConfig
from twindex.rag.events import Cited, Event, Final, Retrieved, Token
from twindex.rag.generator import Generator
from twindex.rag.generators.extractive import ExtractiveGenerator
from twindex.rag.prompt import BRIEF
from twindex.rag.types import Answer, Draft, Usage

HITS = [
    FakeHit("h1", "The bridge was opened in 1911. It carries two tracks.", doc_id="d1", title="Bridge", score=3.0),
    FakeHit("h2", "Ada Lund designed the bridge. She was forty then.", doc_id="d2", score=2.0),
]


def engine(generator: Generator, hits: Sequence[FakeHit] = HITS, **config: Any) -> AnswerEngine:
    return AnswerEngine(FakeSource(hits), generator, EngineConfig(**config), analyzer=PlainAnalyzer())


def scripted(text: str, question: str = "When was the bridge opened?", **config: Any) -> Answer:
    return engine(Scripted(text), **config).answer(question)


def test_a_supported_draft_becomes_an_answer() -> None:
    answer = scripted("The bridge was opened in 1911 [1]. Ada Lund designed it [2].")
    assert not answer.abstained
    assert answer.text == "The bridge was opened in 1911 [1]. Ada Lund designed it [2]."
    assert [(c.marker, c.id, c.doc_id, c.title, c.quote) for c in answer.citations] == [
        (1, "h1", "d1", "Bridge", "The bridge was opened in 1911."),
        (2, "h2", "d2", "", "Ada Lund designed the bridge."),
    ]
    assert answer.cited_ids() == ["h1", "h2"]
    assert [(r.id, r.score) for r in answer.ranking] == [("h1", 3.0), ("h2", 2.0)]
    assert answer.usage.estimated
    assert answer.usage.prompt_tokens > 50
    assert answer.took_ms >= 0


def test_the_form_of_the_json() -> None:
    out = scripted("The bridge was opened in 1911 [1].").to_dict()
    assert list(out) == [
        "question", "answer", "citations", "abstained", "support", "passages", "ranking", "generator", "usage",
        "took_ms", "notes",
    ]  # fmt: skip
    assert out["citations"] == [
        {
            "marker": 1, "id": "h1", "doc_id": "d1", "title": "Bridge", "start": 0, "end": 30,
            "quote": "The bridge was opened in 1911.", "support": 1.0, "claim_start": 0, "claim_end": 34,
        }
    ]  # fmt: skip
    assert out["passages"][0] == {
        "number": 1, "id": "h1", "doc_id": "d1", "title": "Bridge", "text": HITS[0].text, "start": 0,
        "end": len(HITS[0].text), "score": 3.0, "ids": ["h1"],
    }  # fmt: skip
    assert out["ranking"][1] == {"id": "h2", "doc_id": "d2", "score": 2.0}


def test_the_source_is_asked_for_passages_not_documents() -> None:
    source = FakeSource(HITS)
    AnswerEngine(source, Scripted("x"), analyzer=PlainAnalyzer()).answer(
        "When?", k=1, mode="sparse", filter="year = 1911"
    )
    assert source.asked == [("When?", 1, "sparse", "year = 1911", False)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("NOT FOUND", "the generator found no answer"),
        ("Not found.", "the generator found no answer"),
        ("**NOT FOUND**", "the generator found no answer"),
        ("", "the generator found no answer"),
        ("<think>Hm, 1911?</think>\nNOT FOUND", "the generator found no answer"),
        ("Aliens painted it green.", "no sentence of the draft has a valid citation"),
        ("Aliens painted it green [1].", "no sentence of the draft has a valid citation"),
        ("Aliens painted it green [9].", "no sentence of the draft has a valid citation"),
        (
            "The bridge was opened in 1911 [1]. " + "Aliens then painted everything in sight green. " * 9,
            "is below 0.30",
        ),
    ],
)
def test_abstains_without_support_and_carries_the_ranking(text: str, why: str) -> None:
    answer = scripted(text)
    assert answer.abstained
    assert answer.text == ABSTENTION
    assert answer.citations == ()
    assert any(why in note for note in answer.notes)
    assert [r.id for r in answer.ranking] == ["h1", "h2"]
    assert len(answer.context) == 2
    assert answer.raw == text


def test_abstains_without_hits_and_asks_no_generator() -> None:
    generator = Scripted("x")
    answer = engine(generator, []).answer("When?")
    assert answer.abstained
    assert "found no passages" in answer.notes[-1]
    assert generator.prompts == []


def test_a_blank_question_is_not_even_searched() -> None:
    source = FakeSource(HITS)
    answer = AnswerEngine(source, Scripted("x"), analyzer=PlainAnalyzer()).answer(" \n")
    assert answer.abstained
    assert "blank" in answer.notes[-1]
    assert source.asked == []


def test_a_question_of_a_megabyte_is_refused() -> None:
    with pytest.raises(QueryError, match="a question of 1000000 characters"):
        engine(Scripted("x")).answer("a" * 1_000_000)


def test_thinking_aloud_and_repeated_fences_are_left_out() -> None:
    generator = Scripted("")
    asked = engine(generator, template=BRIEF)
    asked.answer("When?")
    key = generator.prompts[0].key
    generator.text = f"<think>\nLet me see [7].\n</think>\n<<passage 1 {key}>>\nThe bridge was opened in 1911 [1]."
    answer = asked.answer("When?")
    assert answer.text == "The bridge was opened in 1911 [1]."
    assert not any("7" in note for note in answer.notes)


def test_usage_of_the_runtime_goes_before_the_estimate() -> None:
    usage = Usage(1, 2, estimated=False)
    assert engine(Scripted("The bridge was opened in 1911 [1].", usage)).answer("When?").usage == usage


def test_a_draft_that_was_cut_off_is_noted() -> None:
    class Cut(Scripted):
        def generate(self, *args: Any, **kwargs: Any) -> Draft:
            return Draft(self.text, finish="length")

    answer = engine(Cut("The bridge was opened in 1911 [1]. Ada")).answer("When?")
    assert "cut off at max_tokens" in answer.notes[-1]


def test_the_extractive_generator_end_to_end() -> None:
    asked = engine(ExtractiveGenerator(analyzer=PlainAnalyzer()))
    answer = asked.answer("When was the bridge opened?")
    assert answer.text.startswith("The bridge was opened in 1911. [1]")
    assert answer.citations[0].support == 1.0
    off = asked.answer("Which vitamins do oranges contain?")
    assert off.abstained
    assert off.support < 0.35


def collect(events: Sequence[Event]) -> tuple[Retrieved, str, list[Cited], Final]:
    """Checks the order, and takes the events apart."""
    kinds = [event.kind for event in events]
    order = ["retrieved", "token", "citation", "final"]
    assert kinds == sorted(kinds, key=order.index)
    retrieved, final = events[0], events[-1]
    assert isinstance(retrieved, Retrieved)
    assert isinstance(final, Final)
    text = "".join(event.text for event in events if isinstance(event, Token))
    return retrieved, text, [event for event in events if isinstance(event, Cited)], final


@pytest.mark.parametrize(
    "generator",
    [
        Scripted("The bridge was opened in 1911 [1]. Ada Lund designed it [2][8]."),
        Scripted("NOT FOUND"),
        ExtractiveGenerator(analyzer=PlainAnalyzer()),
    ],
    ids=["cited", "declined", "extractive"],
)
def test_streaming_ends_in_the_same_answer(generator: Generator) -> None:
    asked = engine(generator)
    question = "When was the bridge opened?"
    retrieved, text, cited, final = collect(list(asked.stream(question)))
    whole = asked.answer(question)
    assert final.answer.to_dict() | {"took_ms": 0} == whole.to_dict() | {"took_ms": 0}
    assert text == whole.raw
    assert tuple(event.citation for event in cited) == whole.citations
    assert retrieved.context == whole.context
    assert [p["number"] for p in retrieved.to_dict()["passages"]] == [1, 2]
    assert all(isinstance(event.to_dict(), dict) for event in cited)
    assert Token("x").to_dict() == {"text": "x"}
    assert final.to_dict()["question"] == question


def test_streaming_without_hits_is_two_events() -> None:
    events = list(engine(Scripted("x"), []).stream("When?"))
    assert [event.kind for event in events] == ["retrieved", "final"]


def test_a_stream_may_fail_in_the_middle() -> None:
    class Failing(Scripted):
        def stream(self, *args: Any, **kwargs: Any) -> Any:
            yield "The "
            raise GenerationError("the line broke")

    stream = engine(Failing("x")).stream("When?")
    assert [next(stream).kind for _ in range(2)] == ["retrieved", "token"]
    with pytest.raises(GenerationError):
        next(stream)


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"temperature": -1}, {"min_support": 2}, {"max_question": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        EngineConfig(**wrong)
