"""What each guided draft of a document is about, and the queries that its keywords are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rag.test_expand_stage import HASHES, PASSAGES, Echo, expansion
from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.writer import ExpansionWriter
from twindex.rag.batch import Ask, Outcome, Sampling
from twindex.rag.expand.config import ExpandConfig, Way
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


def test_keywords_are_the_first_queries() -> None:
    assert focus().opening == ("bird light wings jet engine nest eggs three eggs", "jet")
    without = focus("no-topics")
    assert without.topics == ()
    assert without.opening == focus().opening[:1]
    bare = focus("no-keywords")
    assert bare.keywords == bare.opening == ()
    assert bare.topics == ("flight", "breeding")
    nothing = Focus.of(DOCUMENT, Guidance((), (), ()), (), ExpandConfig())
    assert nothing.opening == ()


def test_what_topics_add_is_what_the_text_lacks() -> None:
    many = Guidance((), ("Nesting", *(f"thrust {letter}" for letter in "abcdefghijklm"), "eggs"), ())
    found = Focus.of(DOCUMENT, many, ("thrust a", "bird"), ExpandConfig())
    assert found.opening == ("thrust a bird", " ".join(f"thrust {letter}" for letter in "bcdefghijk"))


def test_free_and_guided_drafts_take_turns() -> None:
    free, guided = Way("plain", 3, guided=False), Way("focus", 1, guided=True)
    assert ExpandConfig().ways == ExpandConfig(method="no-topics").ways == (free, guided)
    assert [ExpandConfig().way(number) for number in range(1, 5)] == [free, guided, free, guided]
    assert [ExpandConfig(opens=False).way(number) for number in range(2)] == [free, guided]
    assert ExpandConfig(free=2).ways == (free, free, guided)
    assert ExpandConfig(free=0).ways == (guided,)
    assert ExpandConfig(method="plain").ways == (free,)
    assert [ExpandConfig().turn(number) for number in range(1, 7)] == [0, 0, 1, 1, 2, 2]
    assert [ExpandConfig(free=2).turn(number) for number in range(1, 7)] == [0, 1, 0, 2, 3, 1]
    assert [ExpandConfig(free=0).turn(number) for number in range(1, 4)] == [0, 1, 2]


def test_drafts_are_counted_behind_the_keywords() -> None:
    assert (ExpandConfig().opening, ExpandConfig().first) == (2, 1)
    assert (ExpandConfig(method="no-topics").opening, ExpandConfig(method="no-topics").first) == (1, 1)
    for config in (ExpandConfig(method="no-keywords"), ExpandConfig(opens=False), ExpandConfig(method="plain")):
        assert (config.opening, config.first) == (0, 0)


def test_the_configuration_tells_how_drafts_take_turns() -> None:
    def facts(**settings: Any) -> dict[str, Any]:
        return ExpandConfig(**settings).facts(generator="g", guide="t")

    assert facts()["free"][0] == 1
    assert facts()["prompt"] == facts(free=0)["prompt"]
    assert facts()["free"][1:] == facts(method="plain")["prompt"]
    assert facts(free=0)["free"] == [0]
    assert "free" not in facts(method="plain")
    assert facts()["opening"] == 2
    assert facts(opens=False)["opening"] == facts(method="no-keywords")["opening"] == 0
    with pytest.raises(ConfigError, match="free = -1"):
        ExpandConfig(free=-1)


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
        guided = [ask for ask in echo.asked if ask.prompts[0].template.startswith("expand-focus")]
        ends = [prompt.messages[-1].content.rsplit("Focus: ", 1)[1] for ask in guided for prompt in ask.prompts]
        assert ends[:2] == ["bird (birds)", "bird (air)"]  # the only keyword that the text has
        free = [ask for ask in echo.asked if ask.prompts[0].template.startswith("expand-plain")]
        assert free
        assert all("Focus" not in prompt.messages[-1].content for ask in free for prompt in ask.prompts)
        sets = sorted(
            (record for record in writer.store.records(HASHES[0], made.hash) if record.kind == "queries"),
            key=lambda record: record.number,
        )
        assert (sets[0].number, sets[0].value) == (0, ["bird wing nest", "egg"])
        assert all(len(record.value) == made.config.way(record.number).lines for record in sets[1:])
        assert {len(record.value) for record in sets[1:]} == {1, 3}


def test_free_drafts_are_those_of_plain_prompting(tmp_path: Path) -> None:
    with ExpansionWriter(tmp_path) as writer:
        mixed, plain = (expansion(writer, 12, method) for method in ("doc2query++", "plain"))
        mixed.run(PASSAGES)
        plain.run(PASSAGES)
        for document in HASHES:
            found: list[dict[int, list[str]]] = [
                {r.number: r.value for r in writer.store.records(document, made.hash) if r.kind == "queries"}
                for made in (mixed, plain)
            ]
            both = [number for number in found[1] if 2 * number + 1 in found[0]]
            assert both
            assert all(found[0][2 * number + 1] == found[1][number] for number in both)
