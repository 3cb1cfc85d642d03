"""What each draft of a document is about, and the queries of keywords that end its sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.rag.test_expand_stage import HASHES, PASSAGES, Echo, expansion
from twindex.indexing.expansion.writer import ExpansionWriter
from twindex.rag.batch import Ask, Outcome, Sampling
from twindex.rag.expand.config import ExpandConfig
from twindex.rag.expand.focus import Focus
from twindex.rag.expand.guidance import Guidance
from twindex.rag.expand.prompts import ExpandPrompt, Shown

DOCUMENT = Shown("Wings", "The wings of birds are light. A nest holds three eggs.")
GUIDANCE = Guidance(
    ((4, 0.5, "flight"), (2, 0.25, "breeding")), ("bird", "wing", "jet"), ("bird",), ("bird jet", "wing thrust")
)
CHOSEN = ("bird", "light wings", "jet engine", "nest", "eggs", "three eggs")


def focus(method: str = "doc2query++", each: int = 2) -> Focus:
    return Focus.of(DOCUMENT, GUIDANCE, CHOSEN, ExpandConfig(method=method, focus=each))  # type: ignore[arg-type]


def test_drafts_cover_what_the_document_supports() -> None:
    found = focus()
    shown = [found.shown(DOCUMENT, number) for number in range(6)]
    assert [one.topics for one in shown[:3]] == [("flight",), ("breeding",), ("flight",)]
    assert [one.keywords for one in shown[:2]] == [("bird", "light wings"), ("nest", "eggs")]
    said = {keyword for one in shown for keyword in one.keywords}
    assert said == set(CHOSEN) - {"jet engine"}
    ten = Focus(("one",), tuple("abcdefghij"), (), 2)
    pairs = [ten.shown(DOCUMENT, number).keywords for number in range(10)]
    assert len(set(pairs)) == 10  # other neighbours in the second round
    assert all(one.text == DOCUMENT.text and len(one.keywords) == 2 for one in shown)


@pytest.mark.parametrize("each", [1, 3, 9])
def test_no_keyword_twice_in_a_draft(each: int) -> None:
    for number in range(12):
        keywords = focus(each=each).shown(DOCUMENT, number).keywords
        assert len(set(keywords)) == len(keywords) <= min(each, 5)


def test_unsupported_keywords_are_better_than_none() -> None:
    config = ExpandConfig()
    found = Focus.of(Shown("", "Nothing of it."), GUIDANCE, ("jet engine", "thrust"), config)
    assert found.shown(DOCUMENT, 0).keywords == ("jet engine", "thrust")
    assert Focus.of(DOCUMENT, Guidance((), (), ()), (), config).shown(DOCUMENT, 3).keywords == ()


def test_the_last_query_is_made_of_keywords() -> None:
    assert [focus().last(number) for number in range(3)] == [("bird jet",), ("wing thrust",), ()]
    without = focus("no-topics")
    assert without.topics == ()
    assert without.last(0) == ("bird light wings jet engine",)
    assert len(without.joined) == len(CHOSEN) == len(set(without.joined))
    bare = focus("no-keywords")
    assert bare.keywords == bare.joined == ()
    assert bare.topics == ("flight", "breeding")


def test_what_is_written_and_what_is_joined() -> None:
    assert ExpandConfig().written == ExpandConfig(method="no-topics").written == 2
    assert ExpandConfig(method="plain").written == ExpandConfig(method="no-keywords").written == 3
    assert ExpandConfig(joins=False).written == 3
    assert ExpandConfig(per_set=1).written == 1


def test_the_prompt_shows_the_focus_last() -> None:
    prompt = ExpandPrompt.named("focus", lines=2)
    one, other = (prompt.render(focus().shown(DOCUMENT, number), count=2) for number in (0, 1))
    assert one.messages[-1].content.endswith("Write 2 lines, one below the other. Focus: bird, light wings (flight)")
    assert one.messages[:-1] == other.messages[:-1]
    assert one.messages[-1].content.rsplit("Focus:", 1)[0] == other.messages[-1].content.rsplit("Focus:", 1)[0]
    assert all(message.content.count("\n") == 1 for message in one.messages if message.role == "assistant")
    bare = prompt.render(focus("no-keywords").shown(DOCUMENT, 0), count=3)
    assert bare.messages[-1].content.endswith("Focus: flight")


class Watching(Echo):
    """Keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Ask] = []

    def batch(self, asks: Iterable[Ask], sampling: Sampling) -> Iterator[tuple[int, tuple[Outcome, ...]]]:
        asks = list(asks)
        self.asked += asks
        return super().batch(asks, sampling)


def test_the_stage_asks_each_draft_for_its_own(tmp_path: Path) -> None:
    echo = Watching()
    with ExpansionWriter(tmp_path) as writer:
        made = expansion(writer, 9, "doc2query++", echo)
        made.run(PASSAGES[:1])
        writing = [ask for ask in echo.asked if ask.prompts[0].template.startswith("expand-focus")]
        ends = [prompt.messages[-1].content.rsplit("Focus: ", 1)[1] for ask in writing for prompt in ask.prompts]
        assert ends[:3] == ["bird (birds)", "bird (air)", "bird (birds)"]  # the only one that the text has
        sets = sorted(
            (record for record in writer.store.records(HASHES[0], made.hash) if record.kind == "queries"),
            key=lambda record: record.number,
        )
        assert all(record.value[-1] == f"keyword query {record.number}" for record in sets)
        assert all(len(record.value) == 3 for record in sets)
