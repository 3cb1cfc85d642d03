from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.generator_kit import REQUEST, GeneratorKit
from tests.rag.fakes import PlainAnalyzer, context_of
from twindex.indexing.errors import ConfigError
from twindex.rag.generator import Generator
from twindex.rag.generators.extractive import ExtractiveConfig, ExtractiveGenerator
from twindex.rag.hints import asked_kind, shows
from twindex.rag.prompt import BRIEF, render
from twindex.rag.types import Context, Draft


def made(**config: Any) -> ExtractiveGenerator:
    return ExtractiveGenerator(ExtractiveConfig(**config), analyzer=PlainAnalyzer())


def draft_of(question: str, context: Context, **config: Any) -> Draft:
    return made(**config).generate(render(BRIEF, question, context), **REQUEST)


class TestContract(GeneratorKit):
    @pytest.fixture
    def generator(self) -> Generator:
        return made()


TARN = context_of(
    "Bridges need care. The bridge over the Tarn is painted every ten years. The bridge was built by Ada Lund. "
    "The bridge over the Tarn cost 12,000 crowns.",
    "The Tarn is a river. Painters like the Tarn.",
)


def test_the_answer_is_verbatim_and_bound() -> None:
    draft = draft_of("How much did the bridge over the Tarn cost?", TARN, max_sentences=1)
    assert draft.text == "The bridge over the Tarn cost 12,000 crowns. [1]"
    assert draft.bindings is not None
    (binding,) = draft.bindings
    assert TARN.passages[0].slice(binding.start, binding.end) == draft.text[: binding.claim_end]


def test_the_kind_of_thing_asked_for_decides_between_equals() -> None:
    context = context_of("The tower is tall and admired. The tower is tall, 96 metres in all.")
    assert draft_of("How tall is the tower?", context, max_sentences=1).text.startswith("The tower is tall, 96")


def test_a_further_sentence_must_add_something() -> None:
    twins = context_of("The mast is 40 metres high.", "The mast is 40 metres high.")
    assert draft_of("How high is the mast?", twins, max_sentences=3).text == "The mast is 40 metres high. [1]"


def test_more_sentences_come_from_wherever_they_are() -> None:
    context = context_of("The mast is 40 metres high.", "The mast is made of pine and carries two sails.")
    draft = draft_of("How high is the mast and what is the mast made of?", context, max_sentences=2, ratio=0.3)
    assert draft.bindings is not None
    assert {binding.number for binding in draft.bindings} == {1, 2}


def test_abstains_when_nothing_supports_an_answer() -> None:
    draft = draft_of("Which vitamins do oranges contain?", TARN)
    assert (draft.text, draft.finish, draft.bindings) == ("", "abstained", ())
    assert draft.support is not None
    assert draft.support < 0.35


def test_abstains_without_passages() -> None:
    assert draft_of("What?", Context()).finish == "abstained"


def test_the_threshold_is_a_setting() -> None:
    question = "Who painted the river Tarn in winter with oil?"
    assert draft_of(question, TARN, min_support=0.0).finish == "stop"
    assert draft_of(question, TARN, min_support=1.0).finish == "abstained"


def test_max_tokens_ends_between_sentences() -> None:
    context = context_of("The mast is 40 metres high.", "The mast is made of pine and carries two sails.")
    prompt = render(BRIEF, "How high is the mast and what is the mast made of?", context)
    generator = made(ratio=0.3)
    assert len(generator.generate(prompt, **REQUEST).bindings or ()) == 2
    assert len(generator.generate(prompt, **{**REQUEST, "max_tokens": 8}).bindings or ()) == 1


def test_brackets_of_the_passage_stay_text() -> None:
    context = context_of("The value of x[1] is the second item of the list x.")
    draft = draft_of("What is the value of x[1]?", context)
    assert draft.text == "The value of x[1] is the second item of the list x. [1]"
    assert draft.bindings is not None
    assert len(draft.bindings) == 1


def test_of_equal_sentences_the_better_ranked_one_is_taken() -> None:
    both = context_of("The mast is 40 metres high.", "The mast is 40 metres high.")
    first, second = both.passages
    context = replace(both, passages=(replace(first, rank=3), replace(second, rank=1)))
    assert draft_of("How high is the mast?", context).text == "The mast is 40 metres high. [2]"


def test_a_question_is_not_an_answer_to_itself() -> None:
    context = context_of("How do I open a file? You open a file with the function open.")
    assert draft_of("How do I open a file?", context, max_sentences=1).text.startswith("You open a file")


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When did the war end?", "date"),
        ("In which year was it built?", "date"),
        ("How many legs has a spider?", "number"),
        ("What percentage of voters agreed?", "number"),
        ("Who wrote it?", "name"),
        ("Where is the bridge?", "place"),
        ("Why is the sky blue?", "reason"),
        ("How do I open a file?", "manner"),
        ("What is a monad?", "definition"),
        ("Tell me more", None),
        ("", None),
    ],
)
def test_questions_ask_for_a_kind_of_thing(question: str, kind: str | None) -> None:
    assert asked_kind(question) == kind


def test_signs_that_the_question_holds_already_do_not_count() -> None:
    assert shows("date", "It opened in 1911.", "When did it open?")
    assert not shows("date", "In 1911 nothing happened.", "When did the war of 1911 begin?")
    assert shows("number", "It has twelve arches.", "How many arches are there?")
    assert not shows("name", "the bridge is old", "Who built the bridge?")


@pytest.mark.parametrize(
    "wrong",
    [{"max_sentences": 0}, {"max_sentences": 4}, {"min_support": 1.1}, {"ratio": -1}, {"redundancy": 2}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ExtractiveConfig(**wrong)
